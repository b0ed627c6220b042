//! OpenTelemetry traces: a span per request with what it waited for below it, sent to a collector by OTLP over HTTP.
//!
//! A trace names nobody: it has a request's method, route, status, id and sort of asker, and how long each part took. It
//! holds no user, room, address, path or host, and no line of the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use matron_homeserver::remote::addresses::Addresses;
use matron_homeserver::remote::http::{Client, Limits};
use matron_homeserver::remote::trust;
use opentelemetry::trace::{Link, SpanKind, Status, TraceId, TracerProvider as _};
use opentelemetry::{Context, Key, KeyValue, Value};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SamplingResult, SdkTracerProvider, ShouldSample, SpanData};
use tokio::runtime::Handle;
use tracing::instrument::WithSubscriber as _;
use tracing::level_filters::LevelFilter;
use tracing::{Dispatch, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::registry::LookupSpan;

use crate::config::{Config, Traces as Settings};
use crate::failure::{Failure, Result};

/// What is taken of a collector's answer.
const LIMITS: Limits = Limits { within: Duration::from_secs(10), bytes: 64 << 10 };
/// How long the last spans may take when the server stops.
const LAST_WITHIN: Duration = Duration::from_secs(5);
/// Spans that may stand alone: others without a parent belong to what the server does by itself.
const ROOTS: [&str; 2] = ["request", "call"];

/// Traces while they are sent.
pub struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Begins to send traces, if the configuration says where to.
    ///
    /// # Errors
    /// The address of the collector is none.
    pub fn open(config: &Config, runtime: &Handle) -> Result<Option<Self>> {
        config.traces.as_ref().map(|settings| Self::begin(settings, config, runtime)).transpose()
    }

    fn begin(settings: &Settings, config: &Config, runtime: &Handle) -> Result<Self> {
        let failed = |error: &dyn std::fmt::Display| Failure::because("traces.endpoint", error);
        let tls = trust::client(&config.domain.outgoing.authorities)?;
        let sender = Sender { client: Client::new(&tls, Arc::new(Addresses::all())), runtime: runtime.clone() };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(sender)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(&settings.endpoint)
            .with_timeout(LIMITS.within)
            .build()
            .map_err(|error| failed(&error))?;
        let resource = Resource::builder()
            .with_service_name("matron")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let roots = Roots(Sampler::TraceIdRatioBased(settings.sample));
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(Exporter { inner: exporter, failing: AtomicBool::new(false) })
            .with_sampler(Sampler::ParentBased(Box::new(roots)))
            .with_resource(resource)
            .build();
        Ok(Self { provider })
    }

    /// What takes this program's spans, and nothing else: no lines of the log, and no other crate's spans.
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        let ours = FilterFn::new(|metadata| metadata.is_span() && metadata.target().starts_with("matron"))
            .with_max_level_hint(LevelFilter::DEBUG);
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("matron"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(ours)
    }

    /// Sends what waits. The runtime must still run.
    pub fn close(self) {
        if let Err(error) = self.provider.shutdown_with_timeout(LAST_WITHIN) {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}

/// Samples requests and calls; what else has no parent is no trace.
#[derive(Debug, Clone)]
struct Roots(Sampler);

impl ShouldSample for Roots {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let sampler = if ROOTS.contains(&name) { &self.0 } else { &Sampler::AlwaysOff };
        sampler.should_sample(parent, trace, name, kind, attributes, links)
    }
}

/// Sends spans under the names that OpenTelemetry has for them, and says in the log when that begins to fail.
#[derive(Debug)]
struct Exporter {
    inner: SpanExporter,
    failing: AtomicBool,
}

impl opentelemetry_sdk::trace::SpanExporter for Exporter {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        batch.iter_mut().for_each(name);
        let sent = self.inner.export(batch).await;
        let failed_before = self.failing.swap(sent.is_err(), Ordering::Relaxed);
        match &sent {
            Err(error) if !failed_before => tracing::warn!(%error, "traces cannot be sent"),
            Ok(()) if failed_before => tracing::info!("traces are sent again"),
            _ => {}
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Log lines call things shorter than OpenTelemetry's conventions do.
fn name(span: &mut SpanData) {
    for attribute in &mut span.attributes {
        attribute.key = match attribute.key.as_str() {
            "method" => Key::from_static_str("http.request.method"),
            "route" => Key::from_static_str("http.route"),
            "id" => Key::from_static_str("matron.request_id"),
            "asker" => Key::from_static_str("matron.asker"),
            _ => continue,
        };
    }
    let value = |key: &str| span.attributes.iter().find(|found| found.key.as_str() == key).map(|found| &found.value);
    match &*span.name {
        "request" => {
            let method = value("http.request.method").map(Value::as_str).unwrap_or_default();
            let route = value("http.route").map(Value::as_str);
            let name = route.map_or_else(|| method.to_string(), |route| format!("{method} {route}"));
            if matches!(value("http.response.status_code"), Some(Value::I64(500..))) {
                span.status = Status::error("");
            }
            span.name = name.into();
            span.span_kind = SpanKind::Server;
        }
        "call" => span.span_kind = SpanKind::Client,
        _ => {}
    }
}

/// The way to the collector: this server's own client, on its own threads.
#[derive(Debug)]
struct Sender {
    client: Client,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let call = async move { client.call(request.map(Full::new), LIMITS).await };
        // A trace of sending traces would never end.
        let call = self.runtime.spawn(call.with_subscriber(Dispatch::none()));
        Ok(call.await??)
    }
}
