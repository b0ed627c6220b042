//! The tree against a plain map: every state ever made, every difference between them.

use std::collections::BTreeMap;
use std::sync::Arc;

use matron_storage::{Batch, News, Observer, Options, Position, Store};
use proptest::prelude::*;

use super::{Change, EMPTY, Editor, NodeCache, Reader, diff};
use crate::schema::{EventNum, RoomNum, StateKeyNum};

struct Deaf;

impl Observer for Deaf {
    fn committing(&self, _: &[News]) {}
    fn committed(&self, _: &[News], _: Position) {}
}

type Model = BTreeMap<StateKeyNum, EventNum>;

fn expected_diff(old: &Model, new: &Model) -> Vec<Change> {
    let keys: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).copied().collect();
    keys.into_iter()
        .map(|key| Change { key, old: old.get(&key).copied(), new: new.get(&key).copied() })
        .filter(|change| change.old != change.new)
        .collect()
}

async fn check(steps: Vec<(u64, Option<u64>)>, commit_every: usize, keys: u64) {
    let store = Store::open(&Options::memory(), Arc::new(Deaf)).unwrap();
    let room = RoomNum(1);
    let fresh_reader = || Reader::new(store.snapshot(), Arc::new(NodeCache::new(4_000)), room);
    let mut editor = Editor::new(fresh_reader(), 0);
    let mut states: Vec<(u32, Model)> = vec![(EMPTY, Model::new())];
    let mut kept = Vec::new();
    for (nth, (key, event)) in steps.into_iter().enumerate() {
        let key = StateKeyNum(key % keys);
        let (root, mut model) = states.last().unwrap().clone();
        let root = match event {
            Some(event) => {
                model.insert(key, EventNum(event));
                editor.set(root, key, EventNum(event)).await.unwrap()
            }
            None => {
                model.remove(&key);
                editor.remove(root, key).await.unwrap()
            }
        };
        kept.push(root);
        states.push((root, model));
        if nth % commit_every == 0 {
            let mut batch = Batch::new();
            editor.write(&mut batch, &kept);
            store.commit(batch).await.unwrap();
            editor.committed();
            editor.see(store.snapshot());
            kept.clear();
            assert!(Editor::last_number(&store.snapshot(), room).await.unwrap() <= editor.last());
        }
    }
    let mut batch = Batch::new();
    editor.write(&mut batch, &kept);
    store.commit(batch).await.unwrap();

    let reader = fresh_reader();
    for (nth, (root, model)) in states.iter().enumerate() {
        let entries: Model = reader.entries(*root).await.unwrap().into_iter().collect();
        assert_eq!(entries, *model);
        for key in (0..keys).step_by(7).map(StateKeyNum) {
            assert_eq!(reader.get(*root, key).await.unwrap(), model.get(&key).copied());
        }
        for (other, other_model) in [&states[0], &states[nth / 2], states.last().unwrap()] {
            let found = diff(&reader, *other, *root).await.unwrap();
            assert_eq!(found, expected_diff(other_model, model));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn behaves_as_a_map(
        steps in prop::collection::vec((any::<u64>(), prop::option::weighted(0.85, 0_u64..1000)), 1..400),
        commit_every in 1_usize..50,
        keys in prop::sample::select(vec![5_u64, 60, 300, 5000]),
    ) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(check(steps, commit_every, keys));
    }
}

#[tokio::test]
async fn a_large_state_costs_a_few_nodes_a_change() {
    let store = Store::open(&Options::memory(), Arc::new(Deaf)).unwrap();
    let reader = Reader::new(store.snapshot(), Arc::new(NodeCache::new(10_000_000)), RoomNum(1));
    let mut editor = Editor::new(reader, 0);
    let mut root = EMPTY;
    for key in 0..20_000 {
        root = editor.set(root, StateKeyNum(key), EventNum(key)).await.unwrap();
    }
    let before = editor.last();
    let same = editor.set(root, StateKeyNum(77), EventNum(77)).await.unwrap();
    assert_eq!(same, root);
    editor.set(root, StateKeyNum(77), EventNum(1)).await.unwrap();
    assert!(editor.last() - before <= 5, "{} nodes", editor.last() - before);
}
