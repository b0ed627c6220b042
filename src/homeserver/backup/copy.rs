//! Moves files between a disk and object stores, in pieces, so that memory stays flat.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path as FilePath;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use object_store::path::Path;
use object_store::{GetResult, GetResultPayload, ObjectStore, ObjectStoreExt as _};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::writing::{Target, Writing};
use super::{Entry, failed};
use crate::error::{Error, Result};
use crate::locks::lock;

/// How many files are moved at once: over a network each waits for answers most of the time.
pub const AT_ONCE: usize = 4;

/// What is read at once of a file: little enough that nobody else waits long for the disk.
const READ_BYTES: usize = 512 << 10;
/// What was lost by a late wake or a slow write is made up for, up to so much; a time in which nothing had to be moved is not.
const CATCHES_UP: Duration = Duration::from_millis(50);
/// What is hashed where it is: handing it to another thread would take as long.
const SMALL_BYTES: usize = 64 << 10;

/// Slows copying down to so many bytes in a second, so that it takes the disk from nobody.
#[derive(Debug)]
pub struct Pace {
    bytes_per_second: Option<u64>,
    next: Mutex<Instant>,
}

impl Pace {
    /// At most so many bytes in a second; without end where none is given.
    pub fn new(bytes_per_second: Option<u64>) -> Self {
        Self { bytes_per_second, next: Mutex::new(Instant::now()) }
    }

    /// Whether there is a limit.
    const fn is_limited(&self) -> bool {
        self.bytes_per_second.is_some()
    }

    /// Waits until it is time for what comes after these bytes.
    async fn moved(&self, bytes: usize) {
        if let Some(next) = self.after(bytes, Instant::now()) {
            tokio::time::sleep_until(next).await;
        }
    }

    /// When it is time for what comes after these bytes, which were moved now.
    fn after(&self, bytes: usize, now: Instant) -> Option<Instant> {
        let per_second = u128::from(self.bytes_per_second?.max(1));
        let micros = u128::try_from(bytes).unwrap_or(u128::MAX).saturating_mul(1_000_000) / per_second;
        let takes = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
        let mut next = lock(&self.next);
        *next = (*next).max(now.checked_sub(CATCHES_UP).unwrap_or(now)).checked_add(takes)?;
        Some(*next)
    }
}

/// The SHA-256 and size of what comes.
#[derive(Debug, Default)]
struct Hash {
    sha256: Sha256,
    bytes: u64,
}

impl Hash {
    async fn add(&mut self, piece: &Bytes) -> Result<()> {
        self.bytes += u64::try_from(piece.len()).unwrap_or(u64::MAX);
        if piece.len() < SMALL_BYTES {
            self.sha256.update(piece);
            return Ok(());
        }
        let (sha256, piece) = (std::mem::take(&mut self.sha256), piece.clone());
        let added = tokio::task::spawn_blocking(move || sha256.chain_update(&piece)).await;
        self.sha256 = added.map_err(Error::internal)?;
        Ok(())
    }

    /// The size, and the hash in hexadecimal.
    fn end(self) -> (u64, String) {
        let hex = self.sha256.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        (self.bytes, hex)
    }
}

/// An object that is read, and hashed meanwhile.
pub struct Reading {
    pieces: BoxStream<'static, object_store::Result<Bytes>>,
    hash: Hash,
}

impl Reading {
    /// Reads what was found.
    pub fn new(found: GetResult) -> Self {
        let pieces = match found.payload {
            // By itself it would come in pieces of 8 KiB, each from another thread: most of what a backup costs.
            GetResultPayload::File(file, _) => pieces_of(file),
            GetResultPayload::Stream(pieces) => pieces,
        };
        Self { pieces, hash: Hash::default() }
    }

    /// The next piece; none at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        let Some(piece) = self.pieces.next().await else { return Ok(None) };
        let piece = piece.map_err(failed)?;
        self.hash.add(&piece).await?;
        Ok(Some(piece))
    }

    /// The size and SHA-256 of all that was read.
    pub fn end(self) -> (u64, String) {
        self.hash.end()
    }
}

