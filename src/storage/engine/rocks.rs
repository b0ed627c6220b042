//! The engine that serves: `RocksDB`. The only file tree that names the crate.

mod tuning;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    BottommostLevelCompaction, CompactOptions, ErrorKind, ReadOptions, ReadTier, SingleThreaded,
    SnapshotWithThreadMode, WriteBatch, WriteOptions,
};
use self_cell::self_cell;

use super::{Page, Reach, Read, Run};
use crate::batch::{Batch, Op};
use crate::count::Count;
use crate::error::{Error, Result};
use crate::keyspace::Family;
use crate::store::Usage;

type Db = rocksdb::DBWithThreadMode<SingleThreaded>;
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

/// The engine and its caches.
pub(crate) struct Rocks {
    db: Arc<Db>,
    caches: tuning::Caches,
    disk_reads: Arc<Count>,
}

impl std::fmt::Debug for Rocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rocks").field("path", &self.db.path()).finish_non_exhaustive()
    }
}

fn engine_error(error: &rocksdb::Error) -> Error {
    Error::Engine(error.to_string())
}

fn refused(what: &str, error: &dyn std::fmt::Display) -> Error {
    Error::Refused(format!("{what}: {error}"))
}

impl Rocks {
    /// Opens the store in `folder`; where there is none, makes it with its first rows if there are any.
    pub fn open(folder: &Path, cache_bytes: usize, founding: Option<&Batch>) -> Result<Self> {
        let caches = tuning::Caches::new(cache_bytes);
        match founding {
            Some(founding) if !folder.exists() => found(folder, &caches, founding)?,
            _ => check_families(folder)?,
        }
        let db = open_db(folder, &caches, false)?;
        Ok(Self { db: Arc::new(db), caches, disk_reads: Arc::default() })
    }

    pub fn snapshot(&self) -> RocksSnapshot {
        let snapshot = OwnedSnapshot::new(Arc::clone(&self.db), |db| db.snapshot());
        RocksSnapshot::new(snapshot, Arc::clone(&self.disk_reads))
    }

    pub fn write<'a>(&self, batches: impl Iterator<Item = &'a Batch>, sync: bool) -> Result<()> {
        write(&self.db, batches, sync)
    }

    pub fn newest(&self, family: Family, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>> {
        let handle = handle(&self.db, family)?;
        let found = match keys {
            [key] => vec![self.db.get_pinned_cf(handle, key)],
            keys => self.db.batched_multi_get_cf(handle, keys, false),
        };
        let found = found.into_iter().map(|value| value.map(|value| value.map(|value| value.to_vec())));
        found.collect::<Result<_, _>>().map_err(|error| engine_error(&error))
    }

    pub fn resume(&self) -> Result<()> {
        self.db.resume().map_err(|error| engine_error(&error))
    }

    pub fn checkpoint(&self, folder: &Path) -> Result<()> {
        let checkpoint = Checkpoint::new(&*self.db).map_err(|error| engine_error(&error))?;
        checkpoint.create_checkpoint(folder).map_err(|error| engine_error(&error))
    }

    pub fn check_files(&self) -> Result<()> {
        self.db.verify_checksum().map_err(|error| engine_error(&error))
    }

    pub fn compact(&self, family: Family) -> Result<()> {
        let mut options = CompactOptions::default();
        // The lowest level too: what was deleted lies there.
        options.set_bottommost_level_compaction(BottommostLevelCompaction::ForceOptimized);
        self.db.compact_range_cf_opt(handle(&self.db, family)?, None::<&[u8]>, None::<&[u8]>, &options);
        Ok(())
    }

    pub fn usage(&self) -> Usage {
        let sum = |property: &str| {
            Family::ALL
                .iter()
                .filter_map(|family| handle(&self.db, *family).ok())
                .filter_map(|handle| self.db.property_int_value_cf(handle, property).ok().flatten())
                .sum()
        };
        let whole = |property: &str| self.db.property_int_value(property).ok().flatten().unwrap_or(0);
        Usage {
            cache_bytes: self.caches.used(),
            cache_capacity_bytes: self.caches.capacity(),
            memtable_bytes: sum("rocksdb.cur-size-all-mem-tables"),
            disk_bytes: sum("rocksdb.total-sst-files-size"),
            pending_compaction_bytes: sum("rocksdb.estimate-pending-compaction-bytes"),
            disk_reads: self.disk_reads.get(),
            is_stalling: whole("rocksdb.is-write-stopped") > 0 || whole("rocksdb.actual-delayed-write-rate") > 0,
        }
    }
}

