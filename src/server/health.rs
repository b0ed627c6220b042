//! `/health`: the process lives. `/ready`: it can be given work.

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::StatusCode;
use matron_api::Route;
use matron_homeserver::Homeserver;
use matron_storage::Health;

/// Both, beside whatever else a listener serves.
pub fn routes(router: Router, routes: (Route, Route), homeserver: &Arc<Homeserver>) -> Router {
    let homeserver = Arc::clone(homeserver);
    let (alive, able) = routes;
    router
        .route("/health", get(move || async move { named(alive, StatusCode::OK, "alive\n".to_owned()) }))
        .route("/ready", get(move || async move { ready(able, &homeserver) }))
}

/// What [`routes`] counts by.
pub fn paths() -> (Route, Route) {
    (Route::new("/health"), Route::new("/ready"))
}

/// Why the server cannot be given work; nothing where it can.
pub fn why_not_ready(homeserver: &Homeserver) -> Option<&'static str> {
    if homeserver.stopping().is_cancelled() {
        return Some("stopping");
    }
    match homeserver.store.health() {
        Health::Ready | Health::Troubled => None,
        Health::ReadOnly => Some("the store takes no writes: is the disk full?"),
    }
}

fn ready(route: Route, homeserver: &Homeserver) -> Response {
    match why_not_ready(homeserver) {
        None => named(route, StatusCode::OK, "ready\n".to_owned()),
        Some(reason) => named(route, StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

fn named(route: Route, status: StatusCode, body: String) -> Response {
    let mut response = (status, body).into_response();
    response.extensions_mut().insert(route);
    response
}
