//! Forks: whatever order events come in, two servers with the same events have the same state.

use std::collections::BTreeMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use matron_matrix::event::{Pdu, Template};
use matron_matrix::resolve::{Material, authority, resolve};
use matron_matrix::{authorize, canonical};
use matron_storage::Batch;
use proptest::prelude::*;
use ruma::api::client::room::create_room::v3::{Request as NewRoom, RoomPreset};
use ruma::events::StateEventType;
use ruma::state_res::StateMap;
use ruma::{OwnedEventId, OwnedRoomId, RoomVersionId};
use serde_json::{Value, json};

use super::append::Append;
use super::build::From;
use super::event::by_id;
use super::intent::Intent;
use super::receive::received;
use super::tree::{NodeCache, NodeNum, Reader};
use super::working::Working;
use crate::Homeserver;
use crate::accounts::Session;
use crate::fixture::{house, session};
use crate::schema::RoomNum;
use crate::schema::rooms::{Extremity, StoredEvent, TIMELINE};

mod order;
mod policy;
mod redacting;
mod relations;
pub(super) mod scene;
mod shown;
mod standing;
mod upgrading;
mod writing;

#[derive(Debug, Clone)]
struct Step {
    by: usize,
    what: usize,
    /// How far back in the list of events the previous ones lie.
    back: Vec<usize>,
}

fn step() -> impl Strategy<Value = Step> {
    (0_usize..3, 0_usize..8, prop::collection::vec(0_usize..4, 1..3)).prop_map(|(by, what, back)| Step {
        by,
        what,
        back,
    })
}

/// What somebody says or does, by number.
fn event(what: usize, nth: usize, users: &[Session]) -> (&'static str, Option<String>, Value) {
    let levels = |c: u32| {
        let mut named = serde_json::Map::new();
        named.insert(users[1].user_id.to_string(), json!(100));
        named.insert(users[2].user_id.to_string(), json!(c));
        json!({ "users": named, "events": { "m.room.topic": 50, "m.room.name": 0 }, "ban": 50, "kick": 50 })
    };
    match what {
        0 => ("m.room.topic", Some(String::new()), json!({ "topic": nth.to_string() })),
        1 => ("m.room.name", Some(String::new()), json!({ "name": nth.to_string() })),
        2 => ("m.room.power_levels", Some(String::new()), levels(0)),
        3 => ("m.room.power_levels", Some(String::new()), levels(60)),
        4 => ("m.room.member", Some(users[2].user_id.to_string()), json!({ "membership": "ban" })),
        5 => ("m.room.member", Some(users[2].user_id.to_string()), json!({ "membership": "join" })),
        _ => ("m.room.message", None, json!({ "msgtype": "m.text", "body": nth.to_string() })),
    }
}

