//! A copy of an open store's files, which goes when it is no longer held.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};

/// A folder with the store's files of one moment. Dropping it deletes the folder.
#[derive(Debug)]
pub struct Checkpoint {
    folder: PathBuf,
    held: Arc<AtomicBool>,
}

impl Checkpoint {
    /// Where the copy of a store lies while it is held, `held` telling whether one is. What a crash left of an earlier one
    /// is removed.
    pub(crate) fn beside(store: &Path, held: &Arc<AtomicBool>) -> Result<Self> {
        if held.swap(true, Ordering::AcqRel) {
            return Err(Error::Engine("another copy of the store is held".to_owned()));
        }
        let checkpoint = Self { folder: store.with_extension("copy"), held: Arc::clone(held) };
        match fs::remove_dir_all(&checkpoint.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::Engine(format!("{} cannot be removed: {error}", checkpoint.folder.display())))
            }
            _ => Ok(checkpoint),
        }
    }

    /// The folder, with files alone in it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Checkpoint {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, folder = %self.folder.display(), "a copy of the store cannot be removed");
        }
        self.held.store(false, Ordering::Release);
    }
}
