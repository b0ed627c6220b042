//! Backups: what the store itself knows of them.

use matron_storage::{Family, Keyspace};

/// When the last backup was begun that holds everything, in milliseconds since 1970.
pub const LAST_BACKUP: Keyspace<(), u64> = Keyspace::new(0x0901, "last backup", Family::Point);

/// Where this store's backups lie, and when the last one was begun there, in milliseconds since 1970.
pub const BACKUP_PLACES: Keyspace<String, u64> = Keyspace::new(0x0902, "backup places", Family::Point);
