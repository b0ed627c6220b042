//! Cross-signing: who may publish which keys, who may sign what, who sees which signatures.

use std::collections::BTreeMap;

use matron_storage::Position;
use ruma::api::client::keys::upload_signatures::v3::SignedKeys;
use serde_json::{Value, json};

use super::{Key, World, cross_signing_key, cross_signing_keys, device_keys, errcode};
use crate::accounts::Session;
use crate::devices::{Published, changed_users, signed_users};

struct Identity {
    master: Key,
    self_signing: Key,
    user_signing: Key,
    master_json: Value,
    self_signing_json: Value,
    user_signing_json: Value,
}

impl Identity {
    fn new(session: &Session) -> Self {
        let (master, self_signing, user_signing) = (Key::new(None), Key::new(None), Key::new(None));
        let signed = |key: &Key, usage| master.sign(session, &cross_signing_key(session, key, usage));
        Self {
            master_json: cross_signing_key(session, &master, "master"),
            self_signing_json: signed(&self_signing, "self_signing"),
            user_signing_json: signed(&user_signing, "user_signing"),
            master,
            self_signing,
            user_signing,
        }
    }

    async fn publish(&self, world: &World, session: &Session, authorized: bool) -> Published {
        let (master, own, user) = (&self.master_json, &self.self_signing_json, &self.user_signing_json);
        let keys = cross_signing_keys(session, Some(master), Some(own), Some(user)).unwrap();
        world.devices.publish(session, &keys, authorized).await.unwrap()
    }
}

/// Uploads a signed object; answers the errcode where it failed.
async fn sign(world: &World, session: &Session, user: &Session, key_id: &str, object: &Value) -> Option<String> {
    let keys: SignedKeys = serde_json::from_value(json!({ key_id: object })).unwrap();
    let failures = world.devices.sign(session, &BTreeMap::from([(user.user_id.clone(), keys)])).await.unwrap();
    failures.get(&user.user_id).map(|of_user| of_user[key_id].kind.errcode().to_string())
}

#[tokio::test]
async fn keys_must_have_their_form_and_the_masters_signature() {
    let world = World::new().await;
    let alice = world.log_in("alice", "A").await;
    let bob = world.log_in("bob", "B").await;
    let ids = Identity::new(&alice);
    let master = &ids.master_json;
    let parse = |key: &Value| cross_signing_keys(&alice, Some(key), None, None).map(|_| ());
    for (pointer, value, wanted) in [
        ("/user_id", json!("@bob:x"), "M_INVALID_PARAM"),
        ("/usage", json!(["self_signing"]), "M_INVALID_PARAM"),
        ("/usage", json!(["master", "self_signing"]), "M_INVALID_PARAM"),
        ("/keys", json!({}), "M_INVALID_PARAM"),
        ("/keys", json!({ "ed25519:AAAA": "AAAA" }), "M_INVALID_PARAM"),
        ("/keys", json!({ "ed25519:AAAA": ids.master.public }), "M_INVALID_PARAM"),
        ("/keys", json!(7), "M_BAD_JSON"),
    ] {
        let mut wrong = master.clone();
        *wrong.pointer_mut(pointer).unwrap() = value;
        assert_eq!(errcode(parse(&wrong)), wanted, "{wrong}");
    }

    let publish = async |master: Option<&Value>, own: Option<&Value>, user: Option<&Value>| {
        let keys = cross_signing_keys(&alice, master, own, user).unwrap();
        world.devices.publish(&alice, &keys, true).await
    };
    assert_eq!(errcode(publish(None, Some(&ids.self_signing_json), None).await), "M_MISSING_PARAM");
    let unsigned = cross_signing_key(&alice, &ids.self_signing, "self_signing");
    let mut empty = unsigned.clone();
    empty["signatures"] = json!({});
    let other = Key::new(None);
    let by_bob = ids.master.sign(&bob, &unsigned);
    for forged in [&unsigned, &empty, &other.sign(&alice, &unsigned), &by_bob] {
        assert_eq!(errcode(publish(Some(master), Some(forged), None).await), "M_INVALID_SIGNATURE");
    }
    assert_eq!(world.query(&alice, "@alice:x").await["master_keys"], json!({}), "nothing of it is stored");

    let device = world.log_in("alice", &ids.master.public).await;
    assert_eq!(errcode(publish(Some(master), None, None).await), "M_FORBIDDEN");
    drop(device);
}

