//! A file on its way in: hashed while it is written aside, a piece at a time.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use tokio::task::JoinHandle;

use crate::error::{Error, Result};
use crate::schema::Digest;

/// What is gathered before a thread is asked to write it.
const PIECE_BYTES: usize = 128 << 10;

/// A file that is being written. Dropping it deletes what there is.
#[derive(Debug)]
pub struct Incoming {
    folder: PathBuf,
    work: State,
    gathered: Vec<Bytes>,
    gathered_bytes: usize,
    bytes: u64,
}

/// The writing is at rest, or a thread is at it while the next piece is gathered.
#[derive(Debug)]
enum State {
    Resting(Work),
    Writing(JoinHandle<io::Result<Work>>),
    Lost,
}

/// What the writing thread has in its hands.
#[derive(Debug)]
struct Work {
    folder: PathBuf,
    file: Option<NamedTempFile>,
    hash: Sha256,
}

/// A file that is whole, not yet synced and not yet in its place. Dropping it deletes it.
#[derive(Debug)]
pub struct Whole {
    pub(super) file: NamedTempFile,
    /// The SHA-256 of its bytes.
    pub digest: Digest,
    /// How many there are.
    pub bytes: u64,
}

/// The disk or the bucket takes nothing at the moment.
pub(super) fn unavailable(error: &impl std::fmt::Display) -> Error {
    matron_storage::Error::Unavailable(error.to_string()).into()
}

/// The disk does not take what comes in, which goes to the log: whoever sends it is told no more than to come again.
fn refused(folder: &Path, error: &io::Error) -> Error {
    tracing::warn!(%error, folder = %folder.display(), "a file of the media cannot be written aside");
    unavailable(error)
}

impl Work {
    fn file(&mut self) -> io::Result<&mut NamedTempFile> {
        if self.file.is_none() {
            self.file = Some(NamedTempFile::new_in(&self.folder)?);
        }
        self.file.as_mut().ok_or_else(|| io::Error::other("no file"))
    }

    fn take(mut self, pieces: &[Bytes]) -> io::Result<Self> {
        for piece in pieces {
            self.hash.update(piece);
            self.file()?.write_all(piece)?;
        }
        Ok(self)
    }
}

impl Incoming {
    /// An empty file in a folder.
    pub(super) fn new(folder: PathBuf) -> Self {
        let work = Work { folder: folder.clone(), file: None, hash: Sha256::new() };
        Self { folder, work: State::Resting(work), gathered: Vec::new(), gathered_bytes: 0, bytes: 0 }
    }

    /// How many bytes came so far.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// The disk does not take what came before.
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.bytes += bytes.len() as u64;
        self.gathered_bytes += bytes.len();
        self.gathered.push(bytes);
        if self.gathered_bytes >= PIECE_BYTES { self.flush().await } else { Ok(()) }
    }

    /// Hands what was gathered to a thread, once that is done with the last piece.
    async fn flush(&mut self) -> Result<()> {
        let work = self.rested().await?;
        let pieces = std::mem::take(&mut self.gathered);
        self.gathered_bytes = 0;
        self.work = State::Writing(tokio::task::spawn_blocking(move || work.take(&pieces)));
        Ok(())
    }

    async fn rested(&mut self) -> Result<Work> {
        match std::mem::replace(&mut self.work, State::Lost) {
            State::Resting(work) => Ok(work),
            State::Writing(thread) => {
                thread.await.map_err(Error::internal)?.map_err(|error| refused(&self.folder, &error))
            }
            State::Lost => Err(Error::internal("a file that could not be written was written on")),
        }
    }

    /// The whole file, when all its bytes came.
    ///
    /// # Errors
    /// The disk does not take it.
    pub async fn finish(mut self) -> Result<Whole> {
        let work = self.rested().await?;
        let Self { folder, gathered: pieces, bytes, .. } = self;
        let last = move || {
            let mut work = work.take(&pieces)?;
            work.file()?;
            let file = work.file.ok_or_else(|| io::Error::other("no file"))?;
            Ok(Whole { file, digest: work.hash.finalize().into(), bytes })
        };
        let whole = tokio::task::spawn_blocking(last).await.map_err(Error::internal)?;
        whole.map_err(|error: io::Error| refused(&folder, &error))
    }
}
