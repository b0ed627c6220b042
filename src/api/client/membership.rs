//! Coming into rooms and leaving them: client-server API, "Room membership" and "Knocking on rooms".

use std::sync::Arc;

use matron_homeserver::rooms::membership::Said;
use matron_homeserver::{Error as DomainError, Homeserver};
use matron_matrix::Error as MatrixError;
use ruma::api::client::knock::knock_room;
use ruma::api::client::membership::invite_user::v3::InvitationRecipient;
use ruma::api::client::membership::{
    ThirdPartySigned, ban_user, forget_room, invite_user, join_room_by_id, join_room_by_id_or_alias, joined_rooms,
    kick_user, leave_room, unban_user,
};
use ruma::api::error::DeserializationError;
use ruma::api::{IncomingRequest, Metadata};
use ruma::{OwnedRoomId, OwnedRoomOrAliasId, RoomAliasId, RoomId};
use serde_json::{Map, Value};

use crate::error::Result;
use crate::request::Ruma;
use crate::router::Routes;

pub fn routes(routes: &mut Routes) {
    routes.add(joined);
    routes.add(join);
    routes.add(join_by_id);
    routes.add(knock);
    routes.add(leave);
    routes.add(forget);
    routes.add(invite);
    routes.add(kick);
    routes.add(ban);
    routes.add(unban);
}

/// The room that an id or an alias names.
pub async fn room_of(homeserver: &Homeserver, name: &OwnedRoomOrAliasId) -> Result<OwnedRoomId> {
    if let Ok(alias) = <&RoomAliasId>::try_from(name.as_str()) {
        return Ok(homeserver.rooms.find_alias(alias).await?);
    }
    Ok(RoomId::parse(name.as_str()).map_err(|error| MatrixError::invalid_param(error.to_string()))?)
}

fn signed(signed: Option<&ThirdPartySigned>) -> Result<Option<serde_json::Value>> {
    Ok(signed.map(serde_json::to_value).transpose().map_err(DomainError::internal)?)
}

async fn joined(
    homeserver: Arc<Homeserver>,
    request: Ruma<joined_rooms::v3::Request>,
) -> Result<joined_rooms::v3::Response> {
    let rooms = homeserver.rooms.joined_room_ids(request.identity.user).await?;
    Ok(joined_rooms::v3::Response::new(rooms))
}

/// `POST /join/{roomIdOrAlias}` with all of its body: bots tell by it why they come, and it goes into the member event.
struct Join {
    request: join_room_by_id_or_alias::v3::Request,
    body: Map<String, Value>,
}

impl Metadata for Join {
    const METHOD: http::Method = join_room_by_id_or_alias::v3::Request::METHOD;
    const RATE_LIMITED: bool = join_room_by_id_or_alias::v3::Request::RATE_LIMITED;
    type Authentication = <join_room_by_id_or_alias::v3::Request as Metadata>::Authentication;
    type PathBuilder = <join_room_by_id_or_alias::v3::Request as Metadata>::PathBuilder;
    const PATH_BUILDER: Self::PathBuilder = join_room_by_id_or_alias::v3::Request::PATH_BUILDER;
}

impl IncomingRequest for Join {
    type EndpointError = <join_room_by_id_or_alias::v3::Request as IncomingRequest>::EndpointError;
    type OutgoingResponse = join_room_by_id_or_alias::v3::Response;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        let body = serde_json::from_slice(request.body())?;
        let request = join_room_by_id_or_alias::v3::Request::try_from_http_request_inner(request, path_args)?;
        Ok(Self { request, body })
    }
}

async fn join(homeserver: Arc<Homeserver>, request: Ruma<Join>) -> Result<join_room_by_id_or_alias::v3::Response> {
    let (session, Join { request, body }) = (&request.identity, request.body);
    let room_id = room_of(&homeserver, &request.room_id_or_alias).await?;
    let signed = signed(request.third_party_signed.as_ref())?;
    let room_id = homeserver.rooms.join_saying(session, &room_id, request.reason.as_deref(), signed, body).await?;
    Ok(join_room_by_id_or_alias::v3::Response::new(room_id))
}

async fn join_by_id(
    homeserver: Arc<Homeserver>,
    request: Ruma<join_room_by_id::v3::Request>,
) -> Result<join_room_by_id::v3::Response> {
    let (session, body) = (&request.identity, &request.body);
    let signed = signed(body.third_party_signed.as_ref())?;
    let room_id = homeserver.rooms.join(session, &body.room_id, body.reason.as_deref(), signed).await?;
    Ok(join_room_by_id::v3::Response::new(room_id))
}

async fn knock(
    homeserver: Arc<Homeserver>,
    request: Ruma<knock_room::v3::Request>,
) -> Result<knock_room::v3::Response> {
    let room_id = room_of(&homeserver, &request.body.room_id_or_alias).await?;
    homeserver.rooms.knock(&request.identity, &room_id, Said::because(request.body.reason.as_deref())).await?;
    Ok(knock_room::v3::Response::new(room_id))
}

async fn leave(
    homeserver: Arc<Homeserver>,
    request: Ruma<leave_room::v3::Request>,
) -> Result<leave_room::v3::Response> {
    let said = Said::because(request.body.reason.as_deref());
    homeserver.rooms.leave(&request.identity, &request.body.room_id, said).await?;
    Ok(leave_room::v3::Response::new())
}

async fn forget(
    homeserver: Arc<Homeserver>,
    request: Ruma<forget_room::v3::Request>,
) -> Result<forget_room::v3::Response> {
    homeserver.rooms.forget(&request.identity, &request.body.room_id).await?;
    Ok(forget_room::v3::Response::new())
}

async fn invite(
    homeserver: Arc<Homeserver>,
    request: Ruma<invite_user::v3::Request>,
) -> Result<invite_user::v3::Response> {
    let invite_user::v3::Request { room_id, recipient } = request.body;
    let InvitationRecipient::UserId(recipient) = recipient else {
        return Err(MatrixError::invalid_param("invites by third-party identifier are not served").into());
    };
    let said = Said::because(recipient.reason.as_deref());
    homeserver.rooms.invite(&request.identity, &room_id, &recipient.user_id, said).await?;
    Ok(invite_user::v3::Response::new())
}

async fn kick(homeserver: Arc<Homeserver>, request: Ruma<kick_user::v3::Request>) -> Result<kick_user::v3::Response> {
    let kick_user::v3::Request { room_id, user_id, reason, .. } = request.body;
    homeserver.rooms.kick(&request.identity, &room_id, &user_id, Said::because(reason.as_deref())).await?;
    Ok(kick_user::v3::Response::new())
}

async fn ban(homeserver: Arc<Homeserver>, request: Ruma<ban_user::v3::Request>) -> Result<ban_user::v3::Response> {
    let ban_user::v3::Request { room_id, user_id, reason, .. } = request.body;
    homeserver.rooms.ban(&request.identity, &room_id, &user_id, Said::because(reason.as_deref())).await?;
    Ok(ban_user::v3::Response::new())
}

async fn unban(
    homeserver: Arc<Homeserver>,
    request: Ruma<unban_user::v3::Request>,
) -> Result<unban_user::v3::Response> {
    let unban_user::v3::Request { room_id, user_id, reason, .. } = request.body;
    homeserver.rooms.unban(&request.identity, &room_id, &user_id, Said::because(reason.as_deref())).await?;
    Ok(unban_user::v3::Response::new())
}
