//! "Server Side Search": what is found, in which order, page by page, and what nobody finds who may not read it.

use serde_json::{Value, json};
use spec_tests::{Server, User};

use crate::{run, server};

async fn ask(user: &User, criteria: Value, page: Option<&str>) -> Value {
    let path = page.map_or_else(|| "/v3/search".to_owned(), |page| format!("/v3/search?next_batch={page}"));
    let answer = user.post(&path, json!({ "search_categories": { "room_events": criteria } })).await.ok();
    answer["search_categories"]["room_events"].clone()
}

fn bodies(answer: &Value) -> Vec<String> {
    let results = answer["results"].as_array().unwrap().iter();
    results.map(|hit| hit["result"]["content"]["body"].as_str().unwrap_or_default().to_owned()).collect()
}

async fn found(user: &User, term: &str) -> Vec<String> {
    bodies(&ask(user, json!({ "search_term": term, "order_by": "recent" }), None).await)
}

fn word() -> String {
    spec_tests::unique("s").replace('-', "")
}

#[test]
fn words_are_found_whatever_their_case_and_accents() {
    run(async {
        let ann = server().await.user("ann").await;
        let room = ann.create_room(json!({ "name": "Ward" })).await;
        let word = word();
        let first = ann.say(&room, &format!("Le PATIENT arrive à l'hôpital {word}")).await;
        ann.say(&room, &format!("no such {word}")).await;
        let answer = ask(&ann, json!({ "search_term": format!("hopital, {}", word.to_uppercase()) }), None).await;
        assert_eq!((&answer["count"], answer["results"].as_array().unwrap().len()), (&json!(1), 1), "{answer}");
        let hit = &answer["results"][0];
        assert_eq!((&hit["result"]["event_id"], &hit["result"]["room_id"]), (&json!(first), &json!(room)));
        assert!(hit["rank"].as_f64().unwrap() > 0.0);
        assert_eq!(answer["highlights"], json!(["hôpital", word]));
        assert_eq!(hit.get("context"), None);
        for nothing in ["", " …", "unheardof", &word[..word.len() - 1]] {
            let answer = ask(&ann, json!({ "search_term": nothing }), None).await;
            assert_eq!((&answer["count"], &answer["results"]), (&json!(0), &json!([])), "{nothing}");
        }
    });
}

