//! `/health`: the process lives. `/ready`: it can be given work.

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::StatusCode;
use matron_homeserver::Homeserver;
use matron_storage::Health;

/// Both, beside whatever else a listener serves.
pub fn routes(router: Router, homeserver: &Arc<Homeserver>) -> Router {
    let homeserver = Arc::clone(homeserver);
    router
        .route("/health", get(|| async { named("/health", StatusCode::OK, "alive\n") }))
        .route("/ready", get(move || async move { ready(&homeserver) }))
}

fn ready(homeserver: &Homeserver) -> Response {
    let (status, reason) = if homeserver.stopping().is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
    } else {
        match homeserver.store.health() {
            Health::Ready => (StatusCode::OK, "ready\n"),
            Health::ReadOnly => (StatusCode::SERVICE_UNAVAILABLE, "the store takes no writes: is the disk full?\n"),
        }
    };
    named("/ready", status, reason)
}

fn named(route: &'static str, status: StatusCode, body: &'static str) -> Response {
    let mut response = (status, body).into_response();
    response.extensions_mut().insert(matron_api::Route::new(route));
    response
}
