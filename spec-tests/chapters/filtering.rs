//! "Filtering" and parameters of /sync that clients name in more than one way.

use serde_json::{Value, json};
use spec_tests::User;

use crate::{run, server};

async fn filtered(user: &User, filter: &Value, more: &str) -> Value {
    let path = format!("/v3/user/{}/filter", user.id);
    let id = user.post(&path, filter.clone()).await.ok()["filter_id"].as_str().unwrap().to_owned();
    user.get(&format!("/v3/sync?timeout=0&filter={id}{more}")).await.ok()
}

#[test]
fn events_come_in_the_format_that_is_asked_for() {
    run(async {
        let server = server().await;
        let ann = server.user("ann").await;
        let room = ann.create_room(json!({ "preset": "private_chat" })).await;
        let id = ann.say(&room, "hello").await;
        let answer = filtered(&ann, &json!({ "event_format": "federation" }), "").await;
        let events = answer["rooms"]["join"][&room]["timeline"]["events"].as_array().unwrap().clone();
        let last = events.last().unwrap();
        assert_eq!((&last["event_id"], &last["content"]["body"]), (&json!(id), &json!("hello")));
        assert!(last["hashes"]["sha256"].is_string() && last["signatures"]["localhost"].is_object(), "{last}");
        assert!(last["auth_events"].is_array() && last["prev_events"].is_array() && last["depth"].is_u64(), "{last}");
        assert!(last["unsigned"]["transaction_id"].is_string(), "{last}");
        let answer = filtered(&ann, &json!({ "event_format": "client" }), "").await;
        let events = answer["rooms"]["join"][&room]["timeline"]["events"].as_array().unwrap().clone();
        assert_eq!(events.last().unwrap().get("hashes"), None);
    });
}

#[test]
fn who_wants_no_timeline_learns_where_to_read_on_from() {
    run(async {
        let server = server().await;
        let ann = server.user("ann").await;
        let room = ann.create_room(json!({ "preset": "private_chat" })).await;
        let id = ann.say(&room, "hello").await;
        let answer = filtered(&ann, &json!({ "room": { "timeline": { "types": [] } } }), "").await;
        let timeline = &answer["rooms"]["join"][&room]["timeline"];
        assert_eq!(timeline["events"], json!([]));
        let from = timeline["prev_batch"].as_str().unwrap();
        let page = ann.get(&format!("/v3/rooms/{room}/messages?dir=b&limit=1&from={from}")).await.ok();
        assert_eq!(page["chunk"][0]["event_id"], json!(id), "{page}");
    });
}

#[test]
fn state_after_is_told_by_the_name_that_it_is_asked_by() {
    run(async {
        let server = server().await;
        let ann = server.user("ann").await;
        let room = ann.create_room(json!({ "preset": "private_chat", "name": "Ward 2" })).await;
        let (stable, proposed) = ("state_after", "org.matrix.msc4222.state_after");
        for (parameters, name, other) in [
            ("use_state_after=true", stable, proposed),
            ("org.matrix.msc4222.use_state_after=true", proposed, stable),
            ("use_state_after=true&org.matrix.msc4222.use_state_after=true", stable, proposed),
        ] {
            let answer = ann.get(&format!("/v3/sync?timeout=0&{parameters}")).await.ok();
            let joined = &answer["rooms"]["join"][&room];
            assert_eq!((joined.get("state"), joined.get(other)), (None, None), "{parameters}");
            let state = joined[name]["events"].as_array().unwrap();
            assert!(state.iter().any(|event| event["type"] == "m.room.name"), "{parameters} {joined}");
        }
        let without = ann.get("/v3/sync?timeout=0&org.matrix.msc4222.use_state_after=false").await.ok();
        assert!(without["rooms"]["join"][&room]["state"].is_object());
    });
}

#[test]
fn state_after_stands_for_itself_with_lazy_members_too() {
    run(async {
        let server = server().await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let room = ann.create_room(json!({ "preset": "private_chat", "invite": [bob.id] })).await;
        bob.join(&room).await;
        let filter = json!({ "room": { "state": { "lazy_load_members": true } } });
        // Members that the timeline tells of are in it all the same: clients take no state from the timeline then.
        let answer = filtered(&bob, &filter, "&use_state_after=true").await;
        let state = answer["rooms"]["join"][&room]["state_after"]["events"].as_array().unwrap().clone();
        let membership = |user: &User| {
            let of = |event: &&Value| event["type"] == "m.room.member" && event["state_key"] == user.id.as_str();
            state.iter().find(of).map(|event| event["content"]["membership"].clone())
        };
        assert_eq!((membership(&ann), membership(&bob)), (Some(json!("join")), Some(json!("join"))), "{state:?}");
    });
}

