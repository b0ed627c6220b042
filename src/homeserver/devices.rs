//! Devices and their keys: what end-to-end encryption needs from a server.

use std::sync::Arc;

use matron_storage::Store;

use crate::accounts::Accounts;
use crate::clock::Clock;
use crate::ids::Ids;
use crate::streams::Streams;

/// The owner of devices, their keys, what waits for them, and key backups.
#[derive(Debug)]
pub struct Devices {
    store: Arc<Store>,
    streams: Arc<Streams>,
    ids: Arc<Ids>,
    clock: Clock,
    accounts: Arc<Accounts>,
}

impl Devices {
    /// Needs what lies below, and accounts.
    #[must_use]
    pub const fn new(
        store: Arc<Store>,
        streams: Arc<Streams>,
        ids: Arc<Ids>,
        clock: Clock,
        accounts: Arc<Accounts>,
    ) -> Self {
        Self { store, streams, ids, clock, accounts }
    }
}
