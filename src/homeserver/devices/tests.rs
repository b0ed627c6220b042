//! Devices and their keys as clients use them, and as somebody who lies would.

mod claiming;
mod crossing;
mod forgetting;
mod messages;
mod uploading;

use std::collections::BTreeMap;
use std::sync::Arc;

use matron_storage::{Batch, Options, Snapshot, Store};
use ruma::encryption::{CrossSigningKey, DeviceKeys, OneTimeKey};
use ruma::serde::{Base64, Raw};
use ruma::signatures::{Ed25519KeyPair, sign_json};
use ruma::{CanonicalJsonObject, OneTimeKeyAlgorithm, OneTimeKeyId, OwnedOneTimeKeyId, UserId};
use serde_json::{Value, json};

use super::{CrossSigningKeys, Devices, KeyCounts};
use crate::accounts::Session;
use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::ids::Ids;
use crate::schema::accounts::{ACCOUNTS, Account, AccountKind};
use crate::schema::devices::{DEVICES, Device};
use crate::streams::Streams;

pub(super) struct World {
    pub store: Arc<Store>,
    pub streams: Arc<Streams>,
    pub ids: Arc<Ids>,
    pub devices: Arc<Devices>,
}

pub(super) struct Key {
    pair: Ed25519KeyPair,
    pub public: String,
}

impl Key {
    /// A key named by a device, or (without a name) by itself.
    pub fn new(name: Option<&str>) -> Self {
        let der = Ed25519KeyPair::generate();
        let encode = |pair: &Ed25519KeyPair| {
            Base64::<ruma::serde::base64::Standard, _>::new(pair.public_key().to_vec()).encode()
        };
        let unnamed = Ed25519KeyPair::from_der(&der, "x".to_owned()).unwrap();
        let public = encode(&unnamed);
        let name = name.map_or_else(|| public.clone(), ToOwned::to_owned);
        Self { pair: Ed25519KeyPair::from_der(&der, name).unwrap(), public }
    }

    pub fn sign(&self, user: &Session, value: &Value) -> Value {
        let mut object: CanonicalJsonObject = serde_json::from_value(value.clone()).unwrap();
        sign_json(user.user_id.as_str(), &self.pair, &mut object).unwrap();
        serde_json::to_value(object).unwrap()
    }
}

pub(super) fn raw<T>(value: &Value) -> Raw<T> {
    Raw::from_json_string(value.to_string()).unwrap()
}

pub(super) fn errcode<T: std::fmt::Debug>(result: Result<T>) -> String {
    match result {
        Err(Error::Matrix(error)) => error.kind.errcode().to_string(),
        other => panic!("no refusal: {other:?}"),
    }
}

impl World {
    pub async fn new() -> Self {
        let (streams, _) = Streams::new(1);
        let store = Arc::new(Store::open(&Options::memory(), Arc::<Streams>::clone(&streams)).unwrap());
        let ids = Arc::new(Ids::open(Arc::clone(&store)).await.unwrap());
        let config = Arc::new(Config::named(ruma::OwnedServerName::try_from("x").unwrap()));
        let ground = (Arc::clone(&store), Arc::clone(&streams), Arc::clone(&ids));
        let devices = Devices::new(ground, Clock::by(|| 1_000), config);
        Self { store, streams, ids, devices: Arc::new(devices) }
    }

    pub fn snapshot(&self) -> Snapshot {
        self.store.snapshot()
    }

    /// A device, and an account where there is none yet.
    pub async fn log_in(&self, name: &str, device_id: &str) -> Session {
        let user_id = UserId::parse(format!("@{name}:x")).unwrap();
        let user = self.ids.user(&user_id).await.unwrap();
        let device = self.ids.new_device().await.unwrap();
        let mut batch = Batch::new();
        let account = Account {
            kind: AccountKind::User,
            password: None,
            admin: false,
            deactivated: false,
            erased: false,
            locked: false,
            suspended: false,
            created: 0,
        };
        batch.put(&ACCOUNTS, &user, &account);
        let row = Device { num: device, display_name: Some(format!("{name}'s \"{device_id}\"")), created: 0 };
        batch.put(&DEVICES, &(user, device_id.to_owned()), &row);
        self.devices.note_change(&mut batch, &self.snapshot(), user).await.unwrap();
        self.store.commit(batch).await.unwrap();
        Session {
            user_id,
            user,
            device_id: device_id.into(),
            device,
            guest: false,
            admin: false,
            suspended: false,
            rate_limit: None,
        }
    }