#[test]
fn the_summary_counts_members_whose_events_are_filtered_out() {
    run(async {
        let server = server().await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let room = ann.create_room(json!({ "preset": "public_chat" })).await;
        let hidden = json!({ "not_types": ["m.room.member"] });
        let filter = json!({ "room": { "timeline": hidden, "state": hidden } });
        let since = filtered(&ann, &filter, "").await["next_batch"].as_str().unwrap().to_owned();
        bob.join(&room).await;
        let news = filtered(&ann, &filter, &format!("&since={since}")).await;
        let joined = &news["rooms"]["join"][&room];
        assert_eq!(joined["summary"]["m.joined_member_count"], 2, "{news}");
        assert!(!joined["timeline"].to_string().contains("m.room.member"), "{news}");
        let since = news["next_batch"].as_str().unwrap();
        let news = filtered(&ann, &filter, &format!("&since={since}")).await;
        assert_eq!(news["rooms"]["join"].get(&room), None, "{news}");
    });
}

#[test]
fn lazy_members_are_told_until_an_answer_with_them_has_arrived() {
    run(async {
        let server = server().await;
        let (ann, bob, carol) = (server.user("ann").await, server.user("bob").await, server.user("carol").await);
        let room = ann.create_room(json!({ "preset": "public_chat", "name": "Ward 4" })).await;
        for user in [&bob, &carol] {
            user.join(&room).await;
        }
        ann.say(&room, "good morning").await;
        let filter = json!({ "room": { "state": { "lazy_load_members": true }, "timeline": { "limit": 1 } } });
        let ask = async |since: &Value| {
            let since = since.as_str().map(|since| format!("&since={since}")).unwrap_or_default();
            filtered(&bob, &filter, &since).await
        };
        let tells_of_carol = |answer: &Value| {
            let state = answer["rooms"]["join"][&room]["state"]["events"].as_array().unwrap();
            state.iter().any(|event| event["type"] == "m.room.member" && event["state_key"] == carol.id.as_str())
        };
        let first = ask(&Value::Null).await;
        assert!(!tells_of_carol(&first), "{first}");
        carol.say(&room, "is it?").await;
        // An answer that was lost is asked for again, with the same token.
        let mut second = Value::Null;
        for _ in 0..3 {
            second = ask(&first["next_batch"]).await;
            assert!(tells_of_carol(&second), "{second}");
        }
        carol.say(&room, "bed 3 is free").await;
        let third = ask(&second["next_batch"]).await;
        assert!(!tells_of_carol(&third), "{third}");
        // A client that did not keep what it got goes back to what it kept.
        let again = ask(&first["next_batch"]).await;
        assert!(tells_of_carol(&again), "{again}");
    });
}

#[test]
fn lists_have_bounds_wherever_a_filter_comes_from() {
    run(async {
        let ann = server().await.user("ann").await;
        let room = ann.create_room(json!({ "preset": "private_chat" })).await;
        let event = ann.say(&room, "hello").await;
        for (stars, is_taken) in [(100, true), (101, false)] {
            let events = json!({ "types": vec!["m.*"; stars] });
            let filter = json!({ "room": { "timeline": events } });
            let search = json!({ "search_term": "hello", "filter": events });
            let answers = [
                ann.post(&format!("/v3/user/{}/filter", ann.id), filter.clone()).await,
                ann.get(&format!("/v3/sync?timeout=0&filter={filter}")).await,
                ann.get(&format!("/v3/rooms/{room}/messages?dir=b&filter={events}")).await,
                ann.get(&format!("/v3/rooms/{room}/context/{event}?filter={events}")).await,
                ann.post("/v3/search", json!({ "search_categories": { "room_events": search } })).await,
            ];
            for answer in answers {
                if is_taken {
                    let _ = answer.ok();
                } else {
                    answer.refused(400, "M_INVALID_PARAM");
                }
            }
        }
    });
}
