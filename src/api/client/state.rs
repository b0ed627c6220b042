//! A room's state and its members: client-server API, "Getting events for a room".

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::response::Response;
use http::StatusCode;
use matron_homeserver::Homeserver;
use matron_homeserver::rooms::state::MemberFilter;
use matron_homeserver::schema::rooms::Membership;
use matron_matrix::Error as MatrixError;
use ruma::UserId;
use ruma::api::Metadata;
use ruma::api::client::membership::{get_member_events, joined_members};
use ruma::api::client::state::get_state_event_for_key::v3::StateEventFormat;
use ruma::api::client::state::{get_state_event_for_key, get_state_events};
use ruma::api::path_builder::PathBuilder;
use ruma::events::room::member::MembershipState;
use ruma::serde::Raw;
use serde::Serialize;

use crate::error::{Result, json};
use crate::request::{Ruma, token};
use crate::router::Routes;

pub fn routes(routes: &mut Routes) {
    routes.add(whole);
    routes.add(one);
    for path in get_state_event_for_key::v3::Request::PATH_BUILDER.all_paths() {
        for path in without_key(path) {
            routes.add_at(&path, one);
        }
    }
    routes.add(members);
    for path in joined_members::v3::Request::PATH_BUILDER.all_paths() {
        routes.add_answering(path, joined);
    }
}

/// The paths of a state event whose key is empty: with and without the last slash.
pub(super) fn without_key(path: &str) -> [String; 2] {
    let short = path.rsplit_once('/').map_or(path, |(short, _)| short);
    [short.to_owned(), format!("{short}/")]
}

async fn whole(
    homeserver: Arc<Homeserver>,
    request: Ruma<get_state_events::v3::Request>,
) -> Result<get_state_events::v3::Response> {
    let state = homeserver.rooms.full_state(&request.identity, &request.body.room_id).await?;
    Ok(get_state_events::v3::Response::new(state.into_iter().map(Raw::from_json).collect()))
}

async fn one(
    homeserver: Arc<Homeserver>,
    request: Ruma<get_state_event_for_key::v3::Request>,
) -> Result<get_state_event_for_key::v3::Response> {
    let get_state_event_for_key::v3::Request { room_id, event_type, state_key, format } = request.body;
    let (kind, whole) = (event_type.to_string(), format == StateEventFormat::Event);
    let found = homeserver.rooms.state_event(&request.identity, &room_id, &kind, &state_key, whole).await?;
    Ok(get_state_event_for_key::v3::Response::new(found))
}

fn membership(state: &MembershipState) -> Result<Membership> {
    Ok(match state {
        MembershipState::Join => Membership::Join,
        MembershipState::Invite => Membership::Invite,
        MembershipState::Knock => Membership::Knock,
        MembershipState::Leave => Membership::Leave,
        MembershipState::Ban => Membership::Ban,
        _ => return Err(MatrixError::invalid_param("the membership is not known").into()),
    })
}

async fn members(
    homeserver: Arc<Homeserver>,
    request: Ruma<get_member_events::v3::Request>,
) -> Result<get_member_events::v3::Response> {
    let get_member_events::v3::Request { room_id, at, membership: with, not_membership: without } = request.body;
    let at = at.map(|at| token(&homeserver, &at)).transpose()?;
    let filter = MemberFilter {
        with: with.as_ref().map(membership).transpose()?,
        without: without.as_ref().map(membership).transpose()?,
    };
    let members = homeserver.rooms.members(&request.identity, &room_id, at, filter).await?;
    Ok(get_member_events::v3::Response::new(members.into_iter().map(Raw::from_json).collect()))
}

/// A member as others see them. What is not set is there as null: clients know it so from other servers.
#[derive(Serialize)]
struct Member {
    display_name: Option<String>,
    avatar_url: Option<String>,
}

#[derive(Serialize)]
struct Joined {
    joined: BTreeMap<String, Member>,
}

async fn joined(homeserver: Arc<Homeserver>, request: Ruma<joined_members::v3::Request>) -> Result<Response> {
    let members = homeserver.rooms.joined_members(&request.identity, &request.body.room_id).await?;
    // A member event whose key is no user id makes nobody a member.
    let joined = members.into_iter().filter(|(user_id, ..)| UserId::parse(user_id).is_ok());
    let joined = joined.map(|(user_id, display_name, avatar_url)| (user_id, Member { display_name, avatar_url }));
    Ok(json(StatusCode::OK, &Joined { joined: joined.collect() }))
}
