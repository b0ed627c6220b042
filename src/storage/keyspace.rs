//! Typed keyspaces: what is stored where, under which key, in which form.

use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};

use crate::codec::{Encoder, Key, PrefixOf, Value};

/// How the rows of a keyspace are written and read: one column family with its tuning each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// The store's own few rows.
    Meta,
    /// Large rows appended in ranges and read in runs: big blocks, strong compression below.
    Log,
    /// Small rows without or with short values, read in ranges.
    Index,
    /// Rows read one by one by key: bloom filters.
    Point,
    /// Long random keys with short values, read one by one.
    Id,
    /// Small immutable rows read by walking from one to the next.
    Tree,
    /// Rows written, read once and deleted.
    Queue,
    /// Rows replaced in place often, whose loss in a power cut may be allowed.
    Current,
    /// Very many small rows all over the key's range, written once and seldom read: merged as seldom as can be.
    Words,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 9] = [
        Self::Meta,
        Self::Log,
        Self::Index,
        Self::Point,
        Self::Id,
        Self::Tree,
        Self::Queue,
        Self::Current,
        Self::Words,
    ];

    /// The column family's name on disk.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Log => "log",
            Self::Index => "index",
            Self::Point => "point",
            Self::Id => "id",
            Self::Tree => "tree",
            Self::Queue => "queue",
            Self::Current => "current",
            Self::Words => "words",
        }
    }
}

/// A keyspace: rows from `K` to `V`, told from its family's others by a two-byte prefix that is never reused.
#[derive(Debug)]
pub struct Keyspace<K, V> {
    id: u16,
    name: &'static str,
    family: Family,
    types: PhantomData<fn(K) -> V>,
}

impl<K: Key, V: Value> Keyspace<K, V> {
    /// Declares a keyspace. `id` is part of the format on disk.
    #[must_use]
    pub const fn new(id: u16, name: &'static str, family: Family) -> Self {
        Self { id, name, family, types: PhantomData }
    }

    /// The keyspace's number on disk.
    #[must_use]
    pub const fn id(&self) -> u16 {
        self.id
    }

    /// The keyspace's name, for messages.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The family whose tuning it has.
    #[must_use]
    pub const fn family(&self) -> Family {
        self.family
    }

    pub(crate) fn encode_key(&self, key: &impl Key, out: &mut Encoder) {
        out.push(&self.id.to_be_bytes());
        key.encode(out);
    }

    pub(crate) fn key_bytes(&self, key: &impl Key) -> Vec<u8> {
        let mut out = Encoder::default();
        self.encode_key(key, &mut out);
        out.into_bytes()
    }

    /// All rows.
    #[must_use]
    pub fn all(&self) -> KeyRange<K> {
        self.prefix_range(&())
    }

    /// The rows whose key begins with `prefix`.
    pub fn under<P: PrefixOf<K>>(&self, prefix: &P) -> KeyRange<K> {
        self.prefix_range(prefix)
    }

    fn prefix_range(&self, prefix: &impl Key) -> KeyRange<K> {
        let start = self.key_bytes(prefix);
        let end = after_all_with_prefix(&start);
        KeyRange { start, end, key: PhantomData }
    }

    /// The rows whose keys lie in `range`.
    pub fn range(&self, range: impl RangeBounds<K>) -> KeyRange<K> {
        let whole = self.all();
        let start = match range.start_bound() {
            Bound::Included(key) => self.key_bytes(key),
            Bound::Excluded(key) => successor(self.key_bytes(key)),
            Bound::Unbounded => whole.start,
        };
        let end = match range.end_bound() {
            Bound::Included(key) => successor(self.key_bytes(key)),
            Bound::Excluded(key) => self.key_bytes(key),
            Bound::Unbounded => whole.end,
        };
        KeyRange { start, end, key: PhantomData }
    }
}

/// A run of keys in their order on disk: from `start`, up to but without `end`.
#[derive(Debug, Clone)]
pub struct KeyRange<K> {
    pub(crate) start: Vec<u8>,
    pub(crate) end: Vec<u8>,
    key: PhantomData<fn(K)>,
}

fn successor(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

/// The first key after all that begin with `prefix`. A keyspace's number is never `0xffff`, so there is one.
fn after_all_with_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            break;
        }
    }
    end
}
