//! The one door to the engines: every verb is dispatched here.

mod memory;
#[cfg(feature = "rocks")]
mod rocks;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::keyspace::Family;
use crate::options::{EngineKind, Options};

/// Whether a read may wait for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Only what is in memory; the answer may be "not known".
    Cached,
    /// Everything; may block for the disk.
    Disk,
}

/// The outcome of a read that may have been confined to memory.
#[derive(Debug)]
pub(crate) enum Read<T> {
    Done(T),
    /// The disk must be asked.
    #[cfg_attr(not(feature = "rocks"), allow(dead_code))]
    NotCached,
}

/// A run of rows, from `start` up to but without `end`.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub family: Family,
    pub start: Vec<u8>,
    pub end: Vec<u8>,
    pub reverse: bool,
}

/// Some rows of a run, as their reader makes them of key and value.
#[derive(Debug)]
pub(crate) struct Page<T> {
    pub rows: Vec<T>,
    /// The key of the last of them.
    pub last: Vec<u8>,
}

/// Whether the store can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Reads and writes.
    Ready,
    /// Reads and writes, though work behind the writes failed that only makes the store smaller and quicker. It is tried
    /// again by itself.
    Troubled,
    /// Reads only, until the disk takes writes again.
    ReadOnly,
}

/// What the engine uses, and how it does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Blocks in the cache, in bytes.
    pub cache_bytes: u64,
    /// What the cache has room for, in bytes.
    pub cache_capacity_bytes: u64,
    /// Rows that are in memory and in the log only, in bytes.
    pub memtable_bytes: u64,
    /// Files of rows, in bytes.
    pub disk_bytes: u64,
    /// What waits to be compacted, in bytes.
    pub pending_compaction_bytes: u64,
    /// How many reads did not find all they needed in memory, since the store was opened.
    pub disk_reads: u64,
    /// Whether the engine slows writes down, or stops them, until it has compacted what waits.
    pub is_stalling: bool,
}

#[derive(Debug)]
pub(crate) enum Engine {
    #[cfg(feature = "rocks")]
    Rocks(rocks::Rocks),
    Memory(memory::Memory),
}

#[cfg_attr(not(feature = "rocks"), allow(unused_variables))]
impl Engine {
    /// Opens the engine. Where there is none yet, it is made with `founding` as its first rows, or refused without them. On
    /// a full disk it is open for reading alone: then all writes fail until [`Self::resume`] finds room.
    pub fn open(options: &Options, founding: Option<&Batch>) -> Result<Self> {
        match &options.engine {
            #[cfg(feature = "rocks")]
            EngineKind::Rocks(folder) => rocks::Rocks::open(folder, options.cache_bytes, founding).map(Self::Rocks),
            #[cfg(not(feature = "rocks"))]
            EngineKind::Rocks(_) => Err(Error::Refused("this build has no RocksDB".to_owned())),
            EngineKind::Memory => {
                let engine = memory::Memory::default();
                engine.write(founding.into_iter());
                Ok(Self::Memory(engine))
            }
        }
    }

    /// Opens a store for a look at its own rows, in the family `Meta`. Changes nothing on disk.
    #[cfg(feature = "rocks")]
    pub fn peek(folder: &Path) -> Result<Self> {
        rocks::Rocks::peek(folder).map(Self::Rocks)
    }

    pub fn snapshot(&self) -> EngineSnapshot {
        match self {
            #[cfg(feature = "rocks")]
            Self::Rocks(engine) => EngineSnapshot::Rocks(Arc::new(engine.snapshot())),
            Self::Memory(engine) => EngineSnapshot::Memory(Box::new(engine.snapshot())),
        }
    }

