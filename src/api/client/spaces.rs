//! Rooms seen from outside: client-server API, "Spaces" and "Room previews"; "Mutual Rooms".

use std::sync::Arc;

use axum::response::Response;
use http::StatusCode;
use matron_homeserver::Homeserver;
use matron_homeserver::rooms::hierarchy::{Asked, Child};
use matron_homeserver::rooms::view::membership_name;
use matron_matrix::Error as MatrixError;
use ruma::api::Metadata;
use ruma::api::client::membership::get_mutual_rooms;
use ruma::api::client::room::get_summary;
use ruma::api::client::space::get_hierarchy;
use ruma::api::path_builder::PathBuilder;
use serde::Serialize;

use super::membership::room_of;
use super::summary::Details;
use crate::error::{Result, json};
use crate::request::Ruma;
use crate::router::Routes;

/// Where matrix-js-sdk asks servers that do not name v1.15.
const SUMMARY_OF_OLD: &str = "/_matrix/client/unstable/im.nheko.summary/summary/{room_id_or_alias}";

pub fn routes(routes: &mut Routes) {
    // ruma leaves out the join rule of public rooms, and clients and tests want to see it.
    for path in get_hierarchy::v1::Request::PATH_BUILDER.all_paths() {
        routes.add_answering(path, hierarchy);
    }
    for path in get_summary::v1::Request::PATH_BUILDER.all_paths().chain([SUMMARY_OF_OLD]) {
        routes.add_answering(path, summary);
    }
    routes.add(mutual);
    routes.add(mutual_of_old);
}

#[derive(Serialize)]
struct Branch {
    #[serde(flatten)]
    details: Details,
    children_state: Vec<Child>,
}

#[derive(Serialize)]
struct Tree {
    rooms: Vec<Branch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_batch: Option<String>,
}

async fn hierarchy(homeserver: Arc<Homeserver>, request: Ruma<get_hierarchy::v1::Request>) -> Result<Response> {
    let body = request.body;
    let asked = Asked {
        limit: body.limit.map(|limit| usize::try_from(u64::from(limit)).unwrap_or(usize::MAX)),
        max_depth: body.max_depth.map(u64::from),
        suggested_only: body.suggested_only,
        from: body.from,
    };
    let tree = homeserver.rooms.hierarchy(&request.identity, &body.room_id, &asked).await?;
    let branches = tree.rooms.into_iter();
    let branches = branches.map(|branch| Branch { details: branch.summary.into(), children_state: branch.children });
    Ok(json(StatusCode::OK, &Tree { rooms: branches.collect(), next_batch: tree.next }))
}

#[derive(Serialize)]
struct Summary {
    #[serde(flatten)]
    details: Details,
    #[serde(skip_serializing_if = "Option::is_none")]
    membership: Option<&'static str>,
    /// The names that these had before they were in the spec.
    #[serde(rename = "im.nheko.summary.room_version")]
    room_version: String,
    #[serde(rename = "im.nheko.summary.encryption", skip_serializing_if = "Option::is_none")]
    encryption: Option<String>,
}

async fn summary(homeserver: Arc<Homeserver>, request: Ruma<get_summary::v1::Request>) -> Result<Response> {
    let session = request.identity.as_ref();
    if session.is_none() && !homeserver.config.finding.list_for_strangers {
        return Err(MatrixError::missing_token("an access token is needed").into());
    }
    let room_id = room_of(&homeserver, &request.body.room_id_or_alias).await?;
    let preview = homeserver.rooms.preview(session, &room_id).await?;
    let (room_version, encryption) = (preview.summary.version.clone(), preview.summary.encryption.clone());
    let membership = preview.membership.map(membership_name);
    let summary = Summary { details: preview.summary.into(), membership, room_version, encryption };
    Ok(json(StatusCode::OK, &summary))
}

async fn mutual(
    homeserver: Arc<Homeserver>,
    request: Ruma<get_mutual_rooms::v1::Request>,
) -> Result<get_mutual_rooms::v1::Response> {
    let get_mutual_rooms::v1::Request { user_id, from } = request.body;
    let mutual = homeserver.rooms.mutual_rooms(&request.identity, &user_id, from.as_deref()).await?;
    let mut response = get_mutual_rooms::v1::Response::new(mutual.count.into(), mutual.rooms);
    response.next_batch = mutual.next;
    Ok(response)
}

/// As it was before it was in the spec (MSC2666).
async fn mutual_of_old(
    homeserver: Arc<Homeserver>,
    request: Ruma<get_mutual_rooms::unstable::Request>,
) -> Result<get_mutual_rooms::unstable::Response> {
    let get_mutual_rooms::unstable::Request { user_id, from } = request.body;
    let mutual = homeserver.rooms.mutual_rooms(&request.identity, &user_id, from.as_deref()).await?;
    let mut response = get_mutual_rooms::unstable::Response::new(mutual.rooms);
    response.next_batch = mutual.next;
    Ok(response)
}
