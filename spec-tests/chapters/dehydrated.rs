//! Dehydrated devices (MSC3814): laid down, written to, and taken over.

use ruma::CanonicalJsonObject;
use ruma::serde::Base64;
use ruma::signatures::{Ed25519KeyPair, sign_json};
use serde_json::{Value, json};
use spec_tests::User;

use crate::{run, server};

const PATH: &str = "/unstable/org.matrix.msc3814.v1/dehydrated_device";
/// An Ed25519 and a Curve25519 public key: their form is all that the server looks at.
const KEY: &str = "JGLn/yafz74HB2AbPLYJWIVGnKAtqECOBf11yyXac2Y";

fn device(user: &User, id: &str) -> Value {
    let keys = json!({ (format!("ed25519:{id}").as_str()): KEY, (format!("curve25519:{id}").as_str()): KEY });
    json!({
        "device_id": id,
        "initial_device_display_name": "Asleep",
        "device_data": { "algorithm": "org.matrix.msc3814.v2", "device_pickle": "xxx", "nonce": "n" },
        "device_keys": { "user_id": user.id, "device_id": id, "algorithms": ["m.megolm.v1.aes-sha2"],
            "keys": keys, "signatures": {}, "dehydrated": true },
        "one_time_keys": { "signed_curve25519:AAA": { "key": KEY, "signatures": {} } },
    })
}

#[test]
fn a_device_sleeps_and_is_written_to() {
    run(async {
        let server = server().await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        ann.get(PATH).await.refused(404, "M_NOT_FOUND");
        ann.delete(PATH, json!({})).await.refused(404, "M_NOT_FOUND");
        assert_eq!(ann.put(PATH, device(&ann, "ONE")).await.ok(), json!({ "device_id": "ONE" }));
        assert_eq!(ann.put(PATH, device(&ann, "TWO")).await.ok(), json!({ "device_id": "TWO" }));
        let there = ann.get(PATH).await.ok();
        assert_eq!((&there["device_id"], &there["device_data"]["device_pickle"]), (&json!("TWO"), &json!("xxx")));
        bob.get(PATH).await.refused(404, "M_NOT_FOUND");

        let query = bob.post("/v3/keys/query", json!({ "device_keys": { (ann.id.as_str()): [] } })).await.ok();
        let devices = &query["device_keys"][&ann.id];
        assert_eq!((&devices["TWO"]["dehydrated"], devices.get("ONE")), (&json!(true), None), "{query}");
        let claim = json!({ "one_time_keys": { (ann.id.as_str()): { "TWO": "signed_curve25519" } } });
        let claimed = bob.post("/v3/keys/claim", claim).await.ok();
        assert_eq!(claimed["one_time_keys"][&ann.id]["TWO"]["signed_curve25519:AAA"]["key"], KEY);

        for nth in 0..150 {
            let message = json!({ "messages": { (ann.id.as_str()): { "TWO": { "nth": nth } } } });
            let _ = bob.put(&format!("/v3/sendToDevice/m.test/{nth}"), message).await.ok();
        }
        let events = format!("{PATH}/TWO/events");
        // Whoever took the first of them may have been lost on the way: another one begins anew, and misses nothing.
        for taker in [&ann, &ann.log_in_again().await] {
            let (mut told, mut next) = (Vec::new(), json!({}));
            loop {
                let page = taker.post(&events, next).await.ok();
                let page_events = page["events"].as_array().unwrap();
                if page_events.is_empty() {
                    break;
                }
                assert!(page_events.len() <= 100);
                told.extend(page_events.iter().map(|event| event["content"]["nth"].as_u64().unwrap()));
                next = json!({ "next_batch": page["next_batch"] });
            }
            assert_eq!(told, (0..150).collect::<Vec<_>>());
        }
        bob.post(&events, json!({})).await.refused(403, "M_FORBIDDEN");
        ann.post(&format!("{PATH}/ONE/events"), json!({})).await.refused(403, "M_FORBIDDEN");

        assert_eq!(ann.delete(PATH, json!({})).await.ok(), json!({ "device_id": "TWO" }));
        ann.get(PATH).await.refused(404, "M_NOT_FOUND");
        let query = bob.post("/v3/keys/query", json!({ "device_keys": { (ann.id.as_str()): [] } })).await.ok();
        assert_eq!(query["device_keys"][&ann.id], json!({}), "{query}");
    });
}

/// A key that signs, and its public part.
struct Key {
    pair: Ed25519KeyPair,
    public: String,
}

