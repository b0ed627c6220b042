//! The engine that serves: `RocksDB`. The only file tree that names the crate.

mod trouble;
mod tuning;
mod view;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{BottommostLevelCompaction, CompactOptions, ErrorKind, SingleThreaded, WriteBatch, WriteOptions};
pub(crate) use view::{RocksCursor, RocksSnapshot};

use super::{Health, Usage};
use crate::batch::{Batch, Op};
use crate::count::Count;
use crate::error::{Error, Result};
use crate::keyspace::Family;

type Db = rocksdb::DBWithThreadMode<SingleThreaded>;

/// What a disk without room says, in the system's words: `RocksDB` passes them on and has no kind of error for it.
const NO_ROOM: [&str; 3] = ["No space left on device", "Disk quota exceeded", "Read-only file system"];
/// A store that could be opened for reading alone is tried again after this, or after some times what a try took: each
/// reads the whole log.
const REOPEN_AFTER: Duration = Duration::from_secs(2);
const REOPEN_PACE: u32 = 4;

/// The engine and its caches.
pub(crate) struct Rocks {
    folder: PathBuf,
    db: ArcSwap<Db>,
    caches: tuning::Caches,
    disk_reads: Arc<Count>,
    trouble: Arc<trouble::Trouble>,
    /// While it is open for reading alone.
    shut: Mutex<Option<Shut>>,
}

/// Why a store is open for reading alone, and from when on it may be tried to open it for writing.
struct Shut {
    why: String,
    next: Instant,
}

impl Shut {
    fn new(error: &rocksdb::Error, took: Duration) -> Self {
        Self { why: error.to_string(), next: Instant::now() + REOPEN_AFTER.max(took * REOPEN_PACE) }
    }
}

impl std::fmt::Debug for Rocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rocks").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// How a database is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Make,
    Write,
    /// Nothing on disk changes, and somebody else may write meanwhile.
    Read,
}

fn engine_error(error: &rocksdb::Error) -> Error {
    Error::Engine(error.to_string())
}

fn refused(what: &str, error: &dyn std::fmt::Display) -> Error {
    Error::Refused(format!("{what}: {error}"))
}

impl Rocks {
    /// Opens the store in `folder`; where there is none, makes it with its first rows if there are any. A store for whose
    /// log the disk has no room is opened for reading alone, until [`Self::resume`] finds room.
    pub fn open(folder: &Path, cache_bytes: usize, founding: Option<&Batch>) -> Result<Self> {
        let (caches, trouble) = (tuning::Caches::new(cache_bytes), Arc::default());
        match founding {
            Some(founding) if !folder.exists() => found(folder, &caches, founding)?,
            _ => check_families(folder)?,
        }
        let begun = Instant::now();
        let (db, shut) = match open_db(folder, &caches, &trouble, Access::Write) {
            Ok(db) => (db, None),
            Err(error) if has_no_room(&error) => {
                tracing::warn!(%error, "the store is opened for reading alone");
                let shut = Shut::new(&error, begun.elapsed());
                (open_db(folder, &caches, &trouble, Access::Read).map_err(|error| unopened(&error))?, Some(shut))
            }
            Err(error) => return Err(unopened(&error)),
        };
        let (db, shut) = (ArcSwap::from_pointee(db), Mutex::new(shut));
        Ok(Self { folder: folder.to_owned(), db, caches, disk_reads: Arc::default(), trouble, shut })
    }

    /// Opens a store for a look at its own rows, whoever wrote it. Changes nothing on disk.
    pub fn peek(folder: &Path) -> Result<Self> {
        check_families(folder)?;
        let (caches, trouble) = (tuning::Caches::new(0), Arc::default());
        let looked_at = ["default", Family::Meta.name()];
        let families = tuning::families(&caches).into_iter().filter(|family| looked_at.contains(&family.name()));
        let db = Db::open_cf_descriptors_read_only(&tuning::database(&caches, false), folder, families, false);
        let db = db.map_err(|error| unopened(&error))?;
        let shut = Shut { why: "it is open for a look alone".to_owned(), next: Instant::now() };
        let (db, shut) = (ArcSwap::from_pointee(db), Mutex::new(Some(shut)));
        Ok(Self { folder: folder.to_owned(), db, caches, disk_reads: Arc::default(), trouble, shut })
    }

    pub fn snapshot(&self) -> RocksSnapshot {
        RocksSnapshot::new(self.db.load_full(), Arc::clone(&self.disk_reads))
    }

