//! Replacing a room by one of another version: client-server API, "Room Upgrades".

use std::sync::Arc;

use matron_homeserver::Homeserver;
use ruma::api::client::room::upgrade_room::v3::{Request, Response};

use crate::error::Result;
use crate::request::Ruma;
use crate::router::Routes;

pub fn routes(routes: &mut Routes) {
    routes.add(upgrade);
}

async fn upgrade(homeserver: Arc<Homeserver>, request: Ruma<Request>) -> Result<Response> {
    let Request { room_id, new_version, additional_creators, .. } = request.body;
    let rooms = &homeserver.rooms;
    let new = rooms.upgrade(&request.identity, &room_id, &new_version, additional_creators).await?;
    Ok(Response::new(new))
}
