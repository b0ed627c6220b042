//! Moves files between a disk and object stores, in pieces, so that memory stays flat.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path as FilePath;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use object_store::path::Path;
use object_store::{GetResult, GetResultPayload, ObjectStore, ObjectStoreExt as _, PutPayload, WriteMultipart};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;

use super::{Entry, failed};
use crate::error::{Error, Result};

/// How many files are moved at once: over a network each waits for answers most of the time.
pub const AT_ONCE: usize = 4;

/// What is held of a file at a time, and the parts in which it is sent; S3 takes none below 5 MiB.
const PIECE_BYTES: usize = 8 << 20;
/// What is read at once of a file that comes from another place.
const READ_BYTES: usize = 1 << 20;
/// How many parts of a file are on their way at once.
const PARTS_AT_ONCE: usize = 2;
/// S3 takes no more parts of a file.
const MOST_PARTS: u64 = 10_000;
/// What is hashed where it is: handing it to another thread would take as long.
const SMALL_BYTES: usize = 64 << 10;

/// Slows copying down to so many bytes in a second, so that it takes the disk from nobody.
#[derive(Debug)]
pub struct Pace {
    bytes_per_second: Option<u64>,
    began: Instant,
    moved: AtomicU64,
}

impl Pace {
    /// At most so many bytes in a second; without end where none is given.
    pub fn new(bytes_per_second: Option<u64>) -> Self {
        Self { bytes_per_second, began: Instant::now(), moved: AtomicU64::new(0) }
    }

    /// Waits until it is time for what comes after these bytes.
    async fn moved(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let moved = self.moved.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if let Some(per_second) = self.bytes_per_second {
            let micros = u128::from(moved) * 1_000_000 / u128::from(per_second.max(1));
            let due = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
            tokio::time::sleep_until(self.began + due).await;
        }
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

fn unreadable(file: &FilePath) -> impl Fn(std::io::Error) -> Error {
    move |error| Error::backup(format!("{}: {error}", file.display()))
}

/// The next piece of a file; empty at its end.
async fn piece(input: &mut tokio::fs::File, file: &FilePath) -> Result<Bytes> {
    let mut piece = Vec::with_capacity(PIECE_BYTES);
    let most = u64::try_from(PIECE_BYTES).unwrap_or(u64::MAX);
    input.take(most).read_to_end(&mut piece).await.map_err(unreadable(file))?;
    Ok(piece.into())
}

/// A file's size and SHA-256.
pub async fn hash_file(file: &FilePath, pace: &Pace) -> Result<(u64, String)> {
    let mut input = tokio::fs::File::open(file).await.map_err(unreadable(file))?;
    let mut hash = Hash::default();
    loop {
        let piece = piece(&mut input, file).await?;
        if piece.is_empty() {
            return Ok(hash.end());
        }
        pace.moved(piece.len()).await;
        hash.add(&piece).await?;
    }
}

/// Puts a file into an object store.
pub async fn put_file(to: &dyn ObjectStore, path: &Path, file: &FilePath, pace: &Pace) -> Result<()> {
    let mut input = tokio::fs::File::open(file).await.map_err(unreadable(file))?;
    let first = piece(&mut input, file).await?;
    if first.len() < PIECE_BYTES {
        pace.moved(first.len()).await;
        to.put(path, PutPayload::from_bytes(first)).await.map_err(failed)?;
        return Ok(());
    }
    let mut upload = upload(to, path, PIECE_BYTES).await?;
    let sent = async {
        let mut next = first;
        while !next.is_empty() {
            send(&mut upload, next, pace).await?;
            next = piece(&mut input, file).await?;
        }
        Ok::<_, Error>(())
    };
    match sent.await {
        Ok(()) => upload.finish().await.map(drop).map_err(failed),
        Err(error) => give_up(upload, Err(error)).await,
    }
}

/// Puts bytes into an object store.
pub async fn put_bytes(to: &dyn ObjectStore, path: &Path, mut bytes: Bytes) -> Result<()> {
    if bytes.len() < PIECE_BYTES {
        return to.put(path, PutPayload::from_bytes(bytes)).await.map(drop).map_err(failed);
    }
    let (mut upload, pace) = (upload(to, path, PIECE_BYTES).await?, Pace::new(None));
    while !bytes.is_empty() {
        let piece = bytes.split_to(bytes.len().min(PIECE_BYTES));
        if let Err(error) = send(&mut upload, piece, &pace).await {
            return give_up(upload, Err(error)).await;
        }
    }
    upload.finish().await.map(drop).map_err(failed)
}

/// Copies an object from one store to another. What is not what `entry` says is not put there: why, then.
pub async fn put_object(
    (from, source): (&dyn ObjectStore, &Path),
    (to, path): (&dyn ObjectStore, &Path),
    entry: &Entry,
    pace: &Pace,
) -> Result<Result<(), String>> {
    let found = from.get(source).await.map_err(failed)?;
    if found.meta.size != entry.bytes {
        return Ok(entry.compare(&(found.meta.size, String::new())));
    }
    let mut reading = Reading::new(found);
    let length = usize::try_from(entry.bytes).unwrap_or(usize::MAX);
    if length < PIECE_BYTES {
        // One request, where an upload in parts takes three.
        let mut pieces = Vec::new();
        while let Some(piece) = reading.next().await? {
            pace.moved(piece.len()).await;
            pieces.push(piece);
        }
        let compared = entry.compare(&reading.end());
        if compared.is_ok() {
            to.put(path, PutPayload::from_iter(pieces)).await.map_err(failed)?;
        }
        return Ok(compared);
    }
    let part_bytes = usize::try_from(entry.bytes / MOST_PARTS + 1).unwrap_or(usize::MAX).max(PIECE_BYTES);
    let mut upload = upload(to, path, part_bytes).await?;
    let sent = async {
        while let Some(piece) = reading.next().await? {
            send(&mut upload, piece, pace).await?;
        }
        Ok::<_, Error>(entry.compare(&reading.end()))
    };
    match sent.await {
        Ok(Ok(())) => upload.finish().await.map(|_| Ok(())).map_err(failed),
        not_whole => give_up(upload, not_whole).await,
    }
}

async fn upload(to: &dyn ObjectStore, path: &Path, part_bytes: usize) -> Result<WriteMultipart> {
    let begun = to.put_multipart(path).await.map_err(failed)?;
    Ok(WriteMultipart::new_with_chunk_size(begun, part_bytes))
}

/// Sends a piece on, once it is time and those before it are gone.
async fn send(upload: &mut WriteMultipart, piece: Bytes, pace: &Pace) -> Result<()> {
    pace.moved(piece.len()).await;
    upload.wait_for_capacity(PARTS_AT_ONCE).await.map_err(failed)?;
    upload.put(piece);
    Ok(())
}

/// What was sent must not lie there for ever; that it cannot be taken back changes nothing in why.
async fn give_up<T>(upload: WriteMultipart, why: Result<T>) -> Result<T> {
    let _ = upload.abort().await;
    why
}
