//! What is not an event: who types, and how far everybody has read.

pub mod receipts;
pub mod typing;

use std::sync::Arc;

use matron_storage::Store;

use crate::accounts::Accounts;
use crate::clock::Clock;
use crate::ids::Ids;
use crate::rooms::Rooms;
use crate::streams::Streams;

pub use receipts::{Mark, Shown, content, read_positions};

/// The owner of typing notices and receipts.
#[derive(Debug)]
pub struct Ephemeral {
    store: Arc<Store>,
    streams: Arc<Streams>,
    ids: Arc<Ids>,
    clock: Clock,
    rooms: Arc<Rooms>,
    accounts: Arc<Accounts>,
    typing: typing::Typing,
}

impl Ephemeral {
    /// Needs what lies below, rooms, and accounts (for read markers).
    #[must_use]
    pub fn new(
        store: Arc<Store>,
        streams: Arc<Streams>,
        ids: Arc<Ids>,
        clock: Clock,
        rooms: Arc<Rooms>,
        accounts: Arc<Accounts>,
    ) -> Self {
        Self { store, streams, ids, clock, rooms, accounts, typing: typing::Typing::default() }
    }
}
