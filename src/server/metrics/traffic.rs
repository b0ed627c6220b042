//! Requests, connections, and who is sent away.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use matron_api::{Limits, Route};
use matron_storage::{Entered, Level};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::sheet::Sheet;

/// What requests touch: additions alone. The labels are bounded, since a route is a pattern, never a path.
#[derive(Debug)]
pub struct Traffic {
    pending: Level,
    connections: Level,
    routes: Vec<Route>,
    /// For all that has no route.
    elsewhere: Route,
    limits: Arc<Limits>,
}

impl Traffic {
    /// Of these routes, with what limits them.
    pub fn new(routes: Vec<Route>, limits: Arc<Limits>) -> Self {
        let elsewhere = Route::new("unmatched");
        Self { pending: Level::default(), connections: Level::default(), routes, elsewhere, limits }
    }

    /// Counts a connection as long as the answer lives.
    pub fn connection(&self) -> Entered<'_> {
        self.connections.enter()
    }

    /// Counts a request that waits as long as the answer lives.
    pub fn pending(&self) -> Entered<'_> {
        self.pending.enter()
    }

    /// Counts an answer.
    pub fn answered(&self, method: &str, route: Option<&Route>, status: u16, took: Duration) {
        route.unwrap_or(&self.elsewhere).answered(method, status, took);
    }
}

/// Reads this traffic.
#[derive(Debug)]
pub struct Collect(pub Arc<Traffic>);

impl Collector for Collect {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (traffic, mut sheet) = (&self.0, Sheet(encoder));
        sheet.gauge("http_connections", "Open connections", traffic.connections.get())?;
        sheet.gauge("http_requests_pending", "Requests that wait for their answer", traffic.pending.get())?;
        let mut answers = Vec::new();
        for route in traffic.routes.iter().chain([&traffic.elsewhere]) {
            answers.extend(route.all().map(|answered| (route.pattern(), answered)));
        }
        let requests = answers.iter().flat_map(|(route, answered)| {
            let labels = [("method", answered.method.to_owned()), ("route", (*route).to_owned())];
            answered.statuses().map(move |(status, count)| {
                let [method, route] = labels.clone();
                ([method, route, ("status", status.to_string())], count)
            })
        });
        sheet.counters_by("http_requests", "Requests that were answered", requests)?;
        let times = answers.iter().map(|(route, answered)| {
            let labels = [("method", answered.method), ("route", *route)];
            (labels, answered.took())
        });
        let help = "Time from a request's head to its answer's head; long polls wait on purpose";
        sheet.times_by("http_request_duration", help, times)?;
        let refused = traffic.limits.refused();
        sheet.counters(("requests_limited", "class"), "Requests that were refused as too many", refused)
    }
}
