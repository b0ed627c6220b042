//! Local events: what somebody here wants to say becomes an event of the room, if the room's rules allow it.

use std::collections::HashMap;
use std::sync::Arc;

use matron_matrix::authorize;
use matron_matrix::event::{self, Setting, Template};
use ruma::events::{StateEventType, TimelineEventType};
use ruma::{EventId, OwnedEventId, RoomId};

use super::Rooms;
use super::allowed::Named;
use super::built::{Built, MAX_DEPTH};
use super::working::{StateEvent, Working};
use crate::error::{Error, Result};
use crate::schema::rooms::Extremity;

/// As many ends of the graph are joined by one event as the spec allows it previous events.
const MOST_PREV_EVENTS: usize = 20;

/// From which ends of the graph an event goes on.
#[derive(Debug, Clone, Default)]
pub enum From {
    /// From all there are.
    #[default]
    Ends,
    /// From these alone: a fork, where they are not all. Whoever waits for a policy server forks, and tests do; other
    /// servers' forks come ready-made.
    Events(Vec<OwnedEventId>),
}

/// Builds, signs and authorizes a local event against the room's current state.
///
/// # Errors
/// What the authorization rules and the size limits answer; the store cannot be read.
pub async fn build(rooms: &Rooms, working: &mut Working, template: &Template, from: &From) -> Result<Built> {
    let prev = ends(rooms, working, from).await?;
    let state_before = super::resolve::state_after_all(rooms, working, &prev).await?;
    let known = working.allowed.get(state_before, template);
    let authority = match &known {
        Some(auth) => Authority { auth: Arc::clone(auth), state: HashMap::new() },
        None => authority(rooms, working, template, state_before).await?,
    };
    let depth = (prev.iter().map(|end| end.depth).max().unwrap_or(0) + 1).min(MAX_DEPTH);
    let is_create = template.kind == TimelineEventType::RoomCreate;
    let names_room = !is_create || working.rules.event_format.require_room_create_room_id;
    let room_id: &RoomId = &working.id;
    let setting = Setting {
        room_id: names_room.then_some(room_id),
        rules: &working.rules,
        prev_events: prev.iter().map(|end| parse_id(&end.id)).collect::<Result<_>>()?,
        auth_events: authority.auth.iter().map(|(_, id)| id.clone()).collect(),
        depth,
    };
    let (pdu, json) = event::build(template, &setting, &rooms.config.server_name, &*rooms.key)?;
    let rules = &working.rules.authorization;
    if is_create {
        authorize::check_auth_events(rules, &pdu, |_| None)?;
    }
    if known.is_none() {
        authorize::check_state(rules, &pdu, |kind, key| {
            authority.state.get(&(kind.clone(), key.to_owned())).map(|(_, pdu)| Arc::clone(pdu))
        })?;
        working.allowed.note(state_before, template, &authority.auth);
    }
    Ok(Built {
        num: rooms.ids.new_events(1).await?,
        pdu,
        json,
        prev: prev.iter().map(|end| end.num).collect(),
        auth: authority.auth.iter().map(|(num, _)| *num).collect(),
        state_before,
        depth,
        received: None,
    })
}

/// What authorizes an event: the events that it names, and the state that the rules read.
pub(super) struct Authority {
    auth: Named,
    pub(super) state: HashMap<(StateEventType, String), StateEvent>,
}

pub(super) async fn authority(
    rooms: &Rooms,
    working: &mut Working,
    template: &Template,
    root: u32,
) -> Result<Authority> {
    let mut types = authorize::auth_types(template, &working.rules.authorization)?;
    let named = types.len();
    let create = (StateEventType::RoomCreate, String::new());
    if template.kind != TimelineEventType::RoomCreate && !types.contains(&create) {
        // In version 12 the create event is not named, but the rules read it.
        types.push(create);
    }
    let mut state: HashMap<(StateEventType, String), StateEvent> = HashMap::with_capacity(types.len());
    let mut auth = Vec::with_capacity(named);
    for (nth, (kind, key)) in types.into_iter().enumerate() {
        let found = if root == working.head.state {
            working.state_event(rooms, &kind, &key).await?
        } else {
            working.state_event_at(rooms, root, &kind, &key).await?
        };
        if let Some(found) = found {
            if nth < named {
                auth.push((found.0, found.1.event_id.clone()));
            }
            state.insert((kind, key), found);
        }
    }
    Ok(Authority { auth: auth.into(), state })
}

fn parse_id(id: &str) -> Result<OwnedEventId> {
    EventId::parse(id).map_err(Error::internal)
}

pub(super) async fn ends(rooms: &Rooms, working: &Working, from: &From) -> Result<Vec<Extremity>> {
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
