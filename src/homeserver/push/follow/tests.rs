//! What is told to nobody any more, however late it is seen that it was read, redacted or left behind.

use std::sync::Arc;

use matron_matrix::canonical;
use matron_matrix::event::Template;
use matron_storage::{Batch, Options, Position};
use ruma::api::client::room::create_room::v3::{Request as NewRoom, RoomPreset};
use ruma::{EventId, OwnedEventId, OwnedRoomId, server_name};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::Walker;
use crate::Homeserver;
use crate::accounts::Session;
use crate::clock::Clock;
use crate::config::Config;
use crate::ephemeral::Mark;
use crate::fixture::session;
use crate::push::desk::{Item, Name, Work};
use crate::rooms::event::by_id;
use crate::rooms::intent::Intent;
use crate::rooms::membership::Said;
use crate::schema::RoomNum;
use crate::schema::ephemeral::ReceiptKind;
use crate::schema::push::{PUSHERS, Pusher, PusherKey, PusherKind, WAITING, Waiting};
use crate::schema::rooms::Arrival;

const PHONE: PusherKey = [7; 16];

/// A room of Ann's that Bob is in. The gateway of Bob's phone may not be called, so that all that is to be told waits.
struct Ward {
    server: Arc<Homeserver>,
    ann: Session,
    bob: Session,
    room_id: OwnedRoomId,
    room: RoomNum,
}

impl Ward {
    async fn new() -> Self {
        let config = Config::named(server_name!("localhost").to_owned());
        // Without workers: nobody follows the stream but the walker of the test.
        let server = Homeserver::open(config, &Options::memory(), Clock::system()).await.unwrap();
        let (ann, bob) = (session(&server, "ann").await, session(&server, "bob").await);
        server.lifecycle.create_service_account(&bob.user_id, "Bob").await.unwrap();
        let mut request = NewRoom::new();
        request.preset = Some(RoomPreset::PublicChat);
        let room_id = server.rooms.create(&ann, request).await.unwrap();
        server.rooms.join(&bob, &room_id, None, None).await.unwrap();
        let room = server.ids.room(&server.store.snapshot(), room_id.as_str()).await.unwrap().unwrap();
        let phone = Pusher {
            app_id: "app".to_owned(),
            pushkey: "phone".to_owned(),
            kind: PusherKind::Http,
            app_display_name: String::new(),
            device_display_name: String::new(),
            profile_tag: None,
            lang: "en".to_owned(),
            data: json!({ "url": "http://127.0.0.1:1/_matrix/push/v1/notify" }).to_string(),
            enabled: true,
            device: bob.device,
            device_id: bob.device_id.to_string(),
            set: 0,
        };
        let mut batch = Batch::new();
        batch.put(&PUSHERS, &(bob.user, PHONE), &phone);
        server.store.commit(batch).await.unwrap();
        Self { server, ann, bob, room_id, room }
    }

    /// What Ann does in the room.
    async fn write(&self, kind: &str, content: Value) -> OwnedEventId {
        let template = Template {
            sender: self.ann.user_id.clone(),
            kind: kind.into(),
            state_key: None,
            redacts: content["redacts"].as_str().map(|id| EventId::parse(id).unwrap()),
            content: canonical::object(content).unwrap(),
            origin_server_ts: self.server.clock.now(),
        };
        self.server.rooms.submit(self.room, Intent::new(template)).await.unwrap().event_id
    }

    async fn say(&self, text: &str) -> OwnedEventId {
        self.write("m.room.message", json!({ "msgtype": "m.text", "body": text })).await
    }

    /// Bob reads.
    async fn read(&self, event: &EventId) {
        let mark = Mark::Receipt(ReceiptKind::Public);
        self.server.ephemeral.read(&self.bob, &self.room_id, mark, event, None).await.unwrap();
    }

    async fn position(&self, event: &EventId) -> Position {
        let found = by_id(&self.server.rooms, &self.server.store.snapshot(), event).await.unwrap().unwrap();
        let Some(Arrival::Live(position)) = found.place.arrival else { panic!("the event has no place") };
        position
    }

    /// An event could not be told before the server stopped.
    async fn put_down(&self, event: &EventId) {
        let row = Waiting { room: self.room, since: self.server.clock.millis(), actions: "[]".to_owned() };
        let mut batch = Batch::new();
        batch.put(&WAITING, &(self.bob.user, PHONE, self.position(event).await), &row);
        self.server.store.commit(batch).await.unwrap();
    }

    /// The follower, as it starts.
    async fn walker(&self) -> Walker {
        Walker::open(Arc::clone(&self.server.push)).await.unwrap()
    }

