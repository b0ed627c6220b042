//! What is on disk: any bytes are read or refused, what was read is written as it was, and keys sort as their values do.
#![no_main]

use libfuzzer_sys::fuzz_target;
use matron_homeserver::schema::{accounts, devices, ephemeral, ids, rooms};
use matron_storage::{Encoder, Key, Keyspace, Reader, Value};

fn key_bytes(key: &impl Key) -> Vec<u8> {
    let mut out = Encoder::default();
    key.encode(&mut out);
    out.bytes().to_vec()
}

fn value_bytes(value: &impl Value) -> Vec<u8> {
    let mut out = Encoder::default();
    value.encode(&mut out);
    out.bytes().to_vec()
}

fn key<K: Key>(bytes: &[u8]) -> Option<K> {
    let mut reader = Reader::new(bytes);
    let key = K::decode(&mut reader).ok()?;
    let read = &bytes[..bytes.len() - reader.rest().len()];
    assert_eq!(key_bytes(&key), read, "a key has one form");
    Some(key)
}

fn rows<K: Key + Ord, V: Value>(_: &Keyspace<K, V>, bytes: &[u8], others: &[u8]) {
    if let (Some(a), Some(b)) = (key::<K>(bytes), key::<K>(others)) {
        assert_eq!(key_bytes(&a).cmp(&key_bytes(&b)), a.cmp(&b), "keys sort as their values");
    }
    if let Ok(value) = V::decode(bytes) {
        let written = value_bytes(&value);
        let again = V::decode(&written).expect("what was written is read");
        assert_eq!(value_bytes(&again), written);
    }
}

macro_rules! every {
    ($at:expr, $bytes:expr, $others:expr; $($space:expr,)*) => {{
        let all: &[&dyn Fn(&[u8], &[u8])] = &[$(&|bytes, others| rows(&$space, bytes, others)),*];
        all[usize::from($at) % all.len()]($bytes, $others);
    }};
}

fuzz_target!(|input: (u8, &[u8], &[u8])| {
    let (at, others, bytes) = input;
    every!(at, bytes, others;
        ids::CEILINGS, ids::ROOM_NUMS, ids::TYPES, ids::STATE_KEY_NUMS, ids::STATE_KEYS, ids::EVENT_NUMS,
        ids::SIGNING_KEYS, ids::SERVER_NAME, rooms::ROOMS, rooms::HEADS, rooms::TIMELINE, rooms::OUTLIERS, rooms::PLACES,
        rooms::ROOM_ORDER, rooms::EDGES, rooms::GAPS, rooms::STREAM, rooms::TREE, rooms::STATES, rooms::MEMBERS,
        rooms::USER_ROOMS, rooms::RELATIONS, rooms::THREADS, rooms::THREAD_ORDER, rooms::THREAD_COUNTS, rooms::MARKS,
        rooms::VOIDED, rooms::EARLY_REDACTIONS, rooms::TRANSACTIONS, rooms::ALIASES, rooms::ROOM_ALIASES, rooms::PUBLIC,
        rooms::SPOKEN, rooms::SERVERS, accounts::ACCOUNTS, accounts::PROFILES, accounts::TOKENS, accounts::DEVICE_TOKENS,
        accounts::ACCOUNT_DATA, accounts::USER_STREAM, accounts::FILTERS, accounts::IGNORED_BY, devices::DEVICES,
        devices::LAST_SEEN, devices::USER_KEYS, devices::FOREIGN_SIGNATURES, devices::ONE_TIME_KEYS,
        devices::CLAIM_HEADS, devices::DEVICE_LISTS, devices::TO_DEVICE, devices::BACKUPS, devices::BACKUP_KEYS,
        devices::SIGNATURE_CHANGES, ephemeral::RECEIPTS, ephemeral::RECEIPT_STREAM,
    );
});
