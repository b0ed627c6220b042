//! "Relationships between events": edits, threads, references, and what is bundled with an event.

use serde_json::{Value, json};
use spec_tests::{User, unique};

use crate::{run, server};

async fn relate(user: &User, room: &str, target: &str, rel_type: &str) -> spec_tests::Answer {
    let path = format!("/v3/rooms/{room}/send/m.room.message/{}", unique("txn"));
    let relates_to = json!({ "rel_type": rel_type, "event_id": target });
    let content = json!({ "msgtype": "m.text", "body": "* new", "m.new_content": { "msgtype": "m.text", "body": "new" },
        "m.relates_to": relates_to });
    user.put(&path, content).await
}

async fn related(user: &User, room: &str, target: &str, rel_type: &str) -> String {
    relate(user, room, target, rel_type).await.ok()["event_id"].as_str().unwrap().to_owned()
}

async fn bundle(user: &User, room: &str, event: &str) -> Value {
    user.get(&format!("/v3/rooms/{room}/event/{event}")).await.ok()["unsigned"]["m.relations"].clone()
}

fn ids(chunk: &Value) -> Vec<&str> {
    chunk.as_array().unwrap().iter().map(|event| event["event_id"].as_str().unwrap()).collect()
}

async fn two_in_a_room() -> (User, User, String) {
    let server = server().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let room = ann.create_room(json!({ "preset": "public_chat" })).await;
    bob.join(&room).await;
    (ann, bob, room)
}

#[test]
fn the_latest_edit_of_the_same_sender_is_bundled_everywhere() {
    run(async {
        let (ann, bob, room) = two_in_a_room().await;
        let event = ann.say(&room, "old").await;
        let first = related(&ann, &room, &event, "m.replace").await;
        let second = related(&ann, &room, &event, "m.replace").await;
        related(&bob, &room, &event, "m.replace").await;
        related(&ann, &room, &second, "m.replace").await;
        let shown = bundle(&bob, &room, &event).await;
        assert_eq!(shown["m.replace"]["event_id"], second, "{shown}");
        assert_eq!(shown["m.replace"]["content"]["m.new_content"]["body"], "new");
        assert!(bundle(&bob, &room, &second).await.is_null());
        let page = bob.get(&format!("/v3/rooms/{room}/messages?dir=b&limit=50")).await.ok();
        let context = bob.get(&format!("/v3/rooms/{room}/context/{first}?limit=10")).await.ok();
        let filter = r#"{"room":{"timeline":{"limit":6}}}"#;
        let sync = bob.get(&format!("/v3/sync?timeout=0&filter={filter}")).await.ok();
        let timeline = &sync["rooms"]["join"][&room]["timeline"];
        assert_eq!(timeline["limited"], true);
        for chunk in [&page["chunk"], &context["events_before"], &timeline["events"]] {
            let shown = chunk.as_array().unwrap().iter().find(|shown| shown["event_id"] == *event).unwrap();
            assert_eq!(shown["unsigned"]["m.relations"]["m.replace"]["event_id"], second, "{shown}");
            assert_eq!(shown["content"]["body"], "old");
        }
        let redact =
            async |id: &str| ann.put(&format!("/v3/rooms/{room}/redact/{id}/{}", unique("t")), json!({})).await.ok();
        redact(&second).await;
        assert_eq!(bundle(&bob, &room, &event).await["m.replace"]["event_id"], first);
        redact(&event).await;
        assert!(bundle(&bob, &room, &event).await.is_null());
    });
}

#[test]
fn a_thread_is_told_with_its_root_and_listed() {
    run(async {
        let (ann, bob, room) = two_in_a_room().await;
        let (one, two) = (ann.say(&room, "one").await, bob.say(&room, "two").await);
        let reply = related(&bob, &room, &one, "m.thread").await;
        related(&bob, &room, &two, "m.thread").await;
        let edit = related(&bob, &room, &reply, "m.replace").await;
        let thread = bundle(&ann, &room, &one).await["m.thread"].clone();
        assert_eq!((&thread["count"], &thread["current_user_participated"]), (&json!(1), &json!(true)), "{thread}");
        assert_eq!(thread["latest_event"]["event_id"], reply);
        assert_eq!(thread["latest_event"]["unsigned"]["m.relations"]["m.replace"]["event_id"], edit);

        let threads = async |user: &User, query: &str| user.get(&format!("/v1/rooms/{room}/threads{query}")).await.ok();
        assert_eq!(ids(&threads(&ann, "").await["chunk"]), [&*two, &*one]);
        assert_eq!(ids(&threads(&ann, "?include=participated").await["chunk"]), [&*one]);
        related(&ann, &room, &one, "m.thread").await;
        let first = threads(&ann, "?limit=1").await;
        assert_eq!(ids(&first["chunk"]), [&*one]);
        let second = threads(&ann, &format!("?limit=1&from={}", first["next_batch"].as_str().unwrap())).await;
        assert_eq!(ids(&second["chunk"]), [&*two]);
        assert!(second.get("next_batch").is_none(), "{second}");
        ann.get(&format!("/v1/rooms/{room}/threads?include=some")).await.refused(400, "M_INVALID_PARAM");
        relate(&ann, &room, &reply, "m.thread").await.refused(400, "M_UNKNOWN");
        // What an ignored user said is in no thread; where they began one, it is told without what they said.
        let list = json!({ "ignored_users": { (ann.id.as_str()): {} } });
        let _ = bob.put(&format!("/v3/user/{}/account_data/m.ignored_user_list", bob.id), list).await.ok();
        let root = threads(&bob, "").await["chunk"][0].clone();
        let thread = &root["unsigned"]["m.relations"]["m.thread"];
        assert_eq!((&root["event_id"], &root["content"]), (&json!(one), &json!({})), "{root}");
        assert_eq!((&thread["latest_event"]["event_id"], &thread["count"]), (&json!(reply), &json!(1)), "{thread}");
    });
}

