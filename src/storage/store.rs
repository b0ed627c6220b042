//! The store: opening it, committing to it, seeing what it holds.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};
use tracing::Instrument as _;

use crate::batch::Batch;
use crate::checkpoint::Checkpoint;
use crate::committer::{Committed, Committer, Job, Observer, RESERVE, Shared};
use crate::engine::{Engine, Health, Usage};
use crate::error::{Error, Result};
use crate::format;
use crate::keyspace::Family;
use crate::meta::{self, MetaKey};
use crate::meters::Meters;
use crate::options::{EngineKind, Options};
use crate::snapshot::Published;
use crate::{Position, Snapshot};

/// A store that was brought back begins this far above the positions of its backup: more than any server gives in the
/// time between a backup and its use.
const RENEWAL: u64 = 1 << 40;

/// An open store. Dropping it writes what waits and closes the engine.
pub struct Store {
    shared: Arc<Shared>,
    queue: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    epoch: u64,
    kind: EngineKind,
    copied: Arc<AtomicBool>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("engine", &self.shared.engine).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens a store, or makes it where there is none. Blocks; called once at start. On a full disk a store is opened all
    /// the same, and takes no writes until there is room.
    ///
    /// # Errors
    /// [`Error::Refused`] where the folder holds anything but a store that this build knows.
    pub fn open(options: &Options, observer: Arc<dyn Observer>) -> Result<Self> {
        let engine = open_known(options, Some(&meta::founding()))?;
        if let EngineKind::Rocks(folder) = &options.engine {
            Checkpoint::sweep(folder);
        }
        let epoch = meta::read(&engine, MetaKey::Epoch)?;
        // Positions below the old ceiling may have been given before a crash: start above, with a new reservation.
        let last = Position::new(meta::read(&engine, MetaKey::Ceiling)?);
        let ceiling = Position::new(last.get() + RESERVE);
        let reserved = engine.write(std::iter::once(&meta::ceiling_row(ceiling)), true);
        // Reads need no reservation, and the committer makes it when the disk takes writes.
        let failure = reserved.err().map(|error| error.to_string());
        if let Some(why) = &failure {
            tracing::error!(%why, "the store cannot write; it is read only until the disk takes writes");
        }

        let first = Published::new(engine.snapshot(), last);
        let shared = Arc::new(Shared {
            engine,
            published: ArcSwap::from_pointee(first),
            writable: AtomicBool::new(failure.is_none()),
            observer,
            sync: options.sync,
            meters: Meters::default(),
        });
        let (queue, jobs) = mpsc::channel(4096);
        let committer = match failure {
            None => Committer::new(Arc::clone(&shared), jobs, last, ceiling),
            Some(why) => Committer::failed(Arc::clone(&shared), jobs, last, why),
        };
        let thread = std::thread::Builder::new()
            .name("committer".to_owned())
            .spawn(move || committer.run())
            .map_err(|error| Error::Refused(format!("the committing thread cannot start: {error}")))?;
        Ok(Self {
            shared,
            queue: Some(queue),
            thread: Some(thread),
            epoch,
            kind: options.engine.clone(),
            copied: Arc::default(),
        })
    }

    /// Makes a store that was brought back from a backup another one: tokens of the time after the backup are told by its
    /// new epoch, and no position that was given in that time is given again. The store must be closed. Blocks.
    ///
    /// # Errors
    /// [`Error::Refused`] as for [`Self::open`]; the engine's failures.
    pub fn renew(options: &Options) -> Result<()> {
        let engine = open_known(options, None)?;
        let ceiling = Position::new(meta::read(&engine, MetaKey::Ceiling)?.saturating_add(RENEWAL));
        engine.write(std::iter::once(&meta::renewal(ceiling)), true)
    }

    /// Copies the store as of now, beside it: by links, so that it takes a moment and hardly any room. Commits go on; one
    /// copy at a time. Blocks.
    ///
    /// # Errors
    /// The engine's failures; another copy is held; a store in memory has no files.
    pub fn checkpoint(&self) -> Result<Checkpoint> {
        let EngineKind::Rocks(folder) = &self.kind else {
            return Err(Error::Engine("a store in memory has no files to copy".to_owned()));
        };
        let checkpoint = Checkpoint::beside(folder, &self.copied)?;
        self.shared.engine.checkpoint(checkpoint.folder())?;
        format::write(checkpoint.folder())
            .map_err(|error| Error::Engine(format!("the copy's format cannot be written: {error}")))?;
        Ok(checkpoint)
    }

    /// Reads every file of rows and compares its checksums. Blocks for as long as that takes.
    ///
    /// # Errors
    /// [`Error::Engine`] names the first file that is not as it was written.
    pub fn check_files(&self) -> Result<()> {
        self.shared.engine.check_files()
    }

    /// Writes a family's files anew, without what was deleted or replaced. Blocks for as long as that takes; reads and
    /// commits go on.
    ///
    /// # Errors
    /// The engine's failures.
    pub fn compact(&self, family: Family) -> Result<()> {
        self.shared.engine.compact(family)
    }

    /// The store as of its last commit, with that commit's position.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.shared.published.load().snapshot()
    }

    /// Writes a batch wholly or not at all; answers when it is on disk and readable.
    ///
    /// # Errors
    /// [`Error::Conflict`] where a precondition does not hold, [`Error::Unavailable`] while the disk takes no writes,
    /// [`Error::OutcomeUnknown`] where the write itself failed.
    pub async fn commit(&self, batch: Batch) -> Result<Committed> {
        let queue = self.queue.as_ref().ok_or(Error::Closed)?;
        let (answer, answered) = oneshot::channel();
        queue.send(Job { batch, answer }).await.map_err(|_| Error::Closed)?;
        answered.instrument(tracing::debug_span!("commit")).await.map_err(|_| Error::Closed)?
    }

    /// A number that no other store has, made with the store.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether the store takes writes.
    #[must_use]
    pub fn health(&self) -> Health {
        if self.shared.writable.load(Ordering::Acquire) { self.shared.engine.health() } else { Health::ReadOnly }
    }

    /// What the engine uses.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.shared.engine.usage()
    }

    /// What was committed.
    #[must_use]
    pub fn meters(&self) -> &Meters {
        &self.shared.meters
    }

    /// How many batches wait for the committer.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.max_capacity() - queue.capacity())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Opens an engine over what this build knows. What it does not know is not touched.
fn open_known(options: &Options, founding: Option<&Batch>) -> Result<Engine> {
    let folder = match &options.engine {
        EngineKind::Rocks(folder) => Some(folder.as_path()),
        EngineKind::Memory => None,
    };
    let said = match folder.filter(|folder| folder.exists()) {
        Some(folder) => known_format(folder)?,
        None => None,
    };
    let engine = Engine::open(options, founding)?;
    format::check(meta::read(&engine, MetaKey::Format)?)?;
    if let (Some(folder), None) = (folder, said)
        && let Err(error) = format::write(folder)
    {
        // The row says it as well, if not as early.
        tracing::warn!(%error, "the store's format cannot be written beside it; the next start does it");
    }
    Ok(engine)
}

/// Refuses a store whose format this build does not know, before an engine that may write has opened it. Answers what its
/// file says.
fn known_format(folder: &Path) -> Result<Option<u64>> {
    let said = format::read(folder)?;
    match said {
        Some(said) => format::check(said)?,
        #[cfg(feature = "rocks")]
        None => format::check(meta::read(&Engine::peek(folder)?, MetaKey::Format)?)?,
        #[cfg(not(feature = "rocks"))]
        None => {}
    }
    Ok(said)
}

#[cfg(test)]
mod tests;
