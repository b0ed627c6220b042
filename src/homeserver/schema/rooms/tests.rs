//! An arrival is read in values that wait for their position, and in keys that have one.

use matron_storage::{Batch, Encoder, Field, Key, Position, Reader, Written};

use super::{Arrival, PLACES, Place};
use crate::schema::{EventNum, RoomNum};

const PENDING: [u8; 9] = [1, 0x80, 0, 0, 0, 0, 0, 0, 0];

#[test]
fn a_place_is_read_from_its_batch_before_its_position_is_given() {
    let mut batch = Batch::new();
    let place = Place { room: RoomNum(1), arrival: Some(Arrival::Live(batch.stamp())) };
    batch.put(&PLACES, &EventNum(2), &place);
    let read = Place { arrival: Some(Arrival::Live(Position::MAX)), ..place };
    assert_eq!(batch.written(&PLACES, &EventNum(2)).unwrap(), Written::Value(read));
}

#[test]
fn a_field_has_the_bytes_of_a_key() {
    for arrival in [Arrival::Backfilled(-7), Arrival::Live(Position::new(7)), Arrival::Live(Position::MAX)] {
        let (mut field, mut key) = (Encoder::default(), Encoder::default());
        arrival.put(&mut field);
        arrival.encode(&mut key);
        assert_eq!(field.bytes(), key.bytes());
        assert_eq!(Arrival::get(&mut Reader::new(field.bytes())), Ok(arrival));
        assert_eq!(Arrival::decode(&mut Reader::new(key.bytes())), Ok(arrival));
    }
}

#[test]
fn no_key_waits_for_its_position() {
    assert_eq!(Arrival::get(&mut Reader::new(&PENDING)), Ok(Arrival::Live(Position::MAX)));
    assert!(Arrival::decode(&mut Reader::new(&PENDING)).is_err());
    for nothing in [&[2, 0, 0, 0, 0, 0, 0, 0, 1][..], &[1, 0], &[]] {
        assert!(Arrival::get(&mut Reader::new(nothing)).is_err());
        assert!(Arrival::decode(&mut Reader::new(nothing)).is_err());
    }
}
