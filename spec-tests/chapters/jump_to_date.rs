//! "Room history": the event at a time, in both directions, of those that one may see.

use serde_json::json;
use spec_tests::User;

use crate::{run, server};

async fn at(user: &User, room: &str, time: u64, dir: &str) -> spec_tests::Answer {
    user.get(&format!("/v1/rooms/{room}/timestamp_to_event?ts={time}&dir={dir}")).await
}

#[test]
fn the_event_at_a_time_is_found() {
    run(async {
        let server = server().await;
        let (ann, eve) = (server.user("ann").await, server.user("eve").await);
        let room = ann.create_room(json!({})).await;
        let mut said = Vec::new();
        for text in ["one", "two", "three"] {
            let id = ann.say(&room, text).await;
            let event = ann.get(&format!("/v3/rooms/{room}/event/{id}")).await.ok();
            said.push((id, event["origin_server_ts"].as_u64().unwrap()));
            tokio::time::sleep(std::time::Duration::from_millis(3)).await;
        }
        let (first, second, third) = (&said[0], &said[1], &said[2]);
        for (time, dir, expected) in [
            (second.1, "f", second),
            (second.1, "b", second),
            (first.1 + 1, "f", second),
            (third.1 - 1, "b", second),
            (third.1 + 60_000, "b", third),
        ] {
            let found = at(&ann, &room, time, dir).await.ok();
            assert_eq!(found, json!({ "event_id": expected.0, "origin_server_ts": expected.1 }), "{time} {dir}");
        }
        at(&ann, &room, third.1 + 1, "f").await.refused(404, "M_NOT_FOUND");
        at(&ann, &room, 0, "b").await.refused(404, "M_NOT_FOUND");
        at(&eve, &room, second.1, "f").await.refused(403, "M_FORBIDDEN");
        let old = format!("/unstable/org.matrix.msc3030/rooms/{room}/timestamp_to_event?ts={}&dir=f", second.1);
        assert_eq!(ann.get(&old).await.ok()["event_id"], second.0.as_str());
    });
}

#[test]
fn what_one_may_not_see_is_passed_over() {
    run(async {
        let server = server().await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let joined = json!({ "history_visibility": "joined" });
        let visibility = json!([{ "type": "m.room.history_visibility", "content": joined }]);
        let room = ann.create_room(json!({ "preset": "public_chat", "initial_state": visibility })).await;
        let hidden = ann.say(&room, "hidden").await;
        bob.join(&room).await;
        let sent =
            ann.get(&format!("/v3/rooms/{room}/event/{hidden}")).await.ok()["origin_server_ts"].as_u64().unwrap();
        assert_eq!(at(&ann, &room, sent, "f").await.ok()["event_id"], hidden.as_str());
        let found = at(&bob, &room, sent, "f").await.ok();
        let event = bob.get(&format!("/v3/rooms/{room}/event/{}", found["event_id"].as_str().unwrap())).await.ok();
        assert_eq!((&event["type"], &event["state_key"]), (&json!("m.room.member"), &json!(bob.id)));
        // What came before the visibility was narrowed is for all who joined.
        let found = at(&bob, &room, sent, "b").await.ok();
        assert_ne!(found["event_id"], hidden.as_str());
        assert!(found["origin_server_ts"].as_u64().unwrap() <= sent);
    });
}
