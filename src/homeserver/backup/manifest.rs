//! What a backup says of itself: whose it is, of when, and every file by its hash.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The form of manifests that this version writes and reads.
const FORMAT: u32 = 1;
/// Where its files begin, as it is written.
const FILES: &str = ",\"files\":";

/// A backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    format: u32,
    /// The version that made it.
    pub program: String,
    /// Whose store it is.
    pub server_name: String,
    /// The store's epoch: files of the same name in the same epoch are the same.
    pub epoch: u64,
    /// It holds all up to this position at least.
    pub position: u64,
    /// When it was begun, in milliseconds since 1970.
    pub taken_at: u64,
    /// Every file.
    pub files: Vec<Entry>,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its path below the data folder: `store/000012.sst`, `media/…`.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal: also the name of its object.
    pub sha256: String,
}

impl Manifest {
    /// A backup without files yet.
    #[must_use]
    pub fn new(server_name: String, epoch: u64, position: u64, taken_at: u64) -> Self {
        let program = env!("CARGO_PKG_VERSION").to_owned();
        Self { format: FORMAT, program, server_name, epoch, position, taken_at, files: Vec::new() }
    }

    /// Reads one.
    ///
    /// # Errors
    /// It is none, or one of a later form; or a path in it leads out of the data folder.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let manifest: Self = serde_json::from_slice(bytes)
            .map_err(|error| Error::backup(format!("the backup's manifest cannot be read: {error}")))?;
        if manifest.format != FORMAT {
            let format = manifest.format;
            return Err(Error::backup(format!("the backup has form {format}, this version knows {FORMAT}")));
        }
        match manifest.files.iter().find(|entry| !entry.is_sound()) {
            Some(entry) => Err(Error::backup(format!("the backup's manifest names a file {:?}", entry.path))),
            None => Ok(manifest),
        }
    }

    /// The epoch and position in the first bytes of a manifest. Its files, which may be very many, stand behind all else, since that is
    /// how it is written; nothing where somebody wrote it otherwise.
    pub(super) fn moment_in(head: &[u8]) -> Option<(u64, u64)> {
        #[derive(Deserialize)]
        struct Head {
            epoch: u64,
            position: u64,
        }
        let head = String::from_utf8_lossy(head);
        let (before, _) = head.split_once(FILES)?;
        let head: Head = serde_json::from_str(&format!("{before}}}")).ok()?;
        Some((head.epoch, head.position))
    }

    /// How many bytes its files have, as it says.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|entry| entry.bytes).fold(0, u64::saturating_add)
    }
}

impl Entry {
    /// Whether what was read, its size and hash, is this file.
    pub(super) fn compare(&self, (bytes, sha256): &(u64, String)) -> Result<(), String> {
        if *bytes != self.bytes {
            return Err(format!("it has {bytes} bytes instead of {}", self.bytes));
        }
        if *sha256 != self.sha256 {
            return Err(format!("its SHA-256 is {sha256} instead of {}", self.sha256));
        }
        Ok(())
    }

    fn is_sound(&self) -> bool {
        let is_plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', '\0']);
        let is_ours = self.path.starts_with("store/") || self.path.starts_with("media/");
        let is_hash = self.sha256.len() == 64 && self.sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_ours && is_hash && self.path.split('/').all(is_plain)
    }
}
