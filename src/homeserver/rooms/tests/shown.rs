//! State events that are kept in memory are shown as they lie in the reader's snapshot.

use matron_matrix::canonical;
use matron_storage::Snapshot;
use ruma::RoomId;
use ruma::api::client::room::create_room::v3::{Request as NewRoom, RoomPreset};
use serde_json::{Value, json};

use crate::Homeserver;
use crate::accounts::Session;
use crate::fixture::{house, session};
use crate::rooms::event::by_id;
use crate::rooms::intent::TransactionKey;
use crate::schema::EventNum;

/// A state event as a user is shown it as of a snapshot.
async fn shown(server: &Homeserver, user: &Session, room_id: &RoomId, snapshot: &Snapshot, num: EventNum) -> Value {
    let mut view = server.rooms.view(snapshot, user, room_id).await.unwrap();
    let events = server.rooms.state_events(snapshot, view.room, &[num]).await.unwrap();
    assert_eq!(events.len(), 1);
    serde_json::from_str(view.show_state(&events[0], true).await.unwrap().get()).unwrap()
}

#[tokio::test]
async fn a_state_event_in_memory_is_shown_redacted_by_whoever_can_see_the_redaction() {
    let server = house().await;
    let ann = session(&server, "ann").await;
    let mut request = NewRoom::new();
    request.preset = Some(RoomPreset::PublicChat);
    let room_id = server.rooms.create(&ann, request).await.unwrap();
    let content = canonical::object(json!({ "topic": "secret" })).unwrap();
    let topic = server.rooms.send_state(&ann, &room_id, "m.room.topic".into(), String::new(), content).await.unwrap();

    let before = server.store.snapshot();
    let num = by_id(&server.rooms, &before, &topic).await.unwrap().unwrap().event.header.num;
    let event = shown(&server, &ann, &room_id, &before, num).await;
    assert_eq!((&event["event_id"], &event["content"]), (&json!(topic), &json!({ "topic": "secret" })));
    assert!(server.rooms.shown.get(&num).is_some(), "it is in memory");

    let transaction = TransactionKey::new(ann.device, "PUT", "/redact", "1");
    let redaction = server.rooms.redact(&ann, &room_id, &topic, Some("told"), transaction).await.unwrap();
    let after = server.store.snapshot();
    let is_redacted = |event: &Value| {
        let because = &event["unsigned"]["redacted_because"];
        assert_eq!((&event["event_id"], &event["content"]), (&json!(topic), &json!({})));
        assert_eq!((&because["event_id"], &because["content"]["reason"]), (&json!(redaction), &json!("told")));
    };
    is_redacted(&shown(&server, &ann, &room_id, &after, num).await);

    // Whoever began to read before the redaction finds no redaction, and goes on in the room as it was.
    let event = shown(&server, &ann, &room_id, &before, num).await;
    assert_eq!(event["content"], json!({ "topic": "secret" }));
    assert_eq!(event["unsigned"].get("redacted_because"), None);

    // What they read is in memory now: nobody else is shown it.
    is_redacted(&shown(&server, &ann, &room_id, &after, num).await);
    let state = server.rooms.full_state(&ann, &room_id).await.unwrap();
    let state: Vec<Value> = state.iter().map(|event| serde_json::from_str(event.get()).unwrap()).collect();
    is_redacted(state.iter().find(|event| event["type"] == "m.room.topic").unwrap());
    server.stop().await;
}
