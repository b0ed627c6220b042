//! What somebody of this server wants to happen in a room, and what becomes of it.

use std::sync::Arc;

use matron_matrix::digest;
use matron_matrix::event::Template;
use matron_matrix::policy::PolicyServer;
use matron_storage::Position;
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, RoomVersionId};

use super::build::From;
use super::built::Built;
use crate::error::Error;
use crate::schema::{DeviceNum, Digest, RoomNum, UserNum};

/// Which transaction sends an event: a repeat answers the same and does nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionKey {
    /// The device.
    pub device: DeviceNum,
    /// The digest of method and path.
    pub request: Digest,
    /// The id that the client gave it.
    pub id: String,
}

impl TransactionKey {
    /// The transaction of a request: its method and whole path tell it from others of the device.
    #[must_use]
    pub fn new(device: DeviceNum, method: &str, path: &str, id: &str) -> Self {
        let request = digest::of_parts([method.as_bytes(), path.as_bytes()]);
        Self { device, request, id: id.to_owned() }
    }
}

/// What somebody of this server wants to happen in a room.
#[derive(Debug, Clone)]
pub struct Intent {
    /// The event.
    pub template: Template,
    /// The transaction that sends it.
    pub transaction: Option<TransactionKey>,
    /// Where the room's state has this very content already, nothing happens and that event is the answer.
    pub unless_same: bool,
    /// Whether it is said of a member who is joined: where they are not any more when its turn comes, it is refused.
    pub while_joined: bool,
    /// From which ends of the graph it goes on.
    pub from: From,
    /// The event is the tombstone of an upgrade, and this what the upgrade makes.
    pub upgrade: Option<Arc<Upgrade>>,
    /// The event itself, which waited for the room's policy server.
    pub(super) asked: Option<Box<Asked>>,
}

impl Intent {
    /// An event that goes on from all ends.
    #[must_use]
    pub const fn new(template: Template) -> Self {
        Self {
            template,
            transaction: None,
            unless_same: false,
            while_joined: false,
            from: From::Ends,
            upgrade: None,
            asked: None,
        }
    }
}

/// What an upgrade makes of a room.
#[derive(Debug, Clone)]
pub struct Upgrade {
    pub(super) version: RoomVersionId,
    pub(super) creators: Vec<OwnedUserId>,
    pub(super) user: UserNum,
    /// The new room's number, and its id where that is not made from its create event.
    pub(super) room: RoomNum,
    pub(super) id: OwnedRoomId,
}

/// An event that a policy server signed.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub built: Built,
    pub policy: Arc<PolicyServer>,
}

impl Asked {
    /// Whether the signature is that of the room's policy server of now.
    pub fn is_enough_for(&self, policy: Option<&PolicyServer>) -> bool {
        policy.is_none_or(|policy| *policy == *self.policy)
    }
}

/// What became of an intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The event.
    pub event_id: OwnedEventId,
    /// Where it lies; none where it was there before.
    pub position: Option<Position>,
    /// The room that replaces this one by an upgrade.
    pub replacement: Option<OwnedRoomId>,
}

/// Who fails: the intent alone, or the whole batch, since the working copy is half changed.
pub(super) enum Refused {
    Intent(Error),
    Batch(Error),
}
