//! Client-server API, "End-to-End Encryption": keys of devices and users.

use std::sync::Arc;

use axum::response::Response;
use matron_homeserver::Homeserver;
use matron_homeserver::devices::{CrossSigningKeys, Published};
use matron_homeserver::lifecycle::Operation;
use matron_homeserver::streams::Token;
use matron_matrix::Error as MatrixError;
use ruma::api::Metadata;
use ruma::api::client::keys::upload_signatures::v3::Failure;
use ruma::api::client::keys::{
    claim_keys, get_key_changes, get_keys, upload_keys, upload_signatures, upload_signing_keys,
};
use ruma::api::path_builder::PathBuilder;

use crate::error::{Result, raw_json};
use crate::request::{Ruma, token};
use crate::router::Routes;

pub fn routes(routes: &mut Routes) {
    routes.add(upload);
    for path in get_keys::v3::Request::PATH_BUILDER.all_paths() {
        routes.add_answering(path, query);
    }
    for path in claim_keys::v3::Request::PATH_BUILDER.all_paths() {
        routes.add_answering(path, claim);
    }
    routes.add(changes);
    routes.add(upload_cross_signing);
    routes.add(upload_signed);
}

async fn upload(
    homeserver: Arc<Homeserver>,
    request: Ruma<upload_keys::v3::Request>,
) -> Result<upload_keys::v3::Response> {
    let upload_keys::v3::Request { device_keys, one_time_keys, fallback_keys } = request.body;
    let counts =
        homeserver.devices.upload(&request.identity, device_keys.as_ref(), &one_time_keys, &fallback_keys).await?;
    Ok(upload_keys::v3::Response::new(counts.one_time))
}

async fn query(homeserver: Arc<Homeserver>, request: Ruma<get_keys::v3::Request>) -> Result<Response> {
    Ok(raw_json(homeserver.devices.query(&request.identity, request.body.device_keys).await?))
}

async fn claim(homeserver: Arc<Homeserver>, request: Ruma<claim_keys::v3::Request>) -> Result<Response> {
    Ok(raw_json(homeserver.devices.claim(request.body.one_time_keys).await?))
}

/// Whose devices changed between two syncs. What changed after the second is told, too: who changed again since would be
/// missed otherwise.
async fn changes(
    homeserver: Arc<Homeserver>,
    request: Ruma<get_key_changes::v3::Request>,
) -> Result<get_key_changes::v3::Response> {
    let (from, to) = (token(&homeserver, &request.body.from)?, token(&homeserver, &request.body.to)?);
    let (Token::Stream { position: since, .. }, Token::Stream { .. }) = (from, to) else {
        return Err(MatrixError::invalid_param("these are no tokens of /sync").into());
    };
    let snapshot = homeserver.store.snapshot();
    let changes = homeserver.rooms.device_list_changes(&snapshot, request.identity.user, since).await?;
    let mut response = get_key_changes::v3::Response::new(Vec::new(), Vec::new());
    for user in changes.changed {
        response.changed.push(homeserver.ids.user_id(user).await?);
    }
    for user in changes.left {
        response.left.push(homeserver.ids.user_id(user).await?);
    }
    Ok(response)
}

async fn upload_cross_signing(
    homeserver: Arc<Homeserver>,
    request: Ruma<upload_signing_keys::v3::Request>,
) -> Result<upload_signing_keys::v3::Response> {
    let (session, body) = (&request.identity, &request.body);
    let (master, self_signing, user_signing) = (&body.master_key, &body.self_signing_key, &body.user_signing_key);
    let keys =
        CrossSigningKeys::parse(&session.user_id, master.as_ref(), self_signing.as_ref(), user_signing.as_ref())?;
    let devices = &homeserver.devices;
    if devices.publish(session, &keys, false).await? == Published::NeedsAuthorization {
        // Without user-interactive authentication nobody replaces keys.
        let operation = Operation { name: "keys/device_signing/upload", subject: "", address: request.client.address };
        homeserver.lifecycle.authorize(Some(session), body.auth.as_ref(), operation).await?;
        let _ = devices.publish(session, &keys, true).await?;
    }
    Ok(upload_signing_keys::v3::Response::new())
}

async fn upload_signed(
    homeserver: Arc<Homeserver>,
    request: Ruma<upload_signatures::v3::Request>,
) -> Result<upload_signatures::v3::Response> {
    let failures = homeserver.devices.sign(&request.identity, &request.body.signed_keys).await?;
    let mut response = upload_signatures::v3::Response::new();
    for (user, failed) in failures {
        let mut of_user = std::collections::BTreeMap::new();
        for (key_id, error) in failed {
            of_user.insert(key_id, failure(&error)?);
        }
        response.failures.insert(user, of_user);
    }
    Ok(response)
}

/// An error as it stands in the answer. ruma's type has no constructor but its reader.
fn failure(error: &MatrixError) -> Result<Failure> {
    let json = serde_json::json!({ "errcode": error.kind.errcode().as_str(), "error": error.message });
    Ok(serde_json::from_value(json).map_err(matron_homeserver::Error::internal)?)
}
