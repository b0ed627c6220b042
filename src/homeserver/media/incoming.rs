//! A file on its way in: hashed while it is written aside, a piece at a time.

use std::io::{self, IoSlice, Write};
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
        }
        write_all(self.file()?.as_file_mut(), pieces)?;
        Ok(self)
    }
}

/// Writes all pieces in as few calls as the system takes: the larger a write, the fewer blocks of the disk and pages of its
/// cache have to be found one by one.
fn write_all(to: &mut impl Write, pieces: &[Bytes]) -> io::Result<()> {
    let mut slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut rest = slices.as_mut_slice();
    // A write of empty pieces alone would look like a full disk.
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match to.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use std::io::{self, IoSlice, Write};

    use bytes::Bytes;

    use super::write_all;

    /// Takes a few bytes of each second call, and is interrupted in between.
    #[derive(Default)]
    struct Slow {
        taken: Vec<u8>,
        calls: usize,
        most: usize,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.write_vectored(&[IoSlice::new(bytes)])
        }

        fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            self.calls += 1;
            if self.calls.is_multiple_of(2) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let offered: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
            let taken = offered.get(..self.most.min(offered.len())).unwrap();
            self.taken.extend_from_slice(taken);
            Ok(taken.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn pieces_are_written_whole_and_in_order_however_little_is_taken_at_once() {
        let pieces: Vec<_> =
            ["", "one", "", "two and more", "3", ""].map(|text| Bytes::from_static(text.as_bytes())).to_vec();
        for most in 1..=16 {
            let mut slow = Slow { most, ..Slow::default() };
            write_all(&mut slow, &pieces).unwrap();
            assert_eq!(slow.taken, b"onetwo and more3");
        }
        write_all(&mut Slow { most: 1, ..Slow::default() }, &[Bytes::new()]).unwrap();
        let full = write_all(&mut Slow::default(), &pieces).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::WriteZero);
    }
}
