//! What can go wrong below: few variants, so that callers can decide by them.

use crate::codec::Corrupt;

/// The result of a storage operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a storage operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A precondition of the batch did not hold; nothing of it was written.
    #[error("a precondition of the batch did not hold")]
    Conflict,
    /// The store takes no writes for now (a full disk, say); nothing was written. Reads go on.
    #[error("the store takes no writes for now: {0}")]
    Unavailable(String),
    /// The write failed midway: the batch may or may not be there after recovery.
    #[error("the outcome of the write is unknown: {0}")]
    OutcomeUnknown(String),
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
    /// The engine could not read.
    #[error("the engine failed: {0}")]
    Engine(String),
    /// A row does not have the form that its keyspace promises.
    #[error("a row of keyspace {keyspace} cannot be read: {source}")]
    Corrupt {
        /// The keyspace's name.
        keyspace: &'static str,
        /// What was wrong with the bytes.
        source: Corrupt,
    },
    /// The data folder holds something that this build must not open.
    #[error("refusing to open the store: {0}")]
    Refused(String),
}
