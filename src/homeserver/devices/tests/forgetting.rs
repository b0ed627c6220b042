//! A forgotten device leaves nothing.

use std::collections::BTreeMap;

use matron_storage::Batch;
use ruma::api::client::keys::upload_signatures::v3::SignedKeys;
use ruma::to_device::DeviceIdOrAllDevices;
use serde_json::json;

use super::{Key, World, cross_signing_key, cross_signing_keys, errcode, one_time, one_time_key, raw};
use crate::accounts::Session;
use crate::devices::{changed_users, key_counts, waiting};
use crate::schema::devices::{
    BACKUPS, CLAIM_HEADS, DEHYDRATED, DEVICE_LIST_OF, DEVICE_LISTS, DEVICES, Dehydrated, FOREIGN_SIGNATURES,
    ONE_TIME_KEYS, TO_DEVICE, USER_KEYS,
};
use crate::schema::rooms::TRANSACTIONS;

async fn fill(world: &World, session: &Session) -> Key {
    let (key, _) = world.with_keys(session).await;
    world.upload(session, None, &one_time(0..5)).await.unwrap();
    world.upload_fallback(session, &json!({ "signed_curve25519:f": one_time_key("f") })).await.unwrap();
    let everywhere = BTreeMap::from([(DeviceIdOrAllDevices::AllDevices, raw(&json!({})))]);
    let messages = BTreeMap::from([(session.user_id.clone(), everywhere)]);
    world.devices.send(session, "m.x", "1", messages).await.unwrap();
    key
}

async fn rows_of(world: &World, session: &Session) -> usize {
    let snapshot = world.snapshot();
    let device = session.device;
    let mut rows = usize::from(snapshot.get(&CLAIM_HEADS, &device).await.unwrap().is_some());
    rows += snapshot.scan(&ONE_TIME_KEYS, ONE_TIME_KEYS.under(&(device,))).collect().await.unwrap().len();
    rows += snapshot.scan(&TO_DEVICE, TO_DEVICE.under(&(device,))).collect().await.unwrap().len();
    rows += snapshot.scan(&TRANSACTIONS, TRANSACTIONS.under(&(device,))).collect().await.unwrap().len();
    rows
}

