//! Client-server API, "Server-side key backups".

use std::collections::BTreeMap;
use std::sync::Arc;

use matron_homeserver::Homeserver;
use matron_homeserver::devices::backup::Keys;
use ruma::UInt;
use ruma::api::client::backup::{
    RoomKeyBackup, add_backup_keys, add_backup_keys_for_room, add_backup_keys_for_session, create_backup_version,
    delete_backup_keys, delete_backup_keys_for_room, delete_backup_keys_for_session, delete_backup_version,
    get_backup_info, get_backup_keys, get_backup_keys_for_room, get_backup_keys_for_session, get_latest_backup_info,
    update_backup_version,
};

use crate::error::Result;
use crate::request::Ruma;
use crate::router::Routes;

pub fn routes(routes: &mut Routes) {
    routes.add(create);
    routes.add(latest);
    routes.add(info);
    routes.add(update);
    routes.add(delete);
    routes.add(put_keys);
    routes.add(put_room);
    routes.add(put_session);
    routes.add(get_keys);
    routes.add(get_room);
    routes.add(get_session);
    routes.add(delete_keys);
    routes.add(delete_room);
    routes.add(delete_session);
}

async fn create(
    homeserver: Arc<Homeserver>,
    request: Ruma<create_backup_version::v3::Request>,
) -> Result<create_backup_version::v3::Response> {
    let version = homeserver.devices.create_backup(request.identity.user, &request.body.algorithm).await?;
    Ok(create_backup_version::v3::Response::new(version))
}

async fn latest(
    homeserver: Arc<Homeserver>,
    request: Ruma<get_latest_backup_info::v3::Request>,
) -> Result<get_latest_backup_info::v3::Response> {
    let info = homeserver.devices.latest_backup(request.identity.user).await?;
    let count = UInt::new_saturating(info.count);
    Ok(get_latest_backup_info::v3::Response::new(info.algorithm, count, info.etag, info.version))
}

async fn info(
    homeserver: Arc<Homeserver>,
    request: Ruma<get_backup_info::v3::Request>,
) -> Result<get_backup_info::v3::Response> {
    let info = homeserver.devices.backup(request.identity.user, &request.body.version).await?;
    let count = UInt::new_saturating(info.count);
    Ok(get_backup_info::v3::Response::new(info.algorithm, count, info.etag, info.version))
}

async fn update(
    homeserver: Arc<Homeserver>,
    request: Ruma<update_backup_version::v3::Request>,
) -> Result<update_backup_version::v3::Response> {
    let body = &request.body;
    homeserver.devices.update_backup(request.identity.user, &body.version, &body.algorithm).await?;
    Ok(update_backup_version::v3::Response::new())
}

async fn delete(
    homeserver: Arc<Homeserver>,
    request: Ruma<delete_backup_version::v3::Request>,
) -> Result<delete_backup_version::v3::Response> {
    homeserver.devices.delete_backup(request.identity.user, &request.body.version).await?;
    Ok(delete_backup_version::v3::Response::new())
}

/// Every change of keys answers the same.
fn changed(keys: Keys) -> (String, UInt) {
    (keys.etag, UInt::new_saturating(keys.count))
}

async fn put_keys(
    homeserver: Arc<Homeserver>,
    request: Ruma<add_backup_keys::v3::Request>,
) -> Result<add_backup_keys::v3::Response> {
    let body = &request.body;
    let keys = homeserver.devices.put_backup_keys(request.identity.user, &body.version, &body.rooms).await?;
    let (etag, count) = changed(keys);
    Ok(add_backup_keys::v3::Response::new(etag, count))
}

async fn put_room(
    homeserver: Arc<Homeserver>,
    request: Ruma<add_backup_keys_for_room::v3::Request>,
) -> Result<add_backup_keys_for_room::v3::Response> {
    let body = request.body;
    let rooms = BTreeMap::from([(body.room_id, RoomKeyBackup::new(body.sessions))]);
    let keys = homeserver.devices.put_backup_keys(request.identity.user, &body.version, &rooms).await?;
    let (etag, count) = changed(keys);
    Ok(add_backup_keys_for_room::v3::Response::new(etag, count))
}

async fn put_session(
    homeserver: Arc<Homeserver>,
    request: Ruma<add_backup_keys_for_session::v3::Request>,
) -> Result<add_backup_keys_for_session::v3::Response> {
    let body = request.body;
    let sessions = BTreeMap::from([(body.session_id, body.session_data)]);
    let rooms = BTreeMap::from([(body.room_id, RoomKeyBackup::new(sessions))]);
    let keys = homeserver.devices.put_backup_keys(request.identity.user, &body.version, &rooms).await?;
    let (etag, count) = changed(keys);
    Ok(add_backup_keys_for_session::v3::Response::new(etag, count))
}

async fn get_keys(
    homeserver: Arc<Homeserver>,
    request: Ruma<get_backup_keys::v3::Request>,
) -> Result<get_backup_keys::v3::Response> {
    let rooms = homeserver.devices.backup_keys(request.identity.user, &request.body.version).await?;
    Ok(get_backup_keys::v3::Response::new(rooms))
}

async fn get_room(
    homeserver: Arc<Homeserver>,
    request: Ruma<get_backup_keys_for_room::v3::Request>,
) -> Result<get_backup_keys_for_room::v3::Response> {
    let body = &request.body;
    let user = request.identity.user;
    let sessions = homeserver.devices.backup_keys_of_room(user, &body.version, &body.room_id).await?;
    Ok(get_backup_keys_for_room::v3::Response::new(sessions))
}

async fn get_session(
    homeserver: Arc<Homeserver>,
    request: Ruma<get_backup_keys_for_session::v3::Request>,
) -> Result<get_backup_keys_for_session::v3::Response> {
    let body = &request.body;
    let user = request.identity.user;
    let key = homeserver.devices.backup_key(user, &body.version, &body.room_id, &body.session_id).await?;
    Ok(get_backup_keys_for_session::v3::Response::new(key))
}

async fn delete_keys(
    homeserver: Arc<Homeserver>,
    request: Ruma<delete_backup_keys::v3::Request>,
) -> Result<delete_backup_keys::v3::Response> {
    let keys = homeserver.devices.delete_backup_keys(request.identity.user, &request.body.version).await?;
    let (etag, count) = changed(keys);
    Ok(delete_backup_keys::v3::Response::new(etag, count))
}

async fn delete_room(
    homeserver: Arc<Homeserver>,
    request: Ruma<delete_backup_keys_for_room::v3::Request>,
) -> Result<delete_backup_keys_for_room::v3::Response> {
    let body = &request.body;
    let user = request.identity.user;
    let keys = homeserver.devices.delete_backup_keys_of_room(user, &body.version, &body.room_id).await?;
    let (etag, count) = changed(keys);
    Ok(delete_backup_keys_for_room::v3::Response::new(etag, count))
}

async fn delete_session(
    homeserver: Arc<Homeserver>,
    request: Ruma<delete_backup_keys_for_session::v3::Request>,
) -> Result<delete_backup_keys_for_session::v3::Response> {
    let body = &request.body;
    let user = request.identity.user;
    let keys = homeserver.devices.delete_backup_key(user, &body.version, &body.room_id, &body.session_id).await?;
    let (etag, count) = changed(keys);
    Ok(delete_backup_keys_for_session::v3::Response::new(etag, count))
}
