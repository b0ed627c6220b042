//! Files in a bucket of an object store that speaks S3.

use std::io::{self, Read as _, Seek as _};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, MultipartUpload as _, ObjectStore, ObjectStoreExt as _};
use tempfile::NamedTempFile;
use tokio::sync::Semaphore;

use super::Pieces;
use crate::config;
use crate::error::{Error, Result};
use crate::media::incoming::{Whole, unavailable};
use crate::remote::bucket::{self, Care};
use crate::remote::http::Client;

/// What is sent at once: S3 takes parts of 5 MiB and more, and a single request up to that is the cheapest.
const PART_BYTES: u64 = 8 << 20;
/// How many files are sent at once: each holds one part in memory.
const SENDING: usize = 8;

/// A bucket.
#[derive(Debug)]
pub struct Bucket {
    objects: Arc<dyn ObjectStore>,
    sending: Semaphore,
}

impl Bucket {
    /// The bucket by its settings; nothing is asked of it yet.
    ///
    /// # Errors
    /// The settings are wrong.
    pub fn open(settings: &config::Bucket, client: &Client) -> Result<Self> {
        let wrong = |error: object_store::Error| matron_storage::Error::Refused(format!("the media bucket: {error}"));
        let objects = bucket::open(settings, client, Care::SERVING).map_err(wrong)?;
        Ok(Self { objects, sending: Semaphore::new(SENDING) })
    }

    /// The bucket as the sweeper lists it.
    pub fn objects(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.objects)
    }

    /// Sends a whole file, unless it is there.
    pub async fn keep(&self, whole: Whole, path: &Path) -> Result<()> {
        let _turn = self.sending.acquire().await.map_err(Error::internal)?;
        match self.objects.head(path).await {
            Ok(there) if there.size == whole.bytes => return Ok(()),
            Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(unavailable(&error)),
        }
        let Whole { file, bytes, .. } = whole;
        let (first, file) = part(file, true).await?;
        if bytes <= PART_BYTES {
            self.objects.put(path, first.into()).await.map_err(|error| unavailable(&error))?;
            return Ok(());
        }
        let mut upload = self.objects.put_multipart(path).await.map_err(|error| unavailable(&error))?;
        let sent = async {
            let (mut next, mut file) = (first, file);
            while !next.is_empty() {
                upload.put_part(next.into()).await.map_err(|error| unavailable(&error))?;
                (next, file) = part(file, false).await?;
            }
            upload.complete().await.map_err(|error| unavailable(&error))
        };
        if let Err(error) = sent.await {
            // What was sent is paid for until it is given up.
            if let Err(error) = upload.abort().await {
                tracing::warn!(%error, "an upload to the bucket cannot be given up");
            }
            return Err(error);
        }
        Ok(())
    }

    /// The bytes of a file from `start` up to but without `end`; none where it is not there.
    pub async fn read(&self, path: &Path, start: u64, end: u64) -> Result<Option<Pieces>> {
        if start == end {
            return Ok(Some(futures_util::stream::empty().boxed()));
        }
        let options = GetOptions { range: Some(GetRange::Bounded(start..end)), ..GetOptions::default() };
        match self.objects.get_opts(path, options).await {
            Ok(got) => Ok(Some(got.into_stream().map_err(io::Error::other).boxed())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(unavailable(&error)),
        }
    }
}

/// The next part of a file, from its beginning if it is the first.
async fn part(mut file: NamedTempFile, is_first: bool) -> Result<(Bytes, NamedTempFile)> {
    let read = move || {
        if is_first {
            file.rewind()?;
        }
        let mut part = Vec::new();
        file.as_file().take(PART_BYTES).read_to_end(&mut part)?;
        Ok((Bytes::from(part), file))
    };
    let read = tokio::task::spawn_blocking(read).await.map_err(Error::internal)?;
    read.map_err(|error: io::Error| unavailable(&error))
}