#[test]
fn names_and_topics_are_found_by_their_keys() {
    run(async {
        let ann = server().await.user("ann").await;
        let word = word();
        let room = ann.create_room(json!({ "name": format!("{word} one"), "topic": format!("{word} two") })).await;
        ann.say(&room, &format!("{word} three")).await;
        let kinds = async |keys: Value| {
            let mut criteria = json!({ "search_term": word, "order_by": "recent" });
            if keys.is_array() {
                criteria["keys"] = keys;
            }
            let answer = ask(&ann, criteria, None).await;
            let results = answer["results"].as_array().unwrap().clone();
            results.iter().map(|hit| hit["result"]["type"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(kinds(Value::Null).await, ["m.room.message", "m.room.topic", "m.room.name"]);
        assert_eq!(kinds(json!(["content.topic"])).await, ["m.room.topic"]);
        assert_eq!(kinds(json!(["content.name", "content.body"])).await, ["m.room.message", "m.room.name"]);
        let wrong = json!({ "search_categories": { "room_events": { "search_term": "x", "keys": ["content.x"] } } });
        ann.post("/v3/search", wrong).await.refused(400, "M_INVALID_PARAM");
    });
}

#[test]
fn nobody_finds_what_they_may_not_read() {
    run(async {
        let server = server().await;
        let (ann, bob, eve) = (server.user("ann").await, server.user("bob").await, server.user("eve").await);
        let word = word();
        let joined = json!({ "history_visibility": "joined" });
        let visibility = json!([{ "type": "m.room.history_visibility", "content": joined }]);
        let room = ann.create_room(json!({ "invite": [bob.id], "initial_state": visibility })).await;
        ann.say(&room, &format!("{word} before")).await;
        bob.join(&room).await;
        ann.say(&room, &format!("{word} while")).await;
        let _ = bob.post(&format!("/v3/rooms/{room}/leave"), json!({})).await.ok();
        ann.say(&room, &format!("{word} after")).await;
        assert_eq!(found(&ann, &word).await.len(), 3);
        assert_eq!(found(&bob, &word).await, [format!("{word} while")]);
        assert!(found(&eve, &word).await.is_empty());
        // The count tells no more than the results do.
        let answer = ask(&bob, json!({ "search_term": word }), None).await;
        assert_eq!(answer["count"], 1);
        let named = ask(&eve, json!({ "search_term": word, "filter": { "rooms": [room] } }), None).await;
        assert_eq!(named["count"], 0);
        let _ = bob.post(&format!("/v3/rooms/{room}/forget"), json!({})).await.ok();
        assert!(found(&bob, &word).await.is_empty());
    });
}

#[test]
fn redacted_and_ignored_events_are_not_found() {
    run(async {
        let server = server().await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let word = word();
        let room = ann.create_room(json!({ "invite": [bob.id] })).await;
        bob.join(&room).await;
        let gone = ann.say(&room, &format!("{word} wrong patient")).await;
        bob.say(&room, &format!("{word} from bob")).await;
        assert_eq!(found(&ann, &word).await.len(), 2);
        let _ = ann.put(&format!("/v3/rooms/{room}/redact/{gone}/{}", spec_tests::unique("t")), json!({})).await.ok();
        assert_eq!(found(&ann, &word).await, [format!("{word} from bob")]);
        let list = json!({ "ignored_users": { &bob.id: {} } });
        let _ = ann.put(&format!("/v3/user/{}/account_data/m.ignored_user_list", ann.id), list).await.ok();
        assert!(found(&ann, &word).await.is_empty());
        assert_eq!(found(&bob, &word).await.len(), 1);
    });
}

#[test]
fn what_the_erased_said_is_found_by_those_who_may_still_read_it() {
    run(async {
        let server = server().await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let (left, late) = (server.user("left").await, server.user("late").await);
        let word = word();
        let room = ann.create_room(json!({ "preset": "public_chat", "name": format!("{word} ward") })).await;
        for user in [&bob, &left] {
            user.join(&room).await;
        }
        ann.say(&room, &format!("{word} secret")).await;
        bob.say(&room, &format!("{word} public")).await;
        let _ = left.post(&format!("/v3/rooms/{room}/leave"), json!({})).await.ok();
        let first = ann.post("/v3/account/deactivate", json!({ "erase": true })).await;
        let proof = ann.proof(&first.body["session"]);
        let _ = ann.post("/v3/account/deactivate", json!({ "erase": true, "auth": proof })).await.ok();
        late.join(&room).await;
        for order in ["recent", "rank"] {
            let counted = async |user: &User, term: String| {
                let answer = ask(user, json!({ "search_term": term, "order_by": order }), None).await;
                assert_eq!(answer["count"], answer["results"].as_array().unwrap().len(), "{answer}");
                (answer["count"].as_u64().unwrap(), answer["highlights"].as_array().unwrap().len())
            };
            for user in [&bob, &left] {
                assert_eq!(counted(user, word.clone()).await, (3, 1), "{order}");
                assert_eq!(counted(user, format!("{word} secret")).await, (1, 2), "{order}");
            }
            // What the room is called is the room's.
            assert_eq!(counted(&late, word.clone()).await, (2, 1), "{order}");
            assert_eq!(counted(&late, format!("{word} secret")).await, (0, 0), "{order}");
        }
    });
}

#[test]
fn a_term_has_a_length_and_few_words_of_it_are_looked_for() {
    run(async {
        let ann = server().await.user("ann").await;
        let room = ann.create_room(json!({})).await;
        let word = word();
        ann.say(&room, &format!("{word} bed")).await;
        let rank = async |term: String| {
            let answer = ask(&ann, json!({ "search_term": term }), None).await;
            answer["results"][0]["rank"].as_f64().unwrap()
        };
        let (once, often) = (rank(word.clone()).await, rank(format!("{word} ").repeat(20)).await);
        assert!((once - often).abs() < f64::EPSILON, "{once} {often}");
        let criteria = json!({ "search_term": "a ".repeat(3000) });
        let body = json!({ "search_categories": { "room_events": criteria } });
        ann.post("/v3/search", body).await.refused(400, "M_INVALID_PARAM");
    });
}

#[test]
fn pages_by_time_and_by_rank() {
    run(async {
        let ann = server().await.user("ann").await;
        let word = word();
        let (one, two) = (ann.create_room(json!({})).await, ann.create_room(json!({})).await);
        for nth in 0..12 {
            ann.say(if nth % 2 == 0 { &one } else { &two }, &format!("{word} {nth} {}", "x ".repeat(nth))).await;
        }
        let pages = async |order: &str| {
            let criteria = json!({ "search_term": word, "order_by": order, "filter": { "limit": 5 } });
            let (mut all, mut page) = (Vec::new(), None);
            loop {
                let answer = ask(&ann, criteria.clone(), page.as_deref()).await;
                assert_eq!(answer["count"], 12, "{answer}");
                all.extend(bodies(&answer));
                match answer["next_batch"].as_str() {
                    Some(next) => page = Some(next.to_owned()),
                    None => return all,
                }
            }
        };
        let numbers = |bodies: Vec<String>| -> Vec<usize> {
            bodies.iter().map(|body| body.split(' ').nth(1).unwrap().parse().unwrap()).collect()
        };
        assert_eq!(numbers(pages("recent").await), (0..12).rev().collect::<Vec<_>>());
        assert_eq!(numbers(pages("rank").await), (0..12).collect::<Vec<_>>(), "the shorter the closer");
        let body = json!({ "search_categories": { "room_events": { "search_term": word } } });
        for wrong in ["x", "q1_1_1", "q1_1_1_n_x9", "q1_99999999999999999999_1_n_a"] {
            ann.post(&format!("/v3/search?next_batch={wrong}"), body.clone()).await.refused(400, "M_INVALID_PARAM");
        }
    });
}

#[test]
fn results_come_in_groups_that_have_pages_of_their_own() {
    run(async {
        let server = server().await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let word = word();
        let rooms = [
            ann.create_room(json!({ "preset": "public_chat" })).await,
            ann.create_room(json!({ "preset": "public_chat" })).await,
        ];
        for room in &rooms {
            bob.join(room).await;
            for nth in 0..3 {
                ann.say(room, &format!("{word} ann {nth}")).await;
                bob.say(room, &format!("{word} bob {nth}")).await;
            }
        }
        for order in ["recent", "rank"] {
            let groups = json!({ "group_by": [{ "key": "room_id" }, { "key": "sender" }] });
            let criteria =
                json!({ "search_term": word, "order_by": order, "filter": { "limit": 8 }, "groupings": groups });
            let answer = ask(&ann, criteria.clone(), None).await;
            let by_sender = &answer["groups"]["sender"][&bob.id];
            let mut of_bob = by_sender["results"].as_array().unwrap().clone();
            let next = by_sender["next_batch"].as_str().unwrap();
            let more = ask(&ann, criteria.clone(), Some(next)).await;
            for hit in more["results"].as_array().unwrap() {
                assert_eq!(hit["result"]["sender"], bob.id.as_str(), "{more}");
                of_bob.push(hit["result"]["event_id"].clone());
            }
            of_bob.sort_by_key(ToString::to_string);
            of_bob.dedup();
            assert_eq!(of_bob.len(), 6, "{order}");
            let in_rooms = answer["groups"]["room_id"].as_object().unwrap();
            let results: usize = in_rooms.values().map(|group| group["results"].as_array().unwrap().len()).sum();
            assert_eq!(results, 8);
            assert!(in_rooms.keys().all(|id| rooms.contains(id)));
        }
    });
}

#[test]
fn results_come_with_what_stands_around_them() {
    run(async {
        let server = server().await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let room = ann.create_room(json!({ "invite": [bob.id] })).await;
        bob.join(&room).await;
        let word = word();
        for text in ["one", "two", &word, "four", "five"] {
            ann.say(&room, text).await;
        }
        let context = json!({ "before_limit": 1, "after_limit": 5, "include_profile": true });
        let criteria = json!({ "search_term": word, "event_context": context, "include_state": true });
        let answer = ask(&bob, criteria, None).await;
        let context = &answer["results"][0]["context"];
        let texts = |events: &Value| -> Vec<Value> {
            events.as_array().unwrap().iter().map(|event| event["content"]["body"].clone()).collect()
        };
        assert_eq!(texts(&context["events_before"]), [json!("two")]);
        assert_eq!(texts(&context["events_after"]), [json!("four"), json!("five")]);
        let name = ann.id[1..].split(':').next().unwrap();
        assert_eq!(context["profile_info"], json!({ &ann.id: { "displayname": name } }));
        let from = context["start"].as_str().unwrap();
        let page = bob.get(&format!("/v3/rooms/{room}/messages?dir=b&limit=1&from={from}")).await.ok();
        assert_eq!(texts(&page["chunk"]), [json!("one")]);
        let state = answer["state"][&room].as_array().unwrap();
        assert!(state.iter().any(|event| event["type"] == "m.room.create"));
    });
}

#[test]
fn a_name_that_is_no_text_is_none() {
    run(async {
        let ann = server().await.user("ann").await;
        let room = ann.create_room(json!({})).await;
        let member = json!({ "membership": "join", "displayname": 7, "avatar_url": ["mxc://localhost/a"] });
        let _ = ann.put(&format!("/v3/rooms/{room}/state/m.room.member/{}", ann.id), member).await.ok();
        let word = word();
        ann.say(&room, &word).await;
        let criteria = json!({ "search_term": word, "event_context": { "include_profile": true } });
        let answer = ask(&ann, criteria, None).await;
        assert_eq!(answer["results"][0]["context"]["profile_info"], json!({ &ann.id: {} }), "{answer}");
    });
}

#[test]
fn filters_choose_rooms_senders_and_types() {
    run(async {
        let server = server().await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let word = word();
        let (one, two) = (ann.create_room(json!({ "invite": [bob.id] })).await, ann.create_room(json!({})).await);
        bob.join(&one).await;
        ann.say(&one, &format!("{word} a1")).await;
        bob.say(&one, &format!("{word} b1")).await;
        ann.say(&two, &format!("{word} a2")).await;
        let with = async |filter: Value| {
            let mut found = bodies(&ask(&ann, json!({ "search_term": word, "filter": filter }), None).await);
            for body in &mut found {
                *body = body.split(' ').nth(1).unwrap().to_owned();
            }
            found.sort();
            found
        };
        assert_eq!(with(json!({ "rooms": [one] })).await, ["a1", "b1"]);
        assert_eq!(with(json!({ "not_rooms": [one] })).await, ["a2"]);
        assert_eq!(with(json!({ "senders": [bob.id] })).await, ["b1"]);
        assert_eq!(with(json!({ "not_senders": [bob.id], "rooms": [one, two] })).await, ["a1", "a2"]);
        assert!(with(json!({ "types": ["m.room.name"] })).await.is_empty());
        assert!(with(json!({ "rooms": [] })).await.is_empty());
        for list in ["rooms", "not_rooms"] {
            let filter = |count| json!({ list: vec![&one; count] });
            assert_eq!(with(filter(1000)).await.len(), if list == "rooms" { 2 } else { 1 });
            let criteria = json!({ "search_term": word, "filter": filter(1001) });
            let body = json!({ "search_categories": { "room_events": criteria } });
            ann.post("/v3/search", body).await.refused(400, "M_INVALID_PARAM");
        }
    });
}

#[test]
fn a_room_is_searched_with_the_one_that_it_replaces() {
    run(async {
        let ann = server().await.user("ann").await;
        let word = word();
        let old = ann.create_room(json!({})).await;
        let last = ann.say(&old, &format!("{word} before")).await;
        let predecessor = json!({ "room_id": old, "event_id": last });
        let new = ann.create_room(json!({ "creation_content": { "predecessor": predecessor } })).await;
        ann.say(&new, &format!("{word} after")).await;
        let criteria = json!({ "search_term": word, "order_by": "recent", "filter": { "rooms": [new] } });
        assert_eq!(bodies(&ask(&ann, criteria, None).await), [format!("{word} after"), format!("{word} before")]);
    });
}

#[test]
fn the_index_goes_on_after_a_restart_and_is_off_where_configured() {
    run(async {
        let folder = tempfile::TempDir::new().unwrap();
        let mut server = Server::start_in(folder.path(), &[]).await;
        let mut ann = server.user("ann").await;
        let word = word();
        let room = ann.create_room(json!({})).await;
        ann.say(&room, &format!("{word} one")).await;
        server.restart().await;
        ann = ann.at(&server.url);
        ann.say(&room, &format!("{word} two")).await;
        assert_eq!(found(&ann, &word).await.len(), 2);
        drop(server);
        let server = Server::start_in(folder.path(), &[("MATRON_SEARCH__ENABLED", "false")]).await;
        let body = json!({ "search_categories": { "room_events": { "search_term": word } } });
        ann.at(&server.url).post("/v3/search", body).await.refused(404, "M_UNRECOGNIZED");
    });
}
