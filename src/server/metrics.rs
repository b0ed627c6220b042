//! What is counted, and the listener where Prometheus reads it.

mod process;
mod store;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::{StatusCode, header};
use matron_homeserver::Homeserver;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Seconds, from a row in the cache to a long poll.
const BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10.0, 30.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Endpoint {
    method: &'static str,
    route: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    method: &'static str,
    route: Arc<str>,
    status: u16,
}

/// The counters that requests touch. Their labels are bounded: a route is a pattern, never a path.
pub struct Telemetry {
    requests: Family<Outcome, Counter>,
    durations: Family<Endpoint, Histogram>,
    pending: Gauge,
    connections: Gauge,
    elsewhere: Arc<str>,
}

/// Counts something as long as it lives, however it ends.
pub struct Counted(Gauge);

impl Counted {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Telemetry {
    /// The counters, and the registry that knows them.
    pub fn new(homeserver: &Arc<Homeserver>) -> (Self, Registry) {
        let telemetry = Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            pending: Gauge::default(),
            connections: Gauge::default(),
            elsewhere: Arc::from("unmatched"),
        };
        let mut registry = Registry::with_prefix("matron");
        registry.register("http_requests", "Requests that were answered", telemetry.requests.clone());
        registry.register_with_unit(
            "http_request_duration",
            "Time from a request's head to its answer's head; long polls wait on purpose",
            Unit::Seconds,
            telemetry.durations.clone(),
        );
        registry.register("http_requests_pending", "Requests that wait for their answer", telemetry.pending.clone());
        registry.register("http_connections", "Open connections", telemetry.connections.clone());
        registry.register_collector(Box::new(store::Collect(Arc::clone(&homeserver.store))));
        registry.register_collector(Box::new(process::Collect));
        (telemetry, registry)
    }

    /// Counts a connection as long as the answer lives.
    pub fn connection(&self) -> Counted {
        Counted::new(&self.connections)
    }

    /// Counts a request that waits as long as the answer lives.
    pub fn pending(&self) -> Counted {
        Counted::new(&self.pending)
    }

    /// Counts an answer.
    pub fn answered(&self, method: &'static str, route: Option<matron_api::Route>, status: u16, took: Duration) {
        let route = route.map_or_else(|| Arc::clone(&self.elsewhere), matron_api::Route::into_pattern);
        let endpoint = Endpoint { method, route: Arc::clone(&route) };
        self.durations.get_or_create(&endpoint).observe(took.as_secs_f64());
        self.requests.get_or_create(&Outcome { method, route, status }).inc();
    }
}

/// Serves the registry at `/metrics`.
pub fn routes(registry: Registry) -> Router {
    let registry = Arc::new(registry);
    Router::new().route("/metrics", get(move || async move { page(&registry) }))
}

fn page(registry: &Registry) -> Response {
    let mut page = String::new();
    match text::encode(&mut page, registry) {
        Ok(()) => ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], page)
            .into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
