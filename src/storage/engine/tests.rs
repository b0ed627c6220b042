//! The same suite for every engine: what any of them must do, checked against plain maps.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use proptest::prelude::*;
use tempfile::TempDir;

use crate::committer::{Observer, nobody};
use crate::{Batch, Error, Family, Health, Keyspace, News, Options, Position, Store, Topic};

const ROWS: Keyspace<(u8, u8), Vec<u8>> = Keyspace::new(1, "rows", Family::Index);
const LOG: Keyspace<Position, String> = Keyspace::new(2, "log", Family::Log);
const NEIGHBOUR: Keyspace<(u8, u8), Vec<u8>> = Keyspace::new(3, "neighbour", Family::Index);

#[derive(Default)]
struct Seen(Mutex<Vec<News>>);

impl Observer for Seen {
    fn committing(&self, news: &[News]) {
        self.0.lock().unwrap().extend_from_slice(news);
    }

    fn committed(&self, _: &[News], _: Position) {}
}

/// A store of each engine; the folder goes with the last value.
fn stores() -> Vec<(Store, Arc<Seen>, Option<TempDir>)> {
    let folder = TempDir::new().unwrap();
    let rocks = Options::rocks(folder.path().join("store"), 16 << 20);
    [(Options::memory(), None), (rocks, Some(folder))]
        .into_iter()
        .map(|(options, folder)| {
            let seen = Arc::new(Seen::default());
            let observer: Arc<dyn Observer> = Arc::<Seen>::clone(&seen);
            (Store::open(&options, observer).unwrap(), seen, folder)
        })
        .collect()
}

#[derive(Debug, Clone)]
enum Step {
    Put(u8, u8, Vec<u8>),
    Delete(u8, u8),
    DeleteRange(u8, u8, u8),
}

fn step() -> impl Strategy<Value = Step> {
    let small = 0_u8..6;
    prop_oneof![
        5 => (small.clone(), any::<u8>(), any::<Vec<u8>>()).prop_map(|(a, b, v)| Step::Put(a, b, v)),
        2 => (small.clone(), any::<u8>()).prop_map(|(a, b)| Step::Delete(a, b)),
        1 => (small, any::<u8>(), any::<u8>()).prop_map(|(a, b, c)| Step::DeleteRange(a, b.min(c), b.max(c))),
    ]
}

async fn contents(store: &Store) -> BTreeMap<(u8, u8), Vec<u8>> {
    store.snapshot().scan(&ROWS, ROWS.all()).collect().await.unwrap().into_iter().collect()
}

fn run<F: Future<Output = ()>>(test: F) {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(test);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn behaves_as_a_map(batches in prop::collection::vec(prop::collection::vec(step(), 0..8), 1..12)) {
        run(async move {
            for (store, _, _folder) in stores() {
                let mut model = BTreeMap::new();
                let mut past = Vec::new();
                for steps in &batches {
                    let mut batch = Batch::new();
                    for step in steps {
                        match step.clone() {
                            Step::Put(a, b, value) => {
                                batch.put(&ROWS, &(a, b), &value);
                                model.insert((a, b), value);
                            }
                            Step::Delete(a, b) => {
                                batch.delete(&ROWS, &(a, b));
                                model.remove(&(a, b));
                            }
                            Step::DeleteRange(a, from, to) => {
                                batch.delete_range(&ROWS, &ROWS.range((a, from)..(a, to)));
                                model.retain(|key, _| !(*key >= (a, from) && *key < (a, to)));
                            }
                        }
                    }
                    store.commit(batch).await.unwrap();
                    past.push((store.snapshot(), model.clone()));
                }
                let mut neighbour = Batch::new();
                neighbour.put(&NEIGHBOUR, &(0, 0), &vec![1]);
                store.commit(neighbour).await.unwrap();
                assert_eq!(contents(&store).await, model);
                for (snapshot, model) in past {
                    let forward = snapshot.scan(&ROWS, ROWS.all()).expecting(3).collect().await.unwrap();
                    assert_eq!(forward, model.clone().into_iter().collect::<Vec<_>>());
                    let mut backward = snapshot.scan(&ROWS, ROWS.all()).reverse().collect().await.unwrap();
                    backward.reverse();
                    assert_eq!(backward, forward);
                    for first in 0..6 {
                        let under = snapshot.scan(&ROWS, ROWS.under(&(first,))).collect().await.unwrap();
                        assert!(under.iter().all(|((a, _), _)| *a == first));
                        assert_eq!(under.len(), model.keys().filter(|(a, _)| *a == first).count());
                        let keys = [(first, 0), (first, 9), (first, 200)];
                        let many = snapshot.get_many(&ROWS, &keys).await.unwrap();
                        assert_eq!(many, keys.map(|key| model.get(&key).cloned()));
                    }
                    let within = snapshot.scan(&ROWS, ROWS.range((1, 10)..=(3, 100))).collect().await.unwrap();
                    let expected: Vec<_> = model.range((1, 10)..=(3, 100)).map(|(k, v)| (*k, v.clone())).collect();
                    assert_eq!(within, expected);
                }
            }
        });
    }
}