    /// Writes all batches as one; with `sync`, it is on disk when this returns.
    pub fn write<'a>(&self, batches: impl Iterator<Item = &'a Batch>, sync: bool) -> Result<()> {
        match self {
            #[cfg(feature = "rocks")]
            Self::Rocks(engine) => engine.write(batches, sync),
            Self::Memory(engine) => {
                engine.write(batches);
                #[cfg(test)]
                if engine.failing.load(std::sync::atomic::Ordering::Acquire) {
                    return Err(Error::Engine("the test says so".to_owned()));
                }
                Ok(())
            }
        }
    }

    /// Reads the newest values of keys of one family, in their order, for preconditions.
    pub fn newest(&self, family: Family, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>> {
        match self {
            #[cfg(feature = "rocks")]
            Self::Rocks(engine) => engine.newest(family, keys),
            Self::Memory(engine) => {
                let snapshot = engine.snapshot();
                let read = |value: Option<&[u8]>| value.map(<[u8]>::to_vec);
                Ok(keys.iter().map(|key| snapshot.get(family, key, read)).collect())
            }
        }
    }

    /// Tries to take writes again after a failed one, or after the store could be opened for reading alone.
    pub fn resume(&self) -> Result<()> {
        match self {
            #[cfg(feature = "rocks")]
            Self::Rocks(engine) => engine.resume(),
            Self::Memory(_) => Ok(()),
        }
    }

    /// What is left of the store where work failed that nobody waits for.
    pub fn health(&self) -> Health {
        match self {
            #[cfg(feature = "rocks")]
            Self::Rocks(engine) => engine.health(),
            Self::Memory(_) => Health::Ready,
        }
    }

    /// Makes a copy in a new folder by links: it holds what is on disk now, and takes no room until files are replaced.
    pub fn checkpoint(&self, folder: &Path) -> Result<()> {
        match self {
            #[cfg(feature = "rocks")]
            Self::Rocks(engine) => engine.checkpoint(folder),
            Self::Memory(_) => Err(Error::Engine("a store in memory has no files to copy".to_owned())),
        }
    }

    /// Reads every file and compares its checksums.
    pub fn check_files(&self) -> Result<()> {
        match self {
            #[cfg(feature = "rocks")]
            Self::Rocks(engine) => engine.check_files(),
            Self::Memory(_) => Ok(()),
        }
    }

    /// Writes a family's files anew, without what was deleted or replaced.
    pub fn compact(&self, family: Family) -> Result<()> {
        match self {
            #[cfg(feature = "rocks")]
            Self::Rocks(engine) => engine.compact(family),
            Self::Memory(_) => Ok(()),
        }
    }

    /// What the engine uses.
    pub fn usage(&self) -> Usage {
        match self {
            #[cfg(feature = "rocks")]
            Self::Rocks(engine) => engine.usage(),
            Self::Memory(_) => Usage::default(),
        }
    }
}

#[derive(Debug)]
pub(crate) enum EngineSnapshot {
    #[cfg(feature = "rocks")]
    Rocks(Arc<rocks::RocksSnapshot>),
    Memory(Box<memory::MemorySnapshot>),
}

#[cfg_attr(not(feature = "rocks"), allow(unused_variables))]
impl EngineSnapshot {
    /// A view of a store without rows.
    pub fn nothing() -> Self {
        Self::Memory(Box::new(memory::Memory::default().snapshot()))
    }

    /// Hands the value of a key to `read`.
    pub fn get<T>(
        &self,
        family: Family,
        key: &[u8],
        reach: Reach,
        read: impl FnOnce(Option<&[u8]>) -> T,
    ) -> Result<Read<T>, Error> {
        match self {
            #[cfg(feature = "rocks")]
            Self::Rocks(snapshot) => snapshot.get(family, key, reach, read),
            Self::Memory(snapshot) => Ok(Read::Done(snapshot.get(family, key, read))),
        }
    }

    /// Hands the values of many keys of one family to `read`, in their order.
    pub fn get_many<T>(
        &self,
        family: Family,
        keys: &[Vec<u8>],
        reach: Reach,
        mut read: impl FnMut(Option<&[u8]>) -> T,
    ) -> Result<Read<Vec<T>>> {
        match self {
            #[cfg(feature = "rocks")]
            Self::Rocks(snapshot) => snapshot.get_many(family, keys, reach, read),
            Self::Memory(snapshot) => {
                Ok(Read::Done(keys.iter().map(|key| snapshot.get(family, key, &mut read)).collect()))
            }
        }
    }

    /// Up to `limit` rows of a run, from its front (or from its end, in reverse), each handed to `read`.
    pub fn page<T>(
        &self,
        run: &Run,
        limit: usize,
        reach: Reach,
        read: impl FnMut(&[u8], &[u8]) -> T,
    ) -> Result<Read<Page<T>>> {
        match self {
            #[cfg(feature = "rocks")]
            Self::Rocks(snapshot) => snapshot.page(run, limit, reach, read),
            Self::Memory(snapshot) => Ok(Read::Done(snapshot.page(run, limit, read))),
        }
    }
}

/// Reads run after run of one family, over one snapshot, as far as memory holds it: to begin a walk costs as much as a
/// short one itself.
#[derive(Debug)]
pub(crate) enum Cursor {
    #[cfg(feature = "rocks")]
    Rocks(rocks::RocksCursor),
    /// Where a walk begins for nothing.
    Memory(Arc<EngineSnapshot>),
}

#[cfg_attr(not(feature = "rocks"), allow(unused_variables))]
impl Cursor {
    pub fn new(snapshot: &Arc<EngineSnapshot>, family: Family) -> Result<Self> {
        match &**snapshot {
            #[cfg(feature = "rocks")]
            EngineSnapshot::Rocks(rocks) => rocks::RocksCursor::new(Arc::clone(rocks), family).map(Self::Rocks),
            EngineSnapshot::Memory(_) => Ok(Self::Memory(Arc::clone(snapshot))),
        }
    }

    /// As [`EngineSnapshot::page`].
    pub fn page<T>(&mut self, run: &Run, limit: usize, read: impl FnMut(&[u8], &[u8]) -> T) -> Result<Read<Page<T>>> {
        match self {
            #[cfg(feature = "rocks")]
            Self::Rocks(cursor) => cursor.page(run, limit, read),
            Self::Memory(snapshot) => snapshot.page(run, limit, Reach::Cached, read),
        }
    }
}
