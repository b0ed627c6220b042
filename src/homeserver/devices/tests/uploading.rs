//! Uploads of identity keys, and how others see them.

use matron_storage::{Batch, Position};
use serde_json::{Value, json};

use super::{Key, World, device_keys, errcode, one_time, one_time_key};
use crate::devices::changed_users;
use crate::devices::upload::{MOST_ALGORITHMS, MOST_HELD};
use crate::schema::devices::{DeviceKeys, USER_KEYS};

#[tokio::test]
async fn a_device_publishes_its_own_signed_keys_and_no_others() {
    let world = World::new().await;
    let alice = world.log_in("alice", "A").await;
    let bob = world.log_in("bob", "B").await;
    let (key, forger) = (Key::new(Some("A")), Key::new(Some("A")));
    let plain = device_keys(&alice, &key);
    let signed = key.sign(&alice, &plain);

    assert_eq!(errcode(world.upload(&alice, Some(&json!({ "user_id": "@alice:x" })), &json!({})).await), "M_BAD_JSON");
    assert_eq!(errcode(world.upload(&bob, Some(&signed), &json!({})).await), "M_INVALID_PARAM");
    let mut moved = signed.clone();
    moved["algorithms"] = json!([]);
    for forged in [&forger.sign(&alice, &plain), &moved] {
        assert_eq!(errcode(world.upload(&alice, Some(forged), &json!({})).await), "M_INVALID_SIGNATURE");
    }
    assert_eq!(world.query(&bob, "@alice:x").await["device_keys"]["@alice:x"], json!({}));

    // Unsigned keys are kept as they are, without others' signatures: clients refuse them.
    world.upload(&alice, Some(&key.sign(&bob, &plain)), &json!({})).await.unwrap();
    let shown = world.query(&bob, "@alice:x").await["device_keys"]["@alice:x"]["A"].clone();
    assert_eq!(shown["signatures"].get("@bob:x"), None, "{shown}");

    let mut rich = signed.clone();
    rich["unsigned"] = json!({ "device_display_name": "forged" });
    rich["signatures"]["@bob:x"] = json!({ "ed25519:B": "x" });
    let counts = world.upload(&alice, Some(&rich), &json!({})).await.unwrap();
    assert_eq!(counts.one_time.values().map(|count| u64::from(*count)).collect::<Vec<_>>(), [0]);
    let mut wanted = signed.clone();
    wanted["unsigned"] = json!({ "device_display_name": "alice's \"A\"" });
    assert_eq!(world.query(&bob, "@alice:x").await["device_keys"]["@alice:x"]["A"], wanted);
}

#[tokio::test]
async fn nobody_is_told_of_the_same_keys_again() {
    let world = World::new().await;
    let alice = world.log_in("alice", "A").await;
    let bob = world.log_in("bob", "B").await;
    let changed = |from: Position| {
        let snapshot = world.snapshot();
        async move { changed_users(&snapshot, from, snapshot.position()).await.unwrap() }
    };
    assert_eq!(changed(Position::ZERO).await, [alice.user, bob.user]);
    let before = world.snapshot().position();
    let (_, keys) = world.with_keys(&alice).await;
    assert_eq!(changed(before).await, [alice.user]);
    assert_eq!(changed(Position::ZERO).await, [bob.user, alice.user]);
    let between = world.snapshot().position();
    world.upload(&alice, Some(&keys), &json!({})).await.unwrap();
    world.upload(&alice, None, &one_time(0..3)).await.unwrap();
    assert!(changed(between).await.is_empty());
    world.with_keys(&alice).await;
    assert_eq!(changed(between).await, [alice.user]);
    assert!(world.streams.device_list_changed_at(alice.user) > between);
}