/// A room with forks, and its events in the order of their making.
async fn forked(server: &Arc<Homeserver>, version: RoomVersionId, steps: &[Step]) -> (OwnedRoomId, Vec<StoredEvent>) {
    let mut users = Vec::new();
    for name in ["ann", "bob", "cid"] {
        users.push(session(server, name).await);
    }
    let mut request = NewRoom::new();
    request.preset = Some(RoomPreset::PublicChat);
    request.room_version = Some(version);
    let overrides = json!({ "users": { "@bob:localhost": 100, "@cid:localhost": 60 } });
    let overrides = if request.room_version == Some(RoomVersionId::V12) {
        overrides
    } else {
        json!({ "users": { "@ann:localhost": 100, "@bob:localhost": 100, "@cid:localhost": 60 } })
    };
    request.power_level_content_override = serde_json::from_value(overrides).unwrap();
    let room_id = server.rooms.create(&users[0], request).await.unwrap();
    for user in &users[1..] {
        server.rooms.join(user, &room_id, None, None).await.unwrap();
    }
    let room = server.ids.room(&server.store.snapshot(), room_id.as_str()).await.unwrap().unwrap();
    let mut ids: Vec<OwnedEventId> = Vec::new();
    for (nth, step) in steps.iter().enumerate() {
        let (kind, state_key, content) = event(step.what, nth, &users);
        let mut from: Vec<_> = step.back.iter().filter_map(|back| ids.iter().rev().nth(*back).cloned()).collect();
        from.sort();
        from.dedup();
        let from = if from.is_empty() { From::Ends } else { From::Events(from) };
        let template = Template {
            sender: users[step.by].user_id.clone(),
            kind: kind.into(),
            state_key,
            content: canonical::object(content).unwrap(),
            redacts: None,
            origin_server_ts: server.clock.now(),
        };
        // What the rules refuse is no event of the room.
        match server.rooms.submit(room, Intent { from, ..Intent::new(template) }).await {
            Ok(sent) => ids.push(sent.event_id),
            Err(crate::Error::Matrix(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    let snapshot = server.store.snapshot();
    let rows = snapshot.scan(&TIMELINE, TIMELINE.under(&(room,))).collect().await.unwrap();
    (room_id, rows.into_iter().map(|(_, event)| event).collect())
}

/// Takes an event as another server would send it: authorized by the state before it.
async fn receive(server: &Arc<Homeserver>, working: &mut Working, event: &StoredEvent) {
    let pdu: Pdu = super::event::parse(event).unwrap();
    let mut ends = Vec::new();
    for id in &pdu.prev_events {
        let header = by_id(&server.rooms, &working.snapshot, id).await.unwrap().unwrap().event.header;
        ends.push(Extremity { num: header.num, id: id.to_string(), depth: header.depth, state: header.state_after });
    }
    let state_before = super::resolve::state_after_all(&server.rooms, working, &ends).await.unwrap();
    let roots: Vec<_> = ends.iter().map(|end| end.state).collect();
    assert_eq!(named(server, working, state_before).await, resolved_whole(server, working, &roots).await);
    let mut state = BTreeMap::new();
    let create = (ruma::events::StateEventType::RoomCreate, String::new());
    let types = authorize::auth_types_of(&pdu, &working.rules.authorization).unwrap();
    for (kind, key) in types.into_iter().chain([create]) {
        if let Some((_, pdu)) = working.state_event_at(&server.rooms, state_before, &kind, &key).await.unwrap() {
            state.insert((kind.to_string(), key), pdu);
        }
    }
    authorize::check_state(&working.rules.authorization, &pdu, |kind, key| {
        state.get(&(kind.to_string(), key.to_owned())).cloned()
    })
    .unwrap();
    let is_create = ends.is_empty();
    let built = received(&server.rooms, working, Arc::new(pdu), event.json.clone(), state_before).await;
    let built = built.unwrap().unwrap();
    assert_eq!(built.auth.len(), built.pdu.auth_events.len());
    let mut batch = Batch::new();
    let mut append = Append::new(&server.rooms, working, &mut batch);
    if is_create {
        append.found(built.num);
    }
    append.live(built, None).await.unwrap();
    append.finish().await.unwrap();
    let committed = server.store.commit(batch).await.unwrap();
    working.committed(&server.rooms, committed.first);
}

/// A state by names and ids.
async fn named(server: &Homeserver, working: &Working, root: NodeNum) -> StateMap<OwnedEventId> {
    let mut state = StateMap::new();
    for (key, num) in working.editor.reader().entries(root).await.unwrap() {
        let name = server.ids.state_key_name(key).await.unwrap();
        let kind = StateEventType::from(&*server.ids.kind_name(name.kind).await.unwrap());
        state.insert((kind, name.key.clone()), working.pdu(&server.rooms, num).await.unwrap().event_id.clone());
    }
    state
}

/// What states resolve to where they are given whole, with all their authority: slow, and plainly right.
async fn resolved_whole(server: &Homeserver, working: &Working, roots: &[NodeNum]) -> StateMap<OwnedEventId> {
    let mut forks = Vec::new();
    let mut material = Material::default();
    for root in roots {
        let fork = named(server, working, *root).await;
        let mut open: Vec<_> = fork.values().cloned().collect();
        while let Some(id) = open.pop() {
            let Entry::Vacant(slot) = material.events.entry(id) else { continue };
            let num = working.event_num(&server.rooms, slot.key().as_str()).await.unwrap().unwrap();
            let pdu = working.pdu(&server.rooms, num).await.unwrap();
            open.extend(authority(&pdu));
            slot.insert(pdu);
        }
        forks.push(fork);
    }
    forks.dedup();
    match forks.as_slice() {
        [] => StateMap::new(),
        [one] => one.clone(),
        several => resolve(&working.rules, several, &material).unwrap(),
    }
}

/// The resolved state by names and ids.
async fn state(server: &Homeserver, room: RoomNum) -> BTreeMap<(String, String), String> {
    let snapshot = server.store.snapshot();
    let working = Working::load(&server.rooms, snapshot.clone(), room).await.unwrap();
    let mut state = BTreeMap::new();
    for (key, num) in working.editor.reader().entries(working.head.state).await.unwrap() {
        let name = server.ids.state_key_name(key).await.unwrap();
        let kind = server.ids.kind_name(name.kind).await.unwrap().to_string();
        let event = super::event::by_num(&snapshot, num).await.unwrap().event;
        state.insert((kind, name.key.clone()), event.header.event_id());
    }
    state
}

/// The states before and after every event can be read from the store alone, also those that only a fork had.
async fn every_state_is_on_disk(server: &Homeserver, room: RoomNum) {
    let snapshot = server.store.snapshot();
    let reader = Reader::new(snapshot.clone(), Arc::new(NodeCache::new(10_000)), room);
    for (_, event) in snapshot.scan(&TIMELINE, TIMELINE.under(&(room,))).collect().await.unwrap() {
        for root in [event.header.state_before, event.header.state_after] {
            reader.entries(root).await.unwrap();
        }
    }
}

/// The events in another order in which each still comes after those before it.
fn reordered(events: &[StoredEvent], choices: &[usize]) -> Vec<StoredEvent> {
    let parsed: Vec<Pdu> = events.iter().map(|event| super::event::parse(event).unwrap()).collect();
    let mut open: Vec<usize> = (0..events.len()).collect();
    let mut order: Vec<usize> = Vec::new();
    let mut choices = choices.iter().cycle();
    while !open.is_empty() {
        let ready: Vec<usize> = open
            .iter()
            .copied()
            .filter(|at| {
                parsed[*at].prev_events.iter().all(|id| order.iter().any(|done| parsed[*done].event_id == *id))
            })
            .collect();
        let next = ready[choices.next().unwrap() % ready.len()];
        order.push(next);
        open.retain(|at| *at != next);
    }
    order.into_iter().map(|at| events[at].clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_state_is_the_same_in_whatever_order_events_come(
        steps in prop::collection::vec(step(), 1..16),
        choices in prop::collection::vec(0_usize..7, 1..30),
        version in prop::sample::select(vec![RoomVersionId::V6, RoomVersionId::V10, RoomVersionId::V11, RoomVersionId::V12]),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let (here, there) = (house().await, house().await);
            let (room_id, events) = forked(&here, version.clone(), &steps).await;
            let num = there.ids.new_room().await.unwrap();
            let mut working = Working::new(&there.rooms, num, room_id.clone(), &version).unwrap();
            for event in reordered(&events, &choices) {
                receive(&there, &mut working, &event).await;
            }
            let room = here.ids.room(&here.store.snapshot(), room_id.as_str()).await.unwrap().unwrap();
            assert_eq!(state(&here, room).await, state(&there, num).await);
            every_state_is_on_disk(&here, room).await;
            every_state_is_on_disk(&there, num).await;
            here.stop().await;
            there.stop().await;
        });
    }
}
