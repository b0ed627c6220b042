//! Tags: client-server API, "Room Tagging".

use std::sync::Arc;

use matron_homeserver::Homeserver;
use ruma::api::client::tag::{create_tag, delete_tag, get_tags};

use crate::error::Result;
use crate::request::Ruma;
use crate::router::Routes;

pub fn routes(routes: &mut Routes) {
    routes.add(get);
    routes.add(put);
    routes.add(delete);
}

async fn get(homeserver: Arc<Homeserver>, request: Ruma<get_tags::v3::Request>) -> Result<get_tags::v3::Response> {
    let get_tags::v3::Request { user_id, room_id } = request.body;
    let tags = homeserver.accounts.tags(&request.identity, &user_id, &room_id).await?;
    Ok(get_tags::v3::Response::new(tags))
}

async fn put(homeserver: Arc<Homeserver>, request: Ruma<create_tag::v3::Request>) -> Result<create_tag::v3::Response> {
    let create_tag::v3::Request { user_id, room_id, tag, tag_info } = request.body;
    homeserver.accounts.put_tag(&request.identity, &user_id, &room_id, &tag, &tag_info).await?;
    Ok(create_tag::v3::Response::new())
}

async fn delete(
    homeserver: Arc<Homeserver>,
    request: Ruma<delete_tag::v3::Request>,
) -> Result<delete_tag::v3::Response> {
    let delete_tag::v3::Request { user_id, room_id, tag } = request.body;
    homeserver.accounts.delete_tag(&request.identity, &user_id, &room_id, &tag).await?;
    Ok(delete_tag::v3::Response::new())
}
