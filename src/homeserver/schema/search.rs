//! Search: which words are in which events.

use matron_storage::{Family, Keyspace, Word};

use super::RoomNum;

/// Words of events that can be searched, by room. Within a word the newest event comes first: the number is `u64::MAX` less
/// its position.
pub const POSTINGS: Keyspace<(RoomNum, Word, u64), ()> = Keyspace::new(0x0706, "postings", Family::Words);

/// Where these rows lay once, beside all others.
pub const FORMER_POSTINGS: Keyspace<(RoomNum, Word, u64), ()> = Keyspace::new(0x0704, "former postings", Family::Index);