#[test]
fn positions_are_consecutive_and_come_with_their_snapshot() {
    run(async {
        for (store, seen, _folder) in stores() {
            let store = Arc::new(store);
            let before = store.snapshot().position();
            let writers = (0..40_u64).map(|n| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    let mut batch = Batch::new();
                    for _ in 0..=n % 3 {
                        let stamp = batch.stamp();
                        batch.put(&LOG, &stamp, &n.to_string());
                    }
                    batch.announce(Topic { kind: 1, subject: n, object: 0 });
                    let committed = store.commit(batch).await.unwrap();
                    assert!(store.snapshot().holds(committed.end));
                    committed
                })
            });
            let mut all = Vec::new();
            for writer in writers.collect::<Vec<_>>() {
                all.push(writer.await.unwrap());
            }
            all.sort_by_key(|committed| committed.first);
            let mut next = before.next();
            for committed in &all {
                assert_eq!(committed.first, next);
                next = committed.end.next();
            }
            let rows = store.snapshot().scan(&LOG, LOG.all()).collect().await.unwrap();
            let positions: Vec<_> = rows.iter().map(|(position, _)| position.get()).collect();
            assert_eq!(positions, (before.get() + 1..next.get()).collect::<Vec<_>>());
            let mut ends: Vec<_> = seen.0.lock().unwrap().iter().map(|news| news.position).collect();
            ends.sort();
            assert_eq!(ends, all.iter().map(|committed| committed.end).collect::<Vec<_>>());
        }
    });
}

#[test]
fn a_precondition_that_fails_fails_its_batch_alone() {
    run(async {
        for (store, _, _folder) in stores() {
            let store = Arc::new(store);
            let claims = (0..20_u8).map(|n| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    let mut batch = Batch::new();
                    batch.expect_absent(&ROWS, &(0, 0));
                    batch.put(&ROWS, &(0, 0), &vec![n]);
                    batch.put(&ROWS, &(1, n), &vec![n]);
                    store.commit(batch).await
                })
            });
            let mut won = 0;
            for claim in claims.collect::<Vec<_>>() {
                match claim.await.unwrap() {
                    Ok(_) => won += 1,
                    Err(Error::Conflict) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            assert_eq!(won, 1);
            assert_eq!(contents(&store).await.len(), 2);
            let mut swap = Batch::new();
            swap.expect_value(&ROWS, &(0, 0), &vec![99]);
            swap.delete(&ROWS, &(0, 0));
            assert!(matches!(store.commit(swap).await, Err(Error::Conflict)));
            assert_eq!(store.health(), Health::Ready);
        }
    });
}

#[test]
fn a_run_that_ends_before_it_begins_deletes_nothing() {
    run(async {
        for (store, _, _folder) in stores() {
            let mut batch = Batch::new();
            batch.put(&ROWS, &(1, 5), &vec![5]);
            batch.delete_range(&ROWS, &ROWS.range((1, 9)..(1, 2)));
            batch.delete_range(&ROWS, &ROWS.range((1, 5)..(1, 5)));
            store.commit(batch).await.unwrap();
            assert_eq!(contents(&store).await.len(), 1);
            assert_eq!(store.health(), Health::Ready);
            assert!(store.snapshot().scan(&ROWS, ROWS.range((1, 9)..(1, 2))).collect().await.unwrap().is_empty());
        }
    });
}

#[test]
fn a_store_keeps_its_rows_and_never_gives_a_position_twice() {
    run(async {
        let folder = TempDir::new().unwrap();
        let options = Options::rocks(folder.path().join("store"), 16 << 20);
        let mut epoch = None;
        let mut last = Position::ZERO;
        for round in 0..3_u64 {
            let store = Store::open(&options, Arc::new(Seen::default())).unwrap();
            assert_eq!(*epoch.get_or_insert(store.epoch()), store.epoch());
            let mut batch = Batch::new();
            let stamp = batch.stamp();
            batch.put(&LOG, &stamp, &round.to_string());
            let committed = store.commit(batch).await.unwrap();
            assert!(committed.first > last);
            last = committed.end;
            let rows = store.snapshot().scan(&LOG, LOG.all()).collect().await.unwrap();
            assert_eq!(rows.len() as u64, round + 1);
        }
    });
}

