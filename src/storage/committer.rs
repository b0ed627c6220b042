//! The one writer: takes all batches that wait, gives them positions, writes them with one fsync, publishes.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};

use crate::Position;
use crate::batch::{Batch, Expect, News, Op, Topic};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::keyspace::Family;
use crate::meta::ceiling_row;
use crate::meters::Meters;
use crate::snapshot::Published;

const MOST_BATCHES: usize = 1024;
const MOST_BYTES: usize = 1 << 20;
const RETRY_EVERY: Duration = Duration::from_millis(500);

/// Positions are reserved on disk this many at a time, so that none is ever given twice, whatever a crash takes back.
pub(crate) const RESERVE: u64 = 1 << 20;

/// What a commit answers: the positions that the batch's stamps became.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// The position of the batch's first stamp.
    pub first: Position,
    /// The position at which the batch can be read.
    pub end: Position,
}

/// Is told of commits, on the committing thread: it must be quick and must not block.
pub trait Observer: Send + Sync {
    /// The batches are on disk and will be readable in a moment: the place to mend what is kept in memory.
    fn committing(&self, news: &[News]);
    /// The disk is back after a write that failed: what these are about may be there, or not, and can be read in a moment.
    /// What is kept in memory of it is to be read anew.
    fn doubted(&self, news: &[News]) {
        self.committing(news);
    }
    /// The batches are readable: the place to wake those who wait.
    fn committed(&self, news: &[News], position: Position);
}

/// For a store that nobody follows: one that is mended before its server starts.
#[must_use]
pub fn nobody() -> Arc<dyn Observer> {
    struct Nobody;

    impl Observer for Nobody {
        fn committing(&self, _: &[News]) {}

        fn committed(&self, _: &[News], _: Position) {}
    }

    Arc::new(Nobody)
}

/// A batch on its way, and where its answer goes.
pub(crate) struct Job {
    pub batch: Batch,
    pub answer: oneshot::Sender<Result<Committed>>,
}

/// What committer and readers share.
pub(crate) struct Shared {
    pub engine: Engine,
    pub published: ArcSwap<Published>,
    pub writable: AtomicBool,
    pub observer: Arc<dyn Observer>,
    pub sync: bool,
    pub meters: Meters,
}

pub(crate) struct Committer {
    shared: Arc<Shared>,
    queue: mpsc::Receiver<Job>,
    last: Position,
    ceiling: Position,
    /// The last position of any group whose write failed: it may be on disk nevertheless.
    tried: Position,
    /// What the disk's last failure said, while it has not been overcome.
    failure: Option<(String, Instant)>,
    /// What the group was about whose write failed: it is told, as in doubt, when the disk is back.
    untold: Vec<Topic>,
    gather: Gather,
}

impl Committer {
    pub fn new(shared: Arc<Shared>, queue: mpsc::Receiver<Job>, last: Position, ceiling: Position) -> Self {
        Self { shared, queue, last, ceiling, tried: last, failure: None, untold: Vec::new(), gather: Gather::default() }
    }

    /// One that could not make its first reservation, above `last`: it takes no writes until it can.
    pub fn failed(shared: Arc<Shared>, queue: mpsc::Receiver<Job>, last: Position, why: String) -> Self {
        Self { failure: Some((why, Instant::now())), ..Self::new(shared, queue, last, last) }
    }

    /// Serves until every sender is gone.
    pub fn run(mut self) {
        while let Some(first) = self.wait() {
            let jobs = self.gather.take(first, &mut self.queue);
            match &self.failure {
                Some((why, _)) => {
                    for job in jobs {
                        let _ = job.answer.send(Err(Error::Unavailable(why.clone())));
                    }
                }
                None => self.commit(jobs),
            }
        }
    }

