//! Which policy server a room has, and what its signature is worth.

use std::sync::Arc;

use ruma::signatures::{Ed25519KeyPair, sign_event};
use ruma::{CanonicalJsonObject, RoomVersionId, UserId, room_id, server_name};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

use super::{KEY_ID, PolicyServer};
use crate::canonical;
use crate::event::{self, Pdu, Setting, Template, rules};

const NAME: &str = "policy.example";

fn key(version: &str) -> Ed25519KeyPair {
    Ed25519KeyPair::from_der(&Ed25519KeyPair::generate(), version.to_owned()).unwrap()
}

fn named(via: &str, key: &Ed25519KeyPair, alphabet: impl Fn(String) -> String) -> PolicyServer {
    let key = alphabet(ruma::serde::Base64::<ruma::serde::base64::Standard, _>::new(key.public_key()).encode());
    PolicyServer::of(&to_raw_value(&json!({ "via": via, "public_keys": { "ed25519": key } })).unwrap()).unwrap()
}

fn event(kind: &str, state_key: Option<&str>, origin_key: &Ed25519KeyPair) -> (Arc<Pdu>, Box<str>) {
    let template = Template {
        sender: UserId::parse("@ann:policy.example").unwrap(),
        kind: kind.into(),
        state_key: state_key.map(ToOwned::to_owned),
        content: canonical::object(json!({ "body": "hi" })).unwrap(),
        redacts: None,
        origin_server_ts: ruma::MilliSecondsSinceUnixEpoch(1_u32.into()),
    };
    let rules = rules(&RoomVersionId::V11).unwrap();
    let room_id = Some(room_id!("!room:policy.example"));
    let setting = Setting { room_id, rules: &rules, prev_events: Vec::new(), auth_events: Vec::new(), depth: 1 };
    event::build(&template, &setting, server_name!("policy.example"), origin_key).unwrap()
}

/// What a policy server with this key answers about an event: its own signature alone.
fn answer(json: &str, key: &Ed25519KeyPair) -> CanonicalJsonObject {
    let mut event: CanonicalJsonObject = serde_json::from_str(json).unwrap();
    event.remove("signatures");
    sign_event(NAME, key, &mut event, &rules(&RoomVersionId::V11).unwrap().redaction).unwrap();
    let Some(ruma::CanonicalJsonValue::Object(signatures)) = event.remove("signatures") else {
        panic!("no signatures")
    };
    signatures
}

#[test]
fn a_content_names_one_or_none() {
    let of = |content: Value| PolicyServer::of(&to_raw_value(&content).unwrap());
    let valid = json!({ "via": NAME, "public_keys": { "ed25519": "6yhH", "ed448": "x" }, "more": 1 });
    assert_eq!(of(valid).unwrap().name, NAME);
    for invalid in [
        json!({}),
        json!({ "via": NAME }),
        json!({ "via": NAME, "public_keys": {} }),
        json!({ "via": NAME, "public_keys": { "ed25519": 1 } }),
        json!({ "via": NAME, "public_keys": "ed25519" }),
        json!({ "via": 7, "public_keys": { "ed25519": "6yhH" } }),
        json!({ "via": "no name", "public_keys": { "ed25519": "6yhH" } }),
    ] {
        assert_eq!(of(invalid.clone()), None, "{invalid}");
    }
}

#[test]
fn it_is_not_asked_about_itself_alone() {
    let origin = key("1");
    let asked = |kind, state_key| PolicyServer::is_asked_about(&event(kind, state_key, &origin).0);
    assert!(!asked("m.room.policy", Some("")));
    assert!(asked("m.room.policy", None) && asked("m.room.policy", Some("x")));
    assert!(asked("m.room.message", None) && asked("m.room.topic", Some("")));
}

#[test]
fn its_signature_stands_beside_the_others_and_leaves_the_id_as_it_is() {
    let rules = rules(&RoomVersionId::V11).unwrap();
    let (origin, own) = (key("1"), key("policy_server"));
    let (pdu, json) = event("m.room.message", None, &origin);
    let server = named(NAME, &own, |key| key);
    assert!(!server.has_signed(&json, &rules), "the origin has the same name, and another key");
    let signed = server.sign(&json, &answer(&json, &own)).unwrap().unwrap();
    assert!(server.has_signed(&signed, &rules));
    assert!(named(NAME, &own, |key| key.replace('+', "-").replace('/', "_")).has_signed(&signed, &rules));
    let object: CanonicalJsonObject = serde_json::from_str(&signed).unwrap();
    assert_eq!(event::event_id(&object, &rules).unwrap(), pdu.event_id);
    let ids: Vec<_> = crate::signed::signatures_of(&object, NAME).into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, ["ed25519:1", KEY_ID]);

    // What a redaction takes away is not signed; all else is.
    let redacted = event::redacted(&signed, &rules).unwrap();
    assert!(server.has_signed(&redacted, &rules));
    assert!(!server.has_signed(&signed.replace("@ann", "@eve"), &rules));
    // Another key, another name, no key.
    assert!(!named(NAME, &key("policy_server"), |key| key).has_signed(&signed, &rules));
    assert!(!named("other.example", &own, |key| key).has_signed(&signed, &rules));
    assert!(!named(NAME, &own, |_| "none".to_owned()).has_signed(&signed, &rules));
    assert!(!server.has_signed("nonsense", &rules));
    // A new signature goes in the place of one that was wrong.
    let wrong = server.sign(&json, &answer(&json, &key("policy_server"))).unwrap().unwrap();
    assert!(!server.has_signed(&wrong, &rules));
    assert_eq!(server.sign(&wrong, &answer(&json, &own)).unwrap().unwrap(), signed);
}

#[test]
fn an_answer_without_its_signature_is_none() {
    let (_, json) = event("m.room.message", None, &key("1"));
    let own = key("policy_server");
    let server = named(NAME, &own, |key| key);
    for answer in [
        json!({}),
        json!({ "other.example": { KEY_ID: "abc" } }),
        json!({ NAME: { "ed25519:1": "abc" } }),
        json!({ NAME: { KEY_ID: 1 } }),
        json!({ NAME: [] }),
    ] {
        let answer = canonical::object(answer).unwrap();
        assert_eq!(server.sign(&json, &answer).unwrap(), None);
    }
}