#[test]
fn who_left_learns_of_no_later_relation() {
    run(async {
        let (ann, bob, room) = two_in_a_room().await;
        let event = ann.say(&room, "one").await;
        let reply = related(&ann, &room, &event, "m.thread").await;
        let edit = related(&ann, &room, &event, "m.replace").await;
        let _ = bob.post(&format!("/v3/rooms/{room}/leave"), json!({})).await.ok();
        related(&ann, &room, &event, "m.thread").await;
        related(&ann, &room, &event, "m.replace").await;
        related(&ann, &room, &event, "m.reference").await;
        let shown = bundle(&bob, &room, &event).await;
        assert_eq!(shown["m.replace"]["event_id"], edit, "{shown}");
        assert_eq!(shown["m.thread"]["latest_event"]["event_id"], reply);
        assert_eq!(shown["m.thread"]["count"], 1);
        assert!(shown.get("m.reference").is_none());
        let listed = bob.get(&format!("/v1/rooms/{room}/threads")).await.ok();
        assert_eq!(listed["chunk"][0]["unsigned"]["m.relations"]["m.thread"]["latest_event"]["event_id"], reply);
    });
}

#[test]
fn a_filter_of_relations_holds_for_all_that_lie_between() {
    run(async {
        let (ann, bob, room) = two_in_a_room().await;
        let root = ann.say(&room, "root").await;
        let one = related(&bob, &room, &root, "m.reference").await;
        let two = related(&ann, &room, &one, "m.reference").await;
        let three = related(&bob, &room, &two, "m.reference").await;
        let reply = related(&bob, &room, &root, "m.thread").await;
        let of_reply = related(&ann, &room, &reply, "m.reference").await;
        let above = related(&ann, &room, &of_reply, "m.reference").await;
        let react = json!({ "m.relates_to": { "rel_type": "m.reference", "event_id": one } });
        let path = format!("/v3/rooms/{room}/send/m.reaction/{}", unique("a"));
        let reaction = ann.put(&path, react).await.ok()["event_id"].as_str().unwrap().to_owned();
        let at = format!("/v1/rooms/{room}/relations/{root}");
        let page = async |query: &str| ann.get(&format!("{at}{query}recurse=true&limit=20")).await;
        let all = [&*reaction, &*above, &*of_reply, &*reply, &*three, &*two, &*one];
        assert_eq!(ids(&page("?").await.ok()["chunk"]), all);
        assert_eq!(ids(&page("/m.reference?").await.ok()["chunk"]), [&*reaction, &*three, &*two, &*one]);
        assert_eq!(ids(&page("/m.reference/m.room.message?").await.ok()["chunk"]), [&*three, &*two, &*one]);
        assert_eq!(ids(&page("/m.reference/m.reaction?").await.ok()["chunk"]), [""; 0]);
        assert_eq!(ids(&page("/m.thread?").await.ok()["chunk"]), [&*reply]);
    });
}

#[test]
fn relations_are_found_over_others_if_asked_for() {
    run(async {
        let (ann, bob, room) = two_in_a_room().await;
        let root = ann.say(&room, "root").await;
        let reply = related(&bob, &room, &root, "m.thread").await;
        let react = json!({ "m.relates_to": { "rel_type": "m.annotation", "event_id": reply, "key": "👍" } });
        let path = |txn: &str| format!("/v3/rooms/{room}/send/m.reaction/{}", unique(txn));
        let reaction = ann.put(&path("a"), react.clone()).await.ok()["event_id"].as_str().unwrap().to_owned();
        ann.put(&path("b"), react).await.refused(400, "M_DUPLICATE_ANNOTATION");
        let since = ann.sync(None).await["next_batch"].as_str().unwrap().to_owned();
        let later = related(&bob, &room, &root, "m.thread").await;
        let page = async |query: &str| ann.get(&format!("/v1/rooms/{room}/relations/{root}{query}")).await.ok();
        let direct = page("").await;
        assert_eq!(ids(&direct["chunk"]), [&*later, &*reply]);
        assert!(direct.get("recursion_depth").is_none());
        let all = page("?recurse=true").await;
        assert_eq!(ids(&all["chunk"]), [&*later, &*reaction, &*reply]);
        assert_eq!(all["recursion_depth"], 3);
        // The reaction is one to a reply in a thread, for which nobody asks here.
        assert_eq!(ids(&page("/m.annotation?recurse=true").await["chunk"]), [""; 0]);
        assert_eq!(ids(&page("/m.thread?recurse=true").await["chunk"]), [&*later, &*reply]);
        assert_eq!(ids(&page(&format!("?recurse=true&from={since}")).await["chunk"]), [&*reaction, &*reply]);
        assert_eq!(ids(&page(&format!("?recurse=true&dir=f&from={since}")).await["chunk"]), [&*later]);
        let first = page("?recurse=true&limit=2").await;
        let next = first["next_batch"].as_str().unwrap();
        let rest = page(&format!("?recurse=true&limit=2&from={next}")).await;
        assert_eq!((ids(&rest["chunk"]), &rest["prev_batch"]), (vec![&*reply], &json!(next)));
        // With the reply, what relates to it is cut off from the root.
        let _ = bob.put(&format!("/v3/rooms/{room}/redact/{reply}/{}", unique("t")), json!({})).await.ok();
        assert_eq!(ids(&page("?recurse=true").await["chunk"]), [&*later]);
    });
}
