//! What is not an event: who types, how far everybody has read, who is there.

pub mod presence;
pub mod receipts;
pub mod typing;

use std::sync::Arc;

use matron_storage::Store;

use crate::accounts::Accounts;
use crate::clock::Clock;
use crate::config::Config;
use crate::ids::Ids;
use crate::rooms::Rooms;
use crate::streams::Streams;

pub use presence::{Shown as Presence, Syncing};
pub use receipts::{Mark, Shown, contents, read_positions};

/// The owner of typing notices, receipts and presence.
#[derive(Debug)]
pub struct Ephemeral {
    store: Arc<Store>,
    streams: Arc<Streams>,
    ids: Arc<Ids>,
    clock: Clock,
    rooms: Arc<Rooms>,
    accounts: Arc<Accounts>,
    config: Arc<Config>,
    typing: typing::Typing,
    presence: presence::Presence,
}

impl Ephemeral {
    /// Needs what lies below, rooms, and accounts (for read markers).
    #[must_use]
    pub fn new(
        (store, streams, ids): (Arc<Store>, Arc<Streams>, Arc<Ids>),
        clock: Clock,
        rooms: Arc<Rooms>,
        (accounts, config): (Arc<Accounts>, Arc<Config>),
    ) -> Self {
        let (typing, presence) = (typing::Typing::default(), presence::Presence::default());
        Self { store, streams, ids, clock, rooms, accounts, config, typing, presence }
    }
}
