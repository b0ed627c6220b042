//! Devices and their keys: what end-to-end encryption needs from a server.
//!
//! The rows of devices themselves are made and removed by accounts; whoever changes one calls [`Devices::note_change`] or
//! [`Devices::forget`] on the same batch, which is how others learn of it.

use std::sync::Arc;

use matron_matrix::Error as MatrixError;
use matron_storage::{Batch, Count, Error as StorageError, Store};
use tokio::sync::Mutex;

use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::ids::Ids;
use crate::meters::Held;
use crate::streams::Streams;

pub mod backup;
mod claim;
mod cross_signing;
mod dehydrated;
mod directory;
mod inbox;
mod lists;
mod query;
mod restored;
mod signatures;
#[cfg(test)]
mod tests;
mod to_device;
mod upload;

pub use claim::{KeyCounts, key_counts};
pub use cross_signing::{CrossSigningKeys, Published};
pub use dehydrated::NewDehydrated;
pub use lists::{changed_users, signed_users};
pub use restored::forget_one_time_keys;
pub use signatures::Failures;
pub use to_device::{Messages, delete_up_to, waiting};

use directory::Directory;
use inbox::Growth;

/// How often an operation begins anew when another one was faster.
const TRIES: usize = 16;

/// The owner of devices' keys, what waits for them, and key backups.
#[derive(Debug)]
pub struct Devices {
    store: Arc<Store>,
    streams: Arc<Streams>,
    ids: Arc<Ids>,
    clock: Clock,
    config: Arc<Config>,
    directory: Directory,
    /// Claims that met another one of the same device stand in line here, so that each of them comes to its turn.
    contended: Mutex<()>,
    growth: Growth,
    /// Messages that were left for devices.
    pub to_device: Count,
    /// Those of them that went before anybody took them: too many waited, or they did for too long.
    pub to_device_dropped: Count,
}

impl Devices {
    /// Needs what lies below.
    #[must_use]
    pub fn new((store, streams, ids): (Arc<Store>, Arc<Streams>, Arc<Ids>), clock: Clock, config: Arc<Config>) -> Self {
        Self {
            store,
            streams,
            ids,
            clock,
            config,
            directory: Directory::default(),
            contended: Mutex::default(),
            growth: Growth::new(),
            to_device: Count::default(),
            to_device_dropped: Count::default(),
        }
    }

    /// The caches of device lists, and of what was left for devices lately.
    #[must_use]
    pub fn caches(&self) -> Vec<Held> {
        vec![self.directory.held(), self.growth.held()]
    }

    /// Commits a batch; false where one of its preconditions did not hold.
    async fn try_commit(&self, batch: Batch) -> Result<bool> {
        match self.store.commit(batch).await {
            Ok(_) => Ok(true),
            Err(StorageError::Conflict) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// What is answered after [`TRIES`] conflicts in a row.
fn overtaken() -> Error {
    Error::Storage(StorageError::Unavailable("other requests change the same rows all the time".to_owned()))
}

/// Refuses text that is longer than `most` bytes.
fn check_length(what: &str, text: &str, most: usize) -> Result<(), MatrixError> {
    if text.len() > most {
        return Err(MatrixError::invalid_param(format!("{what} may have {most} bytes")));
    }
    Ok(())
}
