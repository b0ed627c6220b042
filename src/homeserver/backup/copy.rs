//! Moves files between a disk and an object store, in pieces, so that memory stays flat.

use std::fmt::Write as _;
use std::path::Path as FilePath;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;

use super::failed;
use crate::error::{Error, Result};

/// What is held of a file at a time; S3 takes no smaller parts than 5 MiB.
const PIECE_BYTES: usize = 8 << 20;

/// Slows copying down to so many bytes in a second, so that it takes the disk from nobody.
#[derive(Debug)]
pub struct Pace {
    bytes_per_second: Option<u64>,
    began: Instant,
    moved: u64,
}

impl Pace {
    /// At most so many bytes in a second; without end where none is given.
    pub fn new(bytes_per_second: Option<u64>) -> Self {
        Self { bytes_per_second, began: Instant::now(), moved: 0 }
    }

    /// Waits until it is time for what comes after these bytes.
    async fn moved(&mut self, bytes: usize) {
        self.moved = self.moved.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        if let Some(per_second) = self.bytes_per_second {
            let micros = u128::from(self.moved) * 1_000_000 / u128::from(per_second.max(1));
            let due = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
            tokio::time::sleep_until(self.began + due).await;
        }
    }
}

/// A SHA-256 in hexadecimal.
pub fn hex(hash: Sha256) -> String {
    hash.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
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
pub async fn hash_file(file: &FilePath, pace: &mut Pace) -> Result<(u64, String)> {
    let mut input = tokio::fs::File::open(file).await.map_err(unreadable(file))?;
    let (mut hash, mut bytes) = (Sha256::new(), 0);
    loop {
        let piece = piece(&mut input, file).await?;
        if piece.is_empty() {
            return Ok((bytes, hex(hash)));
        }
        bytes += u64::try_from(piece.len()).unwrap_or(u64::MAX);
        pace.moved(piece.len()).await;
        hash = tokio::task::spawn_blocking(move || hash.chain_update(&piece)).await.map_err(Error::internal)?;
    }
}

/// Puts a file into an object store.
pub async fn put_file(to: &dyn ObjectStore, path: &Path, file: &FilePath, pace: &mut Pace) -> Result<()> {
    let mut input = tokio::fs::File::open(file).await.map_err(unreadable(file))?;
    let first = piece(&mut input, file).await?;
    if first.len() < PIECE_BYTES {
        pace.moved(first.len()).await;
        to.put(path, PutPayload::from_bytes(first)).await.map_err(failed)?;
        return Ok(());
    }
    let mut upload = to.put_multipart(path).await.map_err(failed)?;
    let mut next = first;
    while !next.is_empty() {
        let length = next.len();
        let put = upload.put_part(PutPayload::from_bytes(next)).await.map_err(failed);
        if let Err(error) = put {
            // What was begun must not lie there for ever; that it cannot be taken back changes nothing.
            let _ = upload.abort().await;
            return Err(error);
        }
        pace.moved(length).await;
        next = piece(&mut input, file).await?;
    }
    upload.complete().await.map_err(failed)?;
    Ok(())
}

/// Copies an object from one store to another.
pub async fn put_object(
    (from, source): (&dyn ObjectStore, &Path),
    (to, path): (&dyn ObjectStore, &Path),
    pace: &mut Pace,
) -> Result<()> {
    let mut pieces = from.get(source).await.map_err(failed)?.into_stream();
    let mut upload = object_store::WriteMultipart::new(to.put_multipart(path).await.map_err(failed)?);
    while let Some(piece) = pieces.next().await {
        let piece = match piece {
            Ok(piece) => piece,
            Err(error) => {
                let _ = upload.abort().await;
                return Err(failed(error));
            }
        };
        upload.wait_for_capacity(2).await.map_err(failed)?;
        pace.moved(piece.len()).await;
        upload.put(piece);
    }
    upload.finish().await.map_err(failed)?;
    Ok(())
}

/// The size and SHA-256 of what comes, each piece handed on.
pub async fn hash_stream(
    mut pieces: impl Stream<Item = object_store::Result<Bytes>> + Unpin,
    mut each: impl AsyncFnMut(&Bytes) -> Result<()>,
) -> Result<(u64, String)> {
    let (mut hash, mut bytes) = (Sha256::new(), 0);
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(failed)?;
        bytes += u64::try_from(piece.len()).unwrap_or(u64::MAX);
        each(&piece).await?;
        hash = tokio::task::spawn_blocking(move || hash.chain_update(&piece)).await.map_err(Error::internal)?;
    }
    Ok((bytes, hex(hash)))
}
