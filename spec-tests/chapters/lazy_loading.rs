//! "Lazy-loading room members": whose member events come with a room's state.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use spec_tests::User;

use crate::{run, server};

/// Syncs with members loaded lazily, and timelines of so many events.
async fn ask(user: &User, limit: u64, more: &str) -> Value {
    let filter = json!({ "room": { "state": { "lazy_load_members": true }, "timeline": { "limit": limit } } });
    user.get(&format!("/v3/sync?timeout=0&filter={filter}{more}")).await.ok()
}

fn since(answer: &Value) -> String {
    format!("&since={}", answer["next_batch"].as_str().unwrap())
}

/// The members that a room's state tells of, and their names.
fn members(answer: &Value, room: &str, state: &str) -> BTreeMap<String, Value> {
    let events = answer["rooms"]["join"][room][state]["events"].as_array().unwrap();
    let members = events.iter().filter(|event| event["type"] == "m.room.member");
    members
        .map(|member| (member["state_key"].as_str().unwrap().to_owned(), member["content"]["displayname"].clone()))
        .collect()
}

async fn rename(user: &User, name: &str) {
    let path = format!("/v3/profile/{}/displayname", user.id);
    let _ = user.put(&path, json!({ "displayname": name })).await.ok();
}

#[test]
fn who_becomes_a_hero_is_told_of_once() {
    run(async {
        let server = server().await;
        let ann = server.user("ann").await;
        let mut others = Vec::new();
        for name in ["bob", "carol", "dora", "eve", "fay", "gil"] {
            others.push(server.user(name).await);
        }
        // Heroes are those who came first, not those who had an account first.
        others.reverse();
        let room = ann.create_room(json!({ "preset": "public_chat" })).await;
        for user in &others {
            user.join(&room).await;
        }
        ann.say(&room, "good morning").await;
        let ids: Vec<_> = others.iter().map(|user| user.id.clone()).collect();
        let heroes = |answer: &Value| answer["rooms"]["join"][&room]["summary"]["m.heroes"].clone();
        let mut answer = ask(&ann, 1, "").await;
        assert_eq!(heroes(&answer), json!(ids[..5]));
        let told = members(&answer, &room, "state");
        assert!(ids[..5].iter().all(|id| told.contains_key(id)) && !told.contains_key(&ids[5]), "{told:?}");
        for (gone, is_told) in [(0, true), (1, false)] {
            let _ = others[gone].post(&format!("/v3/rooms/{room}/leave"), json!({})).await.ok();
            answer = ask(&ann, 10, &since(&answer)).await;
            assert_eq!(heroes(&answer), json!(ids[gone + 1..]));
            assert_eq!(members(&answer, &room, "state").contains_key(&ids[5]), is_told, "{answer}");
        }
    });
}

#[test]
fn the_full_state_has_who_speaks_and_who_changed_and_oneself() {
    run(async {
        let server = server().await;
        let (ann, bob, carol) = (server.user("ann").await, server.user("bob").await, server.user("carol").await);
        let silent = server.user("silent").await;
        let room = ann.create_room(json!({ "preset": "public_chat", "name": "Ward 5" })).await;
        for user in [&bob, &carol, &silent] {
            user.join(&room).await;
        }
        ann.say(&room, "good morning").await;
        let first = ask(&ann, 1, "").await;
        rename(&bob, "Sister Bob").await;
        carol.say(&room, "is it?").await;
        for (state, more) in [("state", ""), ("state_after", "&use_state_after=true")] {
            let answer = ask(&ann, 1, &format!("&full_state=true{}{more}", since(&first))).await;
            let told = members(&answer, &room, state);
            let mut expected = [&ann.id, &bob.id, &carol.id];
            expected.sort_unstable();
            assert_eq!(told.keys().collect::<Vec<_>>(), expected, "{answer}");
            assert_eq!(told[&bob.id], "Sister Bob");
        }
    });
}

#[test]
fn who_spoke_before_a_new_name_is_told_of_by_the_old_one() {
    run(async {
        let server = server().await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let room = ann.create_room(json!({ "preset": "public_chat", "name": "Ward 6" })).await;
        rename(&bob, "Bob").await;
        bob.join(&room).await;
        ann.say(&room, "good morning").await;
        let first = ask(&ann, 1, "").await;
        bob.say(&room, "is it?").await;
        rename(&bob, "Sister Bob").await;
        bob.say(&room, "it is").await;
        for since in [String::new(), since(&first)] {
            let answer = ask(&ann, 3, &since).await;
            let timeline = &answer["rooms"]["join"][&room]["timeline"]["events"];
            let types: Vec<_> = timeline.as_array().unwrap().iter().map(|event| &event["type"]).collect();
            assert_eq!(types, ["m.room.message", "m.room.member", "m.room.message"]);
            assert_eq!(members(&answer, &room, "state").get(&bob.id), Some(&json!("Bob")), "{answer}");
            // State as of the timeline's end has who they are now.
            let answer = ask(&ann, 3, &format!("{since}&use_state_after=true")).await;
            assert_eq!(members(&answer, &room, "state_after").get(&bob.id), Some(&json!("Sister Bob")), "{answer}");
        }
    });
}
