//! What is put together by parts against what ruma makes of whole objects.

use std::sync::LazyLock;

use proptest::prelude::*;
use ruma::api::error::ErrorKind;
use ruma::signatures::{Ed25519KeyPair, hash_and_sign_event};
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, UInt, UserId, room_id,
    server_name,
};
use serde_json::{Map, Value};

use super::{MAX_NUMBER, Setting, Template, build};
use crate::event::{Pdu, ROOM_VERSIONS, event_id, rules};
use crate::splice::tests::{value, word};

static KEY: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::from_der(&Ed25519KeyPair::generate(), "1".to_owned()).unwrap());

/// Numbers that canonical JSON has.
fn tame(value: Value) -> Value {
    match value {
        Value::Number(number) => Value::from(number.as_i64().unwrap_or(0) % (1 << 52)),
        Value::Array(values) => values.into_iter().map(tame).collect(),
        Value::Object(members) => {
            members.into_iter().map(|(name, value)| (name, tame(value))).collect::<Map<_, _>>().into()
        }
        other => other,
    }
}

fn content() -> impl Strategy<Value = CanonicalJsonObject> {
    let names = ["membership", "join_rule", "users", "redacts", "creator", "body", "ban", "history_visibility"];
    let names = prop_oneof![prop::sample::select(names.map(str::to_owned).to_vec()), word()];
    prop::collection::btree_map(names, value(), 0..6).prop_map(|members| {
        let members = Value::Object(members.into_iter().collect());
        match CanonicalJsonValue::try_from(tame(members)).unwrap() {
            CanonicalJsonValue::Object(object) => object,
            _ => unreachable!(),
        }
    })
}

fn template() -> impl Strategy<Value = Template> {
    let kinds = ["m.room.message", "m.room.redaction", "m.room.member", "m.room.power_levels", "m.room.join_rules"];
    let kinds = prop_oneof![prop::sample::select(kinds.map(str::to_owned).to_vec()), word()];
    let redacts = prop::option::of(Just(EventId::parse("$target").unwrap()));
    (kinds, prop::option::of(word()), content(), redacts, 0..MAX_NUMBER).prop_map(
        |(kind, state_key, content, redacts, sent)| Template {
            sender: UserId::parse("@ann:a.example").unwrap(),
            kind: kind.into(),
            state_key,
            content,
            redacts,
            origin_server_ts: MilliSecondsSinceUnixEpoch(UInt::new_saturating(sent)),
        },
    )
}

/// The same by ruma's functions over the whole object.
fn by_ruma(template: &Template, setting: &Setting<'_>) -> (Pdu, String) {
    let text = |value: &str| CanonicalJsonValue::String(value.to_owned());
    let ids = |ids: &[OwnedEventId]| CanonicalJsonValue::Array(ids.iter().map(|id| text(id.as_str())).collect());
    let number = |number: u64| CanonicalJsonValue::Integer(number.try_into().unwrap());
    let mut content = template.content.clone();
    let mut object = CanonicalJsonObject::new();
    if let Some(redacts) = &template.redacts {
        let inside = setting.rules.redaction.content_field_redacts;
        if inside { &mut content } else { &mut object }.insert("redacts".to_owned(), text(redacts.as_str()));
    }
    object.insert("auth_events".to_owned(), ids(&setting.auth_events));
    object.insert("content".to_owned(), CanonicalJsonValue::Object(content));
    object.insert("depth".to_owned(), number(setting.depth));
    object.insert("origin_server_ts".to_owned(), number(template.origin_server_ts.get().into()));
    object.insert("prev_events".to_owned(), ids(&setting.prev_events));
    if let Some(room_id) = setting.room_id {
        object.insert("room_id".to_owned(), text(room_id.as_str()));
    }
    object.insert("sender".to_owned(), text(template.sender.as_str()));
    if let Some(state_key) = &template.state_key {
        object.insert("state_key".to_owned(), text(state_key));
    }
    object.insert("type".to_owned(), text(&template.kind.to_string()));
    hash_and_sign_event("a.example", &*KEY, &mut object, &setting.rules.redaction).unwrap();
    let json = serde_json::to_string(&object).unwrap();
    (Pdu::parse(event_id(&object, setting.rules).unwrap(), &json).unwrap(), json)
}

proptest! {
    #[test]
    fn an_event_is_what_ruma_makes_of_it(
        template in template(),
        version in prop::sample::select(ROOM_VERSIONS.to_vec()),
        named: bool,
        depth in 0..MAX_NUMBER,
        prev in 0_usize..3,
    ) {
        let rules = rules(&version).unwrap();
        let setting = Setting {
            room_id: named.then_some(room_id!("!room:a.example")),
            rules: &rules,
            prev_events: (0..prev).map(|nth| EventId::parse(format!("$prev{nth}")).unwrap()).collect(),
            auth_events: vec![EventId::parse("$create").unwrap()],
            depth,
        };
        let (pdu, json) = build(&template, &setting, server_name!("a.example"), &*KEY).unwrap();
        let (expected, expected_json) = by_ruma(&template, &setting);
        prop_assert_eq!(&*json, expected_json.as_str());
        prop_assert_eq!(format!("{pdu:?}"), format!("{:?}", expected));
    }
}

#[test]
fn what_is_too_large_is_refused() {
    let rules = rules(&ROOM_VERSIONS[6]).unwrap();
    let setting = Setting { room_id: None, rules: &rules, prev_events: vec![], auth_events: vec![], depth: 1 };
    let template = |kind: &str, state_key: Option<String>, body: usize| Template {
        sender: UserId::parse("@ann:a.example").unwrap(),
        kind: kind.into(),
        state_key,
        content: [("body".to_owned(), CanonicalJsonValue::String("x".repeat(body)))].into(),
        redacts: None,
        origin_server_ts: MilliSecondsSinceUnixEpoch(UInt::MIN),
    };
    let refused = |template: &Template, depth| {
        let setting = Setting { depth, ..setting.clone() };
        build(template, &setting, server_name!("a.example"), &*KEY).unwrap_err().kind
    };
    assert!(matches!(refused(&template("t", None, 65_536), 1), ErrorKind::TooLarge));
    assert!(matches!(refused(&template("t", None, 65_300), 1), ErrorKind::TooLarge));
    assert!(matches!(refused(&template(&"t".repeat(256), None, 1), 1), ErrorKind::TooLarge));
    assert!(matches!(refused(&template("t", Some("k".repeat(256)), 1), 1), ErrorKind::TooLarge));
    assert!(matches!(refused(&template("t", None, 1), MAX_NUMBER + 1), ErrorKind::BadJson));
}
