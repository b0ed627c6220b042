//! Who may redact, by whatever door; and what was redacted is gone, also from memory.

use std::sync::Arc;

use matron_matrix::canonical;
use matron_matrix::event::Template;
use matron_storage::{News, Observer as _};
use ruma::api::client::room::create_room::v3::{Request as NewRoom, RoomPreset};
use ruma::events::{StateEventType, TimelineEventType};
use ruma::{EventId, OwnedEventId, OwnedRoomId, RoomVersionId, room_alias_id, user_id};
use serde_json::{Value, json};

use super::scene::{FAR, Scene};
use crate::Homeserver;
use crate::accounts::Session;
use crate::error::{Error, Result};
use crate::fixture::{house, session};
use crate::rooms::event::{Found, by_id};
use crate::rooms::intent::{Intent, TransactionKey};
use crate::rooms::membership::Said;
use crate::rooms::receive::received;
use crate::schema::RoomNum;
use crate::schema::rooms::TIMELINE;
use crate::streams::Subject;

/// A room that Ann made and that Bob joined.
struct Ward {
    server: Arc<Homeserver>,
    room_id: OwnedRoomId,
    room: RoomNum,
    ann: Session,
    bob: Session,
}

impl Ward {
    async fn new(version: RoomVersionId) -> Self {
        let server = house().await;
        let (ann, bob) = (session(&server, "ann").await, session(&server, "bob").await);
        let mut request = NewRoom::new();
        request.preset = Some(RoomPreset::PublicChat);
        request.room_version = Some(version);
        let room_id = server.rooms.create(&ann, request).await.unwrap();
        server.rooms.join(&bob, &room_id, None, None).await.unwrap();
        let room = server.ids.room(&server.store.snapshot(), room_id.as_str()).await.unwrap().unwrap();
        Self { server, room_id, room, ann, bob }
    }

    /// Asks the room's writer for an event, as if all that is asked before were answered.
    async fn write(&self, by: &Session, kind: &str, key: Option<&str>, content: Value) -> Result<OwnedEventId> {
        let redacts = content["redacts"].as_str().filter(|_| key.is_none()).map(|id| EventId::parse(id).unwrap());
        let template = Template {
            sender: by.user_id.clone(),
            kind: kind.into(),
            state_key: key.map(ToOwned::to_owned),
            content: canonical::object(content).unwrap(),
            redacts,
            origin_server_ts: self.server.clock.now(),
        };
        Ok(self.server.rooms.submit(self.room, Intent::new(template)).await?.event_id)
    }

    async fn say(&self, by: &Session, text: &str) -> OwnedEventId {
        self.write(by, "m.room.message", None, json!({ "msgtype": "m.text", "body": text })).await.unwrap()
    }

    async fn set(&self, kind: &str, content: Value) -> OwnedEventId {
        let content = canonical::object(content).unwrap();
        let sent = self.server.rooms.send_state(&self.ann, &self.room_id, kind.into(), String::new(), content).await;
        sent.unwrap()
    }

    async fn redact(&self, id: &EventId) -> OwnedEventId {
        self.write(&self.ann, "m.room.redaction", None, json!({ "redacts": id })).await.unwrap()
    }

    /// What the room's state of now says.
    async fn current(&self, kind: &str) -> Option<Value> {
        self.server.rooms.current(&self.server.store.snapshot(), self.room, kind).await.unwrap()
    }

    async fn is_redacted(&self, id: &EventId) -> bool {
        let found = by_id(&self.server.rooms, &self.server.store.snapshot(), id).await.unwrap().unwrap();
        found.event.header.redacted_by.is_some()
    }
}

#[track_caller]
fn forbidden<T>(done: Result<T>) {
    match done {
        Err(Error::Matrix(error)) => assert_eq!(error.kind.errcode().as_str(), "M_FORBIDDEN"),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was done"),
    }
}

#[tokio::test]
async fn a_state_event_redacts_nothing() {
    for version in [RoomVersionId::V10, RoomVersionId::V11] {
        let ward = Ward::new(version).await;
        let said = ward.say(&ward.ann, "said").await;
        let content = json!({ "redacts": said });
        for by in [&ward.ann, &ward.bob] {
            let content = canonical::object(content.clone()).unwrap();
            let kind = TimelineEventType::RoomRedaction;
            let sent = ward.server.rooms.send_state(by, &ward.room_id, kind, String::new(), content).await;
            assert!(matches!(sent, Err(Error::Matrix(_))), "{sent:?}");
        }
        forbidden(ward.write(&ward.bob, "m.room.redaction", Some(""), content.clone()).await);
        // Also where one got in, as other servers may send one.
        ward.write(&ward.ann, "m.room.redaction", Some(""), content).await.unwrap();
        assert!(!ward.is_redacted(&said).await);
        ward.server.stop().await;
    }
}

