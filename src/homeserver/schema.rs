//! Every keyspace, on one page per subject: its key, its value, one line of what it holds.
//!
//! The numbers are the format on disk: one that was used is never given to something else.

pub mod accounts;
pub mod backup;
pub mod devices;
pub mod directory;
pub mod ephemeral;
pub mod ids;
pub mod media;
pub mod push;
pub mod relations;
pub mod reports;
pub mod rooms;
pub mod search;

matron_storage::number! {
    /// A room, inside this store.
    pub struct RoomNum(u64);
}

matron_storage::number! {
    /// A user of any server, inside this store.
    pub struct UserNum(u64);
}

matron_storage::number! {
    /// An event, inside this store: given before its batch is built, never an order.
    pub struct EventNum(u64);
}

matron_storage::number! {
    /// An (event type, state key) pair, inside this store.
    pub struct StateKeyNum(u64);
}

matron_storage::number! {
    /// An event type, inside this store.
    pub struct TypeNum(u64);
}

matron_storage::number! {
    /// A device of a local user: given at log-in, never given again, so that what a deleted device left reaches nobody.
    pub struct DeviceNum(u64);
}

/// A SHA-256 digest: of an event (its id), of a token, of a path.
pub type Digest = [u8; 32];