#[test]
fn a_look_at_one_row_of_a_large_file_takes_no_whole_filter_into_the_cache() {
    const IDS: Keyspace<u64, u64> = Keyspace::new(4, "ids", Family::Id);
    const ROWS: u64 = 150_000;
    run(async {
        let folder = TempDir::new().unwrap();
        let options = Options::rocks(folder.path().join("store"), 16 << 20);
        let store = Store::open(&options, nobody()).unwrap();
        for first in (0..ROWS).step_by(5_000) {
            let mut batch = Batch::new();
            (first..first + 5_000).for_each(|n| batch.put(&IDS, &n, &n));
            store.commit(batch).await.unwrap();
        }
        store.compact(Family::Id).unwrap();
        drop(store);
        let store = Store::open(&options, nobody()).unwrap();
        let before = store.usage().cache_bytes;
        assert_eq!(store.snapshot().get(&IDS, &(ROWS / 2)).await.unwrap(), Some(ROWS / 2));
        let taken = store.usage().cache_bytes - before;
        // Ten bits for each row.
        assert!(taken > 0 && taken < ROWS * 10 / 8 / 4, "{taken} bytes");
    });
}

#[test]
fn what_is_not_a_store_is_refused_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store");
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("letter.txt"), "dear all").unwrap();
    let opened = Store::open(&Options::rocks(path.clone(), 16 << 20), Arc::new(Seen::default()));
    assert!(matches!(opened, Err(Error::Refused(_))));
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), 1);
}

#[test]
fn a_half_made_store_is_made_anew() {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("store.building")).unwrap();
    std::fs::write(folder.path().join("store.building/CURRENT"), "remnant").unwrap();
    let store = Store::open(&Options::rocks(folder.path().join("store"), 16 << 20), Arc::new(Seen::default()));
    assert!(store.is_ok());
}

#[test]
fn a_store_that_lost_a_file_or_comes_from_a_later_version_is_refused() {
    run(async {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("store");
        let options = Options::rocks(path.clone(), 16 << 20);
        drop(Store::open(&options, Arc::new(Seen::default())).unwrap());
        let store = Store::open(&options, Arc::new(Seen::default())).unwrap();
        let mut later = Batch::new();
        later.put(&Keyspace::<u8, u64>::new(0, "meta", Family::Meta), &0, &2);
        store.commit(later).await.unwrap();
        drop(store);
        let refused = Store::open(&options, Arc::new(Seen::default())).unwrap_err();
        assert!(refused.to_string().contains("format 2"), "{refused}");
        for file in std::fs::read_dir(&path).unwrap() {
            let file = file.unwrap().path();
            if file.extension().is_some_and(|extension| extension == "sst") {
                std::fs::remove_file(file).unwrap();
            }
        }
        assert!(matches!(Store::open(&options, Arc::new(Seen::default())), Err(Error::Refused(_))));
    });
}

/// Every file of a folder, with its size and when it changed.
fn files(folder: &Path) -> BTreeMap<PathBuf, (u64, SystemTime)> {
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap());
    files
        .map(|file| (file.path(), (file.metadata().unwrap().len(), file.metadata().unwrap().modified().unwrap())))
        .collect()
}

#[test]
fn nothing_of_a_store_from_a_later_version_is_touched() {
    run(async {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("store");
        let options = Options::rocks(path.clone(), 16 << 20);
        let store = Store::open(&options, nobody()).unwrap();
        let mut later = Batch::new();
        later.put(&Keyspace::<u8, u64>::new(0, "meta", Family::Meta), &0, &2);
        store.commit(later).await.unwrap();
        drop(store);
        let refused = |options: &Options| {
            let before = files(&path);
            let refused = Store::open(options, nobody()).unwrap_err();
            assert!(refused.to_string().contains("format 2"), "{refused}");
            assert!(matches!(Store::renew(options), Err(Error::Refused(_))));
            assert_eq!(files(&path), before);
        };
        std::fs::write(path.join("FORMAT"), "2\n").unwrap();
        refused(&options);
        // A store from before there was such a file, or brought back by hand without it: its own row says it.
        std::fs::remove_file(path.join("FORMAT")).unwrap();
        refused(&options);
        std::fs::write(path.join("FORMAT"), "two").unwrap();
        assert!(matches!(Store::open(&options, nobody()), Err(Error::Refused(_))));
    });
}

