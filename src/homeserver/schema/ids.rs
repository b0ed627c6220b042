//! Names and their numbers.

use matron_storage::{Family, Keyspace, labels};

use super::{Digest, EventNum, RoomNum, StateKeyNum, TypeNum, UserNum};

labels! {
    /// What is numbered.
    pub enum Numbered {
        /// Rooms.
        Room = 1,
        /// Users.
        User = 2,
        /// Events.
        Event = 3,
        /// State keys.
        StateKey = 4,
        /// Event types.
        Type = 5,
        /// Devices.
        Device = 6,
    }
}

/// Numbers below this one may have been given.
pub const CEILINGS: Keyspace<Numbered, u64> = Keyspace::new(0x0101, "number ceilings", Family::Meta);
/// A room by its id.
pub const ROOM_NUMS: Keyspace<String, RoomNum> = Keyspace::new(0x0102, "room numbers", Family::Point);
/// A user by their id.
pub const USER_NUMS: Keyspace<String, UserNum> = Keyspace::new(0x0103, "user numbers", Family::Point);
/// A user's id.
pub const USER_IDS: Keyspace<UserNum, String> = Keyspace::new(0x0104, "user ids", Family::Point);
/// An event type by its name.
pub const TYPE_NUMS: Keyspace<String, TypeNum> = Keyspace::new(0x0105, "type numbers", Family::Point);
/// An event type's name.
pub const TYPES: Keyspace<TypeNum, String> = Keyspace::new(0x0106, "types", Family::Point);
/// A state key by type and key.
pub const STATE_KEY_NUMS: Keyspace<(TypeNum, String), StateKeyNum> =
    Keyspace::new(0x0107, "state key numbers", Family::Point);
/// A state key's type and key.
pub const STATE_KEYS: Keyspace<StateKeyNum, StateKeyName> = Keyspace::new(0x0108, "state keys", Family::Point);
/// An event by its id (the digest that the id encodes).
pub const EVENT_NUMS: Keyspace<Digest, EventNum> = Keyspace::new(0x0109, "event numbers", Family::Id);
/// The server's signing keys: by key version, in PKCS#8 DER form. The last one signs.
pub const SIGNING_KEYS: Keyspace<String, Vec<u8>> = Keyspace::new(0x010a, "signing keys", Family::Meta);
/// The name of the server that the store belongs to.
pub const SERVER_NAME: Keyspace<(), String> = Keyspace::new(0x010b, "server name", Family::Meta);

matron_storage::record! {
    /// A state key spelled out.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct StateKeyName {
        /// The event type.
        pub kind: TypeNum,
        /// The state key.
        pub key: String,
    }
}