    /// Why nothing can be written, where the store is open for reading alone.
    fn shut(&self) -> Result<()> {
        match &*self.shut.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(shut) => Err(Error::Engine(shut.why.clone())),
            None => Ok(()),
        }
    }

    pub fn write<'a>(&self, batches: impl Iterator<Item = &'a Batch>, sync: bool) -> Result<()> {
        self.shut()?;
        write(&self.db.load(), batches, sync)
    }

    pub fn newest(&self, family: Family, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>> {
        let db = self.db.load();
        let handle = handle(&db, family)?;
        let found = match keys {
            [key] => vec![db.get_pinned_cf(handle, key)],
            keys => db.batched_multi_get_cf(handle, keys, false),
        };
        let found = found.into_iter().map(|value| value.map(|value| value.map(|value| value.to_vec())));
        found.collect::<Result<_, _>>().map_err(|error| engine_error(&error))
    }

    /// Takes writes again if the disk does. Views that were taken while it was open for reading alone stay good: their files
    /// are open and their rows in memory.
    pub fn resume(&self) -> Result<()> {
        let mut shut = self.shut.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(waiting) = &*shut else {
            let failed = self.trouble.failed();
            self.db.load().resume().map_err(|error| engine_error(&error))?;
            self.trouble.mended(failed);
            return Ok(());
        };
        let begun = Instant::now();
        if begun < waiting.next {
            return Err(Error::Engine(waiting.why.clone()));
        }
        match open_db(&self.folder, &self.caches, &self.trouble, Access::Write) {
            Ok(db) => {
                self.db.store(Arc::new(db));
                *shut = None;
                Ok(())
            }
            Err(error) => {
                *shut = Some(Shut::new(&error, begun.elapsed()));
                Err(engine_error(&error))
            }
        }
    }

    pub fn health(&self) -> Health {
        self.trouble.health()
    }

    pub fn checkpoint(&self, folder: &Path) -> Result<()> {
        self.shut()?;
        let db = self.db.load();
        let checkpoint = Checkpoint::new(&**db).map_err(|error| engine_error(&error))?;
        checkpoint.create_checkpoint(folder).map_err(|error| engine_error(&error))
    }

    pub fn check_files(&self) -> Result<()> {
        self.db.load().verify_checksum().map_err(|error| engine_error(&error))
    }

    pub fn compact(&self, family: Family) -> Result<()> {
        self.shut()?;
        let mut options = CompactOptions::default();
        // The lowest level too: what was deleted lies there.
        options.set_bottommost_level_compaction(BottommostLevelCompaction::ForceOptimized);
        let db = self.db.load();
        db.compact_range_cf_opt(handle(&db, family)?, None::<&[u8]>, None::<&[u8]>, &options);
        Ok(())
    }

    pub fn usage(&self) -> Usage {
        let db = self.db.load();
        let sum = |property: &str| {
            Family::ALL
                .iter()
                .filter_map(|family| handle(&db, *family).ok())
                .filter_map(|handle| db.property_int_value_cf(handle, property).ok().flatten())
                .sum()
        };
        let whole = |property: &str| db.property_int_value(property).ok().flatten().unwrap_or(0);
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
    let db = open_db(&building, caches, &Arc::default(), Access::Make).map_err(|error| unopened(&error))?;
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

/// Refuses what is not a store, or one with families that this version does not know. One that lacks some is of an earlier
/// version: it gets them.
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
    Ok(())
}

fn open_db(
    folder: &Path,
    caches: &tuning::Caches,
    trouble: &Arc<trouble::Trouble>,
    access: Access,
) -> Result<Db, rocksdb::Error> {
    let mut options = tuning::database(caches, access == Access::Make);
    let families = tuning::families(caches);
    match access {
        Access::Read => Db::open_cf_descriptors_read_only(&options, folder, families, false),
        Access::Make | Access::Write => {
            options.add_event_listener(trouble::Listener::new(trouble));
            Db::open_cf_descriptors(&options, folder, families)
        }
    }
}

fn unopened(error: &rocksdb::Error) -> Error {
    refused("the store cannot be opened", error)
}

/// Whether a store cannot be opened only because nothing can be added to its disk.
fn has_no_room(error: &rocksdb::Error) -> bool {
    let text = error.to_string();
    error.kind() == ErrorKind::IOError && NO_ROOM.iter().any(|said| text.contains(said))
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
