//! What is spliced against what a parser would make of it.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{Unsigned, content, only_fields, write, write_stripped};
use crate::splice::tests::{value, word};

const NOW: u64 = 1_700_000_005_000;

fn event() -> impl Strategy<Value = Map<String, Value>> {
    let names = ["content", "redacts", "sender", "type", "state_key", "unsigned", "origin_server_ts"];
    let names = prop_oneof![prop::sample::select(names.map(str::to_owned).to_vec()), word()];
    let content = prop::collection::btree_map(names, value(), 0..6)
        .prop_map(|members| Value::Object(members.into_iter().collect()));
    let kind = prop_oneof![Just("m.room.redaction".to_owned()), Just("m.room.message".to_owned()), word()];
    let target = prop_oneof![Just("$target".to_owned()), word()];
    let top = (kind, word(), prop::option::of(word()), prop::option::of(target));
    (content, top, 0..NOW * 2, any::<bool>()).prop_map(|(content, (kind, sender, state_key, redacts), sent, old)| {
        let mut event = json!({
            "auth_events": ["$a", "$b"], "content": content, "depth": 17, "hashes": { "sha256": "content\":1" },
            "origin_server_ts": sent, "prev_events": [], "sender": sender, "type": kind,
            "signatures": { "a": { "ed25519:1": "unsigned" } },
        });
        let members = event.as_object_mut().unwrap();
        members.extend(old.then(|| ("room_id".to_owned(), json!("!room:a"))));
        members.extend(state_key.map(|key| ("state_key".to_owned(), Value::from(key))));
        members.extend(redacts.map(|target| ("redacts".to_owned(), Value::from(target))));
        std::mem::take(members)
    })
}

/// The rule of the spec, by a parser.
fn expected(event: &Map<String, Value>, room_id: Option<&str>, unsigned: Option<Value>) -> Value {
    let mut shown = Map::new();
    for name in ["content", "origin_server_ts", "redacts", "sender", "state_key", "type"] {
        shown.extend(event.get(name).map(|value| (name.to_owned(), value.clone())));
    }
    shown.insert("event_id".to_owned(), "$id".into());
    shown.extend(room_id.map(|id| ("room_id".to_owned(), Value::from(id))));
    shown.extend(unsigned.map(|unsigned| ("unsigned".to_owned(), unsigned)));
    if event["type"] == "m.room.redaction" {
        match (event.get("redacts"), event["content"].get("redacts").filter(|inside| inside.is_string())) {
            (Some(outside), None) => shown["content"]["redacts"] = outside.clone(),
            (None, Some(inside)) => {
                shown.insert("redacts".to_owned(), inside.clone());
            }
            _ => {}
        }
    }
    Value::Object(shown)
}

fn parsed(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

proptest! {
    #[test]
    fn what_is_spliced_is_what_a_parser_would_show(event in event(), with_room: bool, pretty: bool) {
        let json = if pretty { serde_json::to_string_pretty(&event) } else { serde_json::to_string(&event) }.unwrap();
        let room_id = with_room.then_some("!ro\"om:a");
        let mut out = "before".to_owned();
        write(&mut out, &json, "$id", room_id, None).unwrap();
        prop_assert_eq!(parsed(out.strip_prefix("before").unwrap()), expected(&event, room_id, None));
        prop_assert_eq!(parsed(content(&json).unwrap()), event["content"].clone());

        let mut out = String::new();
        write_stripped(&mut out, &json).unwrap();
        let mut stripped = Map::new();
        for name in ["content", "sender", "state_key", "type"] {
            stripped.extend(event.get(name).map(|value| (name.to_owned(), value.clone())));
        }
        prop_assert_eq!(parsed(&out), Value::Object(stripped));
    }

    #[test]
    fn unsigned_tells_what_is_known(event in event(), transaction in prop::option::of(word()), replaced: bool) {
        let unsigned = Unsigned {
            now: Some(NOW),
            membership: Some("join"),
            prev_content: replaced.then(|| r#"{"unsigned":{}}"#.into()),
            prev_sender: replaced.then(|| "@\"a\":b".to_owned()),
            replaces_state: replaced.then(|| "$old".to_owned()),
            redacted_because: replaced.then(|| r#"{"content":{}}"#.to_owned()),
            transaction_id: transaction.clone(),
            relations: None,
        };
        let mut told = json!({
            "age": NOW.saturating_sub(event["origin_server_ts"].as_u64().unwrap()), "membership": "join",
        });
        if replaced {
            told["prev_content"] = json!({ "unsigned": {} });
            told["prev_sender"] = json!("@\"a\":b");
            told["replaces_state"] = json!("$old");
            told["redacted_because"] = json!({ "content": {} });
        }
        if let Some(id) = transaction {
            told["transaction_id"] = json!(id);
        }
        let mut out = String::new();
        let json = serde_json::to_string(&event).unwrap();
        write(&mut out, &json, "$id", None, Some(&unsigned)).unwrap();
        prop_assert_eq!(parsed(&out), expected(&event, None, Some(told)));
    }
}

#[test]
fn what_is_no_event_is_refused_and_appends_nothing() {
    for json in ["", "[]", "{}", r#"{"content":{},"sender":"@a:b","type":"t"}"#, r#"{"content":{}"#] {
        let mut out = String::new();
        assert!(write(&mut out, json, "$id", None, None).is_err(), "{json}");
        assert!(write_stripped(&mut out, json).is_err(), "{json}");
        assert_eq!(out, "");
    }
}

#[test]
fn fields_are_kept_by_their_paths() {
    let event = json!({ "content": { "body": "a", "b.c": 1, "x": { "y": 2 } }, "type": "t" }).to_string();
    let fields = ["content.body".to_owned(), r"content.b\.c".to_owned(), "missing".to_owned()];
    let kept = only_fields(&event, &fields).unwrap();
    assert_eq!(parsed(&kept), json!({ "content": { "body": "a", "b.c": 1 } }));
}
