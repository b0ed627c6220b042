//! The engine for tests: persistent maps in memory, one a family, whose snapshots cost nothing.

use std::sync::{Mutex, PoisonError};

use imbl::OrdMap;

use super::{Page, Run};
use crate::batch::{Batch, Op};
use crate::keyspace::Family;

type Map = OrdMap<Vec<u8>, Vec<u8>>;

/// All families' rows.
#[derive(Debug, Default, Clone)]
struct Families([Map; Family::ALL.len()]);

impl Families {
    fn map(&self, family: Family) -> &Map {
        let [meta, log, index, point, id, tree, queue, current, words] = &self.0;
        match family {
            Family::Meta => meta,
            Family::Log => log,
            Family::Index => index,
            Family::Point => point,
            Family::Id => id,
            Family::Tree => tree,
            Family::Queue => queue,
            Family::Current => current,
            Family::Words => words,
        }
    }

    fn map_mut(&mut self, family: Family) -> &mut Map {
        let [meta, log, index, point, id, tree, queue, current, words] = &mut self.0;
        match family {
            Family::Meta => meta,
            Family::Log => log,
            Family::Index => index,
            Family::Point => point,
            Family::Id => id,
            Family::Tree => tree,
            Family::Queue => queue,
            Family::Current => current,
            Family::Words => words,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Memory {
    families: Mutex<Families>,
    /// Tests: the next writes fail, though what they write is there.
    #[cfg(test)]
    pub failing: std::sync::atomic::AtomicBool,
}

impl Memory {
    pub fn snapshot(&self) -> MemorySnapshot {
        MemorySnapshot(self.families.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    pub fn write<'a>(&self, batches: impl Iterator<Item = &'a Batch>) {
        let mut families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        for batch in batches {
            for op in batch.ops() {
                match *op {
                    Op::Put { family, key, value } => {
                        families.map_mut(family).insert(batch.bytes(key).to_vec(), batch.bytes(value).to_vec());
                    }
                    Op::Delete { family, key } => {
                        families.map_mut(family).remove(batch.bytes(key));
                    }
                    Op::DeleteRange { family, start, end } => {
                        let (start, end) = (batch.bytes(start).to_vec(), batch.bytes(end).to_vec());
                        let map = families.map_mut(family);
                        let doomed: Vec<_> = map.range(start..end).map(|(key, _)| key.clone()).collect();
                        for key in doomed {
                            map.remove(&key);
                        }
                    }
                }
            }
        }
    }
}

#[derive(Debug)]
pub(crate) struct MemorySnapshot(Families);

impl MemorySnapshot {
    pub fn get<T>(&self, family: Family, key: &[u8], read: impl FnOnce(Option<&[u8]>) -> T) -> T {
        read(self.0.map(family).get(key).map(Vec::as_slice))
    }

    pub fn page<T>(&self, run: &Run, limit: usize, mut read: impl FnMut(&[u8], &[u8]) -> T) -> Page<T> {
        let mut page = Page { rows: Vec::new(), last: Vec::new() };
        if run.start >= run.end {
            return page;
        }
        let rows = self.0.map(run.family).range(run.start.clone()..run.end.clone());
        let mut take = |(key, value): (&Vec<u8>, &Vec<u8>)| {
            page.last.clone_from(key);
            page.rows.push(read(key, value));
        };
        if run.reverse {
            rows.rev().take(limit).for_each(&mut take);
        } else {
            rows.take(limit).for_each(&mut take);
        }
        page
    }
}
