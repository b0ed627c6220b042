//! The data folder: its owner's alone, and one process's at a time.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use matron_storage::Options;
use rustix::process::geteuid;

use crate::config::Config;
use crate::failure::{Failure, Result};

/// The data folder, held until this is dropped (or the process ends, however it ends).
#[derive(Debug)]
pub struct Data {
    folder: PathBuf,
    _lock: File,
}

/// What came of reaching for a data folder.
#[derive(Debug)]
pub enum Reached {
    /// It is ours.
    Held(Data),
    /// Another process has it.
    Taken,
}

impl Data {
    /// Makes the folder where there is none, and takes it.
    ///
    /// # Errors
    /// The folder cannot be made, or be made private; this is root, and the folder another user's: the server, which is that
    /// user, could not open what root leaves there.
    pub fn reach(folder: &Path) -> Result<Reached> {
        let failed = |what: &str, error: &dyn std::fmt::Display| {
            Failure::because(format_args!("the data folder {} {what}", folder.display()), error)
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| failed("cannot be made", &error))?;
        let metadata = fs::metadata(folder).map_err(|error| failed("cannot be read", &error))?;
        let is_anothers = geteuid().is_root() && metadata.uid() != 0;
        let anothers = || {
            let (folder, owner) = (folder.display(), metadata.uid());
            let how = format!("run this as that user: `sudo -u '#{owner}' matron …`, or the user's name");
            Failure::new(format!("the data folder {folder} belongs to user {owner}, and this is root; {how}"))
        };
        if metadata.permissions().mode() & 0o077 != 0 {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
                .map_err(|error| failed("is open to others, and that cannot be changed", &error))?;
        }
        let lock =
            OpenOptions::new().create(!is_anothers).truncate(false).write(true).mode(0o600).open(folder.join("lock"));
        let lock = match lock {
            Err(_) if is_anothers => return Err(anothers()),
            lock => lock.map_err(|error| failed("cannot be written", &error))?,
        };
        match lock.try_lock() {
            Ok(()) if is_anothers => Err(anothers()),
            Ok(()) => Ok(Reached::Held(Self { folder: folder.to_owned(), _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(Reached::Taken),
            Err(TryLockError::Error(error)) => Err(failed("cannot be locked", &error)),
        }
    }

    /// A file of the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes a file that its owner alone can read, wholly or not at all, and syncs it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_private(&self, name: &str, text: &str) -> Result<PathBuf> {
        let (path, building) = (self.file(name), self.file(&format!("{name}.building")));
        let write = || {
            match fs::remove_file(&building) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&building)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&building, &path)?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(|error| Failure::because(format_args!("{} cannot be written", path.display()), &error))?;
        Ok(path)
    }
}

/// How the store in it is opened.
pub fn options(config: &Config) -> Options {
    Options::rocks(config.store_dir(), config.cache_bytes)
}

/// The socket by which the command line speaks to a running server.
pub fn socket(folder: &Path) -> PathBuf {
    folder.join("matron.sock")
}
