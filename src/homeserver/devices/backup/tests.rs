//! Backups: which key stays, which version takes keys, what is counted.

use std::collections::BTreeMap;

use ruma::api::client::backup::RoomKeyBackup;
use ruma::{OwnedRoomId, RoomId};
use serde_json::{Value, json};

use super::super::tests::{World, errcode, raw};
use super::{Keys, Rooms};
use crate::error::Result;
use crate::schema::UserNum;

fn room(name: &str) -> OwnedRoomId {
    RoomId::parse(format!("!{name}:x")).unwrap()
}

fn key(verified: bool, index: u64, forwarded: u64) -> Value {
    json!({ "first_message_index": index, "forwarded_count": forwarded, "is_verified": verified,
        "session_data": { "a": "b" } })
}

fn rooms(keys: &[(&str, &str, Value)]) -> Rooms {
    let mut rooms = Rooms::new();
    for (name, session, key) in keys {
        let of_room = rooms.entry(room(name)).or_insert_with(|| RoomKeyBackup::new(BTreeMap::new()));
        of_room.sessions.insert((*session).to_owned(), raw(key));
    }
    rooms
}

fn body(algorithm: &str) -> Value {
    json!({ "algorithm": algorithm, "auth_data": { "public_key": "k" } })
}

struct Backups(World, UserNum);

impl Backups {
    async fn new() -> Self {
        let world = World::new().await;
        let user = world.log_in("alice", "A").await.user;
        Self(world, user)
    }

    async fn create(&self) -> String {
        self.0.devices.create_backup(self.1, &raw(&body("a"))).await.unwrap()
    }

    async fn put(&self, version: &str, keys: &[(&str, &str, Value)]) -> Result<Keys> {
        self.0.devices.put_backup_keys(self.1, version, &rooms(keys)).await
    }

    async fn get(&self, version: &str, name: &str, session: &str) -> Result<Value> {
        let key = self.0.devices.backup_key(self.1, version, &room(name), session).await?;
        Ok(serde_json::from_str(key.json().get()).unwrap())
    }
}

#[tokio::test]
async fn the_better_key_stays() {
    let backups = Backups::new().await;
    let version = backups.create().await;
    // From worst to best.
    let ranked = [
        key(false, 11, 6),
        key(false, 11, 5),
        key(false, 10, 6),
        key(false, 10, 5),
        key(true, 11, 5),
        key(true, 10, 6),
        key(true, 10, 5),
    ];
    for (worse, a) in ranked.iter().enumerate() {
        for (better, b) in ranked.iter().enumerate() {
            let session = format!("{worse}-{better}");
            let first = backups.put(&version, &[("r", &session, a.clone())]).await.unwrap();
            let second = backups.put(&version, &[("r", &session, b.clone())]).await.unwrap();
            assert_eq!(backups.get(&version, "r", &session).await.unwrap(), ranked[worse.max(better)]);
            assert_eq!(first.count, second.count);
            assert_eq!(first.etag != second.etag, better > worse, "the etag says whether something changed");
        }
    }
}

#[tokio::test]
async fn keys_are_counted_and_deleted_by_session_room_and_version() {
    let backups = Backups::new().await;
    let version = backups.create().await;
    let (devices, user) = (&backups.0.devices, backups.1);
    assert!(devices.backup_keys(user, &version).await.unwrap().is_empty());
    assert!(devices.backup_keys_of_room(user, &version, &room("r")).await.unwrap().is_empty());
    assert_eq!(errcode(backups.get(&version, "r", "1").await), "M_NOT_FOUND");
    let k = || key(true, 0, 0);
    let keys = [("r", "1", k()), ("r", "2", k()), ("q", "1", k()), ("q", "11", k()), ("p", "1", k())];
    let put = backups.put(&version, &keys).await.unwrap();
    assert_eq!(put.count, 5);
    assert_eq!(devices.backup_keys(user, &version).await.unwrap().len(), 3);
    assert_eq!(devices.backup_keys_of_room(user, &version, &room("r")).await.unwrap().len(), 2);

    let one = devices.delete_backup_key(user, &version, &room("q"), "1").await.unwrap();
    assert_eq!(one.count, 4);
    assert_ne!(one.etag, put.etag);
    assert_eq!(devices.delete_backup_key(user, &version, &room("q"), "1").await.unwrap(), one);
    assert!(backups.get(&version, "q", "11").await.is_ok());
    assert_eq!(devices.delete_backup_keys_of_room(user, &version, &room("r")).await.unwrap().count, 2);
    let info = devices.backup(user, &version).await.unwrap();
    assert_eq!(info.count, 2);
    assert_eq!(devices.delete_backup_keys(user, &version).await.unwrap().count, 0);
    assert!(devices.backup_keys(user, &version).await.unwrap().is_empty());
    assert_eq!(errcode(devices.delete_backup_keys(user, "9").await), "M_NOT_FOUND");
}

