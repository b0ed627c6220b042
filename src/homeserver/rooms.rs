//! Rooms: the one door by which events enter them, and every way to read them.

pub mod alias;
mod allowed;
pub mod append;
pub mod build;
pub mod built;
mod bundle;
mod check;
pub mod context;
pub mod create;
pub mod event;
mod guests;
pub mod hierarchy;
pub mod history;
pub mod intent;
pub mod list;
pub mod membership;
pub mod policy;
mod power;
pub mod preview;
pub mod receive;
pub mod relations;
pub mod renaming;
pub mod resolve;
pub mod roots;
pub mod send;
pub mod sharing;
pub mod state;
mod succession;
pub mod summary;
mod sweep;
#[cfg(test)]
mod tests;
pub mod threads;
pub mod times;
pub mod tree;
pub mod upgrade;
pub mod view;
mod watchers;
pub mod working;
pub mod writer;

use std::sync::Arc;

use matron_storage::{Snapshot, Store};
use quick_cache::sync::Cache;
use tokio_util::task::TaskTracker;

use crate::accounts::Accounts;
use crate::clock::Clock;
use crate::config::Config;
use crate::ids::Ids;
use crate::meters::{self, Held};
use crate::remote::servers::Servers;
use crate::schema::RoomNum;
use crate::signing::SigningKey;
use crate::streams::Streams;

/// Bytes of nodes of rooms' states that are kept in memory, about: those of ten thousand rooms.
const NODE_BYTES: u64 = 16 << 20;

/// The owner of rooms.
#[derive(Debug)]
pub struct Rooms {
    pub(crate) store: Arc<Store>,
    pub(crate) streams: Arc<Streams>,
    pub(crate) ids: Arc<Ids>,
    pub(crate) clock: Clock,
    pub(crate) config: Arc<Config>,
    pub(crate) accounts: Arc<Accounts>,
    key: Arc<SigningKey>,
    /// Other servers, by calls.
    servers: Arc<Servers>,
    nodes: Arc<tree::NodeCache>,
    /// What never changes of rooms.
    constants: Cache<RoomNum, Arc<view::Constants>>,
    /// State events that authorized others lately.
    authorities: event::Authorities,
    /// State events that were shown lately.
    shown: event::ShownEvents,
    /// Walks over spaces whose next page may be asked for.
    walks: hierarchy::Walks,
    published: list::Published,
    writers: writer::Writers,
    /// What is counted.
    pub meters: meters::Rooms,
    tasks: TaskTracker,
}

impl Rooms {
    /// Needs what lies below, other servers, and accounts (for profiles and push rules).
    #[must_use]
    pub fn new(
        (store, streams, ids): (Arc<Store>, Arc<Streams>, Arc<Ids>),
        clock: Clock,
        config: Arc<Config>,
        (key, servers): (Arc<SigningKey>, Arc<Servers>),
        accounts: Arc<Accounts>,
        tasks: TaskTracker,
    ) -> Self {
        Self {
            store,
            streams,
            ids,
            clock,
            config,
            accounts,
            key,
            servers,
            nodes: Arc::new(tree::NodeCache::new(NODE_BYTES)),
            constants: Cache::new(50_000),
            authorities: event::authorities(),
            shown: event::shown_events(),
            walks: hierarchy::walks(),
            published: list::Published::default(),
            writers: writer::Writers::default(),
            meters: meters::Rooms::default(),
            tasks,
        }
    }

    /// The caches of rooms.
    #[must_use]
    pub fn caches(&self) -> Vec<Held> {
        vec![
            self.nodes.held(),
            Held::of("room_constants", &self.constants),
            Held::of("authorizing_events", &self.authorities),
            Held::of("shown_events", &self.shown),
            Held::of("space_walks", &self.walks),
            self.writers.held(),
        ]
    }

    /// How many rooms are written to at the moment, and how many events (and the like) wait for their writers.
    #[must_use]
    pub fn writing(&self) -> (usize, usize) {
        self.writers.busy()
    }

    /// Reads the states of a room.
    #[must_use]
    pub fn states(&self, snapshot: &Snapshot, room: RoomNum) -> tree::Reader {
        tree::Reader::new(snapshot.clone(), Arc::clone(&self.nodes), room)
    }
}
