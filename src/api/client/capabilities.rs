//! What this server can do and lets its users do: client-server API, "Capabilities negotiation".

use std::sync::Arc;

use axum::response::Response;
use http::StatusCode;
use matron_homeserver::Homeserver;
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

async fn capabilities(homeserver: Arc<Homeserver>, _: Ruma<Request>) -> Result<Response> {
    let versions: Map<String, Value> =
        ROOM_VERSIONS.map(|version| (version.to_owned(), "stable".into())).into_iter().collect();
    let answer = json!({
        "capabilities": {
            "m.change_password": { "enabled": true },
            "m.room_versions": { "default": homeserver.config.default_room_version, "available": versions },
            "m.profile_fields": { "enabled": true },
            "m.set_displayname": { "enabled": true },
            "m.set_avatar_url": { "enabled": true },
            "m.3pid_changes": { "enabled": homeserver.config.mail.is_some() },
            "m.get_login_token": { "enabled": true },
        }
    });
    Ok(error::json(StatusCode::OK, &answer))
}
