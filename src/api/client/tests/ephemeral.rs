use matron_homeserver::ephemeral::{contents, read_positions};
use matron_homeserver::schema::ephemeral::ReceiptKind;
use serde_json::{Value, json};

use super::House;

#[tokio::test]
async fn typing() {
    let house = House::with(|_| {}).await;
    let (ann, bob) = (house.register("ann").await, house.register("bob").await);
    let room = house.room(&ann, json!({})).await;
    let num = house.server.ids.room(&house.server.store.snapshot(), &room).await.unwrap().unwrap();
    let path = |name: &str| format!("/rooms/{room}/typing/@{name}:localhost");
    let ephemeral = &house.server.ephemeral;
    assert_eq!(ephemeral.typing_since(num, 0), None);
    house.put(&path("ann"), &bob, json!({ "typing": true })).await.refused(403, "M_FORBIDDEN");
    house.put(&path("bob"), &bob, json!({ "typing": true, "timeout": 1000 })).await.refused(403, "M_FORBIDDEN");
    house.put(&path("ann"), &ann, json!({})).await.refused(400, "M_MISSING_PARAM");
    house.put(&path("ann"), &ann, json!({ "typing": 1 })).await.refused(400, "M_BAD_JSON");
    assert_eq!(house.put(&path("ann"), &ann, json!({ "typing": true })).await.done(), json!({}));
    let counter = ephemeral.typing_counter();
    assert_eq!(ephemeral.typing_since(num, 0).unwrap(), ["@ann:localhost"]);
    assert_eq!(ephemeral.typing_since(num, counter), None);
    assert_eq!(ephemeral.typing_changed(0).unwrap(), [num]);
    house.put(&path("ann"), &ann, json!({ "typing": false })).await.done();
    assert!(ephemeral.typing_since(num, counter).unwrap().is_empty());
}

#[tokio::test]
async fn receipts() {
    let house = House::with(|_| {}).await;
    let (ann, bob) = (house.register("ann").await, house.register("bob").await);
    let room = house.room(&ann, json!({ "preset": "public_chat" })).await;
    let first = house.say(&ann, &room, "first").await;
    let second = house.say(&ann, &room, "second").await;
    let body = json!({ "body": "in a thread", "m.relates_to": { "rel_type": "m.thread", "event_id": first } });
    let threaded = house.put(&format!("/rooms/{room}/send/m.room.message/t"), &ann, body).await.done();
    let threaded = threaded["event_id"].as_str().unwrap().to_owned();
    let path = |kind: &str, event: &str| format!("/rooms/{room}/receipt/{kind}/{event}");
    house.post(&path("m.read", &first), &bob, json!({})).await.refused(403, "M_FORBIDDEN");
    house.post(&format!("/join/{room}"), &bob, json!({})).await.done();

    for thread in [json!(""), json!(1), json!("x"), json!(second)] {
        let body = json!({ "thread_id": thread });
        house.post(&path("m.read", &first), &bob, body).await.refused(400, "M_INVALID_PARAM");
    }
    let main = json!({ "thread_id": "main" });
    house.post(&path("m.fully_read", &first), &bob, main.clone()).await.refused(400, "M_INVALID_PARAM");
    house.post(&path("m.read", &threaded), &bob, main.clone()).await.refused(400, "M_INVALID_PARAM");
    // An event begins no thread by being read as one.
    house.post(&path("m.read", &second), &bob, json!({ "thread_id": second })).await.refused(400, "M_INVALID_PARAM");
    house.post(&path("m.other", &first), &bob, json!({})).await.refused(400, "M_INVALID_PARAM");
    house.post(&path("m.read", "nonsense"), &bob, json!({})).await.refused(400, "M_INVALID_PARAM");
    house.post(&path("m.read", "$unknown"), &bob, json!({})).await.done();

    let server = &house.server;
    let session = server.accounts.authenticate(&bob).await.unwrap();
    let (reader, other) = (session.user, server.accounts.authenticate(&ann).await.unwrap().user);
    let num = server.ids.room(&server.store.snapshot(), &room).await.unwrap().unwrap();
    let start = server.store.snapshot().position();
    assert_eq!(house.post(&path("m.read", &second), &bob, json!({})).await.done(), json!({}));
    let before = server.store.snapshot().position();
    house.post(&path("m.read", &first), &bob, json!({})).await.done();
    assert_eq!(server.store.snapshot().position(), before, "a receipt never goes back");
    house.post(&path("m.read.private", &threaded), &bob, json!({ "thread_id": first })).await.done();
    let before = server.store.snapshot().position();
    house.post(&path("m.read", &second), &bob, main).await.done();
    house.post(&path("m.read", &first), &bob, json!({ "thread_id": first })).await.done();
    assert_eq!(server.store.snapshot().position(), before, "the unthreaded one says as much");

    let snapshot = server.store.snapshot();
    let ts = json!({ "ts": 1_700_000_000_000_u64 });
    let public = json!({ second.clone(): { "m.read": { "@bob:localhost": ts } } });
    let seen = |user| server.ephemeral.receipts_since(&snapshot, num, start, user);
    assert_eq!(contents(seen(other).await.unwrap()), [public]);
    let own = contents(seen(reader).await.unwrap());
    assert_eq!(own[0][&threaded]["m.read.private"]["@bob:localhost"]["thread_id"], json!(first));
    assert_eq!(own, contents(server.ephemeral.all_receipts(&snapshot, num, reader).await.unwrap()));
    assert_eq!(server.ephemeral.receipts_since(&snapshot, num, snapshot.position(), reader).await.unwrap(), []);
    let threads = async || -> Vec<String> {
        let read = read_positions(&server.store.snapshot(), num, reader).await.unwrap();
        read.into_iter().map(|(thread, _)| thread).collect()
    };
    assert_eq!(threads().await, ["", &*first]);
}

