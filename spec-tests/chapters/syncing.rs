//! "Syncing": two people, a room, and what each learns of it.

use serde_json::json;

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
