//! Followers: workers that follow the stream of events behind the commits, each with a position of its own on disk.
//!
//! A follower's output and its position are one batch, so that it goes on where it stopped. That batch asks for no fsync:
//! whatever power takes of it is made again from the events, which are on disk before.

use std::sync::Arc;
use std::time::Duration;

use matron_storage::{Batch, Position, Snapshot, Store};
use tokio::sync::{Notify, watch};

use crate::error::Result;
use crate::schema::RoomNum;
use crate::schema::directory::FOLLOWED;
use crate::schema::rooms::STREAM;

/// How many events are taken at once.
const CHUNK: usize = 512;
/// How often a follower looks for news that nobody asks it for: what comes meanwhile is taken together.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a request waits for a follower that is behind.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a follower rests after a failure.
const REST: Duration = Duration::from_secs(1);
/// A batch that has grown to this is written before the chunk is done.
const FULL_BATCH_BYTES: usize = 512 << 10;
/// After how many events without any output the position is written all the same.
const SILENT_EVENTS: usize = 16 * CHUNK;

/// Events that a follower takes at once.
#[derive(Debug)]
pub struct Chunk {
    /// The store as of now: at or after `to`.
    pub snapshot: Snapshot,
    /// What lies up to here was taken before.
    pub after: Position,
    /// The chunk goes up to here.
    pub to: Position,
    /// The events' places, in order, and their rooms.
    pub events: Vec<(Position, RoomNum)>,
}

/// What a follower writes. All of it may be done twice.
#[derive(Debug)]
pub struct Output<'a> {
    store: &'a Store,
    batch: Batch,
}

impl Output<'_> {
    /// The batch to write into.
    pub const fn batch(&mut self) -> &mut Batch {
        &mut self.batch
    }

    /// Writes what there is, if it has become much.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn relieve(&mut self) -> Result<()> {
        if self.batch.size() >= FULL_BATCH_BYTES {
            let mut batch = std::mem::take(&mut self.batch);
            batch.unsynced();
            self.store.commit(batch).await?;
        }
        Ok(())
    }
}

/// What a follower does.
pub trait Follow: Send + Sync {
    /// Writes what has to be there before the first event is taken: once in the life of a store.
    fn begin(&self, _: &mut Output<'_>) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// Writes what follows from a chunk of events.
    fn digest(&self, chunk: &Chunk, output: &mut Output<'_>) -> impl Future<Output = Result<()>> + Send;
}

/// How far a follower has come, and the way to wake it.
#[derive(Debug)]
pub struct Follower {
    name: String,
    store: Arc<Store>,
    passed: watch::Sender<Position>,
    asked: Notify,
}

impl Follower {
    /// A follower of this name, which is part of the format on disk.
    #[must_use]
    pub fn new(name: &str, store: Arc<Store>) -> Self {
        Self { name: name.to_owned(), store, passed: watch::Sender::new(Position::ZERO), asked: Notify::new() }
    }

    /// How many positions are published that it has not passed.
    #[must_use]
    pub fn behind(&self) -> u64 {
        let passed = *self.passed.borrow();
        self.store.snapshot().position().get().saturating_sub(passed.get())
    }

    /// Waits until the follower has passed all that is published now; at most for some seconds.
    pub async fn catch_up(&self) {
        let published = self.store.snapshot().position();
        let mut passed = self.passed.subscribe();
        if *passed.borrow() >= published {
            return;
        }
        self.asked.notify_one();
        if tokio::time::timeout(PATIENCE, passed.wait_for(|passed| *passed >= published)).await.is_err() {
            tracing::warn!(follower = self.name, "a request is answered without the newest events");
        }
    }

    /// Follows until it is dropped.
    pub async fn run(&self, work: &impl Follow) {
        let mut silent = None;
        loop {
            let step = match silent.as_mut() {
                Some(silent) => self.step(work, silent).await,
                None => self.resume(work).await.map(|()| {
                    silent = Some(0);
                    true
                }),
            };
            match step {
                Ok(true) => {}
                Ok(false) => {
                    let _ = tokio::time::timeout(PAUSE, self.asked.notified()).await;
                }
                Err(error) => {
                    tracing::error!(%error, follower = self.name, "a follower cannot go on");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }

    /// Goes back to where it stopped.
    async fn resume(&self, work: &impl Follow) -> Result<()> {
        let stored = self.store.snapshot().get(&FOLLOWED, &self.name).await?;
        let position = if let Some(position) = stored {
            position
        } else {
            let mut output = Output { store: &self.store, batch: Batch::new() };
            work.begin(&mut output).await?;
            self.write(output, Position::ZERO).await?;
            Position::ZERO
        };
        self.passed.send_replace(position);
        Ok(())
    }

    async fn write(&self, output: Output<'_>, position: Position) -> Result<()> {
        let mut batch = output.batch;
        batch.put(&FOLLOWED, &self.name, &position);
        batch.unsynced();
        self.store.commit(batch).await?;
        Ok(())
    }

    /// Takes the next chunk. Says whether there may be another one.
    async fn step(&self, work: &impl Follow, silent: &mut usize) -> Result<bool> {
        use std::ops::Bound::{Excluded, Included};
        let snapshot = self.store.snapshot();
        let (after, now) = (*self.passed.borrow(), snapshot.position());
        if after >= now {
            return Ok(false);
        }
        let range = STREAM.range((Excluded(after), Included(now)));
        let events = snapshot.scan(&STREAM, range).take(CHUNK).await?;
        let more = events.len() == CHUNK;
        let to = events.last().filter(|_| more).map_or(now, |(position, _)| *position);
        *silent += events.len();
        let mut output = Output { store: &self.store, batch: Batch::new() };
        if !events.is_empty() {
            let chunk = Chunk { snapshot, after, to, events };
            work.digest(&chunk, &mut output).await?;
        }
        if !output.batch.is_empty() || *silent >= SILENT_EVENTS {
            self.write(output, to).await?;
            *silent = 0;
        }
        self.passed.send_replace(to);
        Ok(more)
    }
}

#[cfg(test)]
mod tests;