#[tokio::test]
async fn a_redaction_that_is_sent_like_a_message_names_its_event_in_one_place() {
    for (version, is_inside) in [(RoomVersionId::V10, false), (RoomVersionId::V11, true)] {
        let ward = Ward::new(version).await;
        let rooms = &ward.server.rooms;
        let said = ward.say(&ward.ann, "said").await;
        let content = canonical::object(json!({ "redacts": said, "reason": "rude" })).unwrap();
        let transaction = TransactionKey::new(ward.ann.device, "PUT", "/send", "1");
        let kind = TimelineEventType::RoomRedaction;
        let sent = rooms.send(&ward.ann, &ward.room_id, kind, content, transaction).await.unwrap();
        assert!(ward.is_redacted(&said).await);
        let found = by_id(rooms, &ward.server.store.snapshot(), &sent).await.unwrap().unwrap();
        let event: Value = serde_json::from_str(&found.event.json).unwrap();
        let named = (event.get("redacts").is_some(), event["content"].get("redacts").is_some());
        assert_eq!(named, (!is_inside, is_inside), "{event}");
        assert_eq!(event["content"]["reason"], "rude");
        ward.server.stop().await;
    }
}

#[tokio::test]
async fn the_writer_asks_who_redacts_by_the_levels_of_then() {
    for version in [RoomVersionId::V10, RoomVersionId::V12] {
        let ward = Ward::new(version.clone()).await;
        let of_ann = if version == RoomVersionId::V12 { json!({}) } else { json!({ "@ann:localhost": 100 }) };
        let levels = |bob: u8| {
            let mut users = of_ann.clone();
            users["@bob:localhost"] = bob.into();
            json!({ "users": users, "redact": 50 })
        };
        let (first, second) = (ward.say(&ward.ann, "first").await, ward.say(&ward.ann, "second").await);
        let redact =
            async |by: &Session, id: &EventId| ward.write(by, "m.room.redaction", None, json!({ "redacts": id })).await;
        forbidden(redact(&ward.bob, &first).await);
        ward.set("m.room.power_levels", levels(50)).await;
        redact(&ward.bob, &first).await.unwrap();
        assert!(ward.is_redacted(&first).await);
        // He had the power when he asked, and has it no more when it is his turn.
        ward.set("m.room.power_levels", levels(49)).await;
        forbidden(redact(&ward.bob, &second).await);
        assert!(!ward.is_redacted(&second).await);
        let own = ward.say(&ward.bob, "own").await;
        redact(&ward.bob, &own).await.unwrap();
        assert!(ward.is_redacted(&own).await);
        let elsewhere = EventId::parse("$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa").unwrap();
        assert!(redact(&ward.ann, &elsewhere).await.is_err(), "there is no such event");
        let transaction = TransactionKey::new(ward.bob.device, "PUT", "/redact", "1");
        forbidden(ward.server.rooms.redact(&ward.bob, &ward.room_id, &second, None, transaction).await);
        ward.server.stop().await;
    }
}

#[tokio::test]
async fn what_was_redacted_can_be_said_again() {
    let ward = Ward::new(RoomVersionId::V11).await;
    let topic = json!({ "topic": "beds" });
    let first = ward.set("m.room.topic", topic.clone()).await;
    assert_eq!(ward.set("m.room.topic", topic.clone()).await, first, "the same is no news");
    ward.redact(&first).await;
    assert_eq!(ward.current("m.room.topic").await, Some(json!({})));
    let second = ward.set("m.room.topic", topic.clone()).await;
    assert_ne!(second, first);
    assert_eq!(ward.current("m.room.topic").await, Some(topic));
    // Also where a redaction takes nothing away.
    let rule = json!({ "join_rule": "public" });
    let first = ward.set("m.room.join_rules", rule.clone()).await;
    ward.redact(&first).await;
    assert_ne!(ward.set("m.room.join_rules", rule).await, first);
    ward.server.stop().await;
}

