//! Account data: client-server API, "Client Config".

use std::sync::Arc;

use matron_homeserver::{Error as DomainError, Homeserver};
use ruma::api::client::config::{
    get_global_account_data, get_room_account_data, set_global_account_data, set_room_account_data,
};
use ruma::serde::Raw;

use crate::error::Result;
use crate::request::Ruma;
use crate::router::Routes;

pub fn routes(routes: &mut Routes) {
    routes.add(get_global);
    routes.add(put_global);
    routes.add(get_room);
    routes.add(put_room);
}

async fn get_global(
    homeserver: Arc<Homeserver>,
    request: Ruma<get_global_account_data::v3::Request>,
) -> Result<get_global_account_data::v3::Response> {
    let get_global_account_data::v3::Request { user_id, event_type } = request.body;
    let kind = event_type.to_string();
    let content = homeserver.accounts.get_account_data(&request.identity, &user_id, None, &kind).await?;
    let content = Raw::from_json_string(content).map_err(DomainError::internal)?;
    Ok(get_global_account_data::v3::Response::new(content))
}

async fn put_global(
    homeserver: Arc<Homeserver>,
    request: Ruma<set_global_account_data::v3::Request>,
) -> Result<set_global_account_data::v3::Response> {
    let set_global_account_data::v3::Request { user_id, event_type, data } = request.body;
    let (kind, content) = (event_type.to_string(), data.json().get());
    homeserver.accounts.put_account_data(&request.identity, &user_id, None, &kind, content).await?;
    Ok(set_global_account_data::v3::Response::new())
}

async fn get_room(
    homeserver: Arc<Homeserver>,
    request: Ruma<get_room_account_data::v3::Request>,
) -> Result<get_room_account_data::v3::Response> {
    let get_room_account_data::v3::Request { user_id, room_id, event_type } = request.body;
    let kind = event_type.to_string();
    let content = homeserver.accounts.get_account_data(&request.identity, &user_id, Some(&room_id), &kind).await?;
    let content = Raw::from_json_string(content).map_err(DomainError::internal)?;
    Ok(get_room_account_data::v3::Response::new(content))
}

async fn put_room(
    homeserver: Arc<Homeserver>,
    request: Ruma<set_room_account_data::v3::Request>,
) -> Result<set_room_account_data::v3::Response> {
    let set_room_account_data::v3::Request { user_id, room_id, event_type, data } = request.body;
    let (kind, content) = (event_type.to_string(), data.json().get());
    homeserver.accounts.put_account_data(&request.identity, &user_id, Some(&room_id), &kind, content).await?;
    Ok(set_room_account_data::v3::Response::new())
}
