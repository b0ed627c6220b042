//! Relations: what leads from an event to those that refer to it, and what is shown with it.

use matron_storage::{Family, Keyspace};

use super::rooms::Arrival;
use super::{Digest, EventNum, RoomNum, UserNum};

matron_storage::record! {
    /// An event that relates to another one.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Relation {
        /// The event that relates.
        pub event: EventNum,
        /// How: `m.annotation`, `m.replace`, `m.thread`, `m.reference`, …
        pub rel_type: String,
        /// The relating event's type.
        pub kind: String,
        /// The relating event's sender.
        pub sender: UserNum,
        /// The annotation's key, if it is one.
        pub key: Option<String>,
        /// When its server says it was sent, in milliseconds since 1970, if it is a valid replacement.
        pub replaces: Option<u64>,
    }
}

matron_storage::record! {
    /// What of an event's relations is shown with it, so far as it is the same for every reader.
    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    pub struct Aggregate {
        /// Its latest valid replacement, and when that one's server says it was sent.
        pub replacement: Option<(EventNum, u64)>,
        /// How many events refer to it (`m.reference`).
        pub references: u64,
        /// Whether it is the root of a thread.
        pub thread: bool,
    }
}

// 0x020e held relations by arrival alone.

/// Events that relate to an event (by its id's digest), in room order.
pub const RELATIONS: Keyspace<(RoomNum, Digest, u64, Arrival), Relation> =
    Keyspace::new(0x0240, "relations", Family::Index);
/// Events that relate to what relates to an event (a reaction to a reply: to the thread's root), in room order.
pub const INDIRECT: Keyspace<(RoomNum, Digest, u64, Arrival), Relation> =
    Keyspace::new(0x0241, "indirect relations", Family::Index);
/// What is shown with an event. Most have no row.
pub const AGGREGATES: Keyspace<(RoomNum, Digest), Aggregate> = Keyspace::new(0x0242, "aggregates", Family::Point);
/// How many events of a thread a user sent, the root apart.
pub const SPEAKERS: Keyspace<(RoomNum, EventNum, UserNum), u64> =
    Keyspace::new(0x0243, "speakers of a thread", Family::Point);
/// A user's annotation of an event, by the digest of its type and key: none is made twice.
pub const ANNOTATIONS: Keyspace<(RoomNum, Digest, UserNum, Digest), EventNum> =
    Keyspace::new(0x0244, "annotations", Family::Point);
/// Valid replacements of an event, by when their servers say they were sent, in milliseconds since 1970.
pub const REPLACEMENTS: Keyspace<(RoomNum, Digest, u64, EventNum), ()> =
    Keyspace::new(0x0247, "replacements", Family::Index);