#[tokio::test]
async fn only_the_first_keys_and_the_same_again_need_no_authorization() {
    let world = World::new().await;
    let alice = world.log_in("alice", "A").await;
    let (first, second) = (Identity::new(&alice), Identity::new(&alice));
    assert_eq!(first.publish(&world, &alice, false).await, Published::Done);
    let position = world.snapshot().position();
    assert_eq!(first.publish(&world, &alice, false).await, Published::Done);
    assert_eq!(world.snapshot().position(), position, "nothing is written");
    assert_eq!(second.publish(&world, &alice, false).await, Published::NeedsAuthorization);
    let added = cross_signing_keys(&alice, None, Some(&second.self_signing_json), None).unwrap();
    assert_eq!(world.devices.publish(&alice, &added, false).await.unwrap(), Published::NeedsAuthorization);
    assert_eq!(errcode(world.devices.publish(&alice, &added, true).await), "M_INVALID_SIGNATURE");
    assert_eq!(second.publish(&world, &alice, true).await, Published::Done);
    let seen = world.query(&alice, "@alice:x").await;
    assert_eq!(seen["self_signing_keys"]["@alice:x"], second.self_signing_json);
    assert_eq!(seen["user_signing_keys"]["@alice:x"], second.user_signing_json);

    // A new master key alone leaves none of the old one's keys standing.
    let keys = cross_signing_keys(&alice, Some(&first.master_json), None, None).unwrap();
    assert_eq!(world.devices.publish(&alice, &keys, true).await.unwrap(), Published::Done);
    assert_eq!(world.query(&alice, "@alice:x").await["self_signing_keys"], json!({}));
}

#[tokio::test]
async fn signatures_are_checked_and_shown_to_whom_they_concern() {
    let world = World::new().await;
    let alice = world.log_in("alice", "A").await;
    let bob = world.log_in("bob", "B").await;
    let (alice_key, alice_keys) = world.with_keys(&alice).await;
    let ids = Identity::new(&alice);
    let _ = ids.publish(&world, &alice, false).await;
    let bobs = Identity::new(&bob);
    let _ = bobs.publish(&world, &bob, false).await;

    // The self-signing key signs the device.
    let forger = Key::new(None);
    let failed = sign(&world, &alice, &alice, "A", &forger.sign(&alice, &alice_keys)).await;
    assert_eq!(failed.unwrap(), "M_INVALID_SIGNATURE");
    let mut other = alice_keys.clone();
    other["algorithms"] = json!([]);
    let failed = sign(&world, &alice, &alice, "A", &ids.self_signing.sign(&alice, &other)).await;
    assert_eq!(failed.unwrap(), "M_INVALID_SIGNATURE");
    let failed = sign(&world, &alice, &alice, "NONE", &ids.self_signing.sign(&alice, &alice_keys)).await;
    assert_eq!(failed.unwrap(), "M_NOT_FOUND");
    let signed = ids.self_signing.sign(&alice, &alice_keys);
    assert_eq!(sign(&world, &alice, &alice, "A", &signed).await, None);
    let seen = world.query(&bob, "@alice:x").await;
    assert_eq!(seen["device_keys"]["@alice:x"]["A"]["signatures"], signed["signatures"]);
    world.upload(&alice, Some(&alice_keys), &json!({})).await.unwrap();
    let seen = world.query(&bob, "@alice:x").await;
    assert_eq!(seen["device_keys"]["@alice:x"]["A"]["signatures"], signed["signatures"], "an upload took it off");

    // The device signs the master key.
    let failed = sign(&world, &alice, &alice, &ids.master.public, &forger.sign(&alice, &ids.master_json)).await;
    assert_eq!(failed.unwrap(), "M_INVALID_SIGNATURE");
    let signed = alice_key.sign(&alice, &ids.master_json);
    assert_eq!(sign(&world, &alice, &alice, &ids.master.public, &signed).await, None);
    assert_eq!(world.query(&bob, "@alice:x").await["master_keys"]["@alice:x"], signed);

    // The user-signing key signs another's master key: for the signer's eyes.
    let public = &bobs.master.public;
    let before = world.snapshot().position();
    let failed = sign(&world, &alice, &bob, public, &ids.self_signing.sign(&alice, &bobs.master_json)).await;
    assert_eq!(failed.unwrap(), "M_INVALID_SIGNATURE");
    let failed = sign(&world, &alice, &bob, "B", &ids.user_signing.sign(&alice, &bobs.master_json)).await;
    assert_eq!(failed.unwrap(), "M_NOT_FOUND");
    for _ in 0..2 {
        let signed = ids.user_signing.sign(&alice, &bobs.master_json);
        assert_eq!(sign(&world, &alice, &bob, public, &signed).await, None);
    }
    let seen = world.query(&alice, "@bob:x").await;
    let wanted = ids.user_signing.sign(&alice, &bobs.master_json)["signatures"].clone();
    assert_eq!(seen["master_keys"]["@bob:x"]["signatures"], wanted);
    assert_eq!(seen["user_signing_keys"], json!({}));
    assert_eq!(world.query(&bob, "@bob:x").await["master_keys"]["@bob:x"]["signatures"], json!({}));
    let now = world.snapshot();
    assert_eq!(signed_users(&now, alice.user, before, now.position()).await.unwrap(), [bob.user]);
    assert_eq!(signed_users(&now, alice.user, Position::ZERO, now.position()).await.unwrap().len(), 1);

    // On a new master key the old signature is not shown.
    let _ = Identity::new(&bob).publish(&world, &bob, true).await;
    assert_eq!(world.query(&alice, "@bob:x").await["master_keys"]["@bob:x"]["signatures"], json!({}));
}

