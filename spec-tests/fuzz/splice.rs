//! JSON by its bytes: taken apart and put together without a parser, it is what a parser makes of it. Nothing panics.
//!
//! The first line is a text, for names and strings; what follows is JSON, be it an event's.
#![no_main]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use matron_matrix::client_event::{Unsigned, content, write, write_stripped, write_whole};
use matron_matrix::event::{Pdu, ROOM_VERSIONS, Setting, Template, build, event_id, redacted, rules};
use matron_matrix::splice::{List, Members, Object, member, push_text, text};
use matron_matrix::{canonical, signed};
use ruma::serde::Base64;
use ruma::signatures::{Ed25519KeyPair, content_hash};
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, EventId, MilliSecondsSinceUnixEpoch, UInt, room_id, server_name, user_id,
};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// When events are shown, in milliseconds since 1970.
const NOW: u64 = 1_700_000_000_000;

static PAIR: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::from_der(&Ed25519KeyPair::generate(), "1".to_owned()).expect("a key"));

fn parsed(json: &str) -> Value {
    serde_json::from_str(json).expect("what is put together by its bytes is JSON")
}

fn to_json(object: &CanonicalJsonObject) -> String {
    serde_json::to_string(object).expect("an object can be written")
}

/// Whatever stands there can be walked over, and who finds no event in it appends nothing.
fn anything(json: &str, word: &str) {
    Members::of(json).count();
    let _ = (member(json, word), text(json), text(word), content(json));
    let writers: [fn(&mut String, &str) -> bool; 3] = [
        |out, json| write(out, json, "$id", None, None).is_ok(),
        |out, json| write_whole(out, json, "$id", &Unsigned::default()).is_ok(),
        |out, json| write_stripped(out, json).is_ok(),
    ];
    for writer in writers {
        let mut out = "before".to_owned();
        if !writer(&mut out, json) {
            assert_eq!(out, "before");
        }
    }
}

/// Texts are written and read as a parser does it.
fn texts(json: &str, word: &str) {
    let mut out = String::new();
    push_text(&mut out, word);
    assert_eq!(out, serde_json::to_string(word).expect("a text can be written"));
    assert_eq!(text(&out).as_deref(), Some(word));
    let json = json.trim();
    if let Ok(expected) = serde_json::from_str::<String>(json) {
        assert_eq!(text(json).map(Cow::into_owned), Some(expected));
    }
}

/// An object's members are those that a parser finds, each as it stands there, and are the same put together again.
fn members(json: &str) {
    let Ok(whole) = serde_json::from_str::<Value>(json) else { return };
    let Ok(expected) = serde_json::from_str::<BTreeMap<String, &RawValue>>(json) else {
        assert_eq!(Members::of(json).count(), 0, "what is no object has no members");
        return;
    };
    let (mut found, mut values) = (BTreeMap::new(), Vec::new());
    let (mut out, mut list) = (String::new(), List::default());
    let mut object = Object::begin(&mut out);
    for (name, value) in Members::of(json) {
        assert!(member(json, name).is_some());
        let name: String = serde_json::from_str(&format!("\"{name}\"")).expect("a name is a text");
        object.named(&name).push_str(value);
        list.push(value);
        if value.starts_with('"') {
            texts(value, &name);
        }
        values.push(value);
        found.insert(name, value);
    }
    object.end();
    let expected: BTreeMap<_, _> = expected.into_iter().map(|(name, value)| (name, value.get())).collect();
    assert_eq!(found, expected);
    assert_eq!(parsed(&out), whole);

    let raw = list.to_raw().expect("a list is JSON");
    assert_eq!(raw.iter().map(|value| value.get()).collect::<Vec<_>>(), values);
    let mut array = String::new();
    list.write(&mut array);
    assert_eq!(parsed(&array), values.into_iter().map(parsed).collect::<Value>());
}

