//! What was said in a room: client-server API, "Getting events for a room" and "Event context".

use std::sync::Arc;

use axum::response::Response;
use http::StatusCode;
use matron_homeserver::Homeserver;
use matron_homeserver::rooms::history::{MOST_EVENTS, Page};
use matron_homeserver::streams::Token;
use matron_matrix::filter::Compiled;
use ruma::api::Direction;
use ruma::api::Metadata;
use ruma::api::client::context::get_context;
use ruma::api::client::filter::RoomEventFilter;
use ruma::api::client::message::get_message_events;
use ruma::api::client::room::{get_event_by_timestamp, get_room_event};
use ruma::api::path_builder::PathBuilder;
use ruma::serde::Raw;
use ruma::{EventId, MilliSecondsSinceUnixEpoch, UInt};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::error::{Result, json};
use crate::request::{Ruma, token};
use crate::router::Routes;

pub fn routes(routes: &mut Routes) {
    routes.add(messages);
    routes.add(event);
    routes.add(at_time);
    // ruma leaves empty lists out, which clients rely on.
    for path in get_context::v3::Request::PATH_BUILDER.all_paths() {
        routes.add_answering(path, context);
    }
}

fn limit(limit: UInt) -> usize {
    usize::try_from(u64::from(limit)).map_or(MOST_EVENTS, |limit| limit.min(MOST_EVENTS))
}

fn is_lazy(filter: &RoomEventFilter) -> bool {
    !filter.lazy_load_options.is_disabled()
}

async fn messages(
    homeserver: Arc<Homeserver>,
    request: Ruma<get_message_events::v3::Request>,
) -> Result<get_message_events::v3::Response> {
    let body = request.body;
    let filter = Compiled::of_room_events(&body.filter);
    let page = Page {
        from: body.from.map(|from| token(&homeserver, &from)).transpose()?,
        to: body.to.map(|to| token(&homeserver, &to)).transpose()?,
        forward: body.dir == Direction::Forward,
        limit: limit(body.limit),
        filter: &filter,
    };
    let lazy = is_lazy(&body.filter);
    let (history, members) = homeserver.rooms.messages(&request.identity, &body.room_id, &page, lazy).await?;
    let epoch = homeserver.store.epoch();
    let mut response = get_message_events::v3::Response::new();
    response.start = history.start.render(epoch);
    response.end = history.end.map(|end| end.render(epoch));
    response.chunk = history.events.into_iter().map(Raw::from_json).collect();
    response.state = members.into_iter().map(Raw::from_json).collect();
    Ok(response)
}

async fn event(
    homeserver: Arc<Homeserver>,
    request: Ruma<get_room_event::v3::Request>,
) -> Result<get_room_event::v3::Response> {
    let get_room_event::v3::Request { room_id, event_id, .. } = request.body;
    let event = homeserver.rooms.event(&request.identity, &room_id, &event_id).await?;
    Ok(get_room_event::v3::Response::new(Raw::from_json(event)))
}

async fn at_time(
    homeserver: Arc<Homeserver>,
    request: Ruma<get_event_by_timestamp::v1::Request>,
) -> Result<get_event_by_timestamp::v1::Response> {
    let get_event_by_timestamp::v1::Request { room_id, ts, dir } = request.body;
    let forward = dir == Direction::Forward;
    let (event_id, sent) = homeserver.rooms.event_at(&request.identity, &room_id, ts.get().into(), forward).await?;
    let event_id = EventId::parse(event_id).map_err(matron_homeserver::Error::internal)?;
    let sent = UInt::try_from(sent).map_err(matron_homeserver::Error::internal)?;
    Ok(get_event_by_timestamp::v1::Response::new(event_id, MilliSecondsSinceUnixEpoch(sent)))
}

#[derive(Serialize)]
struct Context {
    start: Option<String>,
    end: Option<String>,
    events_before: Vec<Box<RawValue>>,
    event: Box<RawValue>,
    events_after: Vec<Box<RawValue>>,
    state: Vec<Box<RawValue>>,
}

async fn context(homeserver: Arc<Homeserver>, request: Ruma<get_context::v3::Request>) -> Result<Response> {
    let body = request.body;
    let filter = Compiled::of_room_events(&body.filter);
    let (limit, lazy) = (limit(body.limit), is_lazy(&body.filter));
    let rooms = &homeserver.rooms;
    let found = rooms.context(&request.identity, &body.room_id, &body.event_id, limit, &filter, lazy).await?;
    let render = |token: Option<Token>| token.map(|token| token.render(homeserver.store.epoch()));
    let context = Context {
        start: render(found.before.end),
        end: render(found.after.end),
        events_before: found.before.events,
        event: found.event,
        events_after: found.after.events,
        state: found.state,
    };
    Ok(json(StatusCode::OK, &context))
}