#[tokio::test]
async fn who_read_a_root_in_both_of_its_threads_is_shown_so() {
    let house = House::with(|_| {}).await;
    let ann = house.register("ann").await;
    let room = house.room(&ann, json!({})).await;
    let root = house.say(&ann, &room, "root").await;
    let body = json!({ "body": "in a thread", "m.relates_to": { "rel_type": "m.thread", "event_id": root } });
    house.put(&format!("/rooms/{room}/send/m.room.message/t"), &ann, body).await.done();
    let read = async |kind: &str, thread: &str| {
        let path = format!("/rooms/{room}/receipt/{kind}/{root}");
        house.post(&path, &ann, json!({ "thread_id": thread })).await.done();
    };
    read("m.read", "main").await;
    read("m.read", &root).await;
    read("m.read.private", "main").await;
    let answer = house.get("/sync?timeout=0", &ann).await.done();
    let events = answer["rooms"]["join"][&room]["ephemeral"]["events"].as_array().unwrap().clone();
    let mut threads = Vec::new();
    for event in &events {
        assert_eq!(event["type"], "m.receipt", "{event}");
        let receipt = |kind: &str| event["content"][&root][kind]["@ann:localhost"]["thread_id"].clone();
        threads.extend([receipt("m.read"), receipt("m.read.private")]);
    }
    threads.sort_unstable_by_key(ToString::to_string);
    // A second event for the one that finds no room in the first, and no third.
    assert_eq!(threads, [json!(root), json!("main"), json!("main"), Value::Null]);
}

#[tokio::test]
async fn a_receipt_for_all_threads_stands_for_those_before_it() {
    let house = House::with(|_| {}).await;
    let ann = house.register("ann").await;
    let room = house.room(&ann, json!({})).await;
    let first = house.say(&ann, &room, "first").await;
    let body = json!({ "body": "in a thread", "m.relates_to": { "rel_type": "m.thread", "event_id": first } });
    house.put(&format!("/rooms/{room}/send/m.room.message/t"), &ann, body).await.done();
    let second = house.say(&ann, &room, "second").await;
    let third = house.say(&ann, &room, "third").await;
    let read = async |kind: &str, event: &str, thread: Option<&str>| {
        let body = thread.map_or_else(|| json!({}), |thread| json!({ "thread_id": thread }));
        house.post(&format!("/rooms/{room}/receipt/{kind}/{event}"), &ann, body).await.done();
    };
    let server = &house.server;
    let reader = server.accounts.authenticate(&ann).await.unwrap().user;
    let num = server.ids.room(&server.store.snapshot(), &room).await.unwrap().unwrap();
    let kept = async || -> Vec<(bool, String)> {
        let receipts = server.ephemeral.all_receipts(&server.store.snapshot(), num, reader).await.unwrap();
        receipts.into_iter().map(|shown| (shown.kind == ReceiptKind::Public, shown.thread)).collect()
    };
    let is = |public: bool, thread: &str| (public, thread.to_owned());
    read("m.read", &first, Some(&first)).await;
    read("m.read", &second, Some("main")).await;
    read("m.read.private", &second, Some("main")).await;
    assert_eq!(kept().await, [is(true, &first), is(true, "main"), is(false, "main")]);
    // What only the reader sees does not stand for what others see.
    read("m.read.private", &third, None).await;
    assert_eq!(kept().await, [is(true, &first), is(true, "main"), is(false, "")]);
    read("m.read", &first, None).await;
    assert_eq!(kept().await, [is(true, ""), is(true, "main"), is(false, "")]);
    read("m.read", &third, None).await;
    assert_eq!(kept().await, [is(true, ""), is(false, "")]);
}

#[tokio::test]
async fn read_markers() {
    let house = House::with(|_| {}).await;
    let (ann, bob) = (house.register("ann").await, house.register("bob").await);
    let room = house.room(&ann, json!({})).await;
    let event = house.say(&ann, &room, "first").await;
    let body = json!({ "m.fully_read": event, "m.read": event, "m.read.private": event });
    let path = format!("/rooms/{room}/read_markers");
    house.post(&path, &bob, body.clone()).await.refused(403, "M_FORBIDDEN");
    assert_eq!(house.post(&path, &ann, body).await.done(), json!({}));
    let data = house.get(&format!("/user/@ann:localhost/rooms/{room}/account_data/m.fully_read"), &ann).await;
    assert_eq!(data.done(), json!({ "event_id": event }));
    house.post(&path, &ann, json!({ "m.read": 1 })).await.refused(400, "M_BAD_JSON");
    let answer: Value = house.post(&path, &ann, json!({})).await.done();
    assert_eq!(answer, json!({}));
}
