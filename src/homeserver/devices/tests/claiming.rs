//! One-time keys go out once each, in order; the fallback key after them.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use ruma::UserId;
use serde_json::json;

use super::{World, errcode, one_time, one_time_key};
use crate::devices::key_counts;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_claims_at_once_get_fifty_keys() {
    let world = Arc::new(World::new().await);
    let alice = Arc::new(world.log_in("alice", "A").await);
    world.upload(&alice, None, &one_time(0..50)).await.unwrap();
    let claims: Vec<_> = (0..60)
        .map(|_| {
            let (world, alice) = (Arc::clone(&world), Arc::clone(&alice));
            tokio::spawn(async move { world.claim_id(&alice).await })
        })
        .collect();
    let mut seen = HashSet::new();
    for claim in claims {
        if let Some(id) = claim.await.unwrap() {
            assert!(seen.insert(id), "a key went out twice");
        }
    }
    assert_eq!(seen.len(), 50);
    let counts = key_counts(&world.snapshot(), alice.device).await.unwrap();
    assert!(counts.one_time.values().all(|count| u64::from(*count) == 0));
}

#[tokio::test]
async fn keys_go_out_in_the_order_of_upload() {
    let world = World::new().await;
    let alice = world.log_in("alice", "A").await;
    world.upload(&alice, None, &one_time(7..8)).await.unwrap();
    let counts = world.upload(&alice, None, &one_time(0..2)).await.unwrap();
    assert_eq!(counts.one_time[&"signed_curve25519".into()], 3_u8.into());
    let before = world.snapshot().position();
    for wanted in ["007", "000", "001"] {
        assert_eq!(world.claim_id(&alice).await, Some(format!("signed_curve25519:{wanted}")));
    }
    assert_eq!(world.claim_id(&alice).await, None);
    assert!(world.claim(&alice, "signed_curve25519").await["one_time_keys"].as_object().unwrap().is_empty());
    assert!(world.streams.user_changed(alice.user, before), "the owner's syncs are not woken");
    let claimed = world.streams.claimable_changed_at(alice.user);
    assert!(claimed > before, "what was counted before is taken for true");
    world.upload(&alice, None, &one_time(10..11)).await.unwrap();
    let uploaded = world.streams.claimable_changed_at(alice.user);
    assert!(uploaded > claimed, "what was counted before is taken for true");
    world.upload(&alice, None, &one_time(10..11)).await.unwrap();
    assert_eq!(world.streams.claimable_changed_at(alice.user), uploaded);
}

#[tokio::test]
async fn an_upload_may_be_repeated_but_not_contradicted() {
    let world = World::new().await;
    let alice = world.log_in("alice", "A").await;
    for _ in 0..3 {
        let counts = world.upload(&alice, None, &one_time(0..4)).await.unwrap();
        assert_eq!(counts.one_time[&"signed_curve25519".into()], 4_u8.into());
    }
    let counts = world.upload(&alice, None, &one_time(2..6)).await.unwrap();
    assert_eq!(counts.one_time[&"signed_curve25519".into()], 6_u8.into());
    let other = json!({ "signed_curve25519:003": one_time_key("other") });
    assert_eq!(errcode(world.upload(&alice, None, &other).await), "M_UNKNOWN");

    // An upload that is repeated after somebody claimed from it brings nothing back.
    assert_eq!(world.claim_id(&alice).await.unwrap(), "signed_curve25519:000");
    world.upload(&alice, None, &one_time(0..6)).await.unwrap();
    for wanted in 1..6 {
        assert_eq!(world.claim_id(&alice).await, Some(format!("signed_curve25519:{wanted:03}")));
    }
    assert_eq!(world.claim_id(&alice).await, None);
}

#[tokio::test]
async fn the_fallback_key_comes_last_and_stays() {
    let world = World::new().await;
    let alice = world.log_in("alice", "A").await;
    let unused = async || key_counts(&world.snapshot(), alice.device).await.unwrap().unused_fallback;
    world.upload(&alice, None, &one_time(0..1)).await.unwrap();
    let two = json!({ "signed_curve25519:f": one_time_key("f"), "signed_curve25519:g": one_time_key("g") });
    assert_eq!(errcode(world.upload_fallback(&alice, &two).await), "M_INVALID_PARAM");
    let first = json!({ "signed_curve25519:f": one_time_key("f") });
    world.upload_fallback(&alice, &first).await.unwrap();
    assert_eq!(unused().await, ["signed_curve25519"]);
    assert_eq!(world.claim_id(&alice).await.unwrap(), "signed_curve25519:000");
    assert_eq!(unused().await, ["signed_curve25519"]);
    for _ in 0..3 {
        assert_eq!(world.claim_id(&alice).await.unwrap(), "signed_curve25519:f");
        assert!(unused().await.is_empty());
    }
    world.upload_fallback(&alice, &first).await.unwrap();
    assert!(unused().await.is_empty(), "the same key again is as used as before");
    world.upload_fallback(&alice, &json!({ "signed_curve25519:g": one_time_key("g") })).await.unwrap();
    assert_eq!(unused().await, ["signed_curve25519"]);
    assert_eq!(world.claim_id(&alice).await.unwrap(), "signed_curve25519:g");
    assert!(world.claim(&alice, "curve25519").await["one_time_keys"].as_object().unwrap().is_empty());
}

#[tokio::test]
async fn algorithms_have_queues_of_their_own() {
    let world = World::new().await;
    let alice = world.log_in("alice", "A").await;
    world
        .upload(&alice, None, &json!({ "curve25519:1": "a", "signed_curve25519:1": one_time_key("b") }))
        .await
        .unwrap();
    world.upload(&alice, None, &json!({ "curve25519:2": "c" })).await.unwrap();
    for id in ["curve25519:1", "curve25519:2"] {
        let answer = world.claim(&alice, "curve25519").await;
        let keys = answer["one_time_keys"][alice.user_id.as_str()][alice.device_id.as_str()].as_object().unwrap();
        assert_eq!(keys.keys().next().unwrap(), id);
    }
    assert_eq!(world.claim_id(&alice).await.unwrap(), "signed_curve25519:1");
}

#[tokio::test]
async fn nobody_asks_for_more_users_than_keys() {
    let world = World::new().await;
    let users = (0..5_001).map(|nth| (UserId::parse(format!("@u:server{nth}")).unwrap(), BTreeMap::new()));
    assert_eq!(errcode(world.devices.claim(users.collect()).await), "M_TOO_LARGE");
}
