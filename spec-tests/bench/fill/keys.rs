//! Device keys, cross-signing keys and one-time keys, signed as clients sign them.

use std::sync::Arc;

use matron_homeserver::Homeserver;
use matron_homeserver::accounts::Session;
use matron_homeserver::devices::CrossSigningKeys;
use ruma::serde::{Base64, Raw};
use ruma::signatures::{Ed25519KeyPair, sign_json};
use ruma::{CanonicalJsonObject, OneTimeKeyId};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::world::Person;

/// A key pair, named by a device or by its own public key.
struct Key {
    pair: Ed25519KeyPair,
    public: String,
}

impl Key {
    fn new(name: Option<&str>) -> Self {
        let der = Ed25519KeyPair::generate();
        let unnamed = Ed25519KeyPair::from_der(&der, "unnamed".to_owned()).unwrap();
        let public: Base64<ruma::serde::base64::Standard, _> = Base64::new(unnamed.public_key().to_vec());
        let public = public.encode();
        let name = name.unwrap_or(&public).to_owned();
        Self { pair: Ed25519KeyPair::from_der(&der, name).unwrap(), public }
    }

    fn sign<T>(&self, person: &Session, value: Value) -> Raw<T> {
        let mut object: CanonicalJsonObject = serde_json::from_value(value).unwrap();
        sign_json(person.user_id.as_str(), &self.pair, &mut object).unwrap();
        Raw::from_json_string(serde_json::to_string(&object).unwrap()).unwrap()
    }
}

/// Publishes keys for each of them: a device signed by itself and by its owner, three cross-signing keys, one-time keys.
pub async fn publish(server: &Arc<Homeserver>, people: &[Person], one_time: usize) {
    let mut begun = JoinSet::new();
    for person in people {
        let (server, person) = (Arc::clone(server), person.clone());
        begun.spawn(async move {
            let session = server.accounts.authenticate(&person.token).await.unwrap();
            of_one(&server, &session, one_time).await;
        });
    }
    begun.join_all().await;
}

async fn of_one(server: &Homeserver, session: &Session, one_time: usize) {
    let (user, id) = (&session.user_id, &session.device_id);
    let [device, master, own, users] = [Some(id.as_str()), None, None, None].map(Key::new);
    let keys = json!({
        "user_id": user, "device_id": id, "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
        "keys": { format!("ed25519:{id}"): device.public, format!("curve25519:{id}"): Key::new(None).public },
    });
    let mut claimable = std::collections::BTreeMap::new();
    for nth in 0..one_time {
        let key_id = OneTimeKeyId::parse(format!("signed_curve25519:AAAA{nth:02}").as_str()).unwrap();
        claimable.insert(key_id, device.sign(session, json!({ "key": device.public })));
    }
    let fallback = std::collections::BTreeMap::new();
    let devices = &server.devices;
    let signed = device.sign(session, keys.clone());
    devices.upload(session, Some(&signed), &claimable, &fallback).await.unwrap();

    let cross = |usage: &str, key: &Key| json!({ "user_id": user, "usage": [usage], "keys": { format!("ed25519:{}", key.public): key.public } });
    // The master key signs itself in no client, but the device signs it; it signs the two others.
    let master_key = device.sign(session, cross("master", &master));
    let [own_key, users_key] =
        [("self_signing", &own), ("user_signing", &users)].map(|(usage, key)| master.sign(session, cross(usage, key)));
    let published = CrossSigningKeys::parse(user, Some(&master_key), Some(&own_key), Some(&users_key)).unwrap();
    let done = devices.publish(session, &published, false).await.unwrap();
    assert_eq!(done, matron_homeserver::devices::Published::Done);

    let by_owner: Raw<Value> = own.sign(session, keys);
    let upload = json!({ user.as_str(): { id.as_str(): by_owner } });
    let failures = devices.sign(session, &serde_json::from_value(upload).unwrap()).await.unwrap();
    assert!(failures.is_empty(), "{failures:?}");
}
