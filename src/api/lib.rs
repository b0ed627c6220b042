//! HTTP only: one table of routes; parse, authenticate, call one domain function, answer.

mod admin;
mod answers;
mod authenticate;
mod body;
mod client;
mod cors;
mod email_pages;
mod error;
mod federation;
mod guests;
mod limit;
mod origin;
mod pages;
mod request;
mod router;

use std::sync::Arc;

pub use answers::{Answered, Route, method_name};
pub use client::Verbatim;
use http::Method;
pub use limit::Limits;
use matron_homeserver::Homeserver;

/// The API as a service, with what it counts.
#[derive(Debug)]
pub struct Service {
    /// What answers.
    pub router: axum::Router,
    /// Every path that is served.
    pub routes: Vec<Route>,
    /// The limits on requests.
    pub limits: Arc<Limits>,
}

/// The client-server API (and what stands beside it). Unknown paths answer 404 `M_UNRECOGNIZED`, known ones with another
/// method 405.
#[must_use]
pub fn service(homeserver: Arc<Homeserver>) -> Service {
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
