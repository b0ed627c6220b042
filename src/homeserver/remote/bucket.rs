//! Buckets of object stores that speak S3, reached by the server's own client: its TLS, its authorities.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use object_store::aws::{AmazonS3Builder, Checksum};
use object_store::client::{
    ClientOptions, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService,
};
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, RetryConfig};
use tokio::time::{Instant, Sleep};

use super::http::{CallError, Client};
use crate::config::Bucket;

/// How much patience there is with a bucket, and how much is asked of it.
#[derive(Debug, Clone, Copy)]
pub struct Care {
    /// How long it may take until it begins to answer, and then from piece to piece.
    answered_within: Duration,
    /// How long what fails is tried again.
    retried_within: Duration,
    /// How often.
    retries: usize,
    /// Whether it is told the SHA-256 of all that it is given, and refuses what came otherwise. Buckets with object lock
    /// take nothing else.
    checksums: bool,
}

impl Care {
    /// A client waits meanwhile: what does not go soon is refused.
    pub const SERVING: Self = Self {
        answered_within: Duration::from_mins(1),
        retried_within: Duration::from_secs(20),
        retries: 3,
        checksums: false,
    };
    /// Giving up means beginning again: a night's work outlasts a bucket that is away for a moment. Yet people wait too, who
    /// have mistyped its address.
    pub const BACKUP: Self = Self {
        answered_within: Duration::from_mins(3),
        retried_within: Duration::from_mins(3),
        retries: 10,
        checksums: true,
    };
}

/// The bucket by its settings; nothing is asked of it yet.
///
/// # Errors
/// The settings are wrong.
pub fn open(settings: &Bucket, client: &Client, care: Care) -> object_store::Result<Arc<dyn ObjectStore>> {
    let Bucket { name, prefix, access } = settings;
    let retry = RetryConfig { max_retries: care.retries, retry_timeout: care.retried_within, ..RetryConfig::default() };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(name)
        .with_region(&access.region)
        .with_access_key_id(&access.access_key_id)
        .with_secret_access_key(&access.secret_access_key)
        .with_virtual_hosted_style_request(!access.path_style)
        .with_retry(retry)
        .with_http_connector(Connector { client: client.clone(), within: care.answered_within });
    if let Some(endpoint) = &access.endpoint {
        builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
    }
    if care.checksums {
        builder = builder.with_checksum_algorithm(Checksum::SHA256);
    }
    Ok(Arc::new(PrefixStore::new(builder.build()?, prefix.as_str())))
}

#[derive(Debug, Clone)]
struct Connector {
    client: Client,
    within: Duration,
}

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
        let begun = tokio::time::timeout(self.within, self.client.begin(http::Request::from_parts(parts, body.into())));
        let begun = begun.await.map_err(|error| HttpError::new(HttpErrorKind::Timeout, error))?;
        let answer = begun.map_err(|error| {
            let kind = if error == CallError::TimedOut { HttpErrorKind::Timeout } else { HttpErrorKind::Connect };
            HttpError::new(kind, error)
        })?;
        Ok(answer.map(|body| HttpResponseBody::new(Answer { body, within: self.within, waiting: None })))
    }
}

/// A body that must go on: one that stands still would hold whoever reads it for ever.
struct Answer {
    body: Incoming,
    within: Duration,
    /// The end of the patience, while the next piece is waited for.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            this.waiting = None;
            let interrupted = |error| HttpError::new(HttpErrorKind::Interrupted, error);
            return Poll::Ready(frame.map(|frame| frame.map_err(interrupted)));
        }
        let within = this.within;
        let waiting = this.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + within)));
        ready!(waiting.as_mut().poll(context));
        Poll::Ready(Some(Err(HttpError::new(HttpErrorKind::Timeout, CallError::TimedOut))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
