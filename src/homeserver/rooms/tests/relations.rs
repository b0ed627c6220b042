//! What relates to an event is found in pages, however much else does.

use matron_matrix::{canonical, digest};
use matron_storage::{Batch, Position};
use ruma::api::client::room::create_room::v3::Request as NewRoom;
use serde_json::json;

use super::{house, session};
use crate::rooms::relations::Asked;
use crate::schema::EventNum;
use crate::schema::relations::{RELATIONS, Relation};
use crate::schema::rooms::Arrival;

#[tokio::test]
async fn a_page_passes_over_so_many_that_are_not_asked_for() {
    let server = house().await;
    let ann = session(&server, "ann").await;
    let room_id = server.rooms.create(&ann, NewRoom::new()).await.unwrap();
    let content = canonical::object(json!({ "topic": "much" })).unwrap();
    let target = server.rooms.send_state(&ann, &room_id, "m.room.topic".into(), String::new(), content).await.unwrap();
    let room = server.ids.room(&server.store.snapshot(), room_id.as_str()).await.unwrap().unwrap();
    let reaction = Relation {
        event: EventNum(0),
        rel_type: "m.annotation".to_owned(),
        kind: "m.reaction".to_owned(),
        sender: ann.user,
        key: None,
        replaces: None,
    };
    let mut batch = Batch::new();
    for nth in 0..10_001 {
        let key = (room, digest::of_event_id(target.as_str()), 1, Arrival::Live(Position::new(nth)));
        batch.put(&RELATIONS, &key, &reaction);
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