#[tokio::test]
async fn what_was_redacted_goes_nowhere() {
    let ward = Ward::new(RoomVersionId::V10).await;
    let (rooms, ann) = (&ward.server.rooms, &ward.ann);
    for (kind, content) in [
        ("m.room.topic", json!({ "topic": "a secret" })),
        ("m.room.name", json!({ "name": "a secret" })),
        ("m.room.avatar", json!({ "url": "mxc://localhost/secret" })),
        ("m.room.guest_access", json!({ "guest_access": "can_join" })),
    ] {
        let event = ward.set(kind, content).await;
        if kind == "m.room.guest_access" {
            assert!(rooms.lets_guests_in(&ward.server.store.snapshot(), ward.room).await.unwrap());
        }
        ward.redact(&event).await;
    }
    assert!(!rooms.lets_guests_in(&ward.server.store.snapshot(), ward.room).await.unwrap());
    let reason = Said::because(Some("a secret"));
    let ban = rooms.ban(ann, &ward.room_id, user_id!("@cid:other.example"), reason).await.unwrap();
    ward.redact(&ban).await;

    // Who takes an alias away says nothing of the others again.
    let (main, other) = (room_alias_id!("#main:localhost"), room_alias_id!("#secret:localhost"));
    for alias in [main, other] {
        rooms.add_alias(ann, alias, &ward.room_id).await.unwrap();
    }
    let aliases = ward.set("m.room.canonical_alias", json!({ "alias": main, "alt_aliases": [other] })).await;
    ward.redact(&aliases).await;
    for alias in [main, other] {
        rooms.remove_alias(ann, alias).await.unwrap();
    }
    assert_eq!(ward.current("m.room.canonical_alias").await, Some(json!({})));

    let new = rooms.upgrade(ann, &ward.room_id, &RoomVersionId::V11, Vec::new()).await.unwrap();
    let snapshot = ward.server.store.snapshot();
    let new = ward.server.ids.room(&snapshot, new.as_str()).await.unwrap().unwrap();
    let events = snapshot.scan(&TIMELINE, TIMELINE.under(&(new,))).collect().await.unwrap();
    assert!(events.iter().any(|(_, event)| event.json.contains("@cid:other.example")), "the ban goes over");
    assert!(events.iter().all(|(_, event)| !event.json.contains("secret")), "{events:?}");
    ward.server.stop().await;
}

#[tokio::test]
async fn who_began_to_read_before_brings_nothing_back_into_memory() {
    let ward = Ward::new(RoomVersionId::V11).await;
    let topic = ward.set("m.room.topic", json!({ "topic": "a secret" })).await;
    let before = ward.server.store.snapshot();
    let num = by_id(&ward.server.rooms, &before, &topic).await.unwrap().unwrap().event.header.num;
    ward.redact(&topic).await;
    let read = ward.server.rooms.authority(&before, num).await.unwrap();
    assert!(read.content.get().contains("a secret"), "it was so then");
    assert_eq!(ward.current("m.room.topic").await, Some(json!({})));
    ward.server.stop().await;
}

#[tokio::test]
async fn what_may_have_been_redacted_is_read_anew() {
    let ward = Ward::new(RoomVersionId::V11).await;
    let topic = ward.set("m.room.topic", json!({ "topic": "Ward 7" })).await;
    let (rooms, snapshot) = (&ward.server.rooms, ward.server.store.snapshot());
    let Found { event, place } = by_id(rooms, &snapshot, &topic).await.unwrap().unwrap();
    rooms.authority(&snapshot, event.header.num).await.unwrap();
    assert!(rooms.remembered(event.header.num).is_some());
    // As after a write whose outcome nobody knows.
    let position = snapshot.position().next();
    let redactions = News { position, topic: Subject::Redactions(place.room).into() };
    rooms.streams.doubted(&[redactions]);
    assert!(rooms.remembered(event.header.num).is_none());
    ward.server.stop().await;
}

#[tokio::test]
async fn what_is_redacted_in_its_own_batch_is_gone_in_it() {
    let mut scene = Scene::new(RoomVersionId::V10).await;
    let root = scene.working.head.state;
    let topic = json!({ "topic": "a secret" });
    let topic = scene.make(FAR, "m.room.topic", Some(""), topic, &[scene.last()], root, None).await;
    let redaction = scene.redaction(FAR, &topic.0, &[Arc::clone(&topic.0)]).await;
    let first = scene.built(&topic, root).await;
    let (rooms, kind) = (Arc::clone(&scene.server.rooms), StateEventType::RoomTopic);
    scene
        .commit(async |append| {
            append.live(first, None).await.unwrap();
            let root = append.working.head.state;
            let second = received(&rooms, append.working, redaction.0, redaction.1, root).await.unwrap().unwrap();
            append.live(second, None).await.unwrap();
            let (_, topic) = append.working.state_event(&rooms, &kind, "").await.unwrap().unwrap();
            assert_eq!(topic.content.get(), "{}");
        })
        .await;
    let (_, topic) = scene.working.state_event(&rooms, &kind, "").await.unwrap().unwrap();
    assert_eq!(topic.content.get(), "{}");
    scene.server.stop().await;
}
