//! Followers take every event once in order, also over a restart, and are waited for.

use std::sync::{Arc, Mutex};

use matron_storage::{Batch, Options, Store};

use super::{CHUNK, Chunk, Follow, Follower, Output};
use crate::error::Result;
use crate::schema::RoomNum;
use crate::schema::directory::OPEN_ROOMS;
use crate::schema::rooms::STREAM;
use crate::streams::Streams;

/// Notes what it is given.
#[derive(Default)]
struct Notes {
    begun: Mutex<usize>,
    rooms: Mutex<Vec<u64>>,
}

impl Follow for Notes {
    async fn begin(&self, _: &mut Output<'_>) -> Result<()> {
        *self.begun.lock().unwrap() += 1;
        Ok(())
    }

    async fn digest(&self, chunk: &Chunk, output: &mut Output<'_>) -> Result<()> {
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
async fn follow(store: &Arc<Store>, notes: &Notes) {
    let follower = Follower::new("test", Arc::clone(store));
    tokio::select! {
        () = follower.run(notes) => {}
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
    tokio::select! {
        () = follower.run(&notes) => {}
        () = async {
            follower.catch_up().await;
            write(&store, 3..4).await;
            follower.catch_up().await;
        } => {}
    }
    assert_eq!(*notes.rooms.lock().unwrap(), [0, 1, 2, 3]);
}
