//! Making rooms: client-server API, "Creation".

use std::sync::Arc;

use matron_homeserver::Homeserver;
use ruma::api::client::room::create_room;

use crate::error::Result;
use crate::request::Ruma;
use crate::router::Routes;

pub fn routes(routes: &mut Routes) {
    routes.add(create);
}

async fn create(
    homeserver: Arc<Homeserver>,
    request: Ruma<create_room::v3::Request>,
) -> Result<create_room::v3::Response> {
    let room_id = homeserver.rooms.create(&request.identity, request.body).await?;
    Ok(create_room::v3::Response::new(room_id))
}
