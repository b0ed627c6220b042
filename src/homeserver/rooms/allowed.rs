//! Who may say what in a room's state of now: what the rules answered once is not asked for every message.

use std::collections::HashMap;
use std::sync::Arc;

use matron_matrix::event::Template;
use ruma::events::TimelineEventType;
use ruma::{OwnedEventId, OwnedUserId};

use crate::schema::EventNum;

/// The events that an event names as its authority.
pub(super) type Named = Arc<[(EventNum, OwnedEventId)]>;

/// Who was allowed what in a room's state, and by which events: for messages, whose authorization depends on state, sender
/// and type alone, the answer is the same until the state changes.
#[derive(Debug, Default)]
pub(super) struct Allowed {
    root: u32,
    known: HashMap<OwnedUserId, HashMap<TimelineEventType, Named>>,
}

/// How many senders of a room are remembered.
const MOST_SENDERS: usize = 256;
/// How many types of each.
const MOST_TYPES: usize = 16;
/// What a sender costs, with the few types that they mostly send.
const BYTES_PER_SENDER: u64 = 1024;

impl Allowed {
    /// Whether the answer depends on nothing else. (Redactions are judged by their target too.)
    fn is_plain(template: &Template) -> bool {
        template.state_key.is_none() && template.kind != TimelineEventType::RoomRedaction
    }

    /// The events that authorize this one, if it was asked before.
    pub fn get(&self, root: u32, template: &Template) -> Option<Named> {
        if self.root != root || !Self::is_plain(template) {
            return None;
        }
        self.known.get(&template.sender)?.get(&template.kind).map(Arc::clone)
    }

    /// Bytes that it takes, about.
    pub fn weight(&self) -> u64 {
        self.known.len() as u64 * BYTES_PER_SENDER
    }

    /// What an event of the kind is authorized by.
    pub fn note(&mut self, root: u32, template: &Template, auth: &Named) {
        if !Self::is_plain(template) {
            return;
        }
        if self.root != root || self.known.len() >= MOST_SENDERS {
            self.root = root;
            self.known.clear();
        }
        let of_sender = self.known.entry(template.sender.clone()).or_default();
        if of_sender.len() < MOST_TYPES {
            of_sender.insert(template.kind.clone(), Arc::clone(auth));
        }
    }
}