#[tokio::test]
async fn unknown_users_are_left_out_and_other_servers_fail() {
    let world = World::new().await;
    let alice = world.log_in("alice", "A").await;
    world.ids.user(&ruma::UserId::parse("@invited:x").unwrap()).await.unwrap();
    for unknown in ["@nobody:x", "@invited:x"] {
        assert_eq!(world.query(&alice, unknown).await["device_keys"], json!({}));
    }
    assert_eq!(world.query(&alice, "@a:y").await["failures"].as_object().unwrap().keys().collect::<Vec<_>>(), ["y"]);
    // Somebody who was unknown a moment ago is found at once.
    let invited = world.log_in("invited", "I").await;
    world.with_keys(&invited).await;
    assert!(world.query(&alice, "@invited:x").await["device_keys"]["@invited:x"]["I"].is_object());
}

#[tokio::test]
async fn two_devices_of_one_user_uploading_at_once_lose_nothing() {
    let world = World::new().await;
    let mut sessions = Vec::new();
    for n in 0..10 {
        sessions.push(world.log_in("alice", &format!("D{n}")).await);
    }
    let uploads = sessions.iter().map(|session| world.with_keys(session));
    let tasks: Vec<_> = futures_join(uploads).await;
    assert_eq!(tasks.len(), 10);
    let seen = world.query(&sessions[0], "@alice:x").await;
    assert_eq!(seen["device_keys"]["@alice:x"].as_object().unwrap().len(), 10);
}

/// All of them, interleaved on one thread.
pub(super) async fn futures_join<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut pending: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut ready = true;
        for (future, output) in &mut pending {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *output = Some(value),
                    std::task::Poll::Pending => ready = false,
                }
            }
        }
        if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    pending.into_iter().map(|(_, output)| output.unwrap()).collect()
}

#[tokio::test]
async fn what_is_too_much_or_malformed_is_refused() {
    let world = World::new().await;
    let alice = world.log_in("alice", "A").await;
    let upload = async |keys: Value| errcode(world.upload(&alice, None, &keys).await);
    assert_eq!(upload(one_time(0..501)).await, "M_TOO_LARGE");
    assert_eq!(upload(json!({ "signed_curve25519:1": "bare" })).await, "M_BAD_JSON");
    assert_eq!(upload(json!({ "signed_curve25519:1": { "key": "unsigned" } })).await, "M_BAD_JSON");
    assert_eq!(upload(json!({ "curve25519:1": 7 })).await, "M_BAD_JSON");
    assert_eq!(upload(json!({ "signed_curve25519:1": one_time_key(&"A".repeat(5_000)) })).await, "M_TOO_LARGE");
    assert_eq!(upload(json!({ format!("curve25519:{}", "1".repeat(255)): "A" })).await, "M_INVALID_PARAM");
    let algorithms = (0..=MOST_ALGORITHMS).map(|n| (format!("a{n}:1"), json!("key")));
    assert_eq!(upload(Value::Object(algorithms.collect())).await, "M_TOO_LARGE");
    let most = usize::try_from(MOST_HELD).unwrap();
    for first in (0..most).step_by(500) {
        world.upload(&alice, None, &one_time(first..first + 500)).await.unwrap();
    }
    assert_eq!(upload(one_time(most..most + 1)).await, "M_TOO_LARGE");
}

#[tokio::test]
async fn the_keys_of_all_devices_together_are_bounded() {
    let world = World::new().await;
    let alice = world.log_in("alice", "A").await;
    let (_, keys) = world.with_keys(&alice).await;
    let mut row = world.snapshot().get(&USER_KEYS, &alice.user).await.unwrap().unwrap();
    let other = |nth: usize| DeviceKeys { device_id: format!("B{nth}"), json: "{}".repeat(8 << 10) };
    row.devices.extend((0..256).map(other));
    let mut batch = Batch::new();
    batch.put(&USER_KEYS, &alice.user, &row);
    world.store.commit(batch).await.unwrap();
    let alice2 = world.log_in("alice", "C").await;
    let key = Key::new(Some("C"));
    let new = key.sign(&alice2, &device_keys(&alice2, &key));
    assert_eq!(errcode(world.upload(&alice2, Some(&new), &json!({})).await), "M_TOO_LARGE");
    // Whose keys are there may say so again.
    world.upload(&alice, Some(&keys), &json!({})).await.unwrap();
}