    /// All that happened since the start comes at once.
    async fn follow(&self, walker: &mut Walker) {
        let (push, stop) = (&self.server.push, CancellationToken::new());
        tokio::select! {
            () = push.follower.run_until(walker, &stop) => {}
            () = push.follower.catch_up() => {}
        }
    }

    fn phone(&self) -> Name {
        (self.bob.user, PHONE)
    }

    /// Which events wait for the phone.
    fn waiting(&self) -> Vec<Position> {
        self.server.push.desk.waiting_for(self.phone()).into_iter().map(|item| item.position).collect()
    }

    fn next(&self) -> Option<Work> {
        self.server.push.desk.next(self.phone(), self.server.clock.millis())
    }

    async fn number(&self, walker: &mut Walker) -> u64 {
        walker.number(&self.server.store.snapshot(), self.bob.user).await.unwrap()
    }
}

#[tokio::test]
async fn what_comes_together_with_its_receipt_is_not_told() {
    let ward = Ward::new().await;
    let mut walker = ward.walker().await;
    assert_eq!(ward.number(&mut walker).await, 0, "it is known, as after any push");
    let read = ward.say("read").await;
    ward.read(&read).await;
    let new = ward.say("new").await;
    ward.follow(&mut walker).await;
    assert_eq!(ward.waiting(), [ward.position(&new).await]);
    assert_eq!(ward.number(&mut walker).await, 1);
    ward.server.stop().await;
}

#[tokio::test]
async fn a_number_that_is_not_known_is_told_by_who_reads() {
    let ward = Ward::new().await;
    let event = ward.say("told before the server stopped").await;
    let mut walker = ward.walker().await;
    ward.read(&event).await;
    ward.follow(&mut walker).await;
    let work = ward.next().unwrap();
    assert!(work.item.is_none() && work.unread == 0, "{work:?}");
    ward.server.stop().await;
}

#[tokio::test]
async fn what_was_read_waits_no_more_though_the_number_is_not_known() {
    let ward = Ward::new().await;
    let event = ward.say("read at the desk").await;
    ward.put_down(&event).await;
    let mut walker = ward.walker().await;
    assert_eq!(ward.waiting(), [ward.position(&event).await]);
    // As by other rules.
    walker.audience.users.get_mut(&ward.bob.user).unwrap().badge = None;
    ward.read(&event).await;
    ward.follow(&mut walker).await;
    assert!(ward.waiting().is_empty());
    ward.server.stop().await;
}

#[tokio::test]
async fn what_was_read_before_the_start_is_not_taken_up() {
    let ward = Ward::new().await;
    let (read, new) = (ward.say("read").await, ward.say("new").await);
    for event in [&read, &new] {
        ward.put_down(event).await;
    }
    ward.read(&read).await;
    let _walker = ward.walker().await;
    assert_eq!(ward.waiting(), [ward.position(&new).await]);
    ward.server.stop().await;
}

#[tokio::test]
async fn who_left_is_told_of_nothing_but_that_they_are_invited_again() {
    let ward = Ward::new().await;
    let event = ward.say("for those who are here").await;
    ward.put_down(&event).await;
    let mut walker = ward.walker().await;
    assert_eq!(ward.next().unwrap().unread, 1);
    let rooms = &ward.server.rooms;
    rooms.leave(&ward.bob, &ward.room_id, Said::default()).await.unwrap();
    let invite = rooms.invite(&ward.ann, &ward.room_id, &ward.bob.user_id, Said::default()).await.unwrap();
    ward.follow(&mut walker).await;
    assert_eq!(ward.waiting(), [ward.position(&invite).await]);
    assert_eq!(ward.next().unwrap().unread, 0);
    ward.server.stop().await;
}

#[tokio::test]
async fn what_was_redacted_while_it_waited_is_not_told() {
    let ward = Ward::new().await;
    let event = ward.say("a mistake").await;
    let (push, snapshot) = (&ward.server.push, ward.server.store.snapshot());
    let stored = by_id(&ward.server.rooms, &snapshot, &event).await.unwrap().unwrap().event;
    let told = Arc::new(push.told(&snapshot, ward.room, stored).await.unwrap());
    let item = Item::new((ward.room, ward.position(&event).await, None), 0, "[]".into(), Some(told));
    assert!(push.told_of(&item).await.unwrap().is_some());
    ward.write("m.room.redaction", json!({ "redacts": event })).await;
    assert!(push.told_of(&item).await.unwrap().is_none());
    ward.server.stop().await;
}
