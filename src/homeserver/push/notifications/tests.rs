//! Pages that end before they have found anything, and yet go on to the last one.

use matron_matrix::canonical;
use matron_matrix::event::Template;
use matron_storage::{Options, Position};
use ruma::OwnedRoomId;
use ruma::api::client::room::create_room::v3::{Request as NewRoom, RoomPreset};
use serde_json::json;

use super::Asked;
use crate::Homeserver;
use crate::accounts::Session;
use crate::clock::Clock;
use crate::config::Config;
use crate::fixture::session;
use crate::push::audience::Compiled;
use crate::rooms::intent::Intent;
use crate::rooms::membership::Said;

async fn say(server: &Homeserver, by: &Session, room: &OwnedRoomId, msgtype: &str) {
    let snapshot = server.store.snapshot();
    let room = server.ids.room(&snapshot, room.as_str()).await.unwrap().unwrap();
    let template = Template {
        sender: by.user_id.clone(),
        kind: "m.room.message".into(),
        state_key: None,
        content: canonical::object(json!({ "msgtype": msgtype, "body": "hello" })).unwrap(),
        redacts: None,
        origin_server_ts: server.clock.now(),
    };
    server.rooms.submit(room, Intent::new(template)).await.unwrap();
}

/// The kinds of what is on all pages, newest first, where each looks at so many events.
async fn listed(server: &Homeserver, reader: &Session, looks: usize) -> Vec<String> {
    let (mut before, mut kinds) = (Position::MAX, Vec::new());
    loop {
        let snapshot = server.store.snapshot();
        let ruleset = server.accounts.ruleset(&snapshot, reader.user).await.unwrap();
        let rules = Compiled::new(ruleset, &reader.user_id);
        let asked =
            Asked { snapshot: &snapshot, session: reader, rules: &rules, before, limit: 2, highlights: false, looks };
        let page = server.push.page(&asked).await.unwrap();
        kinds.extend(page.notifications.into_iter().map(|told| {
            let event: serde_json::Value = serde_json::from_str(told.event.get()).unwrap();
            event["type"].as_str().unwrap().to_owned()
        }));
        let Some(next) = page.next else { return kinds };
        assert!(next < before, "a page that looks at {looks} goes nowhere");
        before = next;
    }
}

#[tokio::test]
async fn pages_come_to_an_end_however_much_notifies_of_nothing() {
    let config = Config::named(ruma::server_name!("localhost").to_owned());
    let server = Homeserver::start(config, &Options::memory(), Clock::system()).await.unwrap();
    let (reader, other) = (session(&server, "reader").await, session(&server, "other").await);
    let mut rooms = Vec::new();
    for _ in 0..3 {
        let mut request = NewRoom::new();
        request.preset = Some(RoomPreset::PublicChat);
        rooms.push(server.rooms.create(&other, request).await.unwrap());
    }
    let [busy, quiet, invited] = rooms.as_slice() else { panic!("three rooms") };
    for room in [busy, quiet] {
        server.rooms.join(&reader, room, None, None).await.unwrap();
    }
    say(&server, &other, quiet, "m.text").await;
    for _ in 0..8 {
        say(&server, &other, busy, "m.notice").await;
    }
    server.rooms.invite(&other, invited, &reader.user_id, Said::default()).await.unwrap();
    for _ in 0..8 {
        say(&server, &other, busy, "m.notice").await;
    }
    say(&server, &other, quiet, "m.text").await;
    say(&server, &other, invited, "m.text").await;
    say(&server, &other, busy, "m.notice").await;
    for looks in [1, 2, 3, 5, 1000] {
        let wanted = ["m.room.message", "m.room.member", "m.room.message"];
        assert_eq!(listed(&server, &reader, looks).await, wanted, "{looks} at once");
    }
    server.stop().await;
}
