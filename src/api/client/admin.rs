//! What administrators see and do by Matrix's own endpoints: client-server API, "Server Administration".

use std::sync::Arc;

use axum::response::Response;
use http::StatusCode;
use matron_homeserver::Homeserver;
use matron_homeserver::accounts::{DeviceInfo, Session};
use matron_homeserver::schema::devices::LastSeen;
use matron_matrix::Error as MatrixError;
use ruma::OwnedUserId;
use ruma::api::Metadata;
use ruma::api::client::admin::{get_user_info, is_user_locked, is_user_suspended, lock_user, suspend_user};
use ruma::api::path_builder::PathBuilder;
use serde_json::{Map, Value, json};

use crate::error::{self, Result};
use crate::request::{Loose, Ruma};
use crate::router::Routes;

pub fn routes(routes: &mut Routes) {
    // ruma writes null where something is not known, which the spec does not allow.
    for path in get_user_info::v3::Request::PATH_BUILDER.all_paths() {
        routes.add_answering(path, who_is);
    }
    routes.add(is_locked);
    routes.add(lock);
    routes.add(is_suspended);
    routes.add(suspend);
}

async fn who_is(homeserver: Arc<Homeserver>, request: Ruma<get_user_info::v3::Request>) -> Result<Response> {
    let user_id = request.body.user_id;
    let devices = homeserver.accounts.who_is(&request.identity, &user_id).await?;
    let devices: Map<String, Value> = devices.into_iter().map(shown).collect();
    Ok(error::json(StatusCode::OK, &json!({ "user_id": user_id, "devices": devices })))
}

/// A device with its one session.
fn shown(device: DeviceInfo) -> (String, Value) {
    let connections: Vec<_> = device.last_seen.map(connection).into_iter().collect();
    (device.device_id, json!({ "sessions": [{ "connections": connections }] }))
}

/// A session's last connection: no others are kept. What is not known of it is left out.
fn connection(seen: LastSeen) -> Map<String, Value> {
    let known = [("ip", seen.ip), ("user_agent", seen.agent)].into_iter().filter(|(_, text)| !text.is_empty());
    let known = known.map(|(name, text)| (name.to_owned(), Value::from(text)));
    known.chain([("last_seen".to_owned(), Value::from(seen.at))]).collect()
}

async fn is_locked(
    homeserver: Arc<Homeserver>,
    request: Ruma<is_user_locked::v1::Request>,
) -> Result<is_user_locked::v1::Response> {
    let (_, account) = homeserver.accounts.moderated(&request.identity, &request.body.user_id).await?;
    Ok(is_user_locked::v1::Response::new(account.locked))
}

async fn lock(
    homeserver: Arc<Homeserver>,
    request: Ruma<Loose<lock_user::v1::Request, Map<String, Value>>>,
) -> Result<lock_user::v1::Response> {
    let (user_id, locked) = wanted(&request.identity, &request.body, "locked")?;
    homeserver.accounts.lock(&request.identity, &user_id, locked).await?;
    Ok(lock_user::v1::Response::new(locked))
}

async fn is_suspended(
    homeserver: Arc<Homeserver>,
    request: Ruma<is_user_suspended::v1::Request>,
) -> Result<is_user_suspended::v1::Response> {
    let (_, account) = homeserver.accounts.moderated(&request.identity, &request.body.user_id).await?;
    Ok(is_user_suspended::v1::Response::new(account.suspended))
}

async fn suspend(
    homeserver: Arc<Homeserver>,
    request: Ruma<Loose<suspend_user::v1::Request, Map<String, Value>>>,
) -> Result<suspend_user::v1::Response> {
    let (user_id, suspended) = wanted(&request.identity, &request.body, "suspended")?;
    homeserver.accounts.suspend(&request.identity, &user_id, suspended).await?;
    Ok(suspend_user::v1::Response::new(suspended))
}

/// Of whom an administrator says something, and whether it is so. Whoever is none learns that first. The domain asks again.
fn wanted<T>(by: &Session, request: &Loose<T, Map<String, Value>>, name: &str) -> Result<(OwnedUserId, bool)> {
    by.may_administer()?;
    let value = request.body.get(name).ok_or_else(|| MatrixError::missing_param(format!("{name} is needed")))?;
    let value = value.as_bool().ok_or_else(|| MatrixError::bad_json(format!("{name} is true or false")))?;
    Ok((request.id(0)?, value))
}
