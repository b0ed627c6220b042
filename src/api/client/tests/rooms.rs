use http::Method;
use serde_json::json;

use super::{CLIENT, House};

#[tokio::test]
async fn the_life_of_a_room() {
    let house = House::with(|_| {}).await;
    let (ann, bob) = (house.register("ann").await, house.register("bob").await);
    let room = house.room(&ann, json!({ "preset": "private_chat", "name": "Ward 3", "topic": "Handover" })).await;
    let bobs = json!({ "user_id": "@bob:localhost" });
    let at = |rest: &str| format!("/rooms/{room}/{rest}");
    for path in [at("messages?dir=b"), at("state"), at("members"), at("joined_members"), at("aliases")] {
        house.get(&path, &bob).await.refused(403, "M_FORBIDDEN");
    }
    house.post(&at("join"), &bob, json!({})).await.refused(403, "M_FORBIDDEN");
    house.post(&at("invite"), &bob, bobs.clone()).await.refused(403, "M_FORBIDDEN");
    house.put(&at("send/m.room.message/1"), &bob, json!({})).await.refused(403, "M_FORBIDDEN");
    house.put(&at("state/m.room.name"), &bob, json!({ "name": "x" })).await.refused(403, "M_FORBIDDEN");
    house.post("/join/!nowhere:localhost", &bob, json!({})).await.refused(404, "M_NOT_FOUND");

    house.post(&at("invite"), &ann, json!({ "user_id": "nobody" })).await.refused(400, "M_BAD_JSON");
    assert_eq!(house.post(&at("invite"), &ann, bobs.clone()).await.done(), json!({}));
    house.get(&at("messages?dir=b"), &bob).await.refused(403, "M_FORBIDDEN");
    assert_eq!(house.post(&at("join"), &bob, json!({ "reason": "on call" })).await.done()["room_id"], json!(room));
    assert_eq!(house.post(&format!("/join/{room}"), &bob, json!({})).await.done()["room_id"], json!(room));
    assert_eq!(house.get("/joined_rooms", &bob).await.done(), json!({ "joined_rooms": [room] }));
    house.post(&at("invite"), &ann, bobs.clone()).await.refused(403, "M_FORBIDDEN");

    let first = house.say(&bob, &room, "first").await;
    assert_eq!(house.say(&bob, &room, "first").await, first, "a transaction happens once");
    let second = house.say(&ann, &room, "second").await;
    assert_ne!(house.say(&ann, &room, "first").await, first, "a transaction is the device's own");
    assert_eq!(house.heard(&ann, &room).await, ["first", "second", "first"]);
    let context = house.get(&at(&format!("context/{second}?limit=2")), &bob).await.done();
    assert_eq!(context["event"]["event_id"], json!(second));
    assert_eq!(context["events_before"][0]["event_id"], json!(first));
    assert_eq!(context["events_after"][0]["content"]["body"], "first");
    let alone = house.get(&at(&format!("context/{second}?limit=0")), &bob).await.done();
    assert_eq!((&alone["events_before"], &alone["events_after"]), (&json!([]), &json!([])));
    let one = house.get(&at(&format!("context/{second}?limit=1")), &bob).await.done();
    assert_eq!(one["events_before"].as_array().unwrap().len() + one["events_after"].as_array().unwrap().len(), 1);
    let event = house.get(&at(&format!("event/{first}")), &bob).await.done();
    assert_eq!(event["unsigned"]["transaction_id"], "first");
    let event = house.get(&at(&format!("event/{first}")), &ann).await.done();
    assert_eq!(event["unsigned"].get("transaction_id"), None);

    house.put(&at(&format!("redact/{second}/r0")), &bob, json!({})).await.refused(403, "M_FORBIDDEN");
    let redact = at(&format!("redact/{first}/r1"));
    let redaction = house.put(&redact, &ann, json!({ "reason": "rude" })).await.done();
    assert_eq!(house.put(&redact, &ann, json!({ "reason": "rude" })).await.done(), redaction);
    let pruned = house.get(&at(&format!("event/{first}")), &bob).await.done();
    assert_eq!(pruned["content"], json!({}));
    assert_eq!(pruned["unsigned"]["redacted_because"]["event_id"], redaction["event_id"]);
    house.put(&at("redact/$unknown/r2"), &ann, json!({})).await.refused(404, "M_NOT_FOUND");

    house.post(&at("forget"), &bob, json!({})).await.refused(400, "M_UNKNOWN");
    assert_eq!(house.post(&at("leave"), &bob, json!({})).await.done(), json!({}));
    let last = house.say(&ann, &room, "third").await;
    assert_eq!(house.heard(&bob, &room).await, ["first", "second"]);
    house.get(&at(&format!("event/{last}")), &bob).await.refused(404, "M_NOT_FOUND");
    house.put(&at("send/m.room.message/9"), &bob, json!({})).await.refused(403, "M_FORBIDDEN");
    house.post(&at("ban"), &bob, json!({ "user_id": "@ann:localhost" })).await.refused(403, "M_FORBIDDEN");
    house.post(&at("ban"), &ann, bobs.clone()).await.done();
    house.post(&at("join"), &bob, json!({})).await.refused(403, "M_FORBIDDEN");
    house.post(&at("invite"), &ann, bobs.clone()).await.refused(403, "M_FORBIDDEN");
    house.post(&at("kick"), &ann, bobs.clone()).await.refused(403, "M_FORBIDDEN");
    house.post(&at("unban"), &ann, bobs.clone()).await.done();
    house.post(&at("unban"), &ann, bobs.clone()).await.refused(403, "M_FORBIDDEN");
    let event = at(&format!("event/{second}"));
    let relations = format!("/_matrix/client/v1/rooms/{room}/relations/{second}");
    house.get(&event, &bob).await.done();
    house.call_raw(Method::GET, &relations, &bob, "").await.done();
    house.post(&at("forget"), &bob, json!({})).await.done();
    house.get(&at("messages?dir=b"), &bob).await.refused(403, "M_FORBIDDEN");
    house.get(&event, &bob).await.refused(404, "M_NOT_FOUND");
    house.call_raw(Method::GET, &relations, &bob, "").await.refused(404, "M_NOT_FOUND");
    house.post(&at("invite"), &ann, bobs.clone()).await.done();
    house.post(&at("join"), &bob, json!({})).await.done();
    house.post(&at("kick"), &ann, json!({ "user_id": "@bob:localhost", "reason": "shift over" })).await.done();
    let member = house.get(&at("state/m.room.member/@bob:localhost"), &ann).await.done();
    assert_eq!(member, json!({ "membership": "leave", "reason": "shift over" }));
}

