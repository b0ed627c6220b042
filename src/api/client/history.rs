//! What was said in a room: client-server API, "Getting events for a room" and "Event context".

use std::sync::Arc;

use axum::response::Response;
use matron_homeserver::Homeserver;
use matron_homeserver::rooms::history::{MOST_EVENTS, Page};
use matron_matrix::filter::Compiled;
use matron_matrix::splice::Object;
use ruma::api::Direction;
use ruma::api::Metadata;
use ruma::api::client::context::get_context;
use ruma::api::client::filter::RoomEventFilter;
use ruma::api::client::message::get_message_events;
use ruma::api::client::room::{get_event_by_timestamp, get_room_event};
use ruma::api::path_builder::PathBuilder;
use ruma::serde::Raw;
use ruma::{EventId, MilliSecondsSinceUnixEpoch, UInt};

use crate::error::{Result, raw_json};
use crate::request::{ChangeQuery, Requeried, Ruma, token};
use crate::router::Routes;

pub fn routes(routes: &mut Routes) {
    routes.add(event);
    routes.add(at_time);
    for path in get_message_events::v3::Request::PATH_BUILDER.all_paths() {
        routes.add_answering(path, messages);
    }
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

/// Older clients leave the direction out, and mean forwards.
#[derive(Default)]
struct Forwards;

impl ChangeQuery for Forwards {
    fn change(&mut self, query: &str) -> Option<String> {
        match query {
            "" => Some("dir=f".to_owned()),
            query if query.split('&').any(|pair| pair.starts_with("dir=")) => None,
            query => Some(format!("{query}&dir=f")),
        }
    }
}

async fn messages(
    homeserver: Arc<Homeserver>,
    request: Ruma<Requeried<get_message_events::v3::Request, Forwards>>,
) -> Result<Response> {
    let body = request.body.request;
    let filter = Compiled::of_room_events(&body.filter)?;
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
    let mut out = String::with_capacity(history.events.bytes() + members.bytes() + 256);
    let mut object = Object::begin(&mut out);
    history.events.write(object.member("chunk"));
    if let Some(end) = history.end {
        object.text("end", &end.render(epoch));
    }
    object.text("start", &history.start.render(epoch));
    if !members.is_empty() {
        members.write(object.member("state"));
    }
    object.end();
    Ok(raw_json(out))
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

async fn context(homeserver: Arc<Homeserver>, request: Ruma<get_context::v3::Request>) -> Result<Response> {
    let body = request.body;
    let filter = Compiled::of_room_events(&body.filter)?;
    let (limit, lazy) = (limit(body.limit), is_lazy(&body.filter));
    let rooms = &homeserver.rooms;
    let found = rooms.context(&request.identity, &body.room_id, &body.event_id, limit, &filter, lazy).await?;
    let mut out = String::new();
    let mut object = Object::begin(&mut out);
    for (name, token) in [("start", found.before.end), ("end", found.after.end)] {
        if let Some(token) = token {
            object.text(name, &token.render(homeserver.store.epoch()));
        }
    }
    found.before.events.write(object.member("events_before"));
    object.raw("event", found.event.get());
    found.after.events.write(object.member("events_after"));
    found.state.write(object.member("state"));
    object.end();
    Ok(raw_json(out))
}
