//! "Syncing": two people, a room, and what each learns of it.

use std::collections::BTreeSet;

use serde_json::json;
use spec_tests::Server;

use crate::{run, server};

#[test]
fn a_message_reaches_the_other() {
    run(async {
        let server = server().await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let room = ann.create_room(json!({ "preset": "private_chat", "invite": [bob.id], "name": "Ward 7" })).await;
        let first = bob.sync(None).await;
        let invite = &first["rooms"]["invite"][&room]["invite_state"]["events"];
        assert!(invite.as_array().unwrap().iter().any(|event| event["type"] == "m.room.name"), "{first}");
        bob.join(&room).await;
        let since = bob.sync(None).await["next_batch"].as_str().unwrap().to_owned();
        let id = ann.say(&room, "bed 3 is free").await;
        let news = bob.sync(Some(&since)).await;
        let events = news["rooms"]["join"][&room]["timeline"]["events"].as_array().unwrap().clone();
        assert_eq!(events.len(), 1, "{news}");
        assert_eq!((&events[0]["event_id"], &events[0]["content"]["body"]), (&json!(id), &json!("bed 3 is free")));
        assert_eq!(news["rooms"]["join"][&room]["unread_notifications"]["notification_count"], 1);
        let since = news["next_batch"].as_str().unwrap().to_owned();
        assert!(bob.sync(Some(&since)).await.get("rooms").is_none());
    });
}

#[test]
fn a_token_from_before_a_restart_is_told_what_was_new_then() {
    run(async {
        let folder = tempfile::TempDir::new().unwrap();
        let mut server = Server::start_in(folder.path(), &[]).await;
        let (ann, mut bob) = (server.user("ann").await, server.user("bob").await);
        let mut rooms = Vec::new();
        for _ in 0..3 {
            let room = ann.create_room(json!({ "preset": "public_chat" })).await;
            bob.join(&room).await;
            rooms.push(room);
        }
        let id = ann.say(&rooms[1], "who is on call?").await;
        let since = bob.sync(None).await["next_batch"].as_str().unwrap().to_owned();
        ann.say(&rooms[0], "bed 3 is free").await;
        let receipt = format!("/v3/rooms/{}/receipt/m.read/{id}", rooms[1]);
        let _ = ann.post(&receipt, json!({})).await.ok();
        server.restart().await;
        bob = bob.at(&server.url);
        let news = bob.sync(Some(&since)).await;
        let joined = news["rooms"]["join"].as_object().unwrap();
        assert_eq!(joined.keys().collect::<BTreeSet<_>>(), rooms[..2].iter().collect::<BTreeSet<_>>(), "{news}");
        assert_eq!(joined[&rooms[0]]["timeline"]["events"].as_array().unwrap().len(), 1, "{news}");
        assert_eq!(joined[&rooms[1]]["ephemeral"]["events"][0]["type"], "m.receipt", "{news}");
        let since = news["next_batch"].as_str().unwrap().to_owned();
        assert!(bob.sync(Some(&since)).await.get("rooms").is_none());
    });
}
