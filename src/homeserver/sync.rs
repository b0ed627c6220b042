//! Sync: what changed for one user between two positions, over one snapshot.
//!
//! `room` is the core that answers for a single room; `classic` is /sync; `device_lists` says whose keys
//! to fetch anew. Nothing here writes, but for to-device messages that a client has confirmed.

use std::sync::Arc;

use matron_storage::{Position, Store};
use quick_cache::sync::Cache;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::accounts::Accounts;
use crate::devices::KeyCounts;
use crate::ephemeral::Ephemeral;
use crate::ids::Ids;
use crate::meters::{self, Held};
use crate::rooms::Rooms;
use crate::schema::DeviceNum;
use crate::streams::Streams;
use crate::turns::Turns;
use crate::unread::Counter;

pub mod answer;
mod classic;
mod device_lists;
mod ephemeral;
mod filter;
mod presence;
mod room;
mod sent;
mod summary;
#[cfg(test)]
mod tests;

pub use answer::StateName;
pub use classic::Request;
pub use filter::SyncFilter;

/// Of how many devices it is known that no message waits for them, and how many keys they have left.
const DEVICES: usize = 50_000;
/// So many answers that tell everything are in memory at once, if there are not more cores: they are large, and each comes
/// sooner than all would together.
const FEWEST_WHOLE: usize = 4;

/// Answers /sync.
#[derive(Debug)]
pub struct Sync {
    store: Arc<Store>,
    streams: Arc<Streams>,
    ids: Arc<Ids>,
    accounts: Arc<Accounts>,
    rooms: Arc<Rooms>,
    ephemeral: Arc<Ephemeral>,
    unread: Counter,
    sent: sent::SentMembers,
    /// Up to where no to-device message waits for a device: positions only grow, so what was true once stays so.
    emptied: Cache<DeviceNum, Position>,
    /// How many keys devices had left, and when.
    keys: Cache<DeviceNum, (Position, Arc<KeyCounts>)>,
    /// Turns for answers that tell everything.
    whole: Arc<Semaphore>,
    /// Of each user, one request waits for such a turn at a time.
    user_turns: Turns,
    /// The threads on which crowds are answered.
    crowds: Handle,
    /// What is counted.
    pub meters: meters::Sync,
}

impl Sync {
    /// Needs everything that it reads, and threads on which a crowd is answered.
    #[must_use]
    pub fn new(
        (store, streams, ids): (Arc<Store>, Arc<Streams>, Arc<Ids>),
        accounts: Arc<Accounts>,
        rooms: Arc<Rooms>,
        ephemeral: Arc<Ephemeral>,
        (unread, crowds): (Counter, Handle),
    ) -> Self {
        let (sent, emptied, keys) = (sent::SentMembers::new(), Cache::new(DEVICES), Cache::new(DEVICES));
        let meters = meters::Sync::default();
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let whole = Arc::new(Semaphore::new(cores.max(FEWEST_WHOLE)));
        let user_turns = Turns::new();
        Self {
            store,
            streams,
            ids,
            accounts,
            rooms,
            ephemeral,
            unread,
            sent,
            emptied,
            keys,
            whole,
            user_turns,
            crowds,
            meters,
        }
    }

    /// The caches of what devices have been told, and of what is unread.
    #[must_use]
    pub fn caches(&self) -> Vec<Held> {
        let mut caches = self.sent.held();
        let devices = [Held::of("emptied_devices", &self.emptied), Held::of("key_counts", &self.keys)];
        caches.extend(devices);
        caches.push(self.unread.held());
        caches
    }
}
