//! A disk that fails: what was tried is never given again, and the store recovers by itself.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Health, Store};
use crate::engine::Engine;
use crate::{Batch, Error, Family, Keyspace, News, Observer, Options, Position, Topic};

const LOG: Keyspace<Position, u64> = Keyspace::new(2, "log", Family::Log);

struct Nobody;

impl Observer for Nobody {
    fn committing(&self, _: &[News]) {}
    fn committed(&self, _: &[News], _: Position) {}
}

/// Notes what it is told for certain, what in doubt, and what of either can be read.
#[derive(Default)]
struct Told {
    certain: Mutex<Vec<News>>,
    doubted: Mutex<Vec<News>>,
    readable: Mutex<Vec<News>>,
}

impl Observer for Told {
    fn committing(&self, news: &[News]) {
        self.certain.lock().unwrap().extend(news);
    }

    fn doubted(&self, news: &[News]) {
        self.doubted.lock().unwrap().extend(news);
    }

    fn committed(&self, news: &[News], _: Position) {
        self.readable.lock().unwrap().extend(news);
    }
}

impl Store {
    fn fail(&self, failing: bool) {
        let Engine::Memory(memory) = &self.shared.engine else { panic!("another engine") };
        memory.failing.store(failing, Ordering::Release);
    }

    /// A batch with so many positions; the last one has a row.
    async fn append(&self, stamps: u64) -> crate::Result<Position> {
        let mut batch = Batch::new();
        let mut last = Position::ZERO;
        for _ in 0..stamps {
            last = batch.stamp();
        }
        batch.put(&LOG, &last, &stamps);
        self.commit(batch).await.map(|committed| committed.end)
    }

    async fn recovered(&self) {
        while self.health() == Health::ReadOnly {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// `group` is how many positions the group has whose write fails.
async fn fails_once(group: u64) {
    let store = Store::open(&Options::memory(), Arc::new(Nobody)).unwrap();
    let before = store.append(1).await.unwrap();
    store.fail(true);
    assert!(matches!(store.append(group).await, Err(Error::OutcomeUnknown(_))));
    assert_eq!(store.health(), Health::ReadOnly);
    assert!(matches!(store.append(1).await, Err(Error::Unavailable(_))), "nothing is tried while the disk fails");
    let seen = store.snapshot();
    assert_eq!(seen.position(), before);
    assert_eq!(seen.scan(&LOG, LOG.all()).collect().await.unwrap().len(), 1, "reads go on, with what was known");
    store.fail(false);
    store.recovered().await;
    let tried = before.get() + group;
    assert!(store.snapshot().position().get() >= tried);
    let after = store.append(1).await.unwrap();
    assert!(after.get() > tried, "{after} was given to what failed, up to {tried}");
    let rows = store.snapshot().scan(&LOG, LOG.all()).collect().await.unwrap();
    assert_eq!(rows.len(), 3, "what was tried is there, and nothing was written over it");
}

#[tokio::test]
async fn positions_of_a_failed_group_are_never_given_again() {
    fails_once(3).await;
}

#[tokio::test]
async fn nor_are_those_of_a_group_that_was_to_raise_the_ceiling() {
    fails_once(crate::committer::RESERVE + 10).await;
}

#[tokio::test]
async fn what_is_said_has_a_position_of_its_own() {
    let store = Store::open(&Options::memory(), Arc::new(Nobody)).unwrap();
    for speaks in [true, false] {
        let before = store.snapshot().position();
        let mut batch = Batch::new();
        batch.put(&LOG, &Position::new(1), &1);
        if speaks {
            batch.announce(Topic { kind: 1, subject: 1, object: 0 });
        }
        let end = store.commit(batch).await.unwrap().end;
        assert_eq!(end, if speaks { before.next() } else { before });
    }
}

#[tokio::test]
async fn what_may_be_there_is_told_as_in_doubt_when_the_disk_is_back() {
    let told = Arc::new(Told::default());
    let store = Store::open(&Options::memory(), Arc::<Told>::clone(&told)).unwrap();
    let before = store.snapshot().position();
    let topic = Topic { kind: 1, subject: 7, object: 0 };
    let told_of = |list: &Mutex<Vec<News>>| list.lock().unwrap().clone();
    let said = || {
        let mut batch = Batch::new();
        batch.put(&LOG, &Position::new(1), &7);
        batch.announce(topic);
        batch
    };
    store.fail(true);
    assert!(matches!(store.commit(said()).await, Err(Error::OutcomeUnknown(_))));
    assert!(told_of(&told.doubted).is_empty() && told_of(&told.readable).is_empty());
    store.fail(false);
    store.recovered().await;
    let position = store.snapshot().position();
    assert!(position > before);
    let doubted = [News { position, topic }];
    assert_eq!(told_of(&told.doubted), doubted);
    assert_eq!(told_of(&told.readable), doubted);
    assert!(told_of(&told.certain).is_empty(), "nothing is certain of it");
    let position = store.commit(said()).await.unwrap().end;
    assert_eq!(told_of(&told.certain), [News { position, topic }]);
    assert_eq!(told_of(&told.doubted), doubted, "it is told once");
}
