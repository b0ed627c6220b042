//! HTTP only: one table of routes; parse, authenticate, call one domain function, answer.

mod admin;
mod authenticate;
mod client;
mod cors;
mod email_pages;
mod error;
mod federation;
mod guests;
mod limit;
mod origin;
mod request;
mod router;

use std::sync::Arc;

pub use client::Verbatim;
use http::Method;
use matron_homeserver::Homeserver;
pub use router::Route;

/// The client-server API (and what stands beside it) as a service. Unknown paths answer 404 `M_UNRECOGNIZED`, known ones
/// with another method 405.
pub fn service(homeserver: Arc<Homeserver>) -> axum::Router {
    routes().into_service(homeserver)
}

/// What [`service`] serves: every method, with the pattern of its path (`/_matrix/client/v3/rooms/{room_id}/join`). For
/// those who must have walked all of it, fuzzing say.
#[must_use]
pub fn endpoints() -> Vec<(Method, String)> {
    routes().endpoints()
}

fn routes() -> router::Routes {
    let mut routes = router::Routes::default();
    client::routes(&mut routes);
    admin::routes(&mut routes);
    email_pages::routes(&mut routes);
    federation::routes(&mut routes);
    routes
}
