//! Keys sort as their values do, and everything reads back as it was written.

use proptest::prelude::*;

use super::{Encoder, Field, Key, Reader, Value};
use crate::Position;

fn key_bytes(key: &impl Key) -> Vec<u8> {
    let mut out = Encoder::default();
    key.encode(&mut out);
    out.into_bytes()
}

crate::record! {
    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Sample {
        number: u64,
        signed: i64,
        text: String,
        list: Vec<(u32, Option<String>)>,
        yes: bool,
        place: Position,
    }
}

prop_compose! {
    fn sample()(number: u64, signed: i64, text: String, list: Vec<(u32, Option<String>)>, yes: bool, place in 0_u64..1 << 62) -> Sample {
        Sample { number, signed, text, list, yes, place: Position::new(place) }
    }
}

proptest! {
    #[test]
    fn keys_sort_as_their_values(a: (u64, i64, String), b: (u64, i64, String)) {
        prop_assert_eq!(key_bytes(&a).cmp(&key_bytes(&b)), a.cmp(&b));
    }

    #[test]
    fn keys_read_back(key: (u8, u16, u32, i64, Vec<u8>)) {
        let bytes = key_bytes(&key);
        let mut reader = Reader::new(&bytes);
        prop_assert_eq!(<(u8, u16, u32, i64, Vec<u8>)>::decode(&mut reader), Ok(key));
        prop_assert!(reader.is_empty());
    }

    #[test]
    fn records_read_back(sample in sample()) {
        let mut out = Encoder::default();
        Value::encode(&sample, &mut out);
        prop_assert_eq!(<Sample as Value>::decode(out.bytes()), Ok(sample));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let _ = <Sample as Value>::decode(&bytes);
        let _ = Vec::<String>::get(&mut Reader::new(&bytes));
    }
}

#[test]
fn pending_positions_are_filled_in_order() {
    let mut out = Encoder::default();
    out.push(b"x");
    out.push_position(Position::pending(1));
    out.push_position(Position::new(7));
    out.push_position(Position::pending(0));
    out.fill(Position::new(100));
    let mut reader = Reader::new(&out.bytes()[1..]);
    let read: Vec<_> = (0..3).map(|_| <Position as Key>::decode(&mut reader).unwrap().get()).collect();
    assert_eq!(read, [101, 7, 100]);
}

#[test]
fn a_position_that_is_not_given_is_in_a_value_but_in_no_key() {
    for number in [1 << 63, u64::MAX, 0xff01_0025_0100_2425] {
        let bytes = u64::to_be_bytes(number);
        assert!(<Position as Key>::decode(&mut Reader::new(&bytes)).is_err());
        assert!(<(Position, String)>::decode(&mut Reader::new(&bytes)).is_err());
        assert_eq!(<Position as Field>::get(&mut Reader::new(&bytes)), Ok(Position::MAX));
        assert_eq!(<Position as Value>::decode(&bytes), Ok(Position::MAX));
    }
    for position in [Position::ZERO, Position::new(7), Position::MAX] {
        let bytes = key_bytes(&position);
        assert_eq!(<Position as Key>::decode(&mut Reader::new(&bytes)), Ok(position));
        assert_eq!(<Position as Value>::decode(&bytes), Ok(position));
    }
}
