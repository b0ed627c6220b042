//! Followers take every event once in order, also over a restart, and are waited for.

use std::sync::{Arc, Mutex};

use matron_storage::{Batch, Options, Position, Store};
use tokio_util::sync::CancellationToken;

use super::{CHUNK, Chunk, Follow, Follower, Output};
use crate::error::Result;
use crate::schema::directory::{FOLLOWED, OPEN_MEMBERS, OPEN_ROOMS};
use crate::schema::rooms::STREAM;
use crate::schema::{RoomNum, UserNum};
use crate::streams::Streams;

/// Notes what it is given.
#[derive(Default)]
struct Notes {
    begun: Mutex<usize>,
    rooms: Mutex<Vec<u64>>,
}

impl Follow for &Notes {
    async fn begin(&mut self, _: &mut Output<'_>) -> Result<Position> {
        *self.begun.lock().unwrap() += 1;
        Ok(Position::ZERO)
    }

    async fn digest(&mut self, chunk: &Chunk, output: &mut Output<'_>) -> Result<()> {
        for (_, room) in &chunk.events {
            self.rooms.lock().unwrap().push(room.0);
            output.batch().put(&OPEN_ROOMS, room, &());
        }
        Ok(())
    }
}

fn store() -> Arc<Store> {
    let (streams, _) = Streams::new(1);
    Arc::new(Store::open(&Options::memory(), streams).unwrap())
}

async fn write(store: &Store, rooms: std::ops::Range<u64>) {
    for room in rooms {
        let mut batch = Batch::new();
        let position = batch.stamp();
        batch.put(&STREAM, &position, &RoomNum(room));
        store.commit(batch).await.unwrap();
    }
}

/// Runs a follower until it has passed what is there.
async fn follow(store: &Arc<Store>, mut notes: &Notes) {
    let follower = Follower::new("test", Arc::clone(store));
    tokio::select! {
        () = follower.run(&mut notes) => {}
        () = follower.catch_up() => {}
    }
}

#[tokio::test]
async fn every_event_is_taken_once_in_order() {
    let (store, notes) = (store(), Notes::default());
    let first = CHUNK as u64 + 7;
    write(&store, 0..first).await;
    follow(&store, &notes).await;
    assert_eq!(*notes.rooms.lock().unwrap(), (0..first).collect::<Vec<_>>());
    // Another run goes on where the last one stopped.
    write(&store, first..first + 3).await;
    follow(&store, &notes).await;
    assert_eq!(*notes.rooms.lock().unwrap(), (0..first + 3).collect::<Vec<_>>());
    assert_eq!(*notes.begun.lock().unwrap(), 1);
}

#[tokio::test]
async fn who_waits_for_nothing_new_does_not_wait() {
    let (store, notes) = (store(), Notes::default());
    write(&store, 0..3).await;
    follow(&store, &notes).await;
    let follower = Follower::new("test", Arc::clone(&store));
    let mut work = &notes;
    tokio::select! {
        () = follower.run(&mut work) => {}
        () = async {
            follower.catch_up().await;
            write(&store, 3..4).await;
            follower.catch_up().await;
        } => {}
    }
    assert_eq!(*notes.rooms.lock().unwrap(), [0, 1, 2, 3]);
}

/// Begins somewhere, keeps what it takes in memory, and writes it when it is to be put down.
#[derive(Default)]
struct Keeps {
    from: Position,
    kept: Vec<RoomNum>,
    written: usize,
    ended: bool,
}

impl Follow for Keeps {
    async fn begin(&mut self, _: &mut Output<'_>) -> Result<Position> {
        Ok(self.from)
    }

    async fn digest(&mut self, chunk: &Chunk, _: &mut Output<'_>) -> Result<()> {
        self.kept.extend(chunk.events.iter().map(|(_, room)| *room));
        Ok(())
    }

    async fn put_down(&mut self, output: &mut Output<'_>) -> Result<()> {
        for room in self.kept.get(self.written..).unwrap_or_default() {
            output.batch().put(&OPEN_MEMBERS, &(UserNum(1), *room), &());
        }
        Ok(())
    }

    fn was_put_down(&mut self, on_disk: bool) {
        if on_disk {
            self.written = self.kept.len();
        }
    }

    async fn end(&mut self) {
        self.ended = true;
    }
}

#[tokio::test]
async fn what_is_kept_in_memory_goes_to_disk_with_the_position_at_the_latest_at_the_end() {
    let (streams, _) = Streams::new(1);
    let store = Arc::new(Store::open(&Options::memory(), Arc::<Streams>::clone(&streams)).unwrap());
    write(&store, 0..2).await;
    let from = store.snapshot().position();
    let (mut keeps, stop) = (Keeps { from, ..Keeps::default() }, CancellationToken::new());
    let follower = Follower::prompt("keeps", Arc::clone(&store), streams.grown());
    let done = async {
        // It begins with what comes after its beginning.
        while store.snapshot().get(&FOLLOWED, &"keeps".to_owned()).await.unwrap().is_none() {
            tokio::task::yield_now().await;
        }
        write(&store, 2..5).await;
        follower.asked.notify_one();
        let mut passed = follower.passed.subscribe();
        let now = store.snapshot().position();
        passed.wait_for(|passed| *passed >= now).await.unwrap();
        stop.cancel();
    };
    tokio::join!(follower.run_until(&mut keeps, &stop), done);
    assert!(keeps.ended);
    assert_eq!(keeps.kept, [RoomNum(2), RoomNum(3), RoomNum(4)]);
    let rows = store.snapshot().scan(&OPEN_MEMBERS, OPEN_MEMBERS.all()).collect().await.unwrap();
    assert_eq!(rows.len(), 3);
    let saved = store.snapshot().get(&FOLLOWED, &"keeps".to_owned()).await.unwrap().unwrap();
    assert_eq!(saved, *follower.passed.borrow());
}
