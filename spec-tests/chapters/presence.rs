//! "Presence": who is there, who is told of it, and who may ask.

use serde_json::{Value, json};
use spec_tests::User;

use crate::{run, server};

fn of<'a>(sync: &'a Value, user: &User) -> Option<&'a Value> {
    let events = sync["presence"]["events"].as_array()?;
    events.iter().find(|event| event["sender"] == user.id).map(|event| &event["content"])
}

async fn set(user: &User, body: Value) -> spec_tests::Answer {
    user.put(&format!("/v3/presence/{}/status", user.id), body).await
}

#[test]
fn those_who_share_a_room_are_told() {
    run(async {
        let server = server().await;
        let (ann, bob, eve) = (server.user("ann").await, server.user("bob").await, server.user("eve").await);
        let room = ann.create_room(json!({ "preset": "public_chat" })).await;
        let _ = set(&bob, json!({ "presence": "unavailable", "status_msg": "in theatre" })).await.ok();
        let before = ann.sync(None).await;
        assert!(of(&before, &bob).is_none());
        let since = before["next_batch"].as_str().unwrap();
        bob.join(&room).await;
        // Who comes is told of, and who is there already is told to them.
        let news = ann.sync(Some(since)).await;
        let content = of(&news, &bob).unwrap();
        assert_eq!((&content["presence"], &content["status_msg"]), (&json!("unavailable"), &json!("in theatre")));
        assert!(of(&ann.sync(None).await, &bob).is_some());
        assert_eq!(
            of(&bob.get("/v3/sync?timeout=0&set_presence=offline").await.ok(), &ann).unwrap()["presence"],
            "online"
        );
        let since = news["next_batch"].as_str().unwrap();
        assert!(of(&ann.sync(Some(since)).await, &bob).is_none());
        let _ = set(&bob, json!({ "presence": "online" })).await.ok();
        // A waiting sync is woken by it.
        let woken = ann.get(&format!("/v3/sync?timeout=20000&since={since}")).await.ok();
        let content = of(&woken, &bob).unwrap();
        assert_eq!((&content["presence"], &content["currently_active"]), (&json!("online"), &json!(true)));
        assert!(content.get("status_msg").is_none() && content["last_active_ago"].is_u64());
        let filter = r#"{"presence":{"not_types":["m.presence"]}}"#;
        let filtered = ann.get(&format!("/v3/sync?timeout=0&filter={filter}")).await.ok();
        assert!(filtered.get("presence").is_none());
        let _ = set(&eve, json!({ "presence": "online" })).await.ok();
        let since = woken["next_batch"].as_str().unwrap();
        assert!(of(&ann.sync(Some(since)).await, &eve).is_none() && of(&ann.sync(None).await, &eve).is_none());
    });
}

#[test]
fn a_new_name_or_picture_comes_with_presence() {
    run(async {
        let server = server().await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let room = ann.create_room(json!({ "preset": "public_chat" })).await;
        bob.join(&room).await;
        let _ = set(&bob, json!({ "presence": "online" })).await.ok();
        let mut since = ann.sync(None).await["next_batch"].clone();
        let mut told = async || {
            let news = ann.sync(since.as_str()).await;
            since = news["next_batch"].clone();
            let content = of(&news, &bob).cloned().unwrap_or_default();
            (content["presence"].clone(), content["displayname"].clone(), content["avatar_url"].clone())
        };
        let (online, name, picture) = (json!("online"), json!("Sister Bob"), json!("mxc://localhost/bob"));
        let at = |field: &str| format!("/v3/profile/{}/{field}", bob.id);
        let _ = bob.put(&at("displayname"), json!({ "displayname": name })).await.ok();
        assert_eq!(told().await, (online.clone(), name.clone(), Value::Null));
        let _ = bob.put(&at("avatar_url"), json!({ "avatar_url": picture })).await.ok();
        assert_eq!(told().await, (online.clone(), name, picture.clone()));
        let _ = bob.delete(&at("displayname"), json!({})).await.ok();
        assert_eq!(told().await, (online, Value::Null, picture));
        // What is the same as before is no news, nor is it told again with what is.
        let _ = set(&bob, json!({ "presence": "unavailable" })).await.ok();
        assert_eq!(told().await, (json!("unavailable"), Value::Null, Value::Null));
    });
}

#[test]
fn presence_is_asked_and_set_by_the_right_people() {
    run(async {
        let server = server().await;
        let (ann, eve) = (server.user("ann").await, server.user("eve").await);
        let status = format!("/v3/presence/{}/status", ann.id);
        assert_eq!(ann.get(&status).await.ok()["presence"], "offline");
        let _ = set(&ann, json!({ "presence": "online", "status_msg": "here" })).await.ok();
        let told = ann.get(&status).await.ok();
        assert_eq!((&told["presence"], &told["status_msg"]), (&json!("online"), &json!("here")));
        eve.get(&status).await.refused(403, "M_FORBIDDEN");
        eve.get("/v3/presence/@nobody:localhost/status").await.refused(403, "M_FORBIDDEN");
        eve.put(&status, json!({ "presence": "offline" })).await.refused(403, "M_FORBIDDEN");
        set(&ann, json!({ "presence": "busy" })).await.refused(400, "M_INVALID_PARAM");
        set(&ann, json!({})).await.refused(400, "M_MISSING_PARAM");
        let long = json!({ "presence": "online", "status_msg": "x".repeat(3000) });
        set(&ann, long).await.refused(400, "M_INVALID_PARAM");
        ann.get("/v3/sync?set_presence=asleep").await.refused(400, "M_INVALID_PARAM");
    });
}