    /// Waits for the next batch; while the disk fails, tries now and then whether it still does.
    fn wait(&mut self) -> Option<Job> {
        while self.failure.is_some() {
            self.recover();
            match self.queue.try_recv() {
                Ok(job) => return Some(job),
                Err(mpsc::error::TryRecvError::Disconnected) => return None,
                Err(mpsc::error::TryRecvError::Empty) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
        self.queue.blocking_recv()
    }

    fn recover(&mut self) {
        let Some((_, tried)) = &mut self.failure else { return };
        if tried.elapsed() < RETRY_EVERY {
            return;
        }
        *tried = Instant::now();
        // What the failed group would have had may stand in the log: it is never given again. A group that was to raise
        // the ceiling had positions above it.
        let from = self.ceiling.max(self.tried);
        let ceiling = Position::new(from.get() + RESERVE);
        let outcome = self
            .shared
            .engine
            .resume()
            .and_then(|()| self.shared.engine.write(std::iter::once(&ceiling_row(ceiling)), true));
        match outcome {
            Ok(()) => {
                tracing::info!("the store takes writes again");
                self.failure = None;
                self.last = from;
                self.ceiling = ceiling;
                let untold = std::mem::take(&mut self.untold);
                let news: Vec<_> = untold.into_iter().map(|topic| News { position: from, topic }).collect();
                self.shared.observer.doubted(&news);
                self.publish(&news);
                self.shared.writable.store(true, Ordering::Release);
            }
            Err(error) => tracing::debug!(%error, "the store still takes no writes"),
        }
    }

    fn commit(&mut self, jobs: Vec<Job>) {
        let mut last = self.last;
        let mut ends = Vec::with_capacity(jobs.len());
        let mut overlay: Option<Overlay> = None;
        let mut accepted: Vec<Job> = Vec::with_capacity(jobs.len());
        // Who lost to a batch of this group is told when that batch can be read: a retry must find what it lost to.
        let mut conflicted = Vec::new();
        let mut jobs = jobs.into_iter().peekable();
        while let Some(mut job) = jobs.next() {
            if !job.batch.expects().is_empty() {
                let overlay = overlay.get_or_insert_with(|| Overlay::over(&accepted));
                match self.expected(overlay, &job.batch) {
                    Ok(true) => {}
                    Ok(false) => {
                        conflicted.push(job.answer);
                        continue;
                    }
                    Err(error) => {
                        let _ = job.answer.send(Err(error));
                        continue;
                    }
                }
            }
            let first = last.next();
            job.batch.fill(first);
            last = Position::new(last.get() + u64::from(job.batch.positions()));
            ends.push(Committed { first, end: last });
            if let Some(overlay) = &mut overlay
                && jobs.peek().is_some()
            {
                overlay.add(&job.batch);
            }
            accepted.push(job);
        }
        if !accepted.is_empty() {
            self.write_group(accepted, ends, last);
        }
        self.shared.meters.conflicts.add(conflicted.len() as u64);
        for answer in conflicted {
            let _ = answer.send(Err(Error::Conflict));
        }
    }

    fn write_group(&mut self, accepted: Vec<Job>, ends: Vec<Committed>, last: Position) {
        match self.write(&accepted, last) {
            Ok(()) => {
                self.last = last;
                let news: Vec<_> = accepted
                    .iter()
                    .zip(&ends)
                    .flat_map(|(job, end)| {
                        job.batch.topics().iter().map(|topic| News { position: end.end, topic: *topic })
                    })
                    .collect();
                self.shared.observer.committing(&news);
                self.publish(&news);
                for (job, committed) in accepted.into_iter().zip(ends) {
                    let _ = job.answer.send(Ok(committed));
                }
            }
            Err(error) => {
                tracing::error!(%error, "the store cannot write; it takes no writes until the disk does again");
                self.shared.meters.failures.add(1);
                self.tried = self.tried.max(last);
                self.shared.writable.store(false, Ordering::Release);
                let why = error.to_string();
                self.failure = Some((why.clone(), Instant::now()));
                self.untold = accepted.iter().flat_map(|job| job.batch.topics()).copied().collect();
                for job in accepted {
                    let _ = job.answer.send(Err(Error::OutcomeUnknown(why.clone())));
                }
            }
        }
    }

    /// Writes the group, with a new reservation in the same write where its positions reach beyond the old one.
    fn write(&mut self, jobs: &[Job], last: Position) -> Result<()> {
        let started = Instant::now();
        let wants_sync = self.shared.sync && jobs.iter().any(|job| job.batch.wants_sync());
        let batches = jobs.iter().map(|job| &job.batch);
        if last > self.ceiling {
            let ceiling = Position::new(last.get() + RESERVE);
            let row = ceiling_row(ceiling);
            self.shared.engine.write(batches.chain(std::iter::once(&row)), self.shared.sync)?;
            self.ceiling = ceiling;
        } else {
            self.shared.engine.write(batches, wants_sync)?;
        }
        self.gather.wrote(jobs.len(), started.elapsed());
        self.shared.meters.wrote(jobs.iter().map(|job| &job.batch), wants_sync, started.elapsed());
        Ok(())
    }

    /// Makes readable what is on disk.
    fn publish(&self, news: &[News]) {
        let published = Published::new(self.shared.engine.snapshot(), self.last);
        self.shared.published.store(Arc::new(published));
        self.shared.observer.committed(news, self.last);
    }

    /// Whether a batch's preconditions hold. Of what the group does not touch, the store is asked once per family.
    fn expected(&self, overlay: &Overlay, batch: &Batch) -> Result<bool> {
        let wanted = |expect: &Expect| expect.value.map(|value| batch.bytes(value));
        let mut untouched: Vec<&Expect> = Vec::new();
        for expect in batch.expects() {
            match overlay.get(expect.family, batch.bytes(expect.key)) {
                Pending::Row(found) if found != wanted(expect) => return Ok(false),
                Pending::Row(_) => {}
                Pending::Untouched => untouched.push(expect),
            }
        }
        untouched.sort_by_key(|expect| expect.family);
        for of_family in untouched.chunk_by(|one, other| one.family == other.family) {
            let Some(first) = of_family.first() else { continue };
            let keys: Vec<_> = of_family.iter().map(|expect| batch.bytes(expect.key)).collect();
            let found = self.shared.engine.newest(first.family, &keys)?;
            if of_family.iter().zip(&found).any(|(expect, found)| found.as_deref() != wanted(expect)) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// What the group's earlier batches will have written, for the preconditions of its later ones.
#[derive(Default)]
struct Overlay {
    rows: HashMap<(Family, Vec<u8>), Option<Vec<u8>>>,
    deleted: Vec<(Family, Vec<u8>, Vec<u8>)>,
}

impl Overlay {
    fn over(jobs: &[Job]) -> Self {
        let mut overlay = Self::default();
        for job in jobs {
            overlay.add(&job.batch);
        }
        overlay
    }

    fn add(&mut self, batch: &Batch) {
        for op in batch.ops() {
            match *op {
                Op::Put { family, key, value } => {
                    self.rows.insert((family, batch.bytes(key).to_vec()), Some(batch.bytes(value).to_vec()));
                }
                Op::Delete { family, key } => {
                    self.rows.insert((family, batch.bytes(key).to_vec()), None);
                }
                Op::DeleteRange { family, start, end } => {
                    let (start, end) = (batch.bytes(start).to_vec(), batch.bytes(end).to_vec());
                    for ((row_family, key), value) in &mut self.rows {
                        if *row_family == family && *key >= start && *key < end {
                            *value = None;
                        }
                    }
                    self.deleted.push((family, start, end));
                }
            }
        }
    }

    fn get(&self, family: Family, key: &[u8]) -> Pending<'_> {
        if let Some(value) = self.rows.get(&(family, key.to_vec())) {
            return Pending::Row(value.as_deref());
        }
        let is_deleted = self
            .deleted
            .iter()
            .any(|(of, start, end)| *of == family && key >= start.as_slice() && key < end.as_slice());
        if is_deleted { Pending::Row(None) } else { Pending::Untouched }
    }
}

/// What the group does to a row.
enum Pending<'a> {
    /// Nothing: the store's value counts.
    Untouched,
    /// The row will have this value, or none.
    Row(Option<&'a [u8]>),
}

/// Decides how long to wait for more batches: only where the disk is slow and batches come in bursts.
#[derive(Default)]
struct Gather {
    smoothed_write: Duration,
    last_group: usize,
}

impl Gather {
    fn wrote(&mut self, batches: usize, took: Duration) {
        self.last_group = batches;
        self.smoothed_write = (self.smoothed_write * 7 + took) / 8;
    }

    fn take(&self, first: Job, queue: &mut mpsc::Receiver<Job>) -> Vec<Job> {
        let mut bytes = first.batch.size();
        let mut jobs = vec![first];
        let waits = self.smoothed_write > Duration::from_micros(500) && self.last_group >= 4;
        let deadline = waits.then(|| Instant::now() + (self.smoothed_write / 8).min(Duration::from_micros(400)));
        while jobs.len() < MOST_BATCHES && bytes < MOST_BYTES {
            if let Ok(job) = queue.try_recv() {
                bytes += job.batch.size();
                jobs.push(job);
                continue;
            }
            match deadline {
                Some(deadline) if jobs.len() * 10 < self.last_group * 9 && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_micros(25));
                }
                _ => break,
            }
        }
        jobs
    }
}
