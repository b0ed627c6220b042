//! What is made of account data and used often: kept in memory as long as the row that it was made of stays.

use std::collections::HashSet;
use std::sync::Arc;

use matron_storage::{Position, Snapshot};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use ruma::api::client::filter::FilterDefinition;
use ruma::push::Ruleset;

use crate::meters::Held;
use crate::schema::UserNum;
use crate::streams::Streams;

/// How many users' rules and lists are kept, about, and how many bytes of them.
const USERS: usize = 20_000;
const RULE_BYTES: u64 = 128 << 20;
const LIST_BYTES: u64 = 16 << 20;
/// How many filters are kept, about, and how many bytes of them: users of one client mostly have the same few, each their own.
const FILTERS: usize = 20_000;
const FILTER_BYTES: u64 = 64 << 20;

/// All that is kept.
#[derive(Debug)]
pub(super) struct Caches {
    /// Push rules.
    pub rulesets: Derived<Ruleset>,
    /// Whom they ignore.
    pub ignored: Derived<HashSet<UserNum>>,
    /// Filters never change: their id is their digest.
    pub filters: Cache<(UserNum, [u8; 8]), Filter, Weigh>,
}

impl Default for Caches {
    fn default() -> Self {
        Self {
            rulesets: Derived::new(RULE_BYTES),
            ignored: Derived::new(LIST_BYTES),
            filters: Cache::with_weighter(FILTERS, FILTER_BYTES, Weigh),
        }
    }
}

/// A filter, and how many bytes of JSON it has.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    pub definition: Arc<FilterDefinition>,
    pub json: usize,
}

/// What is weighed in memory, about.
#[derive(Debug, Clone)]
pub(super) struct Weigh;

impl Weighter<(UserNum, [u8; 8]), Filter> for Weigh {
    /// Short texts of a list take many times their length.
    fn weight(&self, _: &(UserNum, [u8; 8]), filter: &Filter) -> u64 {
        1024 + 8 * filter.json as u64
    }
}

impl<T> Weighter<UserNum, Entry<T>> for Weigh {
    fn weight(&self, _: &UserNum, entry: &Entry<T>) -> u64 {
        entry.bytes
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
pub(super) struct Entry<T> {
    /// When the row was written; zero where there is none.
    row: Position,
    /// Up to when that is known to be the row.
    checked: Position,
    value: Arc<T>,
    /// Bytes that it takes, about.
    bytes: u64,
}

impl<T> Clone for Entry<T> {
    fn clone(&self) -> Self {
        Self { row: self.row, checked: self.checked, value: Arc::clone(&self.value), bytes: self.bytes }
    }
}

/// Something made of one row of each user's.
#[derive(Debug)]
pub(super) struct Derived<T>(Cache<UserNum, Entry<T>, Weigh>);

impl<T> Derived<T> {
    fn new(bytes: u64) -> Self {
        Self(Cache::with_weighter(USERS, bytes, Weigh))
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

    /// Keeps what was made of a row, and takes about so many bytes.
    pub fn keep(&self, snapshot: &Snapshot, user: UserNum, row: Position, (value, bytes): (T, usize)) -> Arc<T> {
        let value = Arc::new(value);
        let entry = Entry { row, checked: snapshot.position(), value: Arc::clone(&value), bytes: bytes as u64 };
        self.0.insert(user, entry);
        value
    }
}
