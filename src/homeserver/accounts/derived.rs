//! What is made of account data and used often: kept in memory as long as the row that it was made of stays.

use std::collections::HashSet;
use std::sync::Arc;

use matron_storage::{Position, Snapshot};
use quick_cache::sync::Cache;
use ruma::api::client::filter::FilterDefinition;
use ruma::push::Ruleset;

use crate::meters::Held;
use crate::schema::UserNum;
use crate::streams::Streams;

/// How many users' rules and lists are kept.
const USERS: usize = 20_000;
/// How many filters are kept: users of one client mostly have the same few, each their own.
const FILTERS: usize = 20_000;

/// All that is kept.
#[derive(Debug)]
pub(super) struct Caches {
    /// Push rules.
    pub rulesets: Derived<Ruleset>,
    /// Whom they ignore.
    pub ignored: Derived<HashSet<UserNum>>,
    /// Filters never change: their id is their digest.
    pub filters: Cache<(UserNum, [u8; 8]), Arc<FilterDefinition>>,
}

impl Default for Caches {
    fn default() -> Self {
        Self { rulesets: Derived::new(), ignored: Derived::new(), filters: Cache::new(FILTERS) }
    }
}

impl Caches {
    pub fn held(&self) -> Vec<Held> {
        vec![
            Held::of("push_rules", &self.rulesets.0),
            Held::of("ignored_users", &self.ignored.0),
            Held::of("filters", &self.filters),
        ]
    }
}

#[derive(Debug)]
struct Entry<T> {
    /// When the row was written; zero where there is none.
    row: Position,
    /// Up to when that is known to be the row.
    checked: Position,
    value: Arc<T>,
}

impl<T> Clone for Entry<T> {
    fn clone(&self) -> Self {
        Self { row: self.row, checked: self.checked, value: Arc::clone(&self.value) }
    }
}

/// Something made of one row of each user's.
#[derive(Debug)]
pub(super) struct Derived<T>(Cache<UserNum, Entry<T>>);

impl<T> Derived<T> {
    fn new() -> Self {
        Self(Cache::new(USERS))
    }

    /// What is right for this snapshot, if that is known without reading.
    pub fn get(&self, streams: &Streams, snapshot: &Snapshot, user: UserNum) -> Option<Arc<T>> {
        let entry = self.0.get(&user)?;
        let holds = snapshot.holds(entry.row) && !streams.user_changed(user, entry.checked);
        holds.then_some(entry.value)
    }

    /// What was made of the row that the snapshot still has.
    pub fn of_row(&self, snapshot: &Snapshot, user: UserNum, row: Position) -> Option<Arc<T>> {
        let entry = self.0.get(&user).filter(|entry| entry.row == row)?;
        let checked = entry.checked.max(snapshot.position());
        self.0.insert(user, Entry { checked, ..entry.clone() });
        Some(entry.value)
    }

    /// Keeps what was made of a row.
    pub fn keep(&self, snapshot: &Snapshot, user: UserNum, row: Position, value: T) -> Arc<T> {
        let value = Arc::new(value);
        self.0.insert(user, Entry { row, checked: snapshot.position(), value: Arc::clone(&value) });
        value
    }
}
