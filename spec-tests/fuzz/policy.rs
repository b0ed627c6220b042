//! Policy servers: what one answers changes nothing of an event but its signatures, and what it signs it has signed.
//!
//! The first line is the content of an `m.room.policy`, the second an event, the third what the policy server answers.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use matron_matrix::event::{ROOM_VERSIONS, event_id, rules};
use matron_matrix::policy::{KEY_ID, PolicyServer};
use matron_matrix::{canonical, signed};
use ruma::serde::Base64;
use ruma::signatures::{Ed25519KeyPair, sign_event};
use ruma::{CanonicalJsonObject, CanonicalJsonValue};
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

static PAIR: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::from_der(&Ed25519KeyPair::generate(), "policy_server".to_owned()).expect("a key"));

/// The policy server of this name that has our key.
fn ours(name: &str) -> PolicyServer {
    let key = Base64::<ruma::serde::base64::Standard>::new(PAIR.public_key().to_vec()).encode();
    let content = json!({ "via": name, "public_keys": { "ed25519": key } });
    PolicyServer::of(&to_raw_value(&content).expect("a content can be written")).expect("it is a policy server's")
}

fuzz_target!(|input: (u8, &str)| {
    let (version, input) = input;
    let rules = rules(&ROOM_VERSIONS[usize::from(version) % ROOM_VERSIONS.len()]).expect("a served version");
    let mut lines = input.splitn(3, '\n');
    let [content, event, answer] = std::array::from_fn(|_| lines.next().unwrap_or_default());
    let Ok(content) = serde_json::from_str::<&RawValue>(content) else { return };
    let Some(policy) = PolicyServer::of(content) else { return };
    let name = policy.name.as_str();
    let Ok(event) = canonical::parse_object(event.as_bytes()) else { return };
    let Ok(id) = event_id(&event, &rules) else { return };
    let Ok(json) = canonical::to_event_json(&event) else { return };
    let _ = policy.has_signed(&json, &rules);

    if let Ok(answer) = canonical::parse_object(answer.as_bytes())
        && let Ok(Some(signed)) = policy.sign(&json, &answer)
    {
        let signed: CanonicalJsonObject = serde_json::from_str(&signed).expect("an event is JSON");
        assert!(signed::same(&signed, &event), "it signs, and changes nothing");
        assert_eq!(event_id(&signed, &rules).expect("it is an event still"), id);
        let own = answer.get(name).and_then(CanonicalJsonValue::as_object).expect("it answers by its own name");
        let signature = own.get(KEY_ID).and_then(CanonicalJsonValue::as_str);
        assert!(signature.is_some() && signed::signature(&signed, name, KEY_ID) == signature);
    }

    let mut signed = event;
    signed.remove("signatures");
    if sign_event(name, &*PAIR, &mut signed, &rules.redaction).is_ok() {
        let Some(CanonicalJsonValue::Object(answer)) = signed.remove("signatures") else { panic!("it has none") };
        let ours = ours(name);
        if let Ok(signed) = ours.sign(&json, &answer) {
            assert!(ours.has_signed(&signed.expect("there is a signature"), &rules), "what is signed is signed");
        }
    }
});
