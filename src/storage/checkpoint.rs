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
        let checkpoint = Self { folder: place(store), held: Arc::clone(held) };
        remove(&checkpoint.folder)?;
        Ok(checkpoint)
    }

    /// Removes what a crash left of one: it holds files whose room a store on a full disk needs.
    pub(crate) fn sweep(store: &Path) {
        if let Err(error) = remove(&place(store)) {
            tracing::warn!(%error, "a copy of the store is left from before");
        }
    }

    /// The folder, with files alone in it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

fn place(store: &Path) -> PathBuf {
    let mut place = store.as_os_str().to_owned();
    place.push(".copy");
    place.into()
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::Engine(format!("{} cannot be removed: {error}", folder.display())))
        }
        _ => Ok(()),
    }
}

impl Drop for Checkpoint {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.folder) {
            tracing::warn!(%error, "a copy of the store stays");
        }
        self.held.store(false, Ordering::Release);
    }
}
