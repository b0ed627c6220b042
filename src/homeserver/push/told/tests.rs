//! Bodies of calls, as the push gateway API has them.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Told, badge_body, tweaks};
use crate::schema::DeviceNum;
use crate::schema::push::{Pusher, PusherKind};

fn told(kind: &str, content: &Value) -> Told {
    Told {
        event_id: "$event".to_owned(),
        room_id: "!room:example.org".to_owned(),
        kind: kind.to_owned(),
        sender: "@you:example.org".to_owned(),
        sender_display_name: Some("You".to_owned()),
        room_name: None,
        room_alias: None,
        content: RawValue::from_string(content.to_string()).unwrap(),
        member: (kind == "m.room.member").then(|| "@me:example.org".to_owned()),
    }
}

fn pusher(data: &Value) -> Pusher {
    Pusher {
        app_id: "org.example.app".to_owned(),
        pushkey: "key".to_owned(),
        kind: PusherKind::Http,
        app_display_name: "App".to_owned(),
        device_display_name: "Phone".to_owned(),
        profile_tag: None,
        lang: "en".to_owned(),
        data: data.to_string(),
        enabled: true,
        device: DeviceNum(1),
        device_id: "PHONE".to_owned(),
        set: 12_345_678_901,
    }
}

fn parsed(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

const SOUND: &str = r#"["notify",{"set_tweak":"sound","value":"default"},{"set_tweak":"highlight"}]"#;

#[test]
fn all_is_told_but_the_gateways_own_address() {
    let told = told("m.room.message", &json!({ "body": "hi", "msgtype": "m.text" }));
    let pusher = pusher(&json!({ "url": "https://gateway/_matrix/push/v1/notify", "default_payload": { "x": 1 } }));
    let body = told.body(&pusher, "@me:example.org", SOUND, 3).unwrap();
    let device = json!({
        "app_id": "org.example.app",
        "pushkey": "key",
        "pushkey_ts": 12_345_678,
        "data": { "default_payload": { "x": 1 } },
        "tweaks": { "sound": "default", "highlight": true },
    });
    let expected = json!({ "notification": {
        "event_id": "$event",
        "room_id": "!room:example.org",
        "type": "m.room.message",
        "sender": "@you:example.org",
        "sender_display_name": "You",
        "prio": "high",
        "content": { "body": "hi", "msgtype": "m.text" },
        "counts": { "unread": 3 },
        "devices": [device],
    }});
    assert_eq!(parsed(&body), expected);
}

#[test]
fn where_ids_are_enough_nothing_of_the_event_is_told() {
    let told = told("m.room.message", &json!({ "body": "secret" }));
    let pusher = pusher(&json!({ "url": "https://gateway", "format": "event_id_only" }));
    let body = parsed(&told.body(&pusher, "@me:example.org", r#"["notify"]"#, 1).unwrap());
    let fields: Vec<_> = body["notification"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields, ["counts", "devices", "event_id", "prio", "room_id"]);
    assert_eq!(body["notification"]["devices"][0]["data"], json!({ "format": "event_id_only" }));
    assert_eq!(body["notification"]["prio"], "low");
}

#[test]
fn members_know_whether_it_is_about_them() {
    let told = told("m.room.member", &json!({ "membership": "invite" }));
    let pusher = pusher(&json!({}));
    for (user, is_target) in [("@me:example.org", true), ("@other:example.org", false)] {
        let body = parsed(&told.body(&pusher, user, "[]", 1).unwrap());
        assert_eq!(body["notification"]["user_is_target"], is_target);
    }
}

#[test]
fn what_cannot_be_read_here_is_urgent() {
    let body = told("m.room.encrypted", &json!({})).body(&pusher(&json!({})), "@me:example.org", "[]", 1).unwrap();
    assert_eq!(parsed(&body)["notification"]["prio"], "high");
}

#[test]
fn a_number_alone_is_told_even_where_it_is_zero() {
    let body = parsed(&badge_body(&pusher(&json!({ "url": "https://gateway" })), 0).unwrap());
    let device = json!({ "app_id": "org.example.app", "pushkey": "key", "pushkey_ts": 12_345_678, "data": {} });
    assert_eq!(body, json!({ "notification": { "counts": { "unread": 0 }, "devices": [device] } }));
}

#[test]
fn tweaks_are_passed_on_whatever_they_are() {
    let found = tweaks(r#"["notify",{"set_tweak":"light","value":{"x":1}},{"set_tweak":"highlight","value":false},7]"#);
    assert_eq!(Value::from(found), json!({ "light": { "x": 1 }, "highlight": false }));
    assert!(tweaks("nonsense").is_empty());
}