impl Key {
    /// A key named by a device, or (without a name) by itself.
    fn new(name: Option<&str>) -> Self {
        let der = Ed25519KeyPair::generate();
        let unnamed = Ed25519KeyPair::from_der(&der, "unnamed".to_owned()).unwrap();
        let public: Base64<ruma::serde::base64::Standard, _> = Base64::new(unnamed.public_key().to_vec());
        let public = public.encode();
        let name = name.unwrap_or(&public).to_owned();
        Self { pair: Ed25519KeyPair::from_der(&der, name).unwrap(), public }
    }

    fn sign(&self, user: &User, value: &Value) -> Value {
        let mut object: CanonicalJsonObject = serde_json::from_value(value.clone()).unwrap();
        sign_json(&user.id, &self.pair, &mut object).unwrap();
        serde_json::to_value(object).unwrap()
    }

    fn of_user(&self, user: &User, usage: &str) -> Value {
        let keys = json!({ (format!("ed25519:{}", self.public).as_str()): self.public });
        json!({ "user_id": user.id, "usage": [usage], "keys": keys })
    }
}

#[test]
fn a_sleeping_device_is_as_verified_as_its_user_laid_it_down() {
    run(async {
        let server = server().await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let (master, own, asleep) = (Key::new(None), Key::new(None), Key::new(Some("ONE")));
        let keys = json!({
            "master_key": master.of_user(&ann, "master"),
            "self_signing_key": master.sign(&ann, &own.of_user(&ann, "self_signing")),
        });
        let _ = ann.post("/v3/keys/device_signing/upload", keys).await.ok();
        let mut laid_down = device(&ann, "ONE");
        laid_down["device_keys"]["keys"]["ed25519:ONE"] = json!(asleep.public);
        // As the clients' SDK does: both signatures come in the one request.
        laid_down["device_keys"] = own.sign(&ann, &asleep.sign(&ann, &laid_down["device_keys"]));
        let signatures = laid_down["device_keys"]["signatures"].clone();
        assert_eq!(signatures[&ann.id].as_object().unwrap().len(), 2);
        for _ in 0..2 {
            let _ = ann.put(PATH, laid_down.clone()).await.ok();
            let query = bob.post("/v3/keys/query", json!({ "device_keys": { (ann.id.as_str()): [] } })).await.ok();
            assert_eq!(query["device_keys"][&ann.id]["ONE"]["signatures"], signatures, "{query}");
        }
    });
}

#[test]
fn a_sleeping_device_is_no_other_one() {
    run(async {
        let ann = server().await.user("ann").await;
        let own = ann.device_id.clone();
        ann.put(PATH, device(&ann, &own)).await.refused(400, "M_INVALID_PARAM");
        let mut foreign = device(&ann, "ONE");
        foreign["device_keys"]["user_id"] = json!("@bob:localhost");
        ann.put(PATH, foreign).await.refused(400, "M_INVALID_PARAM");
        let mut large = device(&ann, "ONE");
        large["device_data"]["device_pickle"] = json!("x".repeat(300 << 10));
        ann.put(PATH, large).await.refused(413, "M_TOO_LARGE");
        ann.get(PATH).await.refused(404, "M_NOT_FOUND");
        // Deleted like any other device, it is gone.
        let _ = ann.put(PATH, device(&ann, "ONE")).await.ok();
        let asked = ann.delete("/v3/devices/ONE", json!({})).await;
        let proof = ann.proof(&asked.body["session"]);
        let _ = ann.delete("/v3/devices/ONE", json!({ "auth": proof })).await.ok();
        ann.get(PATH).await.refused(404, "M_NOT_FOUND");
    });
}

#[test]
fn whoever_logs_in_on_a_sleeping_device_is_logged_out_like_anybody() {
    run(async {
        let server = server().await;
        let ann = server.user("ann").await;
        let _ = ann.put(PATH, device(&ann, "ONE")).await.ok();
        let mut log_in = ann.proof(&Value::Null);
        log_in["device_id"] = json!("ONE");
        let thief = ann.post("/v3/login", log_in).await.ok();
        let thief = User::with_token(&server.url, &ann.id, thief["access_token"].as_str().unwrap(), "ONE");
        // The device is awake: none is asleep that could be deleted, or be laid down anew, under whoever is logged in on it.
        thief.get(PATH).await.refused(404, "M_NOT_FOUND");
        thief.delete(PATH, json!({})).await.refused(404, "M_NOT_FOUND");
        thief.put(PATH, device(&ann, "ONE")).await.refused(400, "M_INVALID_PARAM");
        assert_eq!(ann.put(PATH, device(&ann, "TWO")).await.ok(), json!({ "device_id": "TWO" }));
        assert_eq!(thief.get("/v3/account/whoami").await.ok()["device_id"], "ONE");
        let _ = ann.post("/v3/logout/all", json!({})).await.ok();
        for gone in [&ann, &thief] {
            gone.get("/v3/account/whoami").await.refused(401, "M_UNKNOWN_TOKEN");
        }
    });
}
