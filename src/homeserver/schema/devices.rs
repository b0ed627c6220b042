//! Devices: their keys, what waits for them, and backups of the keys to old messages.

use matron_storage::{Family, Keyspace, Position};

use super::{DeviceNum, UserNum};

matron_storage::record! {
    /// A device of a local user.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Device {
        /// Its number.
        pub num: DeviceNum,
        /// The name that its user gave it.
        pub display_name: Option<String>,
        /// When it was made, in milliseconds since 1970.
        pub created: u64,
    }
}

matron_storage::record! {
    /// When and from where a device was last seen.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct LastSeen {
        /// In milliseconds since 1970.
        pub at: u64,
        /// The client's address.
        pub ip: String,
        /// The client's user agent.
        pub agent: String,
    }
}

matron_storage::record! {
    /// A device's identity keys, as JSON, its signatures by others apart.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct DeviceKeys {
        /// The device id.
        pub device_id: String,
        /// The `DeviceKeys` object as uploaded, with signatures added since.
        pub json: String,
    }
}

matron_storage::record! {
    /// All public keys of a user: one row, since they are asked for together.
    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    pub struct UserKeys {
        /// The devices' keys.
        pub devices: Vec<DeviceKeys>,
        /// The master cross-signing key.
        pub master: Option<String>,
        /// The self-signing key.
        pub self_signing: Option<String>,
        /// The user-signing key; shown to its owner alone.
        pub user_signing: Option<String>,
    }
}

matron_storage::record! {
    /// A signature that one user made on another's master key; shown to the signer alone.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct ForeignSignature {
        /// The master key that was signed: on another one the signature would be wrong.
        pub master: String,
        /// The key id and its signature, as a JSON object.
        pub signatures: String,
        /// Where the signer's stream of signatures tells of it.
        pub position: Position,
    }
}

matron_storage::record! {
    /// A key that can be handed out.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct OneTimeKey {
        /// Its id, algorithm included.
        pub id: String,
        /// The key object.
        pub json: String,
    }
}

matron_storage::record! {
    /// A device's keys of one algorithm, counted, so that a claim walks over nothing. Its index among the device's queues
    /// names its rows, so queues are never removed or moved.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct KeyQueue {
        /// The algorithm.
        pub algorithm: String,
        /// The next key to hand out.
        pub next: u64,
        /// Where the next upload goes.
        pub end: u64,
    }
}

matron_storage::record! {
    /// A key that is handed out when no one-time key is left, again and again.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct FallbackKey {
        /// The key.
        pub key: OneTimeKey,
        /// Whether it was handed out.
        pub used: bool,
    }
}

matron_storage::record! {
    /// All of a device's keys for claims.
    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    pub struct ClaimHead {
        /// One-time keys, per algorithm.
        pub queues: Vec<KeyQueue>,
        /// Fallback keys, at most one per algorithm.
        pub fallback: Vec<FallbackKey>,
    }
}

matron_storage::record! {
    /// A backup of room keys.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Backup {
        /// The algorithm.
        pub algorithm: String,
        /// The algorithm's data, as JSON.
        pub auth_data: String,
        /// Changes with every change.
        pub etag: u64,
        /// How many keys it holds.
        pub count: u64,
        /// Whether it was deleted (its version is never given again).
        pub deleted: bool,
    }
}

matron_storage::record! {
    /// A session's key in a backup.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct BackupKey {
        /// The room id.
        pub room: String,
        /// The `KeyBackupData` object.
        pub json: String,
    }
}

matron_storage::record! {
    /// A device that nobody is logged in on.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Dehydrated {
        /// Its id.
        pub device_id: String,
        /// Its number.
        pub device: DeviceNum,
        /// What only its user can read, as a JSON object.
        pub data: String,
    }
}

matron_storage::record! {
    /// How far the walk over messages came that nobody takes.
    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    pub struct ToDeviceSwept {
        /// When the walk began, in milliseconds since 1970.
        pub begun: u64,
        /// The last device that it looked at; none where it came to the end.
        pub last: Option<DeviceNum>,
        /// When each of the last walks began, and how far the store had come then; the oldest first.
        pub days: Vec<(u64, Position)>,
    }
}

/// A user's devices.
pub const DEVICES: Keyspace<(UserNum, String), Device> = Keyspace::new(0x0401, "devices", Family::Point);
/// When a device was last seen. Not synced.
pub const LAST_SEEN: Keyspace<DeviceNum, LastSeen> = Keyspace::new(0x0402, "last seen", Family::Current);
/// A user's public keys.
pub const USER_KEYS: Keyspace<UserNum, UserKeys> = Keyspace::new(0x0403, "user keys", Family::Point);
/// Signatures on another user's master key: signer, then signed.
pub const FOREIGN_SIGNATURES: Keyspace<(UserNum, UserNum), ForeignSignature> =
    Keyspace::new(0x0404, "foreign signatures", Family::Point);
/// One-time keys: device, which of its queues, place in the order of upload. The latest that were handed out stay for a
/// while, so that a repeated upload does not bring them back.
pub const ONE_TIME_KEYS: Keyspace<(DeviceNum, u8, u64), OneTimeKey> =
    Keyspace::new(0x0405, "one-time keys", Family::Queue);
/// What a claim reads first.
pub const CLAIM_HEADS: Keyspace<DeviceNum, ClaimHead> = Keyspace::new(0x0406, "claim heads", Family::Point);
/// Whose keys or devices changed, in order.
pub const DEVICE_LISTS: Keyspace<Position, UserNum> = Keyspace::new(0x0407, "device lists", Family::Index);
/// When a user's keys or devices last changed.
pub const DEVICE_LIST_OF: Keyspace<UserNum, Position> = Keyspace::new(0x0408, "device list of", Family::Current);
/// Messages that wait for a device, in order, as JSON.
pub const TO_DEVICE: Keyspace<(DeviceNum, Position), String> = Keyspace::new(0x0409, "to-device", Family::Queue);
/// Backups by their version.
pub const BACKUPS: Keyspace<(UserNum, u64), Backup> = Keyspace::new(0x040a, "backups", Family::Point);
/// Keys in a backup, by the digest of the room id and the session id.
pub const BACKUP_KEYS: Keyspace<(UserNum, u64, [u8; 16], String), BackupKey> =
    Keyspace::new(0x040b, "backup keys", Family::Point);
/// Whose master key a user signed, in order; each signed user once. For that signer's own devices.
pub const SIGNATURE_CHANGES: Keyspace<(UserNum, Position), UserNum> =
    Keyspace::new(0x040c, "signature changes", Family::Index);
/// Users' dehydrated devices.
pub const DEHYDRATED: Keyspace<UserNum, Dehydrated> = Keyspace::new(0x0410, "dehydrated devices", Family::Point);
/// How far the walk over messages came that nobody takes.
pub const TO_DEVICE_SWEPT: Keyspace<(), ToDeviceSwept> = Keyspace::new(0x0411, "swept to-device", Family::Current);
