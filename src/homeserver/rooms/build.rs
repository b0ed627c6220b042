//! Local events: what somebody here wants to say becomes an event of the room, if the room's rules allow it.

use std::collections::HashMap;
use std::sync::Arc;

use matron_matrix::authorize;
use matron_matrix::event::{self, Pdu, Setting, Template};
use ruma::events::{StateEventType, TimelineEventType};
use ruma::{EventId, OwnedEventId, OwnedUserId, RoomId};

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
#[derive(Debug, Clone)]
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

/// The events that an event names as its authority.
type Named = Arc<[(EventNum, OwnedEventId)]>;

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

/// Who was allowed what in a room's state, and by which events: for messages, whose authorization depends on state, sender
/// and type alone, the answer is the same until the state changes.
#[derive(Debug, Default)]
pub struct Allowed {
    root: u32,
    known: HashMap<OwnedUserId, HashMap<TimelineEventType, Named>>,
}

/// How many senders of a room are remembered.
const MOST_SENDERS: usize = 256;
/// How many types of each.
const MOST_TYPES: usize = 16;

impl Allowed {
    /// Whether the answer depends on nothing else. (Redactions are judged by their target too.)
    fn is_plain(template: &Template) -> bool {
        template.state_key.is_none() && template.kind != TimelineEventType::RoomRedaction
    }

    fn get(&self, root: u32, template: &Template) -> Option<Named> {
        if self.root != root || !Self::is_plain(template) {
            return None;
        }
        self.known.get(&template.sender)?.get(&template.kind).map(Arc::clone)
    }

    fn note(&mut self, root: u32, template: &Template, auth: &Named) {
        if !Self::is_plain(template) {
            return;
        }
        if self.root != root || self.known.len() >= MOST_SENDERS {
            self.root = root;
            self.known.clear();
        }
        let of_sender = self.known.entry(template.sender.clone()).or_default();
        if of_sender.len() < MOST_TYPES {
            of_sender.insert(template.kind.clone(), Arc::clone(auth));
        }
    }
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
