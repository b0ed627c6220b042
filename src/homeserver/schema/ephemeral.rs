//! What is not an event: read receipts and read markers.

use matron_storage::{Family, Keyspace, Position, labels};

use super::{RoomNum, UserNum};

labels! {
    /// Who may see a receipt.
    pub enum ReceiptKind {
        /// `m.read`: everyone in the room.
        Public = 1,
        /// `m.read.private`: its user.
        Private = 2,
    }
}

matron_storage::record! {
    /// How far a user has read.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Receipt {
        /// The event that was read.
        pub event_id: String,
        /// Its place in stream order; none where it has none.
        pub read: Option<Position>,
        /// When it was read, in milliseconds since 1970.
        pub at: u64,
        /// When the receipt came.
        pub position: Position,
    }
}

matron_storage::record! {
    /// Which receipt changed.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct ReceiptKey {
        /// Whose.
        pub user: UserNum,
        /// Public or private.
        pub kind: ReceiptKind,
        /// Of which thread: empty for none (unthreaded), `main`, or the root's event id.
        pub thread: String,
    }
}

/// A user's receipts in a room, by kind and thread (empty: unthreaded).
pub const RECEIPTS: Keyspace<(RoomNum, UserNum, ReceiptKind, String), Receipt> =
    Keyspace::new(0x0501, "receipts", Family::Current);
/// A room's receipts in the order of their change.
pub const RECEIPT_STREAM: Keyspace<(RoomNum, Position), ReceiptKey> =
    Keyspace::new(0x0502, "receipt stream", Family::Index);