/// What clients are shown of an event is what a parser would make of it.
fn shown(object: &CanonicalJsonObject, word: &str) {
    let json = to_json(object);
    let event = parsed(&json);
    let part = |name: &str| event.get(name).filter(|value| !value.is_null()).cloned();
    let parts = |names: &[&str]| -> Map<String, Value> {
        names.iter().filter_map(|name| Some(((*name).to_owned(), part(*name)?))).collect()
    };
    let is_event = ["content", "origin_server_ts", "sender", "type"].into_iter().all(|name| part(name).is_some());

    let unsigned = Unsigned {
        now: Some(NOW),
        membership: Some("join"),
        prev_content: Some(json.as_str().into()),
        prev_sender: Some(word.to_owned()),
        replaces_state: Some(word.to_owned()),
        redacted_because: Some(json.clone()),
        transaction_id: Some(word.to_owned()),
        relations: Some(RawValue::from_string(json.clone()).expect("JSON")),
    };
    let mut told = json!({
        "membership": "join", "prev_content": event, "prev_sender": word, "replaces_state": word,
        "redacted_because": event, "transaction_id": word, "m.relations": event,
    });
    if let Some(sent) = event["origin_server_ts"].as_u64() {
        told["age"] = NOW.saturating_sub(sent).into();
    }

    let mut out = String::new();
    assert_eq!(write(&mut out, &json, word, Some(word), Some(&unsigned)).is_ok(), is_event);
    if is_event {
        let mut expected = parts(&["content", "origin_server_ts", "redacts", "sender", "state_key", "type"]);
        expected.insert("event_id".to_owned(), word.into());
        expected.insert("room_id".to_owned(), word.into());
        expected.insert("unsigned".to_owned(), told.clone());
        if event["type"] == "m.room.redaction" {
            let inside = event["content"].get("redacts").filter(|target| target.is_string());
            match (part("redacts"), inside) {
                (Some(outside), None) => {
                    let mut content = event["content"].as_object().cloned().unwrap_or_default();
                    content.insert("redacts".to_owned(), outside);
                    expected.insert("content".to_owned(), content.into());
                }
                (None, Some(inside)) => {
                    expected.insert("redacts".to_owned(), inside.clone());
                }
                _ => {}
            }
        }
        assert_eq!(parsed(&out), Value::Object(expected));
    }

    let mut out = String::new();
    assert_eq!(write_whole(&mut out, &json, word, &unsigned).is_ok(), is_event);
    if is_event {
        let mut expected = event.clone();
        expected["event_id"] = word.into();
        expected["unsigned"] = told;
        assert_eq!(parsed(&out), expected);
    }

    let mut out = String::new();
    assert_eq!(write_stripped(&mut out, &json).is_ok(), is_event);
    if is_event {
        assert_eq!(parsed(&out), Value::Object(parts(&["content", "sender", "state_key", "type"])));
    }
    assert_eq!(content(&json).ok().map(parsed), event.get("content").cloned());
}

/// A local event, which is put together by its parts, is canonical; id, hash and signature are those of the whole.
fn built(content: CanonicalJsonObject, word: &str) {
    let rules = rules(&ROOM_VERSIONS[word.len() % ROOM_VERSIONS.len()]).expect("a served version");
    let template = Template {
        sender: user_id!("@ann:a.example").to_owned(),
        kind: word.into(),
        state_key: (word.len() % 2 == 0).then(|| word.to_owned()),
        content,
        redacts: word.contains("redact").then(|| EventId::parse("$target").expect("an id")),
        origin_server_ts: MilliSecondsSinceUnixEpoch(UInt::from(1_u32)),
    };
    let room_id = Some(room_id!("!room:a.example"));
    let setting = Setting { room_id, rules: &rules, prev_events: Vec::new(), auth_events: Vec::new(), depth: 1 };
    let Ok((pdu, json)) = build(&template, &setting, server_name!("a.example"), &*PAIR) else { return };
    let read = |json: &str| serde_json::from_str::<CanonicalJsonObject>(json).expect("an event is JSON");
    let object = read(&json);
    assert_eq!(to_json(&object), *json);
    assert_eq!(event_id(&object, &rules).expect("it has an id"), pdu.event_id);
    let again = Pdu::parse(pdu.event_id.clone(), &json).expect("it is an event");
    assert_eq!(format!("{again:?}"), format!("{pdu:?}"));
    let hash = content_hash(&object).expect("it has a hash").encode();
    let hashes = CanonicalJsonObject::from([("sha256".to_owned(), CanonicalJsonValue::String(hash))]);
    assert_eq!(object.get("hashes"), Some(&CanonicalJsonValue::Object(hashes)));
    let pruned = read(&redacted(&json, &rules).expect("it can be redacted"));
    let key = Base64::<ruma::serde::base64::Standard>::new(PAIR.public_key().to_vec()).encode();
    signed::verify(&pruned, "a.example", "ed25519:1", &key).expect("it is signed");
}

fuzz_target!(|input: &str| {
    let (word, json) = input.split_once('\n').unwrap_or(("", input));
    anything(json, word);
    texts(json, word);
    // What is deeper is taken from nobody.
    if canonical::check_depth(json.as_bytes()).is_err() {
        return;
    }
    members(json);
    if let Ok(object) = canonical::parse_object(json.as_bytes()) {
        shown(&object, word);
        built(object, word);
    }
});