#[tokio::test]
async fn state_in_all_its_forms() {
    let house = House::with(|_| {}).await;
    let ann = house.register("ann").await;
    let room = house.room(&ann, json!({ "name": "Ward 3" })).await;
    let at = |rest: &str| format!("/rooms/{room}/{rest}");
    for path in ["state/m.room.name", "state/m.room.name/"] {
        assert_eq!(house.get(&at(path), &ann).await.done(), json!({ "name": "Ward 3" }));
    }
    let whole = house.get(&at("state/m.room.name/?format=event"), &ann).await.done();
    assert_eq!((&whole["type"], &whole["content"]["name"]), (&json!("m.room.name"), &json!("Ward 3")));
    for path in ["state/m.room.name", "state/m.room.name/", "state/org.example.bed/7"] {
        let sent = house.put(&at(path), &ann, json!({ "name": path })).await.done();
        assert_eq!(house.put(&at(path), &ann, json!({ "name": path })).await.done(), sent, "the same is no news");
        assert_eq!(house.get(&at(path), &ann).await.done(), json!({ "name": path }));
    }
    house.get(&at("state/m.room.topic"), &ann).await.refused(404, "M_NOT_FOUND");
    let all = house.get(&at("state"), &ann).await.done();
    assert!(all.as_array().unwrap().iter().any(|event| event["state_key"] == "7"));
    for (body, errcode) in
        [("{", "M_NOT_JSON"), ("[]", "M_BAD_JSON"), (r#"{"x":1.5}"#, "M_BAD_JSON"), (r#"{"x":1e400}"#, "M_BAD_JSON")]
    {
        for path in ["state/org.example/x", "send/org.example/x"] {
            let answer = house.call_raw(Method::PUT, &format!("{CLIENT}{}", at(path)), &ann, body).await;
            assert_eq!(answer.status, 400, "{body}: {}", answer.body);
            assert!([errcode, "M_NOT_JSON"].contains(&answer.text("errcode")), "{body}: {}", answer.body);
        }
    }
    let large = json!({ "x": "y".repeat(70_000) });
    house.put(&at("send/org.example/y"), &ann, large).await.refused(413, "M_TOO_LARGE");
    let long = "x".repeat(256);
    house.put(&at(&format!("send/org.example/{long}")), &ann, json!({})).await.refused(400, "M_INVALID_PARAM");
    house.put(&at(&format!("state/org.example/{long}")), &ann, json!({})).await.refused(413, "M_TOO_LARGE");
    house.get("/rooms/nonsense/state", &ann).await.refused(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn pages_and_members() {
    let house = House::with(|_| {}).await;
    let (ann, bob) = (house.register("ann").await, house.register("bob").await);
    let room = house.room(&ann, json!({ "preset": "public_chat" })).await;
    let at = |rest: &str| format!("/rooms/{room}/{rest}");
    for n in 0..5 {
        house.say(&ann, &room, &n.to_string()).await;
    }
    let page = house.get(&at("messages?dir=b&limit=2"), &ann).await.done();
    assert_eq!(page["chunk"][1]["content"]["body"], "3");
    let before = page["end"].as_str().unwrap().to_owned();
    house.post(&at("join"), &bob, json!({})).await.done();
    house.say(&bob, &room, "late").await;
    let next = house.get(&at(&format!("messages?dir=b&limit=2&from={before}")), &ann).await.done();
    assert_eq!(next["chunk"][0]["content"]["body"], "2");
    let back = house.get(&at(&format!("messages?dir=f&from={before}")), &ann).await.done();
    assert_eq!(back["chunk"][0]["content"]["body"], "3");
    assert_eq!(back["chunk"].as_array().unwrap().len(), 4);
    let all = house.get(&at("messages?dir=b&limit=100000"), &ann).await.done();
    assert_eq!(all.get("end"), None);
    let first = all["chunk"].as_array().unwrap().last().unwrap();
    assert_eq!(first["type"], "m.room.create");
    let filter = "%7B%22types%22%3A%5B%22m.room.message%22%5D%2C%22lazy_load_members%22%3Atrue%7D";
    let lazy = house.get(&at(&format!("messages?dir=b&limit=1&filter={filter}")), &ann).await.done();
    assert_eq!(lazy["chunk"][0]["content"]["body"], "late");
    assert_eq!(lazy["state"].as_array().unwrap().len(), 1);
    assert_eq!(lazy["state"][0]["state_key"], "@bob:localhost");
    house.get(&at("messages?dir=b&from=x"), &ann).await.refused(400, "M_INVALID_PARAM");
    house.get(&at("messages?dir=x"), &ann).await.refused(400, "M_INVALID_PARAM");
    // Who does not say where to go goes forwards.
    let forwards = house.get(&at("messages"), &ann).await.done();
    assert_eq!(forwards["chunk"], house.get(&at("messages?dir=f"), &ann).await.done()["chunk"]);

    house.post(&at("leave"), &bob, json!({})).await.done();
    let count = async |query: &str, token: &str| {
        house.get(&at(&format!("members{query}")), token).await.done()["chunk"].as_array().unwrap().len()
    };
    assert_eq!(count("", &ann).await, 2);
    assert_eq!(count("?membership=leave", &ann).await, 1);
    assert_eq!(count("?not_membership=leave", &ann).await, 1);
    assert_eq!(count(&format!("?at={before}"), &ann).await, 1);
    assert_eq!(count("?membership=join", &bob).await, 1);
    house.get(&at("members?membership=boss"), &ann).await.refused(400, "M_INVALID_PARAM");
    house.get(&at("members?at=x"), &ann).await.refused(400, "M_INVALID_PARAM");
    let joined = house.get(&at("joined_members"), &ann).await.done();
    let nameless = json!({ "joined": { "@ann:localhost": { "display_name": "ann", "avatar_url": null } } });
    assert_eq!(joined, nameless);
    house.get(&at("joined_members"), &bob).await.refused(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn aliases_and_the_list() {
    let house = House::with(|_| {}).await;
    let (ann, bob) = (house.register("ann").await, house.register("bob").await);
    let room = house.room(&ann, json!({ "preset": "public_chat", "room_alias_name": "ward" })).await;
    let found = house.get("/directory/room/%23ward:localhost", "").await.done();
    assert_eq!(found, json!({ "room_id": room, "servers": ["localhost"] }));
    house.get("/directory/room/%23none:localhost", "").await.refused(404, "M_NOT_FOUND");
    house.get("/directory/room/nonsense", "").await.refused(400, "M_INVALID_PARAM");
    house.post("/createRoom", &bob, json!({ "room_alias_name": "ward" })).await.refused(400, "M_ROOM_IN_USE");
    house.post("/createRoom", &bob, json!({ "room_alias_name": "a b" })).await.refused(400, "M_INVALID_PARAM");
    let body = json!({ "room_id": room });
    let alias = "/directory/room/%23second:localhost";
    house.put(alias, &bob, body.clone()).await.refused(403, "M_FORBIDDEN");
    assert_eq!(house.put(alias, &ann, body.clone()).await.done(), json!({}));
    house.put(alias, &ann, body.clone()).await.refused(409, "M_UNKNOWN");
    house.put("/directory/room/%23x:elsewhere", &ann, body).await.refused(400, "M_INVALID_PARAM");
    let long = format!("/directory/room/%23{}:localhost", "x".repeat(255));
    house.put(&long, &ann, json!({ "room_id": room })).await.refused(400, "M_INVALID_PARAM");
    house.post("/join/%23second:localhost", &bob, json!({})).await.done();
    let aliases = house.get(&format!("/rooms/{room}/aliases"), &bob).await.done();
    assert_eq!(aliases, json!({ "aliases": ["#second:localhost", "#ward:localhost"] }));
    let canonical = format!("/rooms/{room}/state/m.room.canonical_alias");
    house.put(&canonical, &ann, json!({ "alias": "#none:localhost" })).await.refused(400, "M_BAD_ALIAS");
    house.put(&canonical, &ann, json!({ "alias": "nonsense" })).await.refused(400, "M_INVALID_PARAM");
    house.put(&canonical, &ann, json!({ "alt_aliases": ["#second:localhost"] })).await.done();
    let delete = format!("{CLIENT}{alias}");
    house.call(Method::DELETE, &delete, &bob, &json!({})).await.refused(403, "M_FORBIDDEN");
    house.call(Method::DELETE, &delete, &ann, &json!({})).await.done();
    house.call(Method::DELETE, &delete, &ann, &json!({})).await.refused(404, "M_NOT_FOUND");

    let list = format!("/directory/list/room/{room}");
    assert_eq!(house.get(&list, "").await.done(), json!({ "visibility": "private" }));
    house.put(&list, &bob, json!({ "visibility": "public" })).await.refused(403, "M_FORBIDDEN");
    house.put(&list, &ann, json!({ "visibility": "x" })).await.refused(400, "M_INVALID_PARAM");
    house.put(&list, &ann, json!({ "visibility": "public" })).await.done();
    assert_eq!(house.get(&list, "").await.done(), json!({ "visibility": "public" }));
    house.put(&list, &ann, json!({ "visibility": "private" })).await.done();
    assert_eq!(house.get(&list, "").await.done(), json!({ "visibility": "private" }));
    house.put(&list, &ann, json!({})).await.done();
    assert_eq!(house.get(&list, "").await.done(), json!({ "visibility": "public" }), "who does not say publishes");
    house.put(&list, &ann, json!({ "visibility": null })).await.refused(400, "M_BAD_JSON");
}

#[tokio::test]
async fn profiles_and_closing_reach_rooms() {
    let house = House::with(|_| {}).await;
    let (ann, bob) = (house.register("ann").await, house.register("bob").await);
    let room = house.room(&ann, json!({ "preset": "public_chat" })).await;
    house.post(&format!("/join/{room}"), &bob, json!({})).await.done();
    house.put("/profile/@bob:localhost/displayname", &bob, json!({ "displayname": "Bob" })).await.done();
    let member = format!("/rooms/{room}/state/m.room.member/@bob:localhost");
    assert_eq!(house.get(&member, &ann).await.done(), json!({ "membership": "join", "displayname": "Bob" }));
    let auth = super::auth("bob", super::PASSWORD);
    house.post("/account/deactivate", &bob, json!({ "auth": auth, "erase": true })).await.done();
    assert_eq!(house.get(&member, &ann).await.done()["membership"], "leave");
}

#[tokio::test]
async fn whose_devices_to_follow() {
    let house = House::with(|_| {}).await;
    let (ann, bob, cat) = (house.register("ann").await, house.register("bob").await, house.register("cat").await);
    let server = &house.server;
    let token = || {
        let position = server.store.snapshot().position();
        let (to_device, boot, typing) = (position, 0, 0);
        let token = matron_homeserver::streams::Token::Stream { position, to_device, boot, typing, presence: 0 };
        token.render(server.store.epoch())
    };
    let changes = async |from: &str| {
        let answer = house.get(&format!("/keys/changes?from={from}&to={from}"), &ann).await.done();
        let names = |field: &str| {
            let names = answer[field].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
            names.collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(" ")
        };
        (names("changed"), names("left"))
    };
    let nothing = (String::new(), String::new());
    let room = house.room(&ann, json!({ "preset": "public_chat" })).await;
    let other = house.room(&cat, json!({ "preset": "public_chat" })).await;
    let start = token();
    assert_eq!(changes(&start).await, nothing);
    house.post("/login", "", super::auth("cat", super::PASSWORD)).await.done();
    assert_eq!(changes(&start).await, nothing, "what concerns strangers is not told");
    house.post(&format!("/join/{room}"), &bob, json!({})).await.done();
    assert_eq!(changes(&start).await, ("@bob:localhost".to_owned(), String::new()));
    let later = token();
    house.post(&format!("/join/{other}"), &ann, json!({})).await.done();
    assert_eq!(changes(&later).await.0, "@cat:localhost");
    let later = token();
    house.post(&format!("/rooms/{room}/leave"), &bob, json!({})).await.done();
    assert_eq!(changes(&later).await, (String::new(), "@bob:localhost".to_owned()));
    house.post(&format!("/rooms/{other}/leave"), &ann, json!({})).await.done();
    assert_eq!(changes(&later).await.1, "@bob:localhost @cat:localhost");
    house.post(&format!("/join/{other}"), &ann, json!({})).await.done();
    assert_eq!(changes(&later).await.1, "@bob:localhost");
    // Whoever left shared the room with those of then, whatever became of them.
    let later = token();
    house.post(&format!("/rooms/{other}/leave"), &ann, json!({})).await.done();
    let dan = house.register("dan").await;
    house.post(&format!("/join/{other}"), &dan, json!({})).await.done();
    house.post(&format!("/rooms/{other}/leave"), &cat, json!({})).await.done();
    assert_eq!(changes(&later).await, (String::new(), "@cat:localhost".to_owned()));
    house.get("/keys/changes?from=x&to=y", &ann).await.refused(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn one_transaction_at_once() {
    let house = House::with(|_| {}).await;
    let ann = house.register("ann").await;
    let room = house.room(&ann, json!({})).await;
    let other = format!("/rooms/{room}/send/org.example%2Fx/once");
    let say = || house.say(&ann, &room, "once");
    let (one, two, three, other) =
        tokio::join!(say(), say(), say(), house.put(&other, &ann, json!({ "body": "other" })));
    assert_eq!((&one, &one), (&two, &three));
    assert_ne!(other.done()["event_id"], json!(one));
    assert_eq!(house.heard(&ann, &room).await.len(), 2);
}

#[tokio::test]
async fn tokens_of_sync_lead_into_history() {
    let house = House::with(|_| {}).await;
    let (ann, bob) = (house.register("ann").await, house.register("bob").await);
    let state = json!([{ "type": "m.room.history_visibility", "content": { "history_visibility": "joined" } }]);
    let room = house.room(&ann, json!({ "preset": "public_chat", "initial_state": state })).await;
    house.say(&ann, &room, "one").await;
    let token = || {
        let position = house.server.store.snapshot().position();
        let token = matron_homeserver::streams::Token::Stream {
            position,
            to_device: position,
            boot: 0,
            typing: 0,
            presence: 0,
        };
        token.render(house.server.store.epoch())
    };
    let early = token();
    house.post(&format!("/join/{room}"), &bob, json!({})).await.done();
    house.say(&ann, &room, "two").await;
    let late = token();
    house.say(&ann, &room, "three").await;
    let read = async |query: String| {
        let page = house.get(&format!("/rooms/{room}/messages?{query}"), &ann).await.done();
        let chunk = page["chunk"].as_array().unwrap().clone();
        chunk.iter().filter_map(|event| event["content"]["body"].as_str()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(read(format!("dir=b&from={late}")).await, "two one");
    assert_eq!(read(format!("dir=b&from={late}&to={early}")).await, "two");
    assert_eq!(read(format!("dir=f&from={late}")).await, "three");
    assert_eq!(read(format!("dir=f&from={early}&to={late}")).await, "two");
    let members = format!("/rooms/{room}/members?at={early}");
    assert_eq!(house.get(&members, &ann).await.done()["chunk"].as_array().unwrap().len(), 1);
    house.get(&members, &bob).await.refused(403, "M_FORBIDDEN");
    let old = early.replacen("s1_", "s1_f", 1);
    house.get(&format!("/rooms/{room}/messages?dir=b&from={old}"), &ann).await.refused(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn strangers_get_nowhere() {
    let house = House::with(|_| {}).await;
    let (ann, bob) = (house.register("ann").await, house.register("bob").await);
    let room = house.room(&ann, json!({ "preset": "public_chat" })).await;
    let event = house.say(&ann, &room, "one").await;
    let banned = json!({ "user_id": "@bob:localhost", "reason": "spam" });
    house.post(&format!("/rooms/{room}/ban"), &ann, banned).await.done();
    for path in ["messages?dir=b", "state", "state/m.room.name", "members", "joined_members", "aliases"] {
        let path = format!("/rooms/{room}/{path}");
        house.get(&path, "").await.refused(401, "M_MISSING_TOKEN");
        house.get(&path, "x").await.refused(401, "M_UNKNOWN_TOKEN");
        house.get(&path, &bob).await.refused(403, "M_FORBIDDEN");
    }
    house.get(&format!("/rooms/{room}/event/{event}"), &bob).await.refused(404, "M_NOT_FOUND");
    house.get(&format!("/rooms/{room}/context/{event}"), &bob).await.refused(403, "M_FORBIDDEN");
    for path in ["join", "leave", "knock", "invite", "kick", "ban", "unban"] {
        let (path, body) = match path {
            "knock" => (format!("/knock/{room}"), json!({})),
            path => (format!("/rooms/{room}/{path}"), json!({ "user_id": "@ann:localhost" })),
        };
        house.post(&path, &bob, body.clone()).await.refused(403, "M_FORBIDDEN");
        house.post(&path, "", body).await.refused(401, "M_MISSING_TOKEN");
    }
    for path in ["send/m.room.message/1", "state/m.room.name", "state/m.room.member/@bob:localhost"] {
        let body = json!({ "membership": "join", "name": "x", "body": "x" });
        house.put(&format!("/rooms/{room}/{path}"), &bob, body).await.refused(403, "M_FORBIDDEN");
    }
    house.put(&format!("/rooms/{room}/redact/{event}/1"), &bob, json!({})).await.refused(403, "M_FORBIDDEN");
    let marks = json!({ "m.read": event });
    house.post(&format!("/rooms/{room}/read_markers"), &bob, marks).await.refused(403, "M_FORBIDDEN");
    // Nor do they learn whether there is such a room.
    for room in [room.as_str(), "!nowhere:localhost"] {
        house.get(&format!("/rooms/{room}/event/{event}"), &bob).await.refused(404, "M_NOT_FOUND");
        let relations = format!("/_matrix/client/v1/rooms/{room}/relations/{event}");
        house.call_raw(Method::GET, &relations, &bob, "").await.refused(404, "M_NOT_FOUND");
        let body = json!({ "room_id": room });
        house.put("/directory/room/%23ward:localhost", &bob, body).await.refused(403, "M_FORBIDDEN");
    }
}
