//! Credentials for TURN servers: client-server API, "Voice over IP".

use std::sync::Arc;

use axum::response::Response;
use http::StatusCode;
use matron_homeserver::Homeserver;
use ruma::api::Metadata;
use ruma::api::client::voip::get_turn_server_info::v3::Request;
use ruma::api::path_builder::PathBuilder;
use serde_json::json;

use crate::error::{Result, json as answer};
use crate::request::Ruma;
use crate::router::Routes;

pub fn routes(routes: &mut Routes) {
    for path in Request::PATH_BUILDER.all_paths() {
        routes.add_answering(path, turn_server);
    }
}

/// Without a TURN server the answer is an empty object, by which clients know to do without.
async fn turn_server(homeserver: Arc<Homeserver>, request: Ruma<Request>) -> Result<Response> {
    let credentials = homeserver.accounts.turn_credentials(&request.identity)?;
    let body = credentials.map_or_else(
        || json!({}),
        |given| json!({ "username": given.username, "password": given.password, "uris": given.uris, "ttl": given.ttl }),
    );
    Ok(answer(StatusCode::OK, &body))
}