#[tokio::test]
async fn only_the_current_version_takes_keys() {
    let backups = Backups::new().await;
    let (devices, user) = (&backups.0.devices, backups.1);
    assert_eq!(errcode(devices.latest_backup(user).await), "M_NOT_FOUND");
    assert_eq!(errcode(backups.put("1", &[]).await), "M_NOT_FOUND");
    let first = backups.create().await;
    backups.put(&first, &[("r", "1", key(true, 0, 0))]).await.unwrap();
    let second = backups.create().await;
    assert_ne!(first, second);
    let keys = [("r", "2", key(true, 0, 0))];
    let refused = backups.put(&first, &keys).await.unwrap_err();
    let crate::Error::Matrix(refused) = refused else { panic!("{refused}") };
    assert_eq!(refused.status(), 403);
    assert_eq!(serde_json::to_value(&refused.kind).unwrap()["current_version"], json!(second));
    for unknown in ["9", "", "x", "01", "-1"] {
        assert_eq!(errcode(backups.put(unknown, &keys).await), "M_NOT_FOUND");
    }
    assert!(backups.get(&first, "r", "1").await.is_ok(), "older versions can be read");

    devices.delete_backup(user, &second).await.unwrap();
    devices.delete_backup(user, &second).await.unwrap();
    assert_eq!(errcode(devices.delete_backup(user, "9").await), "M_NOT_FOUND");
    assert_eq!(errcode(devices.backup(user, &second).await), "M_NOT_FOUND");
    assert_eq!(devices.latest_backup(user).await.unwrap().version, first);
    devices.delete_backup(user, &first).await.unwrap();
    assert_eq!(errcode(devices.latest_backup(user).await), "M_NOT_FOUND");
    assert_eq!(backups.create().await, "3", "a version is not given again");
    assert_eq!(errcode(backups.get(&first, "r", "1").await), "M_NOT_FOUND");
}

#[tokio::test]
async fn a_version_keeps_its_algorithm() {
    let backups = Backups::new().await;
    let (devices, user) = (&backups.0.devices, backups.1);
    let version = backups.create().await;
    let update = async |version: &str, body: Value| devices.update_backup(user, version, &raw(&body)).await;
    assert_eq!(errcode(update(&version, body("b")).await), "M_INVALID_PARAM");
    assert_eq!(errcode(update("9", body("a")).await), "M_NOT_FOUND");
    let mut named = body("a");
    named["version"] = json!("9");
    assert_eq!(errcode(update(&version, named.clone()).await), "M_INVALID_PARAM");
    named["version"] = json!(version);
    named["auth_data"] = json!({ "new": [1] });
    update(&version, named.clone()).await.unwrap();
    let info = devices.backup(user, &version).await.unwrap();
    let algorithm: Value = serde_json::from_str(info.algorithm.json().get()).unwrap();
    assert_eq!(algorithm, json!({ "algorithm": "a", "auth_data": { "new": [1] } }));
    assert_eq!(errcode(update(&version, json!({ "algorithm": "a" })).await), "M_MISSING_PARAM");
    assert_eq!(errcode(update(&version, json!({ "algorithm": "a", "auth_data": 7 })).await), "M_BAD_JSON");
}

#[tokio::test]
async fn malformed_keys_store_nothing() {
    let backups = Backups::new().await;
    let version = backups.create().await;
    let good = ("r", "1", key(true, 0, 0));
    for (wrong, code) in [
        (json!({}), "M_BAD_JSON"),
        (json!([]), "M_BAD_JSON"),
        (json!([0, 0, true, {}]), "M_BAD_JSON"),
        (key(true, 0, 0).as_object().map(|k| json!({ "is_verified": k["is_verified"] })).unwrap(), "M_BAD_JSON"),
        (
            json!({ "first_message_index": -1, "forwarded_count": 0, "is_verified": true, "session_data": {} }),
            "M_BAD_JSON",
        ),
        (
            json!({ "first_message_index": 0, "forwarded_count": 0, "is_verified": true, "session_data": "x" }),
            "M_BAD_JSON",
        ),
    ] {
        assert_eq!(errcode(backups.put(&version, &[good.clone(), ("r", "2", wrong)]).await), code);
    }
    let long = "s".repeat(256);
    assert_eq!(errcode(backups.put(&version, &[good, ("r", &long, key(true, 0, 0))]).await), "M_INVALID_PARAM");
    assert_eq!(backups.0.devices.backup(backups.1, &version).await.unwrap().count, 0);
}

#[tokio::test]
async fn clients_that_store_at_once_are_all_counted() {
    let backups = Backups::new().await;
    let version = backups.create().await;
    let sessions: Vec<_> = (0..10).map(|n| n.to_string()).collect();
    let mut last = 0;
    for session in &sessions {
        last = backups.put(&version, &[("r", session, key(true, 0, 0))]).await.unwrap().count;
    }
    assert_eq!(last, 10);
    let (one, other) = ([("q", "a", key(true, 0, 0))], [("q", "b", key(true, 0, 0))]);
    let (a, b) = tokio::join!(backups.put(&version, &one), backups.put(&version, &other));
    assert_eq!(a.unwrap().count.max(b.unwrap().count), 12);
}
