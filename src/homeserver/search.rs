//! Searching what was said: client-server API, "Server Side Search".
//!
//! An index of words by room follows the stream of events. What is found is read from the room itself and shown through
//! the eyes of who searches, so that the index decides nothing but what is looked at.

mod find;
mod groups;
mod index;
mod postings;
mod query;
mod rank;
mod show;

use std::sync::Arc;

use matron_storage::Store;

use crate::accounts::Accounts;
use crate::config::Config;
use crate::follow::Follower;
use crate::ids::Ids;
use crate::rooms::Rooms;

pub use groups::Group;
pub use query::{Around, Asked, GroupBy, Key, Order};
pub use show::{Answer, Context, Hit};

/// The search.
#[derive(Debug)]
pub struct Search {
    store: Arc<Store>,
    ids: Arc<Ids>,
    config: Arc<Config>,
    accounts: Arc<Accounts>,
    rooms: Arc<Rooms>,
    follower: Follower,
}

impl Search {
    /// Needs the rooms that are searched.
    #[must_use]
    pub fn new(
        (store, ids): (Arc<Store>, Arc<Ids>),
        config: Arc<Config>,
        accounts: Arc<Accounts>,
        rooms: Arc<Rooms>,
    ) -> Self {
        let follower = Follower::new("words", Arc::clone(&store));
        Self { store, ids, config, accounts, rooms, follower }
    }

    /// How many positions the index is behind; none where search is off.
    #[must_use]
    pub fn behind(&self) -> Option<u64> {
        self.config.finding.messages.then(|| self.follower.behind())
    }

    /// Indexes what is said, until it is dropped. Does nothing where search is off.
    pub async fn follow(self: Arc<Self>) {
        if self.config.finding.messages {
            self.follower.run(&mut &*self).await;
        }
    }
}