/// A file, from its beginning.
fn pieces_of(file: File) -> BoxStream<'static, object_store::Result<Bytes>> {
    let failed = |source| object_store::Error::Generic { store: "file", source };
    let most = u64::try_from(READ_BYTES).unwrap_or(u64::MAX);
    let next = move |file: File| async move {
        let read = move || {
            let mut piece = Vec::with_capacity(READ_BYTES);
            (&file).take(most).read_to_end(&mut piece)?;
            io::Result::Ok((piece, file))
        };
        let read = tokio::task::spawn_blocking(read).await.map_err(|error| failed(error.into()))?;
        let (piece, file) = read.map_err(|error| failed(error.into()))?;
        Ok((!piece.is_empty()).then(|| (piece.into(), file)))
    };
    futures_util::stream::try_unfold(file, next).boxed()
}

/// Opens a file to read it.
async fn open(file: &FilePath) -> Result<Reading> {
    let opened = tokio::fs::File::open(file).await;
    let opened = opened.map_err(|error| Error::backup(format!("{}: {error}", file.display())))?;
    Ok(Reading { pieces: pieces_of(opened.into_std().await), hash: Hash::default() })
}

/// A file's size and SHA-256.
pub async fn hash_file(file: &FilePath, pace: &Pace) -> Result<(u64, String)> {
    let mut reading = open(file).await?;
    while let Some(piece) = reading.next().await? {
        pace.moved(piece.len()).await;
    }
    Ok(reading.end())
}

/// Puts a file. What is not what `entry` says is not put there: why, then.
pub async fn put_file(
    file: &FilePath,
    to: (Target<'_>, &Path),
    entry: &Entry,
    pace: &Pace,
) -> Result<Result<(), String>> {
    put(open(file).await?, to, entry, pace).await
}

/// Puts an object of a store. What is not what `entry` says is not put there: why, then.
pub async fn put_object(
    (from, source): (&dyn ObjectStore, &Path),
    to: (Target<'_>, &Path),
    entry: &Entry,
    pace: &Pace,
) -> Result<Result<(), String>> {
    let found = from.get(source).await.map_err(failed)?;
    if found.meta.size != entry.bytes {
        return Ok(entry.compare(&(found.meta.size, String::new())));
    }
    put(Reading::new(found), to, entry, pace).await
}

async fn put(
    mut reading: Reading,
    (to, path): (Target<'_>, &Path),
    entry: &Entry,
    pace: &Pace,
) -> Result<Result<(), String>> {
    let mut writing = Writing::new(to, path, entry.bytes, pace.is_limited()).await?;
    let written = async {
        while let Some(piece) = reading.next().await? {
            pace.moved(piece.len()).await;
            writing.write(piece).await?;
        }
        Ok(entry.compare(&reading.end()))
    };
    match written.await {
        Ok(Ok(())) => writing.finish().await.map(Ok),
        not_whole => {
            writing.give_up().await;
            not_whole
        }
    }
}

/// Puts bytes.
pub async fn put_bytes(to: Target<'_>, path: &Path, bytes: Bytes) -> Result<()> {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let mut writing = Writing::new(to, path, length, false).await?;
    match writing.write(bytes).await {
        Ok(()) => writing.finish().await,
        Err(error) => {
            writing.give_up().await;
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long it takes to move a million bytes in a hundred pieces, each late by so much.
    fn takes(pace: &Pace, begun: Instant, late: Duration) -> Duration {
        let end = (0..100).fold(begun, |now, _| pace.after(10_000, now).unwrap().max(now) + late);
        end - begun
    }

    #[test]
    fn a_pace_is_kept_and_time_without_work_is_not_made_up_for() {
        let pace = Pace::new(Some(1_000_000));
        let (now, hour) = (Instant::now() + CATCHES_UP, Duration::from_hours(1));
        let kept = Duration::from_secs(1).saturating_sub(CATCHES_UP);
        let late = Duration::from_millis(5);
        assert_eq!(takes(&pace, now, Duration::ZERO), kept);
        assert_eq!(takes(&pace, now + hour, late), kept + late);
        assert!(takes(&pace, now + 2 * hour, 4 * late) >= 2 * kept);
        assert_eq!(Pace::new(None).after(usize::MAX, now), None);
    }
}
