//! Who is there: client-server API, "Presence".

use std::sync::Arc;
use std::time::Duration;

use matron_homeserver::Homeserver;
use ruma::api::client::presence::{get_presence, set_presence};
use ruma::presence::PresenceState;

use crate::error::Result;
use crate::request::Ruma;
use crate::router::Routes;

pub fn routes(routes: &mut Routes) {
    routes.add(set);
    routes.add(get);
}

async fn set(
    homeserver: Arc<Homeserver>,
    request: Ruma<set_presence::v3::Request>,
) -> Result<set_presence::v3::Response> {
    let set_presence::v3::Request { user_id, presence, status_msg, .. } = request.body;
    homeserver.ephemeral.set_presence(&request.identity, &user_id, &presence, status_msg)?;
    Ok(set_presence::v3::Response::new())
}

async fn get(
    homeserver: Arc<Homeserver>,
    request: Ruma<get_presence::v3::Request>,
) -> Result<get_presence::v3::Response> {
    let shown = homeserver.ephemeral.presence_of(&request.identity, &request.body.user_id).await?;
    let mut response = get_presence::v3::Response::new(PresenceState::from(shown.presence));
    response.status_msg = shown.status_msg;
    response.currently_active = shown.currently_active;
    response.last_active_ago = shown.last_active_ago.map(Duration::from_millis);
    Ok(response)
}
