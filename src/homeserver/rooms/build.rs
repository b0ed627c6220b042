//! Local events: what somebody here wants to say becomes an event of the room, if the room's rules allow it.

use std::collections::HashMap;
use std::sync::Arc;

use matron_matrix::authorize;
use matron_matrix::event::{self, Pdu, Setting, Template};
use ruma::events::{StateEventType, TimelineEventType};
use ruma::{EventId, OwnedEventId, RoomId};

use super::Rooms;
use super::receive::Received;
use super::working::{StateEvent, Working};
use crate::error::{Error, Result};
use crate::schema::EventNum;
use crate::schema::rooms::Extremity;

/// As many ends of the graph are joined by one event as the spec allows it previous events.
const MOST_PREV_EVENTS: usize = 20;

/// The greatest depth that canonical JSON can hold: whoever sends it must not end the room.
pub(super) const MAX_DEPTH: u64 = (1 << 53) - 1;

/// An event that may be placed.
#[derive(Debug)]
pub struct Built {
    /// Its number.
    pub num: EventNum,
    /// The event.
    pub pdu: Arc<Pdu>,
    /// Its signed JSON.
    pub json: Box<str>,
    /// The events before it.
    pub prev: Vec<EventNum>,
    /// The events that authorize it.
    pub auth: Vec<EventNum>,
    /// The root of the state before it.
    pub state_before: u32,
    /// Its depth.
    pub depth: u64,
    /// What is known of it as an event of another server; nothing where it was made here.
    pub received: Option<Received>,
}

/// From which ends of the graph an event goes on.
#[derive(Debug, Clone, Default)]
pub enum From {
    /// From all there are.
    #[default]
    Ends,
    /// From these alone: a fork. Only tests fork; other servers' forks come ready-made.
    Events(Vec<OwnedEventId>),
}

/// Builds, signs and authorizes a local event against the room's current state.
///
/// # Errors
/// What the authorization rules and the size limits answer; the store cannot be read.
pub async fn build(rooms: &Rooms, working: &mut Working, template: &Template, from: &From) -> Result<Built> {
    let prev = ends(rooms, working, from).await?;
    let state_before = super::resolve::state_after_all(rooms, working, &prev).await?;
    let rules = working.rules.authorization.clone();
    let mut types = authorize::auth_types(template, &rules)?;
    let named = types.len();
    let create = (StateEventType::RoomCreate, String::new());
    if template.kind != TimelineEventType::RoomCreate && !types.contains(&create) {
        // In version 12 the create event is not named, but the rules read it.
        types.push(create);
    }
    let mut state: HashMap<(StateEventType, String), StateEvent> = HashMap::with_capacity(types.len());
    let mut auth = Vec::with_capacity(named);
    for (nth, (kind, key)) in types.into_iter().enumerate() {
        let found = if state_before == working.head.state {
            working.state_event(rooms, &kind, &key).await?
        } else {
            working.state_event_at(rooms, state_before, &kind, &key).await?
        };
        if let Some(found) = found {
            if nth < named {
                auth.push((found.0, found.1.event_id.clone()));
            }
            state.insert((kind, key), found);
        }
    }
    let depth = (prev.iter().map(|end| end.depth).max().unwrap_or(0) + 1).min(MAX_DEPTH);
    let is_create = template.kind == TimelineEventType::RoomCreate;
    let names_room = !is_create || working.rules.event_format.require_room_create_room_id;
    let room_id: &RoomId = &working.id;
    let setting = Setting {
        room_id: names_room.then_some(room_id),
        rules: &working.rules,
        prev_events: prev.iter().map(|end| parse_id(&end.id)).collect::<Result<_>>()?,
        auth_events: auth.iter().map(|(_, id)| id.clone()).collect(),
        depth,
    };
    let (pdu, json) = event::build(template, &setting, &rooms.config.server_name, &*rooms.key)?;
    if is_create {
        authorize::check_auth_events(&rules, &pdu, |_| None)?;
    }
    authorize::check_state(&rules, &pdu, |kind, key| {
        state.get(&(kind.clone(), key.to_owned())).map(|(_, pdu)| Arc::clone(pdu))
    })?;
    Ok(Built {
        num: rooms.ids.new_events(1).await?,
        pdu,
        json,
        prev: prev.iter().map(|end| end.num).collect(),
        auth: auth.into_iter().map(|(num, _)| num).collect(),
        state_before,
        depth,
        received: None,
    })
}

fn parse_id(id: &str) -> Result<OwnedEventId> {
    EventId::parse(id).map_err(Error::internal)
}

async fn ends(rooms: &Rooms, working: &Working, from: &From) -> Result<Vec<Extremity>> {
    match from {
        From::Ends => {
            let mut ends = working.head.extremities.clone();
            ends.sort_by_key(|end| std::cmp::Reverse(end.depth));
            ends.truncate(MOST_PREV_EVENTS);
            Ok(ends)
        }
        From::Events(ids) => {
            let mut ends = Vec::with_capacity(ids.len());
            for id in ids {
                let found = super::event::by_id(rooms, &working.snapshot, id).await?;
                let found = found.ok_or_else(|| Error::internal(format!("no event {id}")))?;
                let header = found.event.header;
                let (depth, state) = (header.depth, header.state_after);
                ends.push(Extremity { num: header.num, id: id.to_string(), depth, state });
            }
            Ok(ends)
        }
    }
}
