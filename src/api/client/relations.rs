//! What relates to an event: client-server API, "Relationships API".

use std::sync::Arc;

use axum::response::Response;
use http::StatusCode;
use matron_homeserver::Homeserver;
use matron_homeserver::accounts::Session;
use matron_homeserver::rooms::relations::Asked;
use matron_homeserver::streams::Token;
use ruma::api::client::relations::{
    get_relating_events, get_relating_events_with_rel_type, get_relating_events_with_rel_type_and_event_type,
};
use ruma::api::path_builder::PathBuilder;
use ruma::api::{Direction, Metadata};
use ruma::{EventId, RoomId, UInt};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::error::{Result, json};
use crate::request::{Ruma, token};
use crate::router::Routes;

/// How many events a page holds where the client does not say.
const USUAL_LIMIT: usize = 5;

pub fn routes(routes: &mut Routes) {
    for path in get_relating_events::v1::Request::PATH_BUILDER.all_paths() {
        routes.add_answering(path, all);
    }
    for path in get_relating_events_with_rel_type::v1::Request::PATH_BUILDER.all_paths() {
        routes.add_answering(path, of_type);
    }
    for path in get_relating_events_with_rel_type_and_event_type::v1::Request::PATH_BUILDER.all_paths() {
        routes.add_answering(path, of_both_types);
    }
}

#[derive(Serialize)]
struct Answer {
    chunk: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_batch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_batch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recursion_depth: Option<usize>,
}

/// The parameters that all three endpoints share.
macro_rules! asked {
    ($homeserver:expr, $body:expr, $rel_type:expr, $kind:expr) => {
        Asked {
            rel_type: $rel_type,
            kind: $kind,
            from: from_text($homeserver, $body.from.as_deref())?,
            to: from_text($homeserver, $body.to.as_deref())?,
            forward: $body.dir == Direction::Forward,
            limit: $body.limit.map_or(USUAL_LIMIT, limit),
            recurse: $body.recurse,
        }
    };
}

fn from_text(homeserver: &Homeserver, text: Option<&str>) -> Result<Option<Token>> {
    Ok(text.map(|text| token(homeserver, text)).transpose()?)
}

fn limit(limit: UInt) -> usize {
    usize::try_from(u64::from(limit)).unwrap_or(usize::MAX)
}

async fn all(homeserver: Arc<Homeserver>, request: Ruma<get_relating_events::v1::Request>) -> Result<Response> {
    let body = request.body;
    let asked = asked!(&homeserver, body, None, None);
    answer(&homeserver, &request.identity, &body.room_id, &body.event_id, &asked).await
}

async fn of_type(
    homeserver: Arc<Homeserver>,
    request: Ruma<get_relating_events_with_rel_type::v1::Request>,
) -> Result<Response> {
    let body = request.body;
    let asked = asked!(&homeserver, body, Some(body.rel_type.to_string()), None);
    answer(&homeserver, &request.identity, &body.room_id, &body.event_id, &asked).await
}

async fn of_both_types(
    homeserver: Arc<Homeserver>,
    request: Ruma<get_relating_events_with_rel_type_and_event_type::v1::Request>,
) -> Result<Response> {
    let body = request.body;
    let asked = asked!(&homeserver, body, Some(body.rel_type.to_string()), Some(body.event_type.to_string()));
    answer(&homeserver, &request.identity, &body.room_id, &body.event_id, &asked).await
}

async fn answer(
    homeserver: &Homeserver,
    session: &Session,
    room_id: &RoomId,
    event_id: &EventId,
    asked: &Asked,
) -> Result<Response> {
    let relations = homeserver.rooms.relations(session, room_id, event_id, asked).await?;
    let epoch = homeserver.store.epoch();
    let next_batch = relations.next.map(|next| next.render(epoch));
    let prev_batch = asked.from.map(|from| from.render(epoch));
    Ok(json(
        StatusCode::OK,
        &Answer { chunk: relations.events, next_batch, prev_batch, recursion_depth: relations.depth },
    ))
}
