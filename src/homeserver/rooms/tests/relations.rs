//! What relates to an event is found in pages, however much else does.

use matron_matrix::{canonical, digest};
use matron_storage::{Batch, Position};
use ruma::EventId;
use ruma::api::client::room::create_room::v3::{Request as NewRoom, RoomPreset};
use serde_json::{Value, json};

use crate::accounts::{IGNORED_USER_LIST, Session};
use crate::fixture::{house, session};
use crate::rooms::event::by_id;
use crate::rooms::intent::TransactionKey;
use crate::rooms::relations::Asked;
use crate::schema::relations::{AGGREGATES, RELATIONS, Relation};
use crate::schema::rooms::Arrival;
use crate::schema::{EventNum, UserNum};

/// A reaction's row.
fn reaction(sender: UserNum) -> Relation {
    Relation {
        event: EventNum(0),
        rel_type: "m.annotation".to_owned(),
        kind: "m.reaction".to_owned(),
        sender,
        key: None,
        replaces: None,
    }
}

#[tokio::test]
async fn the_edit_before_the_last_one_is_found_however_much_else_relates() {
    let server = house().await;
    let ann = session(&server, "ann").await;
    let room_id = server.rooms.create(&ann, NewRoom::new()).await.unwrap();
    let say = async |content: Value, id: &str| {
        let transaction = TransactionKey::new(ann.device, "PUT", &format!("/send/{id}"), id);
        let content = canonical::object(content).unwrap();
        server.rooms.send(&ann, &room_id, "m.room.message".into(), content, transaction).await.unwrap()
    };
    let target = say(json!({ "msgtype": "m.text", "body": "draft" }), "1").await;
    let edit = |text: &str| {
        let relates_to = json!({ "rel_type": "m.replace", "event_id": target });
        let new = json!({ "msgtype": "m.text", "body": text });
        json!({ "msgtype": "m.text", "body": text, "m.new_content": new, "m.relates_to": relates_to })
    };
    let first = say(edit("first"), "2").await;
    let second = say(edit("second"), "3").await;
    let snapshot = server.store.snapshot();
    let room = server.ids.room(&snapshot, room_id.as_str()).await.unwrap().unwrap();
    let mut batch = Batch::new();
    for nth in 0..2000 {
        let place = (room, digest::of_event_id(target.as_str()), 1_000_000, Arrival::Live(Position::new(nth)));
        batch.put(&RELATIONS, &place, &reaction(ann.user));
    }
    server.store.commit(batch).await.unwrap();

    let replacement = async || {
        let key = (room, digest::of_event_id(target.as_str()));
        let aggregate = server.store.snapshot().get(&AGGREGATES, &key).await.unwrap();
        aggregate.and_then(|aggregate| aggregate.replacement).map(|(num, _)| num)
    };
    let num = async |id: &EventId| {
        let found = by_id(&server.rooms, &server.store.snapshot(), id).await.unwrap();
        found.map(|found| found.event.header.num)
    };
    assert_eq!(replacement().await, num(&second).await);
    for (redacted, left) in [(&second, num(&first).await), (&first, None)] {
        let transaction = TransactionKey::new(ann.device, "PUT", redacted.as_str(), "r");
        server.rooms.redact(&ann, &room_id, redacted, None, transaction).await.unwrap();
        assert_eq!(replacement().await, left);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_page_passes_over_so_many_that_are_not_asked_for() {
    let server = house().await;
    let ann = session(&server, "ann").await;
    let room_id = server.rooms.create(&ann, NewRoom::new()).await.unwrap();
    let content = canonical::object(json!({ "topic": "much" })).unwrap();
    let target = server.rooms.send_state(&ann, &room_id, "m.room.topic".into(), String::new(), content).await.unwrap();
    let room = server.ids.room(&server.store.snapshot(), room_id.as_str()).await.unwrap().unwrap();
    let mut batch = Batch::new();
    for nth in 0..10_001 {
        let key = (room, digest::of_event_id(target.as_str()), 1, Arrival::Live(Position::new(nth)));
        batch.put(&RELATIONS, &key, &reaction(ann.user));
    }
    server.store.commit(batch).await.unwrap();

    let mut asked = Asked { rel_type: Some("m.thread".to_owned()), limit: 10, ..Asked::default() };
    let first = server.rooms.relations(&ann, &room_id, &target, &asked).await.unwrap();
    assert!(first.events.is_empty() && first.next.is_some(), "there may be more");
    asked.from = first.next;
    let second = server.rooms.relations(&ann, &room_id, &target, &asked).await.unwrap();
    assert!(second.events.is_empty() && second.next.is_none());
    server.stop().await;
}

#[tokio::test]
async fn a_thread_that_somebody_ignored_began_is_paged_without_them() {
    let server = house().await;
    let (ann, bob, cid) = (session(&server, "ann").await, session(&server, "bob").await, session(&server, "cid").await);
    let mut request = NewRoom::new();
    request.preset = Some(RoomPreset::PublicChat);
    let room_id = server.rooms.create(&ann, request).await.unwrap();
    for user in [&bob, &cid] {
        server.rooms.join(user, &room_id, None, None).await.unwrap();
    }
    let say = async |user: &Session, content: Value, id: &str| {
        let transaction = TransactionKey::new(user.device, "PUT", &format!("/send/{id}"), id);
        let content = canonical::object(content).unwrap();
        server.rooms.send(user, &room_id, "m.room.message".into(), content, transaction).await.unwrap()
    };
    let root = say(&bob, json!({ "msgtype": "m.text", "body": "root" }), "1").await;
    let relates_to = json!({ "rel_type": "m.thread", "event_id": root });
    let inside = json!({ "msgtype": "m.text", "body": "inside", "m.relates_to": relates_to });
    say(&bob, inside.clone(), "2").await;
    let reply = say(&ann, inside, "3").await;
    let ignored = json!({ "@bob:localhost": {}, "@dan:localhost": {}, "@eve:localhost": {} });
    let list = json!({ "ignored_users": ignored }).to_string();
    server.accounts.set_account_data(cid.user, None, IGNORED_USER_LIST, &list).await.unwrap();

    let asked = Asked { rel_type: Some("m.thread".to_owned()), limit: 10, ..Asked::default() };
    let page = server.rooms.relations(&cid, &room_id, &root, &asked).await.unwrap();
    let ids = page.events.iter().map(|event| serde_json::from_str::<Value>(event.get()).unwrap()["event_id"].clone());
    assert_eq!(ids.collect::<Vec<_>>(), [json!(reply)]);
    // A thread's count goes without those alone who can have spoken in it.
    let mut view = server.rooms.view(&server.store.snapshot(), &cid, &room_id).await.unwrap();
    assert_eq!(&*view.ignored_here().await.unwrap(), [bob.user]);
    drop(view);
    server.stop().await;
}
