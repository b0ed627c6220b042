//! To-device messages reach whom they are for, once.

use std::collections::BTreeMap;

use matron_storage::Position;
use ruma::to_device::DeviceIdOrAllDevices;
use serde_json::{Value, json};

use super::{World, errcode, raw};
use crate::accounts::Session;
use crate::devices::inbox::{Growth, weight};
use crate::devices::{Messages, delete_up_to, waiting};
use crate::schema::DeviceNum;

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

/// Sends a message of this number.
async fn send(world: &World, from: &Session, to_whom: &Session, number: usize) {
    let messages = to(to_whom, &[(to_whom.device_id.as_str(), json!({ "n": number }))]);
    world.devices.send(from, "m.x", &format!("{}-{number}", to_whom.device_id), messages).await.unwrap();
}

/// The numbers of what waits for a device.
async fn numbers(world: &World, session: &Session) -> Vec<Value> {
    inbox(world, session).await.iter().map(|message| message["content"]["n"].clone()).collect()
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
    assert_eq!(numbers(&world, &bob).await, [2, 3]);
    assert_eq!(numbers(&world, &bob2).await, [3]);

    let rows = waiting(&world.snapshot(), bob.device, Position::ZERO, 1).await.unwrap();
    let [(first, _)] = rows.as_slice() else { panic!("the limit does not hold") };
    assert_eq!(waiting(&world.snapshot(), bob.device, *first, 10).await.unwrap().len(), 1);
    delete_up_to(&world.store, bob.device, *first).await.unwrap();
    assert_eq!(numbers(&world, &bob).await, [3]);
    assert_eq!(numbers(&world, &bob2).await, [3]);
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
    // Whether or not they are there.
    let names: Vec<_> = (0..5_001).map(|nth| nth.to_string()).collect();
    let contents: Vec<_> = names.iter().map(|name| (name.as_str(), json!({}))).collect();
    assert_eq!(errcode(world.devices.send(&alice, "m", "1", to(&alice, &contents)).await), "M_TOO_LARGE");
    assert!(inbox(&world, &alice).await.is_empty());
}

#[tokio::test]
async fn the_oldest_messages_make_room_for_new_ones() {
    let world = World::new().await;
    let (alice, bob) = (world.log_in("alice", "A").await, world.log_in("bob", "B").await);
    for number in 0..5 {
        send(&world, &alice, &bob, number).await;
    }
    let rows = waiting(&world.snapshot(), bob.device, Position::ZERO, 100).await.unwrap();
    let one = weight(&rows[0].1);
    world.devices.make_room(bob.device, 5 * one).await.unwrap();
    assert_eq!(numbers(&world, &bob).await, [0, 1, 2, 3, 4]);
    world.devices.make_room(bob.device, 2 * one).await.unwrap();
    assert_eq!(numbers(&world, &bob).await, [3, 4]);
    assert_eq!(world.devices.to_device_dropped.get(), 3);
}

#[tokio::test]
async fn nobody_wipes_out_what_others_left() {
    let world = World::new().await;
    let (alice, bob) = (world.log_in("alice", "A").await, world.log_in("bob", "B").await);
    let (carol, eve) = (world.log_in("carol", "C").await, world.log_in("eve", "E").await);
    for number in [0, 1] {
        send(&world, &alice, &bob, number).await;
    }
    for number in 100..106 {
        send(&world, &eve, &bob, number).await;
    }
    for number in 10..14 {
        send(&world, &carol, &bob, number).await;
    }
    let rows = waiting(&world.snapshot(), bob.device, Position::ZERO, 100).await.unwrap();
    let largest = rows.iter().map(|(_, message)| weight(message)).max().unwrap();
    world.devices.make_room(bob.device, 10 * largest).await.unwrap();
    assert_eq!(numbers(&world, &bob).await, [0, 1, 102, 103, 104, 105, 10, 11, 12, 13]);
    world.devices.make_room(bob.device, 6 * largest).await.unwrap();
    assert_eq!(numbers(&world, &bob).await, [0, 1, 104, 105, 12, 13]);
    assert_eq!(world.devices.to_device_dropped.get(), 6);
}

#[test]
fn it_is_looked_only_when_much_came() {
    let growth = Growth::new();
    let (one, other) = (DeviceNum(1), DeviceNum(2));
    assert!(!growth.add(one, 5 << 20));
    assert!(!growth.add(other, 5 << 20));
    assert!(growth.add(one, 3 << 20));
    assert!(!growth.add(one, 1));
}

const DAY: u64 = 24 * 60 * 60 * 1000;

/// Walks over all devices to its end.
async fn walk(world: &World, now: u64) {
    while world.devices.sweep_to_device(now).await.unwrap() {}
}

#[tokio::test]
async fn what_nobody_takes_for_long_goes() {
    let world = World::new().await;
    let (alice, bob) = (world.log_in("alice", "A").await, world.log_in("bob", "B").await);
    for number in 0..120 {
        send(&world, &alice, &bob, number).await;
    }
    send(&world, &bob, &alice, 0).await;
    assert!(!world.devices.sweep_to_device(DAY).await.unwrap());
    send(&world, &alice, &bob, 120).await;
    // Once a day is enough.
    assert!(!world.devices.sweep_to_device(DAY + 1).await.unwrap());
    for day in 2..=90 {
        assert!(!world.devices.sweep_to_device(day * DAY).await.unwrap());
    }
    assert_eq!(numbers(&world, &alice).await, [0]);

    assert!(world.devices.sweep_to_device(91 * DAY).await.unwrap(), "there are more than it does at once");
    walk(&world, 91 * DAY).await;
    assert_eq!(numbers(&world, &bob).await, [120]);
    assert!(numbers(&world, &alice).await.is_empty());
    walk(&world, 92 * DAY).await;
    assert!(numbers(&world, &bob).await.is_empty());
    assert_eq!(world.devices.to_device_dropped.get(), 122);
}

#[tokio::test]
async fn a_clock_that_jumps_makes_nothing_old() {
    let world = World::new().await;
    let (alice, bob) = (world.log_in("alice", "A").await, world.log_in("bob", "B").await);
    send(&world, &alice, &bob, 0).await;
    for day in [10, 11, 200, 4_000, 12, 13] {
        walk(&world, day * DAY).await;
        assert_eq!(numbers(&world, &bob).await, [0], "{day}");
    }
    // Set right, it is a clock like any other.
    for day in 14..=97 {
        walk(&world, day * DAY).await;
    }
    assert_eq!(numbers(&world, &bob).await, [0]);
    walk(&world, 98 * DAY).await;
    assert!(numbers(&world, &bob).await.is_empty());
}