#[tokio::test]
async fn an_upload_brings_the_self_signing_keys_signature_along() {
    let world = World::new().await;
    let alice = world.log_in("alice", "A").await;
    let ids = Identity::new(&alice);
    let key = Key::new(Some("A"));
    let own = key.sign(&alice, &device_keys(&alice, &key));
    let both = ids.self_signing.sign(&alice, &own);
    let by_self_signing = format!("ed25519:{}", ids.self_signing.public);
    let shown = async || world.query(&alice, "@alice:x").await["device_keys"]["@alice:x"]["A"]["signatures"].clone();
    let upload = async |keys: &Value| {
        let before = world.snapshot().position();
        world.upload(&alice, Some(keys), &json!({})).await.unwrap();
        let now = world.snapshot();
        !changed_users(&now, before, now.position()).await.unwrap().is_empty()
    };

    assert!(upload(&both).await);
    assert_eq!(shown().await, own["signatures"], "nobody knows the key that signed");
    let _ = ids.publish(&world, &alice, false).await;
    let mut forged = both.clone();
    forged["signatures"]["@alice:x"][by_self_signing.as_str()] = own["signatures"]["@alice:x"]["ed25519:A"].clone();
    for wrong in [&forged, &Key::new(None).sign(&alice, &own)] {
        assert!(!upload(wrong).await);
        assert_eq!(shown().await, own["signatures"]);
    }

    assert!(upload(&both).await, "a new signature is news");
    assert_eq!(shown().await, both["signatures"]);
    assert!(!upload(&both).await);
    assert!(!upload(&own).await);
    assert_eq!(shown().await, both["signatures"], "an upload took it off");

    // What the self-signing key before this one has signed is worth nothing.
    let _ = Identity::new(&alice).publish(&world, &alice, true).await;
    let renewed = Key::new(Some("A"));
    let renewed_own = renewed.sign(&alice, &device_keys(&alice, &renewed));
    assert!(upload(&ids.self_signing.sign(&alice, &renewed_own)).await);
    assert_eq!(shown().await, renewed_own["signatures"]);
}
