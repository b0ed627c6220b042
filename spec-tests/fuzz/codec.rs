//! What is on disk: any bytes are read or refused, what was read is written as it was, and keys sort as their values do.
#![no_main]

use libfuzzer_sys::fuzz_target;
use matron_homeserver::schema::{
    accounts, devices, directory, ephemeral, ids, media, push, relations, reports, rooms, search,
};
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
        accounts::ACCOUNTS, accounts::ACCOUNT_DATA, accounts::DEVICE_TOKENS, accounts::EMAILS,
        accounts::EMAIL_OWNERS, accounts::ERASED, accounts::FILTERS, accounts::IGNORED_BY,
        accounts::NEWEST_DEVICE, accounts::OPENID_ENDS, accounts::OPENID_TOKENS, accounts::PROFILES,
        accounts::RATE_LIMIT_OVERRIDES, accounts::RENAMED, accounts::SPECIAL_RULES,
        accounts::SPECIAL_RULES_VERSION, accounts::TOKENS, accounts::TOKEN_ROUNDS, accounts::USER_STREAM,
        accounts::VALIDATIONS, accounts::VALIDATION_ENDS, accounts::VALIDATION_OF, devices::BACKUPS,
        devices::BACKUP_KEYS, devices::CLAIM_HEADS, devices::DEHYDRATED, devices::DEVICES,
        devices::DEVICE_LISTS, devices::DEVICE_LIST_OF, devices::FOREIGN_SIGNATURES, devices::LAST_SEEN,
        devices::ONE_TIME_KEYS, devices::SIGNATURE_CHANGES, devices::TO_DEVICE, devices::TO_DEVICE_SWEPT, devices::USER_KEYS,
        directory::FOLLOWED, directory::LISTED, directory::LIST_ORDER, directory::NAME_WORDS,
        directory::OPEN_MEMBERS, directory::OPEN_ROOMS, directory::SPACE_CHILDREN, ephemeral::RECEIPTS,
        ephemeral::RECEIPT_STREAM, ids::CEILINGS, ids::EVENT_NUMS, ids::ROOM_NUMS, ids::SERVER_NAME,
        ids::SIGNING_KEYS, ids::STATE_KEYS, ids::STATE_KEY_NUMS, ids::TYPES, ids::TYPE_NUMS, ids::USER_IDS,
        ids::USER_NUMS, media::AWAITED, media::FILE_MEDIA, media::MEDIA, media::MEDIA_EXPIRY, media::PREVIEWS,
        media::PREVIEW_EXPIRY, media::THUMBNAILS, media::USAGE, media::USER_MEDIA, push::MAIL_SECRET,
        push::PUSHED, push::PUSHERS, push::PUSHER_OWNERS, push::PUSHER_ROUNDS, push::WAITING,
        relations::AGGREGATES, relations::ANNOTATIONS, relations::INDIRECT, relations::RELATIONS,
        relations::REPLACEMENTS, relations::SPEAKERS, reports::REPORTS, rooms::ALIASES, rooms::EARLY_REDACTIONS, rooms::EDGES,
        rooms::EVENT_TIMES, rooms::GAPS, rooms::GUESTS_LEAVING, rooms::HEADS, rooms::MARKS, rooms::MEMBERS, rooms::MISSING,
        rooms::MOVING, rooms::NOTICE_ROOMS, rooms::OUTLIERS, rooms::PLACES, rooms::REDACTED, rooms::ROOMS,
        rooms::ROOM_ALIASES, rooms::ROOM_ORDER, rooms::SERVERS, rooms::SPOKEN, rooms::STATES, rooms::STREAM,
        rooms::THREADS, rooms::THREAD_COUNTS, rooms::THREAD_MOVES, rooms::THREAD_ORDER, rooms::TIMELINE,
        rooms::TRANSACTIONS, rooms::TRANSACTIONS_SWEPT, rooms::TREE, rooms::USER_ROOMS, rooms::VOIDED,
        search::POSTINGS,
    );
});
