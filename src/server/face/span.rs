//! A request's span: its id goes into every log line, and where requests are traced, what a trace tells of it.

use http::HeaderMap;
use http::header::HeaderName;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The header with a request's id.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id that a proxy may give.
const MOST_ID_BYTES: usize = 64;

/// The id that a trusted proxy gave a request, by which it stands in the proxy's log too.
pub fn given_id(headers: &HeaderMap) -> Option<&str> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=MOST_ID_BYTES).contains(&id.len()).then_some(id).filter(|id| id.bytes().all(legal))
}

/// The span of a request. An error's line has its id whatever the log's filter leaves out, so it is as loud as an error.
pub fn plain(id: &str, method: &'static str) -> Span {
    tracing::error_span!("request", id, method, route = Empty)
}

/// The span of a request where traces are sent. It goes on a trusted proxy's trace.
pub fn traced(id: &str, method: &'static str, trusted: Option<&HeaderMap>) -> Span {
    let span = tracing::error_span!("request", id, method, route = Empty, asker = Empty);
    if let Some(headers) = trusted {
        let parent = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
        // It fails only where the log's filter is off altogether, and there is no span.
        let _ = span.set_parent(parent);
    }
    span
}

/// What a trace tells of the answer.
pub fn answered(span: &Span, status: u16) {
    span.set_attribute("http.response.status_code", i64::from(status));
}