#[test]
fn a_store_and_its_copies_say_their_format_beside_them() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store");
    let options = Options::rocks(path.clone(), 16 << 20);
    drop(Store::open(&options, nobody()).unwrap());
    assert_eq!(std::fs::read_to_string(path.join("FORMAT")).unwrap(), "1\n");
    std::fs::remove_file(path.join("FORMAT")).unwrap();
    let store = Store::open(&options, nobody()).unwrap();
    let copy = store.checkpoint().unwrap();
    for store in [path.as_path(), copy.folder()] {
        assert_eq!(std::fs::read_to_string(store.join("FORMAT")).unwrap(), "1\n");
    }
}

#[test]
fn what_fails_behind_the_writes_shows_without_a_write() {
    run(async {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("store");
        let store = Store::open(&Options::rocks(path.clone(), 16 << 20), nobody()).unwrap();
        let mut batch = Batch::new();
        batch.put(&ROWS, &(1, 1), &vec![1]);
        store.commit(batch).await.unwrap();
        assert_eq!(store.health(), Health::Ready);
        // Its rows cannot go to a file any more.
        std::fs::rename(&path, folder.path().join("elsewhere")).unwrap();
        store.compact(Family::Index).unwrap();
        assert_eq!(store.health(), Health::ReadOnly);
        assert_eq!(contents(&store).await.len(), 1, "reads go on");
    });
}

#[test]
fn a_copy_holds_what_was_there_and_is_another_store_when_renewed() {
    run(async {
        let folder = TempDir::new().unwrap();
        let options = Options::rocks(folder.path().join("store"), 16 << 20);
        let store = Store::open(&options, nobody()).unwrap();
        let write = async |text: &str| {
            let mut batch = Batch::new();
            let stamp = batch.stamp();
            batch.put(&LOG, &stamp, &text.to_owned());
            store.commit(batch).await.unwrap().end
        };
        write("before").await;
        let copy = store.checkpoint().unwrap();
        let last = write("after").await;
        let kept = folder.path().join("kept");
        std::fs::rename(copy.folder(), &kept).unwrap();
        drop(copy);

        let options = Options::rocks(kept, 16 << 20);
        Store::renew(&options).unwrap();
        let renewed = Store::open(&options, nobody()).unwrap();
        assert_ne!(renewed.epoch(), store.epoch());
        assert!(renewed.snapshot().position() > last);
        let rows = renewed.snapshot().scan(&LOG, LOG.all()).collect().await.unwrap();
        assert_eq!(rows.into_iter().map(|(_, text)| text).collect::<Vec<_>>(), ["before"]);
    });
}

#[test]
fn a_copy_goes_with_its_holder_and_with_the_next_one_or_the_next_start() {
    let folder = TempDir::new().unwrap();
    let options = Options::rocks(folder.path().join("store"), 16 << 20);
    let store = Store::open(&options, nobody()).unwrap();
    let left_by_a_crash = folder.path().join("store.copy");
    std::fs::create_dir(&left_by_a_crash).unwrap();
    let copy = store.checkpoint().unwrap();
    assert!(copy.folder().join("CURRENT").exists());
    assert!(store.checkpoint().is_err());
    assert!(copy.folder().join("CURRENT").exists());
    drop(copy);
    assert!(!left_by_a_crash.exists());
    std::fs::create_dir(&left_by_a_crash).unwrap();
    drop(store);
    drop(Store::open(&options, nobody()).unwrap());
    assert!(!left_by_a_crash.exists());
    assert!(Store::open(&Options::memory(), nobody()).unwrap().checkpoint().is_err());
}

#[test]
fn nothing_is_renewed_where_there_is_no_store() {
    let folder = TempDir::new().unwrap();
    let options = Options::rocks(folder.path().join("store"), 16 << 20);
    assert!(matches!(Store::renew(&options), Err(Error::Refused(_))));
    assert!(!folder.path().join("store").exists());
}

#[test]
fn a_damaged_file_is_found() {
    run(async {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("store");
        let store = Store::open(&Options::rocks(path.clone(), 16 << 20), nobody()).unwrap();
        let mut batch = Batch::new();
        for n in 0..200_u8 {
            batch.put(&ROWS, &(7, n), &vec![n; 100]);
        }
        store.commit(batch).await.unwrap();
        // A copy flushes what was in memory alone.
        drop(store.checkpoint().unwrap());
        store.check_files().unwrap();
        let files = std::fs::read_dir(&path).unwrap().map(|file| file.unwrap().path());
        let largest = files
            .filter(|file| file.extension().is_some_and(|extension| extension == "sst"))
            .max_by_key(|file| std::fs::metadata(file).unwrap().len())
            .unwrap();
        let mut bytes = std::fs::read(&largest).unwrap();
        bytes[100] ^= 1;
        std::fs::write(&largest, bytes).unwrap();
        assert!(matches!(store.check_files(), Err(Error::Engine(_))));
    });
}
