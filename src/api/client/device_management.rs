//! The list of one's devices: client-server API, "Device management".

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::response::Response;
use http::StatusCode;
use matron_homeserver::Homeserver;
use matron_homeserver::accounts::DeviceInfo;
use matron_homeserver::lifecycle::Operation;
use matron_matrix::Error as MatrixError;
use ruma::api::Metadata;
use ruma::api::client::device::{delete_device, delete_devices, get_device, get_devices, update_device};
use ruma::api::path_builder::PathBuilder;
use serde::Serialize;
use serde_json::json;

use crate::error::{self, Result};
use crate::request::Ruma;
use crate::router::Routes;

/// How many devices are deleted at once.
const MOST: usize = 1000;

pub fn routes(routes: &mut Routes) {
    for path in get_devices::v3::Request::PATH_BUILDER.all_paths() {
        routes.add_answering(path, list);
    }
    for path in get_device::v3::Request::PATH_BUILDER.all_paths() {
        routes.add_answering(path, get);
    }
    routes.add(rename);
    routes.add(delete);
    routes.add(delete_many);
}

/// A device, without what is not known of it: ruma's type has nulls.
#[derive(Serialize)]
struct Shown {
    device_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_seen_ip: Option<String>,
    last_seen_ts: u64,
}

impl From<DeviceInfo> for Shown {
    fn from(DeviceInfo { device_id, device, last_seen }: DeviceInfo) -> Self {
        // Clients count on a time for each device: one that has not asked for anything yet was last seen as it was made.
        let last_seen_ts = last_seen.as_ref().map_or(device.created, |seen| seen.at);
        let last_seen_ip = last_seen.map(|seen| seen.ip).filter(|ip| !ip.is_empty());
        Self { device_id, display_name: device.display_name, last_seen_ip, last_seen_ts }
    }
}

async fn list(homeserver: Arc<Homeserver>, request: Ruma<get_devices::v3::Request>) -> Result<Response> {
    let devices = homeserver.accounts.devices(request.identity.user).await?;
    let devices: Vec<_> = devices.into_iter().map(Shown::from).collect();
    Ok(error::json(StatusCode::OK, &json!({ "devices": devices })))
}

async fn get(homeserver: Arc<Homeserver>, request: Ruma<get_device::v3::Request>) -> Result<Response> {
    let device = homeserver.accounts.device(request.identity.user, request.body.device_id.as_str()).await?;
    Ok(error::json(StatusCode::OK, &Shown::from(device)))
}

async fn rename(
    homeserver: Arc<Homeserver>,
    request: Ruma<update_device::v3::Request>,
) -> Result<update_device::v3::Response> {
    let (user, body) = (request.identity.user, &request.body);
    match &body.display_name {
        Some(name) => homeserver.lifecycle.rename_device(user, body.device_id.as_str(), name).await?,
        None => homeserver.accounts.device(user, body.device_id.as_str()).await.map(|_| ())?,
    }
    Ok(update_device::v3::Response::new())
}

async fn delete(
    homeserver: Arc<Homeserver>,
    request: Ruma<delete_device::v3::Request>,
) -> Result<delete_device::v3::Response> {
    let Ruma { identity, client, body } = request;
    let operation = Operation { name: "delete device", subject: body.device_id.as_str(), address: client.address };
    let devices = BTreeSet::from([body.device_id.to_string()]);
    homeserver.lifecycle.delete_devices(&identity, &devices, body.auth.as_ref(), operation).await?;
    Ok(delete_device::v3::Response::new())
}

async fn delete_many(
    homeserver: Arc<Homeserver>,
    request: Ruma<delete_devices::v3::Request>,
) -> Result<delete_devices::v3::Response> {
    let Ruma { identity, client, body } = request;
    if body.devices.len() > MOST {
        return Err(MatrixError::invalid_param(format!("{MOST} devices can be deleted at once")).into());
    }
    let devices: BTreeSet<_> = body.devices.iter().map(ToString::to_string).collect();
    // The session is good for these devices alone.
    let subject = devices.iter().map(String::as_str).collect::<Vec<_>>().join("\0");
    let operation = Operation { name: "delete devices", subject: &subject, address: client.address };
    homeserver.lifecycle.delete_devices(&identity, &devices, body.auth.as_ref(), operation).await?;
    Ok(delete_devices::v3::Response::new())
}
