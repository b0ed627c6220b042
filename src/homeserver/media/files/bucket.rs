//! Files in a bucket of an object store that speaks S3.

use std::io::{self, Read as _, Seek as _};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use http_body_util::BodyExt as _;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{
    ClientOptions, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService,
};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{GetOptions, GetRange, MultipartUpload as _, ObjectStore, ObjectStoreExt as _, RetryConfig};
use tempfile::NamedTempFile;
use tokio::sync::Semaphore;

use super::{Pieces, unavailable};
use crate::config;
use crate::error::{Error, Result};
use crate::media::incoming::Whole;
use crate::remote::http::{CallError, Client};

/// What is sent at once: S3 takes parts of 5 MiB and more, and a single request up to that is the cheapest.
const PART_BYTES: u64 = 8 << 20;
/// How many files are sent at once: each holds one part in memory.
const SENDING: usize = 8;

/// How long the bucket may take until it begins to answer.
const ANSWERED_WITHIN: Duration = Duration::from_mins(1);

/// A client waits meanwhile: what does not go by then is refused.
const RETRIED_WITHIN: Duration = Duration::from_secs(20);

/// A bucket.
#[derive(Debug)]
pub struct Bucket {
    objects: Arc<PrefixStore<AmazonS3>>,
    sending: Semaphore,
}

/// Requests to the bucket go by the server's own client: its TLS, its authorities.
#[derive(Debug, Clone)]
struct Connector(Client);

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Connector {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        // What is sent is one piece: a part of a file, or a few lines.
        let body = body.collect().await?.to_bytes();
        let begun = tokio::time::timeout(ANSWERED_WITHIN, self.0.begin(http::Request::from_parts(parts, body.into())));
        let begun = begun.await.map_err(|error| HttpError::new(HttpErrorKind::Timeout, error))?;
        let answer = begun.map_err(|error| {
            let kind = if error == CallError::TimedOut { HttpErrorKind::Timeout } else { HttpErrorKind::Connect };
            HttpError::new(kind, error)
        })?;
        let interrupted = |error| HttpError::new(HttpErrorKind::Interrupted, error);
        Ok(answer.map(|body| HttpResponseBody::new(body.map_err(interrupted))))
    }
}

impl Bucket {
    /// The bucket by its settings; nothing is asked of it yet.
    ///
    /// # Errors
    /// The settings are wrong.
    pub fn open(settings: &config::Bucket, client: &Client) -> Result<Self> {
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&settings.name)
            .with_region(&settings.region)
            .with_access_key_id(&settings.access_key_id)
            .with_secret_access_key(&settings.secret_access_key)
            .with_virtual_hosted_style_request(!settings.path_style)
            .with_retry(RetryConfig { max_retries: 3, retry_timeout: RETRIED_WITHIN, ..RetryConfig::default() })
            .with_http_connector(Connector(client.clone()));
        if let Some(endpoint) = &settings.endpoint {
            builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
        }
        let wrong = |error: object_store::Error| matron_storage::Error::Refused(format!("the media bucket: {error}"));
        let objects = PrefixStore::new(builder.build().map_err(wrong)?, settings.prefix.as_str());
        Ok(Self { objects: Arc::new(objects), sending: Semaphore::new(SENDING) })
    }

    /// The bucket as the sweeper lists it.
    pub fn objects(&self) -> Arc<dyn ObjectStore> {
        Arc::<PrefixStore<AmazonS3>>::clone(&self.objects)
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

    /// The bytes of a file from `start` up to but without `end`.
    pub async fn read(&self, path: &Path, start: u64, end: u64) -> Result<Pieces> {
        if start == end {
            return Ok(futures_util::stream::empty().boxed());
        }
        let options = GetOptions { range: Some(GetRange::Bounded(start..end)), ..GetOptions::default() };
        let got = self.objects.get_opts(path, options).await.map_err(|error| unavailable(&error))?;
        Ok(got.into_stream().map_err(io::Error::other).boxed())
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
