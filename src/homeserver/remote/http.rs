//! A small HTTP client for calls out: bounded in time and size, follows no redirect, and connects to no address that it
//! may not call, whatever a name resolves to.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_rustls::rustls::ClientConfig;
use tower::Service;
use tracing::Instrument as _;

use super::addresses::Addresses;
use super::dns::SystemDns;
use super::locate::{BoxError, Hosts, Locate};

/// How long one address may take to answer that it is there.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long it may take until a connection can be used, with all of its addresses and TLS. Whoever waited for it may be served
/// by another one meanwhile, and then nobody else bounds this one.
const USABLE_WITHIN: Duration = Duration::from_secs(45);
/// How many addresses of a name are tried.
const MOST_ADDRESSES: usize = 6;
/// How long a connection that nobody needs is kept.
const IDLE_FOR: Duration = Duration::from_mins(1);
/// How many of them are kept per host.
const IDLE_PER_HOST: usize = 8;
/// How often a connection of HTTP/2 with open requests is asked whether it is still there, and how long it may take to say so.
const ASK_EVERY: Duration = Duration::from_secs(15);
const ALIVE_WITHIN: Duration = Duration::from_secs(10);

/// Why a call got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Every address of the host is one that is not called.
    #[error("the address is not one that this server calls")]
    Denied,
    /// Nobody answers, or not as HTTP has it.
    #[error("no answer: {0}")]
    Unreachable(String),
    /// It took too long.
    #[error("no answer in time")]
    TimedOut,
    /// There was more than is taken.
    #[error("the answer is too long")]
    TooLarge,
}

/// How much is taken of an answer, and how long it may take, from the look-up of the name to the last byte.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// In all.
    pub within: Duration,
    /// The longest body.
    pub bytes: usize,
}

/// A client with a pool of connections. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    pool: Pool<Within, Full<Bytes>>,
}

impl Client {
    /// Speaks TLS by `tls` and connects to `addresses` alone.
    #[must_use]
    pub fn new(tls: &Arc<ClientConfig>, addresses: Arc<Addresses>) -> Self {
        Self::finding(tls, addresses, Arc::new(Hosts(Arc::new(SystemDns::default()))))
    }

    /// As [`Self::new`], with another way to find the addresses of a host. Of those, too, `addresses` alone are called.
    #[must_use]
    pub fn finding(tls: &Arc<ClientConfig>, addresses: Arc<Addresses>, locate: Arc<dyn Locate>) -> Self {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(ClientConfig::clone(tls))
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(Connector { addresses, locate });
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_FOR)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .http2_keep_alive_interval(ASK_EVERY)
            .http2_keep_alive_timeout(ALIVE_WITHIN)
            .build(Within(connector));
        Self { pool }
    }

    /// Calls, and hands out the answer as it begins: for callers who bound its time and size themselves.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn begin(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, CallError> {
        // Whom it calls is told nobody: it may be a link of somebody's.
        let span = tracing::debug_span!("call", method = %request.method());
        self.pool.request(request).instrument(span).await.map_err(|error| why(&error))
    }

    /// Calls, and reads the whole answer, whatever its status: redirects too are answers.
    ///
    /// # Errors
    /// There is no answer within the limits.
    pub async fn call(&self, request: Request<Full<Bytes>>, limits: Limits) -> Result<Response<Bytes>, CallError> {
        let answer = async {
            let (parts, body) = self.begin(request).await?.into_parts();
            // What says that it is too long is not read at all.
            if usize::try_from(body.size_hint().lower()).map_or(true, |bytes| bytes > limits.bytes) {
                return Err(CallError::TooLarge);
            }
            let body = Limited::new(body, limits.bytes).collect().await;
            let body = body.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
                Some(_) => CallError::TooLarge,
                None => CallError::Unreachable(error.to_string()),
            })?;
            Ok(Response::from_parts(parts, body.to_bytes()))
        };
        tokio::time::timeout(limits.within, answer).await.map_err(|_| CallError::TimedOut)?
    }
}

/// The innermost reason says most.
fn why(error: &hyper_util::client::legacy::Error) -> CallError {
    let mut reason: &dyn std::error::Error = error;
    loop {
        if reason.downcast_ref::<Denied>().is_some() {
            return CallError::Denied;
        }
        match reason.source() {
            Some(source) => reason = source,
            None => return CallError::Unreachable(reason.to_string()),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("none of its addresses may be called")]
struct Denied;

/// Connects, after a look at the address: at the last moment, so that a name that resolves otherwise the second time gains
/// nothing.
#[derive(Debug, Clone)]
struct Connector {
    addresses: Arc<Addresses>,
    locate: Arc<dyn Locate>,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (addresses, locate) = (Arc::clone(&self.addresses), Arc::clone(&self.locate));
        Box::pin(async move { Ok(TokioIo::new(connect(locate.locate(&uri).await?, &addresses).await?)) })
    }
}

/// Connects, TLS included, or gives up.
#[derive(Debug, Clone)]
struct Within(HttpsConnector<Connector>);

impl Service<Uri> for Within {
    type Response = <HttpsConnector<Connector> as Service<Uri>>::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let usable = tokio::time::timeout(USABLE_WITHIN, self.0.call(uri));
        Box::pin(async move { usable.await.unwrap_or_else(|_| Err("the host does not get ready to talk".into())) })
    }
}

async fn connect(found: Vec<SocketAddr>, addresses: &Addresses) -> Result<TcpStream, BoxError> {
    let mut last: BoxError = Box::new(Denied);
    for address in found.into_iter().filter(|found| addresses.may_call(found.ip())).take(MOST_ADDRESSES) {
        match tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // A request is written at once: nothing is gained by waiting for more.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => last = error.into(),
            Err(_) => last = "the host does not answer".into(),
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests;
