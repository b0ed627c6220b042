//! "Syncing": two people, a room, and what each learns of it.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use spec_tests::{Server, User, unique};

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

#[test]
fn a_forgotten_room_is_no_news_until_one_is_asked_back() {
    run(async {
        let server = server().await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let room = ann.create_room(json!({ "preset": "public_chat" })).await;
        bob.join(&room).await;
        for way in ["leave", "forget"] {
            let _ = bob.post(&format!("/v3/rooms/{room}/{way}"), json!({})).await.ok();
        }
        let since = token(&bob).await;
        for way in ["ban", "unban"] {
            let _ = ann.post(&format!("/v3/rooms/{room}/{way}"), json!({ "user_id": bob.id })).await.ok();
            let news = bob.sync(Some(&since)).await;
            assert!(news.get("rooms").is_none(), "{news}");
        }
        let _ = ann.post(&format!("/v3/rooms/{room}/invite"), json!({ "user_id": bob.id })).await.ok();
        assert!(bob.sync(Some(&since)).await["rooms"]["invite"][&room].is_object());
        let _ = bob.post(&format!("/v3/rooms/{room}/leave"), json!({})).await.ok();
        bob.get(&format!("/v3/rooms/{room}/messages?dir=b")).await.refused(403, "M_FORBIDDEN");
    });
}

async fn token(user: &User) -> String {
    user.sync(None).await["next_batch"].as_str().unwrap().to_owned()
}

#[test]
fn a_room_that_nothing_names_has_heroes() {
    run(async {
        let server = server().await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let room = ann.create_room(json!({ "preset": "public_chat", "name": "Ward 8" })).await;
        bob.join(&room).await;
        let told = |answer: &Value| answer["rooms"]["join"][&room]["summary"]["m.heroes"].clone();
        let first = ann.sync(None).await;
        assert_eq!(told(&first), Value::Null);
        let mut since = first["next_batch"].clone();
        let mut heroes = async || {
            let news = ann.sync(since.as_str()).await;
            since = news["next_batch"].clone();
            told(&news)
        };
        let set = async |kind: &str, content: Value| {
            let answer = ann.put(&format!("/v3/rooms/{room}/state/{kind}"), content).await.ok();
            answer["event_id"].as_str().unwrap().to_owned()
        };
        let (bob_alone, alias) = (json!([bob.id]), unique("ward"));
        set("m.room.name", json!({ "name": "" })).await;
        assert_eq!(heroes().await, bob_alone, "an empty name is none");
        let name = set("m.room.name", json!({ "name": "Ward 9" })).await;
        assert_eq!(heroes().await, Value::Null);
        let _ = ann.put(&format!("/v3/rooms/{room}/redact/{name}/{}", unique("txn")), json!({})).await.ok();
        assert_eq!(heroes().await, bob_alone, "nor is one that was redacted");
        assert_eq!(told(&ann.sync(None).await), bob_alone);
        ann.say(&room, "what is this room called?").await;
        assert_eq!(heroes().await, Value::Null, "what is known is not told again");
        let path = format!("/v3/directory/room/%23{alias}:localhost");
        let _ = ann.put(&path, json!({ "room_id": room })).await.ok();
        set("m.room.canonical_alias", json!({ "alias": format!("#{alias}:localhost") })).await;
        assert_eq!(heroes().await, Value::Null);
        set("m.room.canonical_alias", json!({})).await;
        assert_eq!(heroes().await, bob_alone);
    });
}

/// The membership that the last of somebody's member events in a list gives.
fn membership<'a>(events: &'a Value, user: &User) -> Option<&'a str> {
    let mut events = events["events"].as_array()?.iter().rev();
    events.find(|event| event["state_key"] == json!(user.id))?["content"]["membership"].as_str()
}

#[test]
fn who_left_learns_nothing_of_what_comes_after() {
    run(async {
        let server = server().await;
        let (ann, bob, cid) = (server.user("ann").await, server.user("bob").await, server.user("cid").await);
        let room = ann.create_room(json!({ "preset": "public_chat" })).await;
        let at = |rest: &str| format!("/v3/rooms/{room}/{rest}");
        let set_topic = async |topic: &str| {
            let _ = ann.put(&at("state/m.room.topic"), json!({ "topic": topic })).await.ok();
        };
        bob.join(&room).await;
        let while_in = token(&bob).await;
        set_topic("for Bob too").await;
        let _ = bob.post(&at("leave"), json!({})).await.ok();
        let when_out = token(&bob).await;
        set_topic("a secret").await;
        cid.join(&room).await;
        let ways = [("state", false), ("state", true), ("state_after", false), ("state_after", true)];
        for (verb, becomes) in [("ban", "ban"), ("unban", "leave")] {
            let _ = ann.post(&at(verb), json!({ "user_id": bob.id })).await.ok();
            for since in [&while_in, &when_out] {
                for (state, lazy) in ways {
                    let is_after = state == "state_after";
                    let filter = format!("%7B%22room%22:%7B%22state%22:%7B%22lazy_load_members%22:{lazy}%7D%7D%7D");
                    let query = format!("timeout=0&since={since}&use_state_after={is_after}&filter={filter}");
                    let news = bob.get(&format!("/v3/sync?{query}")).await.ok();
                    let left = &news["rooms"]["leave"][&room];
                    let text = left.to_string();
                    assert!(!text.contains("a secret") && !text.contains(&cid.id), "{query}: {text}");
                    assert_eq!(text.contains("for Bob too"), since == &while_in, "{query}: {text}");
                    assert_eq!(membership(&left["timeline"], &bob), Some(becomes), "{query}: {text}");
                    if is_after {
                        assert_eq!(membership(&left[state], &bob), Some(becomes), "{query}: {text}");
                    }
                }
            }
        }
    });
}
