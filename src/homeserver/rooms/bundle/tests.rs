//! What is bundled is what one finds by looking at every event.

use std::sync::Arc;

use matron_matrix::canonical;
use proptest::prelude::*;
use ruma::api::client::room::create_room::v3::{Request as NewRoom, RoomPreset};
use ruma::{EventId, OwnedEventId, OwnedRoomId};
use serde_json::{Value, json};

use crate::Homeserver;
use crate::accounts::{IGNORED_USER_LIST, Session};
use crate::fixture::{house, session};
use crate::rooms::intent::TransactionKey;
use crate::rooms::relations::Asked;

#[derive(Debug, Clone)]
struct Step {
    by: usize,
    what: usize,
    back: usize,
}

/// An event as the naive model knows it.
struct Event {
    id: OwnedEventId,
    by: usize,
    sent: u64,
    relates: Option<(&'static str, usize)>,
    redacted: bool,
}

struct Place {
    server: Arc<Homeserver>,
    users: Vec<Session>,
    room: OwnedRoomId,
    events: Vec<Event>,
}

fn step() -> impl Strategy<Value = Step> {
    (0_usize..2, 0_usize..7, 0_usize..5).prop_map(|(by, what, back)| Step { by, what, back })
}

impl Place {
    async fn new() -> Self {
        let server = house().await;
        let mut users = Vec::new();
        for name in ["ann", "bob", "cid"] {
            users.push(session(&server, name).await);
        }
        let mut request = NewRoom::new();
        request.preset = Some(RoomPreset::PublicChat);
        let room = server.rooms.create(&users[0], request).await.unwrap();
        for user in &users[1..] {
            server.rooms.join(user, &room, None, None).await.unwrap();
        }
        Self { server, users, room, events: Vec::new() }
    }

    fn transaction(&self, by: usize) -> TransactionKey {
        let id = self.server.clock.millis().to_string();
        TransactionKey::new(self.users[by].device, "PUT", &id, &id)
    }

    async fn take(&mut self, step: &Step) {
        let target = self.events.len().checked_sub(1 + step.back);
        let user = &self.users[step.by];
        if step.what == 6 {
            let Some(target) = target else { return };
            let id = self.events[target].id.clone();
            let done = self.server.rooms.redact(user, &self.room, &id, None, self.transaction(step.by)).await;
            if done.is_ok() {
                self.events[target].redacted = true;
            }
            return;
        }
        let rel_type =
            [None, Some("m.replace"), Some("m.thread"), Some("m.reference"), Some("m.annotation"), None][step.what];
        let relates = rel_type.zip(target);
        let mut content = json!({ "body": "x", "msgtype": "m.text", "m.new_content": { "body": "y" } });
        if let Some((rel_type, target)) = relates {
            content["m.relates_to"] = json!({ "rel_type": rel_type, "event_id": self.events[target].id, "key": "k" });
        }
        let content = canonical::object(content).unwrap();
        let sent =
            self.server.rooms.send(user, &self.room, "m.room.message".into(), content, self.transaction(step.by));
        if let Ok(id) = sent.await {
            let sent = self.whole(&id).await["origin_server_ts"].as_u64().unwrap();
            self.events.push(Event { id, by: step.by, sent, relates, redacted: false });
        }
    }

    async fn whole(&self, id: &EventId) -> Value {
        let event = self.server.rooms.event(&self.users[2], &self.room, id).await.unwrap();
        serde_json::from_str(event.get()).unwrap()
    }

