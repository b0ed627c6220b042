//! Finding rooms and people: the published list, the words of names, who is in rooms that everybody may enter.

use matron_storage::{Family, Keyspace, Position, Word};

use super::{EventNum, RoomNum, UserNum};

matron_storage::record! {
    /// What is told of a room to those who are not in it.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Summary {
        /// The room id.
        pub room_id: String,
        /// The room version.
        pub version: String,
        /// How many users are joined.
        pub joined: u64,
        /// `m.room.name`
        pub name: Option<String>,
        /// `m.room.topic`
        pub topic: Option<String>,
        /// The alias of `m.room.canonical_alias`.
        pub canonical_alias: Option<String>,
        /// `m.room.avatar`
        pub avatar_url: Option<String>,
        /// The type of its create event: `m.space`, say.
        pub room_type: Option<String>,
        /// `m.room.join_rules`
        pub join_rule: String,
        /// The rooms whose members may join, where the rule is a restricted one.
        pub allowed: Vec<String>,
        /// Whether guests may join.
        pub guest_can_join: bool,
        /// Whether everybody may read it.
        pub world_readable: bool,
        /// The algorithm of `m.room.encryption`.
        pub encryption: Option<String>,
    }
}

/// Rooms in the published list, with what it tells of them.
pub const LISTED: Keyspace<RoomNum, Summary> = Keyspace::new(0x0238, "listed rooms", Family::Point);
/// The published list in its order: the rooms with most members first (`u64::MAX` less their number).
pub const LIST_ORDER: Keyspace<(u64, RoomNum), ()> = Keyspace::new(0x0239, "list order", Family::Index);
/// The `m.space.child` events of a space, by the child's room id; also those that name no way to it any more.
pub const SPACE_CHILDREN: Keyspace<(RoomNum, String), EventNum> =
    Keyspace::new(0x023a, "space children", Family::Index);

/// The words of local users' names and user ids, folded, and whose they are.
pub const NAME_WORDS: Keyspace<(Word, UserNum), ()> = Keyspace::new(0x0318, "name words", Family::Index);
/// How far each follower has come, by its name.
pub const FOLLOWED: Keyspace<String, Position> = Keyspace::new(0x0701, "followers", Family::Current);
/// Rooms that everybody may join or read, as far as the user directory has come.
pub const OPEN_ROOMS: Keyspace<RoomNum, ()> = Keyspace::new(0x0702, "open rooms", Family::Point);
/// Which of those a user is joined to.
pub const OPEN_MEMBERS: Keyspace<(UserNum, RoomNum), ()> = Keyspace::new(0x0703, "open rooms' members", Family::Index);
