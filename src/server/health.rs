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
        .route("/health", get(|| async { named("/health", StatusCode::OK, "alive\n".to_owned()) }))
        .route("/ready", get(move || async move { ready(&homeserver) }))
}

/// Why the server cannot be given work; nothing where it can.
pub fn why_not_ready(homeserver: &Homeserver) -> Option<&'static str> {
    if homeserver.stopping().is_cancelled() {
        return Some("stopping");
    }
    match homeserver.store.health() {
        Health::Ready => None,
        Health::ReadOnly => Some("the store takes no writes: is the disk full?"),
        Health::Troubled => Some("the store cannot move rows to files: is the disk full? Soon it takes no writes"),
    }
}

fn ready(homeserver: &Homeserver) -> Response {
    match why_not_ready(homeserver) {
        None => named("/ready", StatusCode::OK, "ready\n".to_owned()),
        Some(reason) => named("/ready", StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

fn named(route: &'static str, status: StatusCode, body: String) -> Response {
    let mut response = (status, body).into_response();
    response.extensions_mut().insert(matron_api::Route::new(route));
    response
}