    pub async fn upload(&self, session: &Session, keys: Option<&Value>, one_time: &Value) -> Result<KeyCounts> {
        let keys: Option<Raw<DeviceKeys>> = keys.map(raw);
        self.devices.upload(session, keys.as_ref(), &ids(one_time), &BTreeMap::new()).await
    }

    pub async fn upload_fallback(&self, session: &Session, fallback: &Value) -> Result<KeyCounts> {
        self.devices.upload(session, None, &BTreeMap::new(), &ids(fallback)).await
    }

    /// Uploads signed device keys.
    pub async fn with_keys(&self, session: &Session) -> (Key, Value) {
        let key = Key::new(Some(session.device_id.as_str()));
        let keys = key.sign(session, &device_keys(session, &key));
        self.upload(session, Some(&keys), &json!({})).await.unwrap();
        (key, keys)
    }

    pub async fn query(&self, asker: &Session, user: &str) -> Value {
        let user = UserId::parse(user).unwrap();
        let answer = self.devices.query(asker, BTreeMap::from([(user, vec![])])).await.unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    pub async fn claim(&self, owner: &Session, algorithm: &str) -> Value {
        let algorithm = OneTimeKeyAlgorithm::from(algorithm);
        let device = BTreeMap::from([(owner.device_id.clone(), algorithm)]);
        let answer = self.devices.claim(BTreeMap::from([(owner.user_id.clone(), device)])).await.unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    /// The id of the key that is handed out.
    pub async fn claim_id(&self, owner: &Session) -> Option<String> {
        let answer = self.claim(owner, "signed_curve25519").await;
        let keys = answer["one_time_keys"][owner.user_id.as_str()][owner.device_id.as_str()].as_object()?;
        assert_eq!(keys.len(), 1);
        keys.keys().next().cloned()
    }
}

pub(super) fn device_keys(session: &Session, key: &Key) -> Value {
    let id = &session.device_id;
    json!({
        "user_id": session.user_id, "device_id": id, "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
        "keys": { format!("ed25519:{id}"): key.public, format!("curve25519:{id}"): "A".repeat(43) },
    })
}

pub(super) fn one_time(numbers: std::ops::Range<usize>) -> Value {
    let keys = numbers.map(|n| (format!("signed_curve25519:{n:03}"), one_time_key(&n.to_string())));
    Value::Object(keys.collect())
}

pub(super) fn one_time_key(key: &str) -> Value {
    json!({ "key": key, "signatures": {} })
}

fn ids(keys: &Value) -> BTreeMap<OwnedOneTimeKeyId, Raw<OneTimeKey>> {
    let keys = keys.as_object().unwrap();
    keys.iter().map(|(id, key)| (OneTimeKeyId::parse(id.as_str()).unwrap(), raw(key))).collect()
}

pub(super) fn cross_signing_key(session: &Session, key: &Key, usage: &str) -> Value {
    json!({ "user_id": session.user_id, "usage": [usage], "keys": { format!("ed25519:{}", key.public): key.public } })
}

pub(super) fn cross_signing_keys(
    session: &Session,
    master: Option<&Value>,
    self_signing: Option<&Value>,
    user_signing: Option<&Value>,
) -> Result<CrossSigningKeys> {
    let [master, self_signing, user_signing] =
        [master, self_signing, user_signing].map(|key| key.map(raw::<CrossSigningKey>));
    Ok(CrossSigningKeys::parse(&session.user_id, master.as_ref(), self_signing.as_ref(), user_signing.as_ref())?)
}
