//! PDUs of all room versions: parsed, hashed, redacted, signed, verified, shown, and judged by a state of further PDUs.
//!
//! The first line is the event, the others are state events.
#![no_main]

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use matron_matrix::event::{Pdu, ROOM_VERSIONS, event_id, redacted, rules};
use matron_matrix::push::{EventFacts, class_of, mentioned};
use matron_matrix::resolve::authority;
use matron_matrix::{authorize, canonical, client_event, power, signed};
use ruma::serde::Base64;
use ruma::signatures::{Ed25519KeyPair, PublicKeyMap, hash_and_sign_event, verify_event};

static PAIR: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::from_der(&Ed25519KeyPair::generate(), "1".to_owned()).expect("a key"));

fuzz_target!(|input: (u8, &str)| {
    let (version, input) = input;
    let rules = rules(&ROOM_VERSIONS[usize::from(version) % ROOM_VERSIONS.len()]).expect("a served version");
    let mut lines = input.split('\n').take(4);
    let first = lines.next().unwrap_or_default();
    let Ok(object) = canonical::parse_object(first.as_bytes()) else { return };
    let Ok(id) = event_id(&object, &rules) else { return };
    let Ok(json) = canonical::to_event_json(&object) else { return };

    let pruned = redacted(&json, &rules);
    if let Ok(pruned) = &pruned {
        assert_eq!(redacted(pruned, &rules).expect("what was pruned can be"), *pruned);
        let object = canonical::parse_object(pruned.as_bytes()).expect("what was pruned is JSON");
        assert_eq!(event_id(&object, &rules).expect("it keeps its hash"), id, "a redaction keeps the id");
    }

    let Ok(pdu) = Pdu::parse(id.clone(), &json) else { return };
    let (mut shown, mut stripped) = (String::new(), String::new());
    client_event::write(&mut shown, &json, id.as_str(), Some("!r:x"), None).expect("what rules can read, clients can");
    client_event::write_stripped(&mut stripped, &json).expect("so can those outside");
    for text in [&*shown, &*stripped, client_event::content(&json).expect("it has a content")] {
        serde_json::from_str::<serde_json::Value>(text).expect("what is put together by its bytes is JSON");
    }
    let _ = client_event::only_fields(&shown, &["content.body".to_owned(), "content.a\\.b".to_owned()]);
    let pruned = pruned.expect("an event can be redacted");
    Pdu::parse(id, &pruned).expect("and is one still");
    let kind = pdu.kind.to_string();
    let state_key = pdu.state_key.as_deref();
    let facts = EventFacts { kind: &kind, state_key, content: &pdu.content, joined: 2, may_notify_room: true };
    let _ = (class_of(&facts), mentioned(&pdu.content), authority(&pdu));

    let state: HashMap<_, _> = lines
        .filter_map(|line| {
            let object = canonical::parse_object(line.as_bytes()).ok()?;
            let pdu = Pdu::parse(event_id(&object, &rules).ok()?, line).ok()?;
            Some(((pdu.kind.to_string(), pdu.state_key.clone()?), Arc::new(pdu)))
        })
        .collect();
    let _ = authorize::auth_types_of(&pdu, &rules.authorization);
    let _ = authorize::check_auth_events(&rules.authorization, &pdu, |id| {
        state.values().find(|event| event.event_id == id).cloned()
    });
    let _ = authorize::check_state(&rules.authorization, &pdu, |kind, key| {
        state.get(&(kind.to_string(), key.to_owned())).cloned()
    });
    let at = |kind: &str| state.get(&(kind.to_owned(), String::new()));
    if let Some(create) = at("m.room.create") {
        let _ = power::levels(create, at("m.room.power_levels").map(|pdu| &**pdu), &rules.authorization);
    }

    let mut own = object;
    own.remove("signatures");
    let server = pdu.sender.server_name().as_str();
    if hash_and_sign_event(server, &*PAIR, &mut own, &rules.redaction).is_ok() {
        let mut keys = PublicKeyMap::new();
        let key = Base64::new(PAIR.public_key().to_vec());
        keys.entry(server.to_owned()).or_default().insert("ed25519:1".to_owned(), key.clone());
        let _ = verify_event(&keys, &own, &rules);
        let text = |value: &ruma::CanonicalJsonObject| serde_json::to_string(value).expect("an object can be written");
        let pruned = redacted(&text(&own), &rules).expect("an event can be redacted");
        let pruned = canonical::parse_object(pruned.as_bytes()).expect("what was pruned is JSON");
        signed::verify(&pruned, server, "ed25519:1", &key.encode()).expect("a signature holds over the pruned event");
    }
});