#[tokio::test]
async fn devices_forgotten_together_leave_nothing_and_the_others_all() {
    let world = World::new().await;
    let mut sessions = Vec::new();
    for id in ["A", "B", "C"] {
        let session = world.log_in("alice", id).await;
        let key = fill(&world, &session).await;
        sessions.push((session, key));
    }
    let (alice, key) = &sessions[0];
    let master = Key::new(None);
    let plain = cross_signing_key(alice, &master, "master");
    let keys = cross_signing_keys(alice, Some(&plain), None, None).unwrap();
    let _ = world.devices.publish(alice, &keys, false).await.unwrap();
    let signed = key.sign(alice, &plain);
    let signed: SignedKeys = serde_json::from_value(json!({ &master.public: signed })).unwrap();
    let failures = world.devices.sign(alice, &BTreeMap::from([(alice.user_id.clone(), signed)])).await.unwrap();
    assert!(failures.is_empty());
    assert!(world.query(alice, "@alice:x").await["master_keys"]["@alice:x"]["signatures"]["@alice:x"].is_object());

    let before = world.snapshot();
    let mut batch = Batch::new();
    for (session, _) in &sessions[..2] {
        assert!(rows_of(&world, session).await > 0);
        let id = session.device_id.as_str();
        world.devices.forget(&mut batch, &before, session.user, id, session.device).await.unwrap();
        batch.delete(&DEVICES, &(session.user, id.to_owned()));
    }
    world.store.commit(batch).await.unwrap();

    assert_eq!(rows_of(&world, &sessions[0].0).await, 0);
    assert_eq!(rows_of(&world, &sessions[1].0).await, 0);
    assert!(rows_of(&world, &sessions[2].0).await > 0);
    let seen = world.query(alice, "@alice:x").await;
    let left: Vec<_> = seen["device_keys"]["@alice:x"].as_object().unwrap().keys().collect();
    assert_eq!(left, ["C"]);
    assert_eq!(seen["master_keys"]["@alice:x"]["signatures"], json!({}));
    let now = world.snapshot();
    assert_eq!(changed_users(&now, before.position(), now.position()).await.unwrap(), [alice.user]);
    assert_eq!(now.scan(&DEVICE_LISTS, DEVICE_LISTS.all()).collect().await.unwrap().len(), 1);
    let last = now.get(&DEVICE_LIST_OF, &alice.user).await.unwrap().unwrap();
    assert_eq!(now.get(&DEVICE_LISTS, &last).await.unwrap(), Some(alice.user));

    // Nobody reaches it, and it reaches nobody.
    assert_eq!(world.claim_id(alice).await, None);
    assert_eq!(errcode(world.upload(alice, None, &one_time(0..1)).await), "M_NOT_FOUND");
    assert_eq!(rows_of(&world, alice).await, 0);
    assert_eq!(key_counts(&now, alice.device).await.unwrap().one_time.len(), 1);
    assert!(waiting(&now, alice.device, matron_storage::Position::ZERO, 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_last_device_of_a_user_leaves_no_row_of_keys() {
    let world = World::new().await;
    let alice = world.log_in("alice", "A").await;
    fill(&world, &alice).await;
    let mut batch = Batch::new();
    world.devices.forget(&mut batch, &world.snapshot(), alice.user, "A", alice.device).await.unwrap();
    world.store.commit(batch).await.unwrap();
    assert_eq!(world.snapshot().get(&USER_KEYS, &alice.user).await.unwrap(), None);
}

#[tokio::test]
async fn an_upload_that_comes_between_is_not_lost_and_not_left_behind() {
    let world = World::new().await;
    let (a, b) = (world.log_in("alice", "A").await, world.log_in("alice", "B").await);
    let old = world.snapshot();
    world.with_keys(&b).await;
    let mut batch = Batch::new();
    world.devices.forget(&mut batch, &old, a.user, "A", a.device).await.unwrap();
    let conflict = world.store.commit(batch).await;
    assert!(matches!(conflict, Err(matron_storage::Error::Conflict)));
}

#[tokio::test]
async fn a_user_who_goes_leaves_nothing() {
    let world = World::new().await;
    let alice = world.log_in("alice", "A").await;
    fill(&world, &alice).await;
    let master = Key::new(None);
    let plain = cross_signing_key(&alice, &master, "master");
    let keys = cross_signing_keys(&alice, Some(&plain), None, None).unwrap();
    let _ = world.devices.publish(&alice, &keys, false).await.unwrap();
    let body = json!({ "algorithm": "m.megolm_backup.v1", "auth_data": {} });
    world.devices.create_backup(alice.user, &raw(&body)).await.unwrap();
    let mut batch = Batch::new();
    let asleep = Dehydrated { device_id: "D".to_owned(), device: alice.device, data: "{}".to_owned() };
    batch.put(&DEHYDRATED, &alice.user, &asleep);
    world.store.commit(batch).await.unwrap();
    let mut batch = Batch::new();
    world.devices.forget(&mut batch, &world.snapshot(), alice.user, "A", alice.device).await.unwrap();
    world.devices.forget_user(&mut batch, &world.snapshot(), alice.user).await.unwrap();
    world.store.commit(batch).await.unwrap();
    let now = world.snapshot();
    assert_eq!(now.get(&USER_KEYS, &alice.user).await.unwrap(), None);
    assert_eq!(now.get(&DEHYDRATED, &alice.user).await.unwrap(), None);
    assert!(now.scan(&BACKUPS, BACKUPS.under(&(alice.user,))).collect().await.unwrap().is_empty());
    assert!(now.scan(&FOREIGN_SIGNATURES, FOREIGN_SIGNATURES.all()).collect().await.unwrap().is_empty());
    assert_eq!(rows_of(&world, &alice).await, 0);
}
