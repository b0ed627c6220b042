//! Reading: views of the store at one moment, and walks over them.

use std::sync::Arc;

use rocksdb::{ErrorKind, ReadOptions, ReadTier, SnapshotWithThreadMode};
use self_cell::self_cell;

use super::{Db, engine_error, handle};
use crate::count::Count;
use crate::engine::{Page, Reach, Read, Run};
use crate::error::Result;
use crate::keyspace::Family;

type BorrowedSnapshot<'a> = SnapshotWithThreadMode<'a, Db>;

type Walk<'a> = rocksdb::DBRawIteratorWithThreadMode<'a, Db>;

self_cell!(
    struct OwnedSnapshot {
        owner: Arc<Db>,
        #[covariant]
        dependent: BorrowedSnapshot,
    }
);

self_cell!(
    struct OwnedIterator {
        owner: Arc<RocksSnapshot>,
        #[covariant]
        dependent: Walk,
    }
);

/// A walk that meets more deleted rows than this beyond its run is done another way, which stops at the run's end.
const MOST_SKIPPED: u64 = 128;

/// A view of the store at one moment.
pub(crate) struct RocksSnapshot {
    /// For reads that are confined to memory: made once, since there are many.
    cached: ReadOptions,
    snapshot: OwnedSnapshot,
    disk_reads: Arc<Count>,
}

impl std::fmt::Debug for RocksSnapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RocksSnapshot")
    }
}

/// What `read` makes of what was found. A read that needs the disk though it was confined to memory is no error.
fn unless_not_cached<F, T>(found: Result<F, rocksdb::Error>, read: impl FnOnce(F) -> T) -> Result<Read<T>> {
    match found {
        Ok(found) => Ok(Read::Done(read(found))),
        Err(error) if error.kind() == ErrorKind::Incomplete => Ok(Read::NotCached),
        Err(error) => Err(engine_error(&error)),
    }
}

fn options(snapshot: &OwnedSnapshot, reach: Reach) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_snapshot(snapshot.borrow_dependent());
    if reach == Reach::Cached {
        options.set_read_tier(ReadTier::BlockCache);
    }
    options
}

impl RocksSnapshot {
    pub fn new(db: Arc<Db>, disk_reads: Arc<Count>) -> Self {
        let snapshot = OwnedSnapshot::new(db, |db| db.snapshot());
        Self { cached: options(&snapshot, Reach::Cached), snapshot, disk_reads }
    }

    fn db(&self) -> &Db {
        self.snapshot.borrow_owner()
    }

    fn with_options<T>(&self, reach: Reach, read: impl FnOnce(&ReadOptions) -> T) -> T {
        match reach {
            Reach::Cached => read(&self.cached),
            Reach::Disk => read(&self.options(reach)),
        }
    }

    fn options(&self, reach: Reach) -> ReadOptions {
        if reach == Reach::Disk {
            self.disk_reads.add(1);
        }
        options(&self.snapshot, reach)
    }

    pub fn get<T>(
        &self,
        family: Family,
        key: &[u8],
        reach: Reach,
        read: impl FnOnce(Option<&[u8]>) -> T,
    ) -> Result<Read<T>> {
        let family = handle(self.db(), family)?;
        let found = self.with_options(reach, |options| self.db().get_pinned_cf_opt(family, key, options));
        unless_not_cached(found, |value| read(value.as_deref()))
    }

    pub fn get_many<T>(
        &self,
        family: Family,
        keys: &[Vec<u8>],
        reach: Reach,
        mut read: impl FnMut(Option<&[u8]>) -> T,
    ) -> Result<Read<Vec<T>>> {
        let family = handle(self.db(), family)?;
        let found =
            self.with_options(reach, |options| self.db().batched_multi_get_cf_opt(family, keys, false, options));
        let mut values = Vec::with_capacity(keys.len());
        for value in found {
            match unless_not_cached(value, |value| read(value.as_deref()))? {
                Read::Done(value) => values.push(value),
                Read::NotCached => return Ok(Read::NotCached),
            }
        }
        Ok(Read::Done(values))
    }

    pub fn page<T>(
        &self,
        run: &Run,
        limit: usize,
        reach: Reach,
        read: impl FnMut(&[u8], &[u8]) -> T,
    ) -> Result<Read<Page<T>>> {
        let mut options = self.options(reach);
        options.set_iterate_lower_bound(run.start.as_slice());
        options.set_iterate_upper_bound(run.end.as_slice());
        let mut iterator = self.db().raw_iterator_cf_opt(handle(self.db(), run.family)?, options);
        walk(&mut iterator, run, limit, read)
    }
}

/// Walks a run; an iterator that does not end with it is stopped there.
fn walk<T>(
    iterator: &mut Walk<'_>,
    run: &Run,
    limit: usize,
    mut read: impl FnMut(&[u8], &[u8]) -> T,
) -> Result<Read<Page<T>>> {
    let mut page = Page { rows: Vec::new(), last: Vec::new() };
    if run.reverse {
        iterator.seek_for_prev(&run.end);
        // The end is no part of the run.
        if iterator.key() == Some(run.end.as_slice()) {
            iterator.prev();
        }
    } else {
        iterator.seek(&run.start);
    }
    while page.rows.len() < limit {
        let Some((key, value)) = iterator.item() else { break };
        let is_in = if run.reverse { key >= run.start.as_slice() } else { key < run.end.as_slice() };
        if !is_in {
            break;
        }
        page.rows.push(read(key, value));
        if page.rows.len() == limit {
            page.last = key.to_vec();
            break;
        }
        if run.reverse {
            iterator.prev();
        } else {
            iterator.next();
        }
    }
    unless_not_cached(iterator.status(), |()| page)
}

/// An iterator over a whole family that is used for many short walks: to make one costs more than most walks.
pub(crate) struct RocksCursor {
    iterator: OwnedIterator,
}

impl std::fmt::Debug for RocksCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RocksCursor")
    }
}

impl RocksCursor {
    pub fn new(snapshot: Arc<RocksSnapshot>, family: Family) -> Result<Self> {
        let iterator = OwnedIterator::try_new(snapshot, |snapshot| {
            let mut options = options(&snapshot.snapshot, Reach::Cached);
            options.set_max_skippable_internal_keys(MOST_SKIPPED);
            Ok(snapshot.db().raw_iterator_cf_opt(handle(snapshot.db(), family)?, options))
        })?;
        Ok(Self { iterator })
    }

    pub fn page<T>(&mut self, run: &Run, limit: usize, read: impl FnMut(&[u8], &[u8]) -> T) -> Result<Read<Page<T>>> {
        self.iterator.with_dependent_mut(|_, iterator| walk(iterator, run, limit, read))
    }
}
