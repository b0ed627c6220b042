//! A batch knows what it will have done to a row.

use super::{Batch, FEW_TOPICS, Written};
use crate::{Family, Keyspace, Position, Topic};

const ROWS: Keyspace<(u64, u64), String> = Keyspace::new(7, "rows", Family::Point);
const OTHERS: Keyspace<(u64, u64), String> = Keyspace::new(7, "others", Family::Index);
const PLACES: Keyspace<u64, Position> = Keyspace::new(8, "places", Family::Point);

#[test]
fn the_last_write_of_a_row_counts() {
    let mut batch = Batch::new();
    assert_eq!(batch.written(&ROWS, &(1, 1)).unwrap(), Written::Nothing);
    batch.put(&ROWS, &(1, 1), &"a".to_owned());
    batch.put(&ROWS, &(1, 1), &"b".to_owned());
    batch.put(&ROWS, &(1, 2), &"c".to_owned());
    assert_eq!(batch.written(&ROWS, &(1, 1)).unwrap(), Written::Value("b".to_owned()));
    assert_eq!(batch.written(&OTHERS, &(1, 1)).unwrap(), Written::Nothing);
    batch.delete(&ROWS, &(1, 1));
    assert_eq!(batch.written(&ROWS, &(1, 1)).unwrap(), Written::Deleted);
    batch.delete_range(&ROWS, &ROWS.under(&(1,)));
    assert_eq!(batch.written(&ROWS, &(1, 2)).unwrap(), Written::Deleted);
    assert_eq!(batch.written(&ROWS, &(2, 0)).unwrap(), Written::Nothing);
    batch.put(&ROWS, &(1, 2), &"d".to_owned());
    assert_eq!(batch.written(&ROWS, &(1, 2)).unwrap(), Written::Value("d".to_owned()));
}

#[test]
fn positions_that_are_not_given_yet_are_after_all_others() {
    let mut batch = Batch::new();
    let stamp = batch.stamp();
    batch.put(&PLACES, &1, &stamp);
    assert_eq!(batch.written(&PLACES, &1).unwrap(), Written::Value(Position::MAX));
}

#[test]
fn each_topic_is_told_once_however_many_there_are() {
    let topics: Vec<_> = (0..4 * FEW_TOPICS as u64).map(|subject| Topic { kind: 1, subject, object: 0 }).collect();
    for many in [FEW_TOPICS - 1, FEW_TOPICS, FEW_TOPICS + 1, topics.len()] {
        let mut batch = Batch::new();
        for topic in topics[..many].iter().chain(&topics[..many]) {
            batch.announce(*topic);
            batch.announce(topics[0]);
        }
        assert_eq!(batch.topics(), &topics[..many]);
    }
}
