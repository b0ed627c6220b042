//! What was counted before, so that the next count looks at new events alone.

use std::sync::Arc;

use matron_matrix::push::Mask;
use quick_cache::sync::Cache;
use ruma::push::Ruleset;

use super::{ReadUpTo, Tally};
use crate::meters::Held;
use crate::schema::{RoomNum, UserNum};

/// How many pairs of user and room are remembered.
const REMEMBERED: usize = 20_000;

/// A count, and what it was counted by: whoever finds one of these changed counts anew.
#[derive(Debug)]
pub(super) struct Memo {
    pub ruleset: Arc<Ruleset>,
    pub mask: Mask,
    pub read: ReadUpTo,
    pub tally: Tally,
}

/// Counts of users in rooms.
#[derive(Debug)]
pub(super) struct Memos(Cache<(UserNum, RoomNum), Arc<Memo>>);

impl Memos {
    pub(super) fn new() -> Self {
        Self(Cache::new(REMEMBERED))
    }

    pub(super) fn held(&self) -> Held {
        Held::of("unread_counts", &self.0)
    }

    pub(super) fn get(&self, user: UserNum, room: RoomNum) -> Option<Arc<Memo>> {
        self.0.get(&(user, room))
    }

    /// Remembers a count, unless a later one is remembered.
    pub(super) fn keep(&self, user: UserNum, room: RoomNum, memo: Memo) {
        if self.get(user, room).is_none_or(|known| known.tally.at <= memo.tally.at) {
            self.0.insert((user, room), Arc::new(memo));
        }
    }
}
