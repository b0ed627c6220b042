//! What every request goes through before and after the API: an id, a span, the client's address, metrics, compression.

mod address;
mod span;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{Extensions, HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use ipnet::IpNet;
use tower::{Layer as _, Service as _};
use tower_http::CompressionLevel;
use tower_http::compression::predicate::{And, NotForContentType, Predicate as _, SizeAbove};
use tower_http::compression::{Compression, CompressionBody, CompressionLayer};
use tower_http::timeout::TimeoutBody;
use tracing::{Instrument as _, Span};

use crate::metrics::Traffic;

/// Shorter answers cost more to compress than they save.
const COMPRESS_ABOVE_BYTES: u64 = 1024;
/// A body whose next piece does not come within this is given up.
const BODY_WITHIN: Duration = Duration::from_secs(30);

type Compressed = Compression<axum::Router, And<And<SizeAbove, NotForContentType>, Compressible>>;
type Compressible = fn(StatusCode, Version, &HeaderMap, &Extensions) -> bool;

/// Most media are encrypted or compressed already.
fn is_compressible(_: StatusCode, _: Version, _: &HeaderMap, extensions: &Extensions) -> bool {
    extensions.get::<matron_api::Verbatim>().is_none()
}

/// The outermost floor of the HTTP API.
pub struct Face {
    service: Compressed,
    traffic: Arc<Traffic>,
    proxies: ArcSwap<Vec<IpNet>>,
    /// Whether requests are traced.
    traced: bool,
    boot: u32,
    requests: AtomicU64,
}

impl Face {
    /// Puts it around the API.
    pub fn new(api: axum::Router, traffic: Arc<Traffic>, proxies: Vec<IpNet>, traced: bool) -> Self {
        let when = SizeAbove::new(COMPRESS_ABOVE_BYTES).and(NotForContentType::IMAGES);
        let when = when.and(is_compressible as Compressible);
        let service = CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(when).layer(api);
        let requests = AtomicU64::new(0);
        Self { service, traffic, proxies: ArcSwap::from_pointee(proxies), traced, boot: rand::random(), requests }
    }

    /// Believes other proxies from now on.
    pub fn trust(&self, proxies: Vec<IpNet>) {
        self.proxies.store(Arc::new(proxies));
    }

    /// What is counted.
    pub fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// Answers a request. Neither its path (which may hold identifiers) nor anything of its query, headers or body is logged.
    pub async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Result<Response<CompressionBody<Body>>, Infallible> {
        let began = Instant::now();
        let method = matron_api::method_name(request.method());
        let proxies = self.proxies.load();
        let client = address::of(peer, request.headers(), &proxies);
        let (id, span) = self.open_span(method, &request, address::is_trusted(peer.ip(), &proxies));
        drop(proxies);
        let mut request = request.map(|body| Body::new(TimeoutBody::new(BODY_WITHIN, body)));
        request.extensions_mut().insert(ConnectInfo(client));

        let pending = self.traffic.pending();
        let Ok(mut response) = self.service.clone().call(request).instrument(span.clone()).await;
        drop(pending);

        let took = began.elapsed();
        let status = response.status().as_u16();
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        // What went well is counted, and told to who asks for it.
        if status < 400 {
            tracing::debug!(parent: &span, status, micros, "answered");
        } else {
            tracing::info!(parent: &span, status, micros, "answered");
        }
        if self.traced {
            span::answered(&span, status);
        }
        self.traffic.answered(method, response.extensions().get(), status, took);
        if let Ok(id) = HeaderValue::try_from(id) {
            response.headers_mut().insert(span::REQUEST_ID, id);
        }
        Ok(response)
    }

    /// A request's id and span. A proxy that is trusted may have begun either.
    fn open_span(&self, method: &'static str, request: &Request<Incoming>, trusted: bool) -> (String, Span) {
        let trusted = trusted.then_some(request.headers());
        let nth = self.requests.fetch_add(1, Ordering::Relaxed);
        let given = trusted.and_then(span::given_id);
        let id = given.map_or_else(|| format!("{:08x}-{nth:x}", self.boot), ToOwned::to_owned);
        let span = if self.traced { span::traced(&id, method, trusted) } else { span::plain(&id, method) };
        (id, span)
    }
}
