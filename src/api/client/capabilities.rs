//! What this server can do and lets its users do: client-server API, "Capabilities negotiation".

use std::sync::Arc;

use axum::response::Response;
use http::StatusCode;
use matron_homeserver::Homeserver;
use matron_homeserver::accounts::Session;
use matron_homeserver::config::Config;
use ruma::api::Metadata;
use ruma::api::client::discovery::get_capabilities::v3::Request;
use ruma::api::path_builder::PathBuilder;
use serde_json::{Map, Value, json};

use crate::error::{self, Result};
use crate::request::Ruma;
use crate::router::Routes;

/// The room versions that rooms here can have.
const ROOM_VERSIONS: [&str; 7] = ["6", "7", "8", "9", "10", "11", "12"];

pub fn routes(routes: &mut Routes) {
    // ruma leaves out what has its default, and clients and tests want to see it.
    for path in Request::PATH_BUILDER.all_paths() {
        routes.add_answering(path, capabilities);
    }
}

async fn capabilities(homeserver: Arc<Homeserver>, request: Ruma<Request>) -> Result<Response> {
    let capabilities = capabilities_of(&request.identity, &homeserver.config);
    Ok(error::json(StatusCode::OK, &json!({ "capabilities": capabilities })))
}

/// What who asks may do. Guests set their display name alone (`guests.rs`), the suspended nothing of their profile.
fn capabilities_of(session: &Session, config: &Config) -> Map<String, Value> {
    let &Session { guest, suspended, admin, .. } = session;
    let enabled = |enabled: bool| json!({ "enabled": enabled });
    let versions: Map<String, Value> =
        ROOM_VERSIONS.map(|version| (version.to_owned(), "stable".into())).into_iter().collect();
    let profile_fields =
        if guest && !suspended { json!({ "enabled": true, "allowed": ["displayname"] }) } else { enabled(!suspended) };
    let moderation = json!({ "lock": true, "suspend": true });
    // By the spec's name, and the one before it was in the spec.
    let moderation = ["m.account_moderation", "uk.timedout.msc4323"].map(|name| (name, moderation.clone()));
    let moderation = moderation.into_iter().filter(|_| admin && !suspended);
    let capabilities = [
        ("m.change_password", enabled(!guest)),
        ("m.room_versions", json!({ "default": config.default_room_version, "available": versions })),
        ("m.profile_fields", profile_fields),
        ("m.set_displayname", enabled(!suspended)),
        ("m.set_avatar_url", enabled(!suspended && !guest)),
        ("m.3pid_changes", enabled(!guest && config.mail.is_some())),
        ("m.get_login_token", enabled(!guest)),
    ];
    capabilities.into_iter().chain(moderation).map(|(name, value)| (name.to_owned(), value)).collect()
}
