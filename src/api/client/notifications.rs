//! What somebody was notified of: client-server API, "Listing Notifications".

use std::sync::Arc;

use matron_homeserver::streams::Token;
use matron_homeserver::{Error, Homeserver};
use matron_matrix::Error as MatrixError;
use matron_storage::Position;
use ruma::api::client::push::get_notifications::v3::{Notification, Request, Response};
use ruma::serde::Raw;
use ruma::{MilliSecondsSinceUnixEpoch, RoomId, UInt};

use crate::error::Result;
use crate::request::{Ruma, token};
use crate::router::Routes;

/// How many are told where nobody says how many.
const USUAL: u64 = 20;
/// How many are told at most.
const MOST: u64 = 100;

pub fn routes(routes: &mut Routes) {
    routes.add(notifications);
}

async fn notifications(homeserver: Arc<Homeserver>, request: Ruma<Request>) -> Result<Response> {
    let Request { from, limit, only } = request.body;
    let before = match from.as_deref().map(|from| token(&homeserver, from)).transpose()? {
        None => None,
        Some(Token::Stream { position, .. }) => Some(position),
        Some(Token::Room { .. }) => return Err(MatrixError::invalid_param("the token is of another list").into()),
    };
    let limit = usize::try_from(limit.map_or(USUAL, u64::from).clamp(1, MOST)).map_err(Error::internal)?;
    let highlights = only.is_some_and(|only| only.split(',').any(|only| only.trim() == "highlight"));
    let page = homeserver.push.notifications(&request.identity, before, limit, highlights).await?;
    let told = page.notifications.into_iter().map(|told| {
        let actions = serde_json::from_str(&told.actions).map_err(Error::internal)?;
        let room_id = RoomId::parse(&told.room_id).map_err(Error::internal)?;
        let at = MilliSecondsSinceUnixEpoch(UInt::new_saturating(told.at));
        Ok(Notification::new(actions, Raw::from_json(told.event), told.read, room_id, at))
    });
    let mut response = Response::new(told.collect::<Result<_>>()?);
    response.next_token = page.next.map(|position| {
        let token = Token::Stream { position, to_device: Position::ZERO, boot: 0, typing: 0, presence: 0 };
        token.render(homeserver.store.epoch())
    });
    Ok(response)
}
