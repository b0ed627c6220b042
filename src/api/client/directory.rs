//! Names of rooms, and which ones are published: client-server API, "Room aliases" and "Published room directory".

use std::sync::Arc;

use matron_homeserver::Homeserver;
use matron_matrix::Error as MatrixError;
use ruma::OwnedRoomId;
use ruma::api::client::alias::{create_alias, delete_alias, get_alias};
use ruma::api::client::directory::{get_room_visibility, set_room_visibility};
use ruma::api::client::room::{Visibility, aliases};
use serde::Deserialize;

use crate::error::Result;
use crate::request::{Loose, Ruma};
use crate::router::Routes;

#[derive(Deserialize)]
struct VisibilityBody {
    /// Who does not say means that the room is to be published.
    #[serde(default = "public")]
    visibility: Visibility,
}

const fn public() -> Visibility {
    Visibility::Public
}

pub fn routes(routes: &mut Routes) {
    routes.add(get);
    routes.add(put);
    routes.add(delete);
    routes.add(of_room);
    routes.add(visibility);
    routes.add(set_visibility);
}

async fn get(homeserver: Arc<Homeserver>, request: Ruma<get_alias::v3::Request>) -> Result<get_alias::v3::Response> {
    let room_id = homeserver.rooms.find_alias(&request.body.room_alias).await?;
    Ok(get_alias::v3::Response::new(room_id, vec![homeserver.config.server_name.clone()]))
}

async fn put(
    homeserver: Arc<Homeserver>,
    request: Ruma<create_alias::v3::Request>,
) -> Result<create_alias::v3::Response> {
    let create_alias::v3::Request { room_alias, room_id, .. } = request.body;
    homeserver.rooms.add_alias(&request.identity, &room_alias, &room_id).await?;
    Ok(create_alias::v3::Response::new())
}

async fn delete(
    homeserver: Arc<Homeserver>,
    request: Ruma<delete_alias::v3::Request>,
) -> Result<delete_alias::v3::Response> {
    homeserver.rooms.remove_alias(&request.identity, &request.body.room_alias).await?;
    Ok(delete_alias::v3::Response::new())
}

async fn of_room(homeserver: Arc<Homeserver>, request: Ruma<aliases::v3::Request>) -> Result<aliases::v3::Response> {
    let aliases = homeserver.rooms.aliases(&request.identity, &request.body.room_id).await?;
    Ok(aliases::v3::Response::new(aliases))
}

async fn visibility(
    homeserver: Arc<Homeserver>,
    request: Ruma<get_room_visibility::v3::Request>,
) -> Result<get_room_visibility::v3::Response> {
    let is_public = homeserver.rooms.is_listed(&request.body.room_id).await?;
    let visibility = if is_public { Visibility::Public } else { Visibility::Private };
    Ok(get_room_visibility::v3::Response::new(visibility))
}

async fn set_visibility(
    homeserver: Arc<Homeserver>,
    request: Ruma<Loose<set_room_visibility::v3::Request, VisibilityBody>>,
) -> Result<set_room_visibility::v3::Response> {
    let room_id = request.body.id::<OwnedRoomId>(0)?;
    let public = match request.body.body.visibility {
        Visibility::Public => true,
        Visibility::Private => false,
        _ => return Err(MatrixError::invalid_param("a room is public or private").into()),
    };
    homeserver.rooms.set_listed(&request.identity, &room_id, public).await?;
    Ok(set_room_visibility::v3::Response::new())
}
