//! One's own account: client-server API, "Account management" and "Current account information".

use std::sync::Arc;

use axum::response::Response;
use http::StatusCode;
use matron_homeserver::Homeserver;
use matron_homeserver::lifecycle::Operation;
use ruma::api::Metadata;
use ruma::api::client::account::{ThirdPartyIdRemovalStatus, change_password, deactivate, get_3pids, whoami};
use ruma::api::path_builder::PathBuilder;

use crate::error::{self, Result};
use crate::request::Ruma;
use crate::router::Routes;

pub fn routes(routes: &mut Routes) {
    routes.add(who_am_i);
    routes.add(password);
    routes.add(close);
    // ruma leaves an empty list out, which the spec requires.
    for path in get_3pids::v3::Request::PATH_BUILDER.all_paths() {
        routes.add_answering(path, third_party_ids);
    }
}

async fn who_am_i(_: Arc<Homeserver>, request: Ruma<whoami::v3::Request>) -> Result<whoami::v3::Response> {
    let session = request.identity;
    let mut response = whoami::v3::Response::new(session.user_id, session.guest);
    response.device_id = Some(session.device_id);
    Ok(response)
}

async fn password(
    homeserver: Arc<Homeserver>,
    request: Ruma<change_password::v3::Request>,
) -> Result<change_password::v3::Response> {
    let operation = Operation { name: "account/password", subject: "", address: request.client.address };
    let (session, body) = (request.identity.as_ref(), &request.body);
    let lifecycle = &homeserver.lifecycle;
    lifecycle.change_password(session, body.auth.as_ref(), operation, &body.new_password, body.logout_devices).await?;
    Ok(change_password::v3::Response::new())
}

async fn close(
    homeserver: Arc<Homeserver>,
    request: Ruma<deactivate::v3::Request>,
) -> Result<deactivate::v3::Response> {
    let operation = Operation { name: "account/deactivate", subject: "", address: request.client.address };
    let (session, body) = (request.identity.as_ref(), &request.body);
    homeserver.lifecycle.deactivate(session, body.auth.as_ref(), operation, body.erase).await?;
    // Nothing was bound to begin with.
    Ok(deactivate::v3::Response::new(ThirdPartyIdRemovalStatus::Success))
}

async fn third_party_ids(_: Arc<Homeserver>, _: Ruma<get_3pids::v3::Request>) -> Result<Response> {
    // No addresses of third parties are bound to accounts here.
    Ok(error::json(StatusCode::OK, &serde_json::json!({ "threepids": [] })))
}