/// Makes a store under another name and renames it when its first rows are on disk: what a crash leaves of a half-made
/// store is never taken for one.
fn found(folder: &Path, caches: &tuning::Caches, founding: &Batch) -> Result<()> {
    let building = folder.with_extension("building");
    if building.exists() {
        fs::remove_dir_all(&building).map_err(|error| refused("a half-made store cannot be removed", &error))?;
    }
    fs::create_dir_all(&building).map_err(|error| refused("the store's folder cannot be made", &error))?;
    let db = open_db(&building, caches, true)?;
    write(&db, std::iter::once(founding), true)?;
    drop(db);
    sync_folder(&building)?;
    fs::rename(&building, folder).map_err(|error| refused("the store cannot be put in its place", &error))?;
    match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_folder(parent),
        _ => sync_folder(Path::new(".")),
    }
}

fn sync_folder(folder: &Path) -> Result<()> {
    fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| refused("a folder cannot be synced", &error))
}

/// Refuses what is not a store, or one with families that this version does not know.
fn check_families(folder: &Path) -> Result<()> {
    if !folder.join("CURRENT").exists() {
        return Err(Error::Refused(format!("{} is not a store; nothing in it was touched", folder.display())));
    }
    let found = Db::list_cf(&rocksdb::Options::default(), folder)
        .map_err(|error| refused("the store's list of families cannot be read", &error))?;
    let is_known = |name: &str| name == "default" || Family::ALL.iter().any(|family| family.name() == name);
    if let Some(alien) = found.iter().find(|name| !is_known(name)) {
        return Err(Error::Refused(format!("the store has a family {alien:?} that this version does not know")));
    }
    if let Some(missing) = Family::ALL.iter().find(|family| !found.iter().any(|name| name == family.name())) {
        return Err(Error::Refused(format!("the store lacks its family {:?}", missing.name())));
    }
    Ok(())
}

fn open_db(folder: &Path, caches: &tuning::Caches, create: bool) -> Result<Db> {
    Db::open_cf_descriptors(&tuning::database(caches, create), folder, tuning::families(caches))
        .map_err(|error| refused("the store cannot be opened", &error))
}

fn handle(db: &Db, family: Family) -> Result<&rocksdb::ColumnFamily> {
    db.cf_handle(family.name()).ok_or_else(|| Error::Engine(format!("no family {}", family.name())))
}

fn write<'a>(db: &Db, batches: impl Iterator<Item = &'a Batch>, sync: bool) -> Result<()> {
    let mut merged = WriteBatch::default();
    for batch in batches {
        for op in batch.ops() {
            match *op {
                Op::Put { family, key, value } => {
                    merged.put_cf(handle(db, family)?, batch.bytes(key), batch.bytes(value));
                }
                Op::Delete { family, key } => merged.delete_cf(handle(db, family)?, batch.bytes(key)),
                Op::DeleteRange { family, start, end } => {
                    merged.delete_range_cf(handle(db, family)?, batch.bytes(start), batch.bytes(end));
                }
            }
        }
    }
    let mut options = WriteOptions::default();
    options.set_sync(sync);
    db.write_opt(&merged, &options).map_err(|error| engine_error(&error))
}

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

/// A read that needs the disk though it was confined to memory is no error.
fn unless_not_cached<T>(result: Result<T, rocksdb::Error>) -> Result<Read<T>> {
    match result {
        Ok(value) => Ok(Read::Done(value)),
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
    fn new(snapshot: OwnedSnapshot, disk_reads: Arc<Count>) -> Self {
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
        let found = unless_not_cached(found)?;
        Ok(match found {
            Read::Done(value) => Read::Done(read(value.as_deref())),
            Read::NotCached => Read::NotCached,
        })
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
            match unless_not_cached(value)? {
                Read::Done(value) => values.push(read(value.as_deref())),
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
    match unless_not_cached(iterator.status())? {
        Read::Done(()) => Ok(Read::Done(page)),
        Read::NotCached => Ok(Read::NotCached),
    }
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
