//! To-device messages reach whom they are for, once.

use std::collections::BTreeMap;

use matron_storage::Position;
use ruma::to_device::DeviceIdOrAllDevices;
use serde_json::{Value, json};

use super::{World, errcode, raw};
use crate::accounts::Session;
use crate::devices::{Messages, delete_up_to, waiting};

fn to(session: &Session, contents: &[(&str, Value)]) -> Messages {
    let contents = contents
        .iter()
        .map(|(device, content)| (DeviceIdOrAllDevices::try_from(*device).unwrap(), raw(content)))
        .collect();
    BTreeMap::from([(session.user_id.clone(), contents)])
}

async fn inbox(world: &World, session: &Session) -> Vec<Value> {
    let rows = waiting(&world.snapshot(), session.device, Position::ZERO, 100).await.unwrap();
    rows.iter().map(|(_, json)| serde_json::from_str(json).unwrap()).collect()
}

#[tokio::test]
async fn a_message_is_sent_once_however_often_it_is_asked_for() {
    let world = World::new().await;
    let alice = world.log_in("alice", "A").await;
    let bob = world.log_in("bob", "B").await;
    let bob2 = world.log_in("bob", "B2").await;
    let before = world.snapshot().position();
    for _ in 0..3 {
        world.devices.send(&alice, "m.x", "1", to(&bob, &[("B", json!({ "a": 1 }))])).await.unwrap();
    }
    assert_eq!(inbox(&world, &bob).await, [json!({ "sender": "@alice:x", "type": "m.x", "content": { "a": 1 } })]);
    assert!(inbox(&world, &bob2).await.is_empty());
    assert!(world.streams.user_changed(bob.user, before));
    assert!(!world.streams.user_changed(alice.user, before));

    // Another transaction, another type, another device: all different requests.
    let again = || to(&bob, &[("B", json!({}))]);
    world.devices.send(&alice, "m.x", "2", again()).await.unwrap();
    world.devices.send(&alice, "m.y", "1", again()).await.unwrap();
    world.devices.send(&bob2, "m.x", "1", again()).await.unwrap();
    assert_eq!(inbox(&world, &bob).await.len(), 4);

    let racing = (0..5).map(|_| world.devices.send(&alice, "m.x", "3", again()));
    for sent in super::uploading::futures_join(racing).await {
        sent.unwrap();
    }
    assert_eq!(inbox(&world, &bob).await.len(), 5);
}

#[tokio::test]
async fn a_star_is_every_device_and_what_was_taken_goes() {
    let world = World::new().await;
    let alice = world.log_in("alice", "A").await;
    let bob = world.log_in("bob", "B").await;
    let messages = to(&bob, &[("*", json!({ "n": 1 })), ("B", json!({ "n": 2 })), ("NONE", json!({}))]);
    world.devices.send(&alice, "m.x", "1", messages).await.unwrap();
    // A device that came since is among them.
    let bob2 = world.log_in("bob", "B2").await;
    world.devices.send(&alice, "m.x", "2", to(&bob, &[("*", json!({ "n": 3 }))])).await.unwrap();
    let numbers =
        async |session| inbox(&world, session).await.iter().map(|m| m["content"]["n"].clone()).collect::<Vec<_>>();
    assert_eq!(numbers(&bob).await, [2, 3]);
    assert_eq!(numbers(&bob2).await, [3]);

    let rows = waiting(&world.snapshot(), bob.device, Position::ZERO, 1).await.unwrap();
    let [(first, _)] = rows.as_slice() else { panic!("the limit does not hold") };
    assert_eq!(waiting(&world.snapshot(), bob.device, *first, 10).await.unwrap().len(), 1);
    delete_up_to(&world.store, bob.device, *first).await.unwrap();
    assert_eq!(numbers(&bob).await, [3]);
    assert_eq!(numbers(&bob2).await, [3]);
}

#[tokio::test]
async fn what_is_too_much_or_malformed_is_refused() {
    let world = World::new().await;
    let alice = world.log_in("alice", "A").await;
    let send = async |kind: &str, transaction: &str, content: Value| {
        errcode(world.devices.send(&alice, kind, transaction, to(&alice, &[("A", content)])).await)
    };
    assert_eq!(send(&"m".repeat(256), "1", json!({})).await, "M_INVALID_PARAM");
    assert_eq!(send("m", &"1".repeat(256), json!({})).await, "M_INVALID_PARAM");
    assert_eq!(send("m", "1", json!([])).await, "M_BAD_JSON");
    assert_eq!(send("m", "1", json!({ "a": "b".repeat(70_000) })).await, "M_TOO_LARGE");
    assert!(inbox(&world, &alice).await.is_empty());
}
