//! What goes over to another room, and what does not.

use ruma::push::{Action, NewPushRule, NewSimplePushRule, RuleKind, Ruleset};
use ruma::{room_id, user_id};
use serde_json::{Value, json};

use super::{copied, direct};

#[test]
fn direct_chats_name_the_new_room_beside_the_old_one() {
    let (old, new) = (room_id!("!old:a"), room_id!("!new:a"));
    let content = json!({ "@ann:a": ["!other:a", "!old:a"], "@bob:a": ["!other:a"] }).to_string();
    let changed: Value = serde_json::from_str(&direct(&content, old, new).unwrap()).unwrap();
    assert_eq!(changed, json!({ "@ann:a": ["!other:a", "!old:a", "!new:a"], "@bob:a": ["!other:a"] }));
    assert_eq!(direct(&changed.to_string(), old, new), None);
    assert_eq!(direct("[]", old, new), None);
}

#[test]
fn rules_for_the_room_are_copied_as_they_are() {
    let (old, new) = (room_id!("!old:a"), room_id!("!new:a"));
    let mut rules = Ruleset::server_default(user_id!("@ann:a"));
    let room = |id: &ruma::RoomId| NewPushRule::Room(NewSimplePushRule::new(id.to_owned(), vec![Action::Notify]));
    rules.insert(room(old), None, None).unwrap();
    rules.insert(room(room_id!("!other:a")), None, None).unwrap();
    rules.set_enabled(RuleKind::Room, old, false).unwrap();
    let mute = json!({ "rule_id": "!old:a", "actions": [], "conditions": [{ "kind": "event_match", "key": "room_id", "pattern": "!old:a" }] });
    let mute: ruma::push::NewConditionalPushRule = serde_json::from_value(mute).unwrap();
    rules.insert(NewPushRule::Override(mute), None, None).unwrap();
    let copies: Vec<_> = copied(&rules, old, new);
    let told: Vec<_> = copies.iter().map(|(rule, enabled)| (rule.kind(), rule.rule_id(), *enabled)).collect();
    assert_eq!(told, [(RuleKind::Override, "!new:a", true), (RuleKind::Room, "!new:a", false)]);
}
