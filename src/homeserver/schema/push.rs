//! Push: who wants to be told of what where, how far that has been seen to, and what waits.

use matron_storage::{Family, Keyspace, Position, labels};

use super::{DeviceNum, RoomNum, UserNum};

/// What names a pusher among its user's: the first half of the digest of its app id and its pushkey.
pub type PusherKey = [u8; 16];

labels! {
    /// By what a pusher tells.
    pub enum PusherKind {
        /// Calls of a push gateway.
        Http = 1,
        /// E-mails.
        Email = 2,
    }
}

matron_storage::record! {
    /// A pusher, as its client set it.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Pusher {
        /// The app's id, in the style of a reversed domain.
        pub app_id: String,
        /// Where the app is to be found, in the words of its push provider; the address of an e-mail pusher.
        pub pushkey: String,
        /// By what it tells.
        pub kind: PusherKind,
        /// The app's name for people.
        pub app_display_name: String,
        /// The device's name for people.
        pub device_display_name: String,
        /// Which set of rules it follows, by the client's own choice.
        pub profile_tag: Option<String>,
        /// The language, such as `en`.
        pub lang: String,
        /// `data`, as a JSON object.
        pub data: String,
        /// Whether it tells at all (MSC3881).
        pub enabled: bool,
        /// The device that set it: it goes with it.
        pub device: DeviceNum,
        /// That device's id.
        pub device_id: String,
        /// When it was last set, in milliseconds since 1970.
        pub set: u64,
    }
}

matron_storage::record! {
    /// A push that a pusher could not be given yet.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Waiting {
        /// The room of the event.
        pub room: RoomNum,
        /// Since when it waits, in milliseconds since 1970.
        pub since: u64,
        /// The actions of the rule that it came by, as a JSON list.
        pub actions: String,
    }
}

/// A user's pushers.
pub const PUSHERS: Keyspace<(UserNum, PusherKey), Pusher> = Keyspace::new(0x0801, "pushers", Family::Point);
/// Who has a pusher of an app id and pushkey.
pub const PUSHER_OWNERS: Keyspace<(PusherKey, UserNum), ()> = Keyspace::new(0x0802, "pusher owners", Family::Index);
/// How often a user's pushers were set. Who sets one changes it and who deletes a device's expects it unchanged, so that
/// no pusher outlives its device.
pub const PUSHER_ROUNDS: Keyspace<UserNum, u64> = Keyspace::new(0x0803, "pusher rounds", Family::Point);
/// Where push's position was before it stood among the followers': a store of that time begins there.
pub const PUSHED: Keyspace<(), Position> = Keyspace::new(0x0804, "pushed", Family::Current);
/// What signs the links in letters about unread messages.
pub const MAIL_SECRET: Keyspace<(), Vec<u8>> = Keyspace::new(0x0806, "mail secret", Family::Point);
/// Pushes that wait for their pusher, by the place of their event. Those of a healthy gateway are never here.
pub const WAITING: Keyspace<(UserNum, PusherKey, Position), Waiting> =
    Keyspace::new(0x0805, "waiting pushes", Family::Queue);
