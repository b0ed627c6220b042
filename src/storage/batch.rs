//! A batch: what is written at once or not at all, with what must hold for it and whom it concerns.

use std::collections::HashSet;

use crate::Position;
use crate::codec::{Encoder, Key, Value};
use crate::error::{Error, Result};
use crate::keyspace::{Family, KeyRange, Keyspace};

/// So many topics are looked through for one; a batch seldom has more.
const FEW_TOPICS: usize = 16;

/// Where some bytes of the batch's buffer lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    start: usize,
    end: usize,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Op {
    Put { family: Family, key: Span, value: Span },
    Delete { family: Family, key: Span },
    DeleteRange { family: Family, start: Span, end: Span },
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Expect {
    pub family: Family,
    pub key: Span,
    pub value: Option<Span>,
}

/// Something that a batch is about, in numbers that the floor above gives a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Topic {
    /// What sort of thing.
    pub kind: u8,
    /// Which one.
    pub subject: u64,
    /// Who or what else has a part in it; zero where nothing has.
    pub object: u64,
}

/// A topic of a committed batch, with the last position of that batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct News {
    /// The position at which the batch became readable.
    pub position: Position,
    /// What it is about.
    pub topic: Topic,
}

/// What a batch will have done to a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written<V> {
    /// It does not touch the row.
    Nothing,
    /// It deletes the row.
    Deleted,
    /// It writes this value; positions in it that are not given yet read as [`Position::MAX`].
    Value(V),
}

/// A set of writes that takes effect as one.
#[derive(Debug, Default)]
pub struct Batch {
    buffer: Encoder,
    ops: Vec<Op>,
    expects: Vec<Expect>,
    topics: Vec<Topic>,
    /// The topics once more, where they are too many to be looked through.
    told: HashSet<Topic>,
    stamps: u32,
    unsynced: bool,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A position that is given at commit: the n-th call stands for the batch's n-th position.
    pub const fn stamp(&mut self) -> Position {
        let position = Position::pending(self.stamps);
        self.stamps += 1;
        position
    }

    /// Writes a row.
    pub fn put<K: Key, V: Value>(&mut self, space: &Keyspace<K, V>, key: &K, value: &V) {
        let key = self.key(space, key);
        let value = self.span(|out| value.encode(out));
        self.ops.push(Op::Put { family: space.family(), key, value });
    }

    /// Deletes a row, if it is there.
    pub fn delete<K: Key, V: Value>(&mut self, space: &Keyspace<K, V>, key: &K) {
        let key = self.key(space, key);
        self.ops.push(Op::Delete { family: space.family(), key });
    }

    /// Deletes a run of rows. Costs one row, however many it deletes.
    pub fn delete_range<K: Key, V: Value>(&mut self, space: &Keyspace<K, V>, range: &KeyRange<K>) {
        // An engine takes a run that ends before it begins for a broken write.
        if range.start >= range.end {
            return;
        }
        let start = self.span(|out| out.push(&range.start));
        let end = self.span(|out| out.push(&range.end));
        self.ops.push(Op::DeleteRange { family: space.family(), start, end });
    }

    /// What the batch, as far as it is built, will have done to a row: for operations that are composed of several which
    /// change the same row. Walks over the batch's writes.
    ///
    /// # Errors
    /// The row was written with another type of value.
    pub fn written<K: Key, V: Value>(&self, space: &Keyspace<K, V>, key: &K) -> Result<Written<V>> {
        let wanted = space.key_bytes(key);
        for op in self.ops.iter().rev() {
            match *op {
                Op::Put { family, key, value } if family == space.family() && self.bytes(key) == wanted => {
                    let value = V::decode(self.bytes(value));
                    return value
                        .map(Written::Value)
                        .map_err(|source| Error::Corrupt { keyspace: space.name(), source });
                }
                Op::Delete { family, key } if family == space.family() && self.bytes(key) == wanted => {
                    return Ok(Written::Deleted);
                }
                Op::DeleteRange { family, start, end }
                    if family == space.family()
                        && self.bytes(start) <= wanted.as_slice()
                        && wanted.as_slice() < self.bytes(end) =>
                {
                    return Ok(Written::Deleted);
                }
                _ => {}
            }
        }
        Ok(Written::Nothing)
    }

    /// The batch is written only if this row is not there at commit.
    pub fn expect_absent<K: Key, V: Value>(&mut self, space: &Keyspace<K, V>, key: &K) {
        let key = self.key(space, key);
        self.expects.push(Expect { family: space.family(), key, value: None });
    }

    /// The batch is written only if this row has this value at commit.
    pub fn expect_value<K: Key, V: Value>(&mut self, space: &Keyspace<K, V>, key: &K, value: &V) {
        let key = self.key(space, key);
        let value = Some(self.span(|out| value.encode(out)));
        self.expects.push(Expect { family: space.family(), key, value });
    }

    /// As [`Self::expect_value`] or [`Self::expect_absent`], by what was read.
    pub fn expect<K: Key, V: Value>(&mut self, space: &Keyspace<K, V>, key: &K, read: Option<&V>) {
        match read {
            Some(value) => self.expect_value(space, key, value),
            None => self.expect_absent(space, key),
        }
    }

    /// Says what the batch is about, for those who wait. A batch that says anything has a position of its own: what was
    /// read before it is known by that.
    pub fn announce(&mut self, topic: Topic) {
        let is_new = if self.topics.len() < FEW_TOPICS {
            !self.topics.contains(&topic)
        } else {
            if self.told.is_empty() {
                self.told.extend(&self.topics);
            }
            self.told.insert(topic)
        };
        if is_new {
            self.topics.push(topic);
        }
    }

    /// The batch may be lost when power fails right after it: it does not ask for an fsync of its own.
    pub const fn unsynced(&mut self) {
        self.unsynced = true;
    }

    /// Bytes that it will write, about.
    #[must_use]
    pub fn size(&self) -> usize {
        self.buffer.len()
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// How many positions it takes.
    pub(crate) fn positions(&self) -> u32 {
        self.stamps.max(u32::from(!self.topics.is_empty()))
    }

    fn key<K: Key, V: Value>(&mut self, space: &Keyspace<K, V>, key: &K) -> Span {
        self.span(|out| space.encode_key(key, out))
    }

    fn span(&mut self, write: impl FnOnce(&mut Encoder)) -> Span {
        let start = self.buffer.len();
        write(&mut self.buffer);
        Span { start, end: self.buffer.len() }
    }

    pub(crate) fn bytes(&self, span: Span) -> &[u8] {
        self.buffer.bytes().get(span.start..span.end).unwrap_or_default()
    }

    pub(crate) fn ops(&self) -> &[Op] {
        &self.ops
    }

    pub(crate) fn expects(&self) -> &[Expect] {
        &self.expects
    }

    pub(crate) fn topics(&self) -> &[Topic] {
        &self.topics
    }

    pub(crate) const fn wants_sync(&self) -> bool {
        !self.unsynced
    }

    pub(crate) fn fill(&mut self, first: Position) {
        self.buffer.fill(first);
    }
}

#[cfg(test)]
mod tests;
