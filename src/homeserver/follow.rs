//! Followers: workers that follow the stream of events behind the commits, each with a position of its own on disk.
//!
//! A follower's output and its position are one batch, so that it goes on where it stopped. That batch asks for no fsync:
//! whatever power takes of it is made again from the events, which are on disk before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use matron_storage::{Batch, Position, Snapshot, Store};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

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
/// How often the position is written where no output takes it along.
const SAVE_EVERY: Duration = Duration::from_secs(5);

/// What a follower takes at once: events, or other news alone.
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

impl<'a> Output<'a> {
    fn new(store: &'a Store) -> Self {
        Self { store, batch: Batch::new() }
    }

    /// The batch to write into.
    pub const fn batch(&mut self) -> &mut Batch {
        &mut self.batch
    }

    /// Writes what there is, if it has become much.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn relieve(&mut self) -> Result<()> {
        if self.batch.size() >= FULL_BATCH_BYTES { self.write().await } else { Ok(()) }
    }

    /// Writes what there is; the position comes later.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn write(&mut self) -> Result<()> {
        let mut batch = std::mem::take(&mut self.batch);
        batch.unsynced();
        self.store.commit(batch).await?;
        Ok(())
    }
}

/// What a follower does.
pub trait Follow: Send {
    /// Once in the life of a store: writes what has to be there before the first event is taken, and says after which
    /// position that one is.
    fn begin(&mut self, _: &mut Output<'_>) -> impl Future<Output = Result<Position>> + Send {
        async { Ok(Position::ZERO) }
    }

    /// Whether what comes after a position may concern it; where not, nothing is read.
    fn listens(&self, _after: Position) -> bool {
        true
    }

    /// Does what follows from a chunk, and writes it; or keeps some of it for [`Self::put_down`].
    fn digest(&mut self, chunk: &Chunk, output: &mut Output<'_>) -> impl Future<Output = Result<()>> + Send;

    /// Writes what of the chunks so far is in memory alone: the position goes to disk with it.
    fn put_down(&mut self, _: &mut Output<'_>) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// What [`Self::put_down`] left to write is on disk, or could not be written.
    fn was_put_down(&mut self, _on_disk: bool) {}

    /// The server stops: ends what was begun. What is left is put down once more.
    fn end(&mut self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// How far a follower has come, and the way to wake it.
#[derive(Debug)]
pub struct Follower {
    name: String,
    store: Arc<Store>,
    passed: watch::Sender<Position>,
    asked: Notify,
    /// What wakes it with every commit, if anything does.
    grown: Option<watch::Receiver<Position>>,
}

/// The position on disk, and when it was looked at last.
struct Saved {
    position: Position,
    looked: Instant,
}

impl Follower {
    /// A follower of this name, which is part of the format on disk. It looks for news now and then, and when it is asked.
    #[must_use]
    pub fn new(name: &str, store: Arc<Store>) -> Self {
        let passed = watch::Sender::new(Position::ZERO);
        Self { name: name.to_owned(), store, passed, asked: Notify::new(), grown: None }
    }

    /// One that takes news at once: `grown` changes when there is some.
    #[must_use]
    pub fn prompt(name: &str, store: Arc<Store>, grown: watch::Receiver<Position>) -> Self {
        Self { grown: Some(grown), ..Self::new(name, store) }
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
    pub async fn run(&self, work: &mut impl Follow) {
        self.run_until(work, &CancellationToken::new()).await;
    }

    /// Follows until it is to stop; then ends what was begun.
    pub async fn run_until(&self, work: &mut impl Follow, stop: &CancellationToken) {
        let mut grown = self.grown.clone();
        let mut saved = None;
        while !stop.is_cancelled() {
            let step = match &mut saved {
                Some(saved) => self.step(work, saved).await,
                None => self.resume(work).await.map(|position| {
                    saved = Some(Saved { position, looked: Instant::now() });
                    true
                }),
            };
            let rest = match step {
                Ok(true) => continue,
                Ok(false) => None,
                Err(error) => {
                    tracing::error!(%error, follower = self.name, "a follower cannot go on");
                    Some(REST)
                }
            };
            tokio::select! {
                () = self.wait(rest, grown.as_mut()) => {}
                () = stop.cancelled() => {}
            }
        }
        work.end().await;
        if let Some(mut saved) = saved
            && let Err(error) = self.save(work, &mut saved).await
        {
            tracing::warn!(%error, follower = self.name, "how far a follower is could not be written");
        }
    }

    /// Waits for news, or for the next time to write; after a failure as long as that says.
    async fn wait(&self, rest: Option<Duration>, grown: Option<&mut watch::Receiver<Position>>) {
        match (rest, grown) {
            (Some(rest), _) => tokio::time::sleep(rest).await,
            (None, Some(grown)) => tokio::select! {
                _ = grown.changed() => {}
                () = self.asked.notified() => {}
                () = tokio::time::sleep(SAVE_EVERY) => {}
            },
            (None, None) => {
                let _ = tokio::time::timeout(PAUSE, self.asked.notified()).await;
            }
        }
    }

    /// Goes back to where it stopped.
    async fn resume(&self, work: &mut impl Follow) -> Result<Position> {
        let stored = self.store.snapshot().get(&FOLLOWED, &self.name).await?;
        let position = if let Some(position) = stored {
            position
        } else {
            let mut output = Output::new(&self.store);
            let position = work.begin(&mut output).await?;
            self.write(output, position).await?;
            position
        };
        self.passed.send_replace(position);
        Ok(position)
    }

    async fn write(&self, output: Output<'_>, position: Position) -> Result<()> {
        let mut batch = output.batch;
        batch.put(&FOLLOWED, &self.name, &position);
        batch.unsynced();
        self.store.commit(batch).await?;
        Ok(())
    }

    /// Takes the next chunk. Says whether there may be another one.
    async fn step(&self, work: &mut impl Follow, saved: &mut Saved) -> Result<bool> {
        use std::ops::Bound::{Excluded, Included};
        if saved.looked.elapsed() >= SAVE_EVERY {
            saved.looked = Instant::now();
            self.save(work, saved).await?;
        }
        let snapshot = self.store.snapshot();
        let (after, now) = (*self.passed.borrow(), snapshot.position());
        if after >= now {
            return Ok(false);
        }
        if !work.listens(after) {
            self.passed.send_replace(now);
            return Ok(false);
        }
        let range = STREAM.range((Excluded(after), Included(now)));
        let events = snapshot.scan(&STREAM, range).take(CHUNK).await?;
        let more = events.len() == CHUNK;
        let to = events.last().filter(|_| more).map_or(now, |(position, _)| *position);
        let mut output = Output::new(&self.store);
        work.digest(&Chunk { snapshot, after, to, events }, &mut output).await?;
        if !output.batch.is_empty() {
            self.put_down(work, output, to, saved).await?;
        }
        self.passed.send_replace(to);
        Ok(more)
    }

    /// Writes the position and what goes with it, if there is anything new.
    async fn save(&self, work: &mut impl Follow, saved: &mut Saved) -> Result<()> {
        let passed = *self.passed.borrow();
        self.put_down(work, Output::new(&self.store), passed, saved).await
    }

    async fn put_down(
        &self,
        work: &mut impl Follow,
        mut output: Output<'_>,
        position: Position,
        saved: &mut Saved,
    ) -> Result<()> {
        work.put_down(&mut output).await?;
        if output.batch.is_empty() && saved.position == position {
            work.was_put_down(true);
            return Ok(());
        }
        let written = self.write(output, position).await;
        work.was_put_down(written.is_ok());
        written?;
        saved.position = position;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
