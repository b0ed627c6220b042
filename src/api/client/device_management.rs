//! The list of one's devices: client-server API, "Device management".

use std::collections::BTreeSet;
use std::sync::Arc;

use matron_homeserver::Homeserver;
use matron_homeserver::accounts::DeviceInfo;
use matron_homeserver::lifecycle::Operation;
use matron_matrix::Error as MatrixError;
use ruma::api::client::device::{Device, delete_device, delete_devices, get_device, get_devices, update_device};
use ruma::{MilliSecondsSinceUnixEpoch, UInt};

use crate::error::Result;
use crate::request::Ruma;
use crate::router::Routes;

/// How many devices are deleted at once.
const MOST: usize = 1000;

pub fn routes(routes: &mut Routes) {
    routes.add(list);
    routes.add(get);
    routes.add(rename);
    routes.add(delete);
    routes.add(delete_many);
}

/// A device, with nulls for what is not known of it: the spec leaves such keys out, but clients are known that read no device
/// without them (matrix-nio).
fn shown(info: DeviceInfo) -> Device {
    let mut device = Device::new(info.device_id.into());
    device.display_name = info.device.display_name;
    // Clients count on a time for each device: one that has not asked for anything yet was last seen as it was made.
    let at = info.last_seen.as_ref().map_or(info.device.created, |seen| seen.at);
    device.last_seen_ts = Some(MilliSecondsSinceUnixEpoch(UInt::new_saturating(at)));
    device.last_seen_ip = info.last_seen.map(|seen| seen.ip).filter(|ip| !ip.is_empty());
    device
}

async fn list(
    homeserver: Arc<Homeserver>,
    request: Ruma<get_devices::v3::Request>,
) -> Result<get_devices::v3::Response> {
    let devices = homeserver.accounts.devices(request.identity.user).await?;
    Ok(get_devices::v3::Response::new(devices.into_iter().map(shown).collect()))
}

async fn get(homeserver: Arc<Homeserver>, request: Ruma<get_device::v3::Request>) -> Result<get_device::v3::Response> {
    let device = homeserver.accounts.device(request.identity.user, request.body.device_id.as_str()).await?;
    Ok(get_device::v3::Response::new(shown(device)))
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
