//! "Getting events for a room": members as of a point in time, pages with their senders, and pages without a direction.

use serde_json::{Value, json};
use spec_tests::User;

use crate::{run, server};

fn members(answer: &Value) -> Vec<&str> {
    let mut members: Vec<_> =
        answer["chunk"].as_array().unwrap().iter().filter_map(|event| event["state_key"].as_str()).collect();
    members.sort_unstable();
    members
}

#[test]
fn members_are_those_of_the_time_that_is_asked_for() {
    run(async {
        let server = server().await;
        let (ann, bob, cat) = (server.user("ann").await, server.user("bob").await, server.user("cat").await);
        let state = json!([{ "type": "m.room.history_visibility", "content": { "history_visibility": "joined" } }]);
        let room = ann.create_room(json!({ "preset": "public_chat", "initial_state": state })).await;
        ann.say(&room, "after the visibility was set").await;
        let first = ann.sync(None).await;
        let beginning = first["rooms"]["join"][&room]["timeline"]["prev_batch"].as_str().unwrap().to_owned();
        let before_bob = first["next_batch"].as_str().unwrap().to_owned();
        bob.join(&room).await;
        let before_cat = ann.sync(None).await["next_batch"].as_str().unwrap().to_owned();
        cat.join(&room).await;
        let at = |token: &str| format!("/v3/rooms/{room}/members?at={token}");
        assert_eq!(members(&ann.get(&at(&beginning)).await.ok()), [ann.id.as_str()], "a room begins with its maker");
        assert_eq!(members(&ann.get(&at(&before_bob)).await.ok()), [ann.id.as_str()]);
        assert_eq!(members(&ann.get(&at(&before_cat)).await.ok()), [ann.id.as_str(), bob.id.as_str()]);
        assert_eq!(members(&ann.get(&format!("/v3/rooms/{room}/members")).await.ok()).len(), 3);
        // The room's first moments came before its visibility was set.
        assert_eq!(members(&cat.get(&at(&beginning)).await.ok()), [ann.id.as_str()]);
        cat.get(&at(&before_bob)).await.refused(403, "M_FORBIDDEN");
    });
}

#[test]
fn members_are_those_of_either_membership_that_is_asked_for() {
    run(async {
        let server = server().await;
        let (ann, bob, cat) = (server.user("ann").await, server.user("bob").await, server.user("cat").await);
        let room = ann.create_room(json!({ "preset": "public_chat", "invite": [cat.id] })).await;
        bob.join(&room).await;
        let _ = bob.post(&format!("/v3/rooms/{room}/leave"), json!({})).await.ok();
        let asked = async |query: &str| {
            let answer = ann.get(&format!("/v3/rooms/{room}/members?{query}")).await.ok();
            let is_there = |user: &User| members(&answer).contains(&user.id.as_str());
            [is_there(&ann), is_there(&bob), is_there(&cat)]
        };
        assert_eq!(asked("membership=join").await, [true, false, false]);
        assert_eq!(asked("not_membership=leave").await, [true, false, true]);
        assert_eq!(asked("membership=leave&not_membership=join").await, [false, true, true]);
        assert_eq!(asked("membership=join&not_membership=leave").await, [true, false, true]);
        assert_eq!(asked("membership=join&not_membership=join").await, [true, true, true]);
    });
}

#[test]
fn old_messages_keep_the_names_of_those_who_left() {
    run(async {
        let server = server().await;
        let (ann, bob, cat) = (server.user("ann").await, server.user("bob").await, server.user("cat").await);
        let room = ann.create_room(json!({ "preset": "public_chat" })).await;
        let rename = async |user: &User, name: &str| {
            let path = format!("/v3/profile/{}/displayname", user.id);
            let _ = user.put(&path, json!({ "displayname": name })).await.ok();
        };
        for (user, name) in [(&bob, "Bob"), (&cat, "Cat")] {
            rename(user, name).await;
            user.join(&room).await;
            user.say(&room, "hello").await;
        }
        rename(&bob, "Robert").await;
        bob.say(&room, "it is me").await;
        let _ = bob.post(&format!("/v3/rooms/{room}/leave"), json!({})).await.ok();
        let _ = ann.post(&format!("/v3/rooms/{room}/kick"), json!({ "user_id": cat.id })).await.ok();
        rename(&bob, "Bobby").await;
        let page = async |query: &str| {
            let filter = r#"{"lazy_load_members":true}"#;
            ann.get(&format!("/v3/rooms/{room}/messages?limit=50&filter={filter}&{query}")).await.ok()
        };
        let name = |page: &Value, user: &User| {
            let state = page["state"].as_array().unwrap();
            let member = state.iter().find(|event| event["state_key"] == *user.id).unwrap();
            member["content"]["displayname"].as_str().unwrap_or_default().to_owned()
        };
        // As of the first of their events in the walk: what changes further on is in the page.
        let newest = page("dir=b").await;
        assert_eq!((name(&newest, &bob), name(&newest, &cat)), ("Robert".to_owned(), "Cat".to_owned()));
        let oldest = page("dir=f").await;
        assert_eq!((name(&oldest, &bob), name(&oldest, &cat)), ("Bob".to_owned(), "Cat".to_owned()));
        assert!(oldest["state"].as_array().unwrap().iter().all(|event| event["type"] == "m.room.member"));
    });
}

#[test]
fn the_state_of_a_context_is_filtered() {
    run(async {
        let ann = server().await.user("ann").await;
        let room = ann.create_room(json!({ "preset": "private_chat", "name": "Ward 7" })).await;
        let event = ann.say(&room, "hello").await;
        let types = async |filter: &str| {
            let path = format!("/v3/rooms/{room}/context/{event}?filter={filter}");
            let context = ann.get(&path).await.ok();
            assert_eq!(context["event"]["event_id"], event, "{context}");
            let state = context["state"].as_array().unwrap().iter();
            state.map(|event| event["type"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert!(types("{}").await.len() > 2);
        assert_eq!(types(r#"{"types":["m.room.name"]}"#).await, ["m.room.name"]);
        assert_eq!(types(r#"{"types":["m.room.message"]}"#).await, [""; 0]);
        let hidden = types(r#"{"not_types":["m.room.member"]}"#).await;
        assert!(hidden.len() > 2 && !hidden.contains(&"m.room.member".to_owned()), "{hidden:?}");
    });
}

#[test]
fn a_page_without_a_direction_goes_forwards() {
    run(async {
        let server = server().await;
        let ann = server.user("ann").await;
        let room = ann.create_room(json!({ "preset": "private_chat" })).await;
        for path in [format!("/v3/rooms/{room}/messages"), format!("/v3/rooms/{room}/messages?limit=1")] {
            let page = ann.get(&path).await.ok();
            assert_eq!(page["chunk"][0]["type"], "m.room.create", "{page}");
        }
        let stranger = server.user("stranger").await;
        stranger.get(&format!("/v3/rooms/{room}/messages")).await.refused(403, "M_FORBIDDEN");
        ann.get(&format!("/v3/rooms/{room}/messages?dir=sideways")).await.refused(400, "M_INVALID_PARAM");
    });
}
