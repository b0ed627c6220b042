//! The user directory: finding people by name. Client-server API, "User Directory".
//!
//! A user finds those with whom they share a room, and those in rooms that everybody may join or read (or all, by
//! configuration). The words of names are kept by accounts; who is in open rooms is followed here.

mod open;
mod search;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use matron_storage::Store;

use crate::accounts::Accounts;
use crate::config::Config;
use crate::follow::Follower;
use crate::ids::Ids;
use crate::rooms::Rooms;
use crate::streams::Streams;

pub use search::{Found, Person};

/// The user directory.
#[derive(Debug)]
pub struct Directory {
    store: Arc<Store>,
    streams: Arc<Streams>,
    ids: Arc<Ids>,
    config: Arc<Config>,
    accounts: Arc<Accounts>,
    rooms: Arc<Rooms>,
    follower: Follower,
}

impl Directory {
    /// Needs those whose names and rooms it tells.
    #[must_use]
    pub fn new(
        (store, streams, ids): (Arc<Store>, Arc<Streams>, Arc<Ids>),
        config: Arc<Config>,
        accounts: Arc<Accounts>,
        rooms: Arc<Rooms>,
    ) -> Self {
        let follower = Follower::new("user directory", Arc::clone(&store));
        Self { store, streams, ids, config, accounts, rooms, follower }
    }

    /// How many positions it is behind.
    #[must_use]
    pub fn behind(&self) -> u64 {
        self.follower.behind()
    }

    /// Follows who is in which open room, until it is dropped.
    pub async fn follow(self: Arc<Self>) {
        self.follower.run(&mut &*self).await;
    }
}