    /// What should be bundled with an event.
    fn expected(&self, nth: usize, ignored: Option<usize>) -> Value {
        let children = |rel_type: &'static str| {
            let children = self.events.iter().enumerate().filter(move |(_, event)| {
                event.relates == Some((rel_type, nth)) && !event.redacted && Some(event.by) != ignored
            });
            children.map(|(nth, _)| nth).collect::<Vec<_>>()
        };
        let event = &self.events[nth];
        let mut bundle = json!({});
        let edits = children("m.replace").into_iter().map(|nth| &self.events[nth]);
        let edits = edits.filter(|edit| edit.by == event.by && event.relates.map(|(r, _)| r) != Some("m.replace"));
        let latest = edits.max_by_key(|edit| (edit.sent, edit.id.clone()));
        if let Some(edit) = latest.filter(|_| !event.redacted) {
            bundle["m.replace"] = json!(edit.id);
        }
        let references = children("m.reference");
        if !references.is_empty() {
            let chunk = references.iter().map(|nth| json!({ "event_id": self.events[*nth].id }));
            bundle["m.reference"] = json!({ "chunk": chunk.collect::<Vec<_>>() });
        }
        let replies = children("m.thread");
        if let Some(last) = replies.last() {
            bundle["m.thread"] = json!([self.events[*last].id, replies.len()]);
        }
        bundle
    }

    async fn bundled(&self, nth: usize) -> Value {
        let event = self.whole(&self.events[nth].id).await;
        let mut bundle = event["unsigned"].get("m.relations").cloned().unwrap_or_else(|| json!({}));
        if bundle.get("m.replace").is_some() {
            bundle["m.replace"] = bundle["m.replace"]["event_id"].clone();
        }
        if let Some(thread) = bundle.get("m.thread").cloned() {
            assert_eq!(thread["current_user_participated"], false);
            bundle["m.thread"] = json!([thread["latest_event"]["event_id"], thread["count"]]);
        }
        bundle
    }

    /// All that relates to an event, directly or over others, oldest first.
    fn descendants(&self, nth: usize, ignored: Option<usize>) -> Vec<OwnedEventId> {
        let level = |mut at: usize| {
            let mut level = 0;
            while let Some((_, target)) = self.events[at].relates.filter(|_| !self.events[at].redacted) {
                level += 1;
                if target == nth {
                    return Some(level);
                }
                at = target;
            }
            None
        };
        let all = self.events.iter().enumerate().filter(|(at, _)| level(*at).is_some_and(|level| level <= 3));
        all.filter(|(_, event)| Some(event.by) != ignored).map(|(_, event)| event.id.clone()).collect()
    }

    async fn recursed(&self, nth: usize, forward: bool) -> Vec<OwnedEventId> {
        let mut asked = Asked { recurse: true, forward, limit: 2, ..Asked::default() };
        let mut ids = Vec::new();
        loop {
            let id = &self.events[nth].id;
            let page = self.server.rooms.relations(&self.users[2], &self.room, id, &asked).await.unwrap();
            for event in &page.events {
                let event: Value = serde_json::from_str(event.get()).unwrap();
                ids.push(EventId::parse(event["event_id"].as_str().unwrap()).unwrap());
            }
            match page.next {
                Some(next) => asked.from = Some(next),
                None => return ids,
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn what_is_bundled_is_what_is_there(steps in prop::collection::vec(step(), 1..24), ignores: bool) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let mut place = Place::new().await;
            for step in &steps {
                place.take(step).await;
            }
            let ignored = ignores.then_some(1);
            if ignores {
                let list = json!({ "ignored_users": { "@bob:localhost": {} } }).to_string();
                let reader = place.users[2].user;
                place.server.accounts.set_account_data(reader, None, IGNORED_USER_LIST, &list).await.unwrap();
            }
            // Of an event by somebody ignored one learns nothing at all.
            let heard: Vec<_> = (0..place.events.len()).filter(|nth| Some(place.events[*nth].by) != ignored).collect();
            for nth in heard {
                assert_eq!(place.bundled(nth).await, place.expected(nth, ignored), "event {nth} after {steps:?}");
                let mut expected = place.descendants(nth, ignored);
                assert_eq!(place.recursed(nth, true).await, expected, "event {nth} after {steps:?}");
                expected.reverse();
                assert_eq!(place.recursed(nth, false).await, expected, "event {nth} after {steps:?}");
            }
            place.server.stop().await;
        });
    }
}
