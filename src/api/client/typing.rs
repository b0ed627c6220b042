//! Who is typing: client-server API, "Typing Notifications".

use std::sync::Arc;
use std::time::Duration;

use matron_homeserver::Homeserver;
use matron_matrix::Error as MatrixError;
use ruma::api::client::typing::create_typing_event;
use ruma::{OwnedRoomId, OwnedUserId};
use serde::Deserialize;

use crate::error::Result;
use crate::request::{Loose, Ruma};
use crate::router::Routes;

/// How long a user types whose client does not say: the spec lets it.
const DEFAULT_TIMEOUT_MS: u64 = 30_000;

#[derive(Deserialize)]
struct Body {
    typing: bool,
    timeout: Option<u64>,
}

pub fn routes(routes: &mut Routes) {
    routes.add(typing);
}

async fn typing(
    homeserver: Arc<Homeserver>,
    request: Ruma<Loose<create_typing_event::v3::Request, Body>>,
) -> Result<create_typing_event::v3::Response> {
    let (room_id, user_id) = (request.body.id::<OwnedRoomId>(0)?, request.body.id::<OwnedUserId>(1)?);
    if user_id != request.identity.user_id {
        return Err(MatrixError::forbidden("this is another user").into());
    }
    let Body { typing, timeout } = request.body.body;
    let timeout = typing.then(|| Duration::from_millis(timeout.unwrap_or(DEFAULT_TIMEOUT_MS)));
    homeserver.ephemeral.set_typing(&request.identity, &room_id, timeout).await?;
    homeserver.ephemeral.was_active(&request.identity);
    Ok(create_typing_event::v3::Response::new())
}
