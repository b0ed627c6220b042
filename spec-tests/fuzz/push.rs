//! Push rules: evaluated over whatever a room may hold; classes and masks must say the same as the evaluation.
//!
//! The first line is a ruleset; then the content, the type and the state key of an event.
#![no_main]

use libfuzzer_sys::fuzz_target;
use matron_matrix::push::{EventFacts, Outcome, class_of, mask, mentioned, outcome, specials};
use matron_matrix::{canonical, push};
use ruma::power_levels::NotificationPowerLevels;
use ruma::push::{PushConditionPowerLevelsCtx, PushConditionRoomCtx, Ruleset};
use ruma::room_version_rules::{AuthorizationRules, RoomPowerLevelsRules};
use ruma::{UInt, room_id, user_id};
use serde_json::json;
use serde_json::value::RawValue;

const MEMBERS: [u64; 4] = [1, 2, 3, 1000];

fuzz_target!(|input: (u8, &str)| {
    let (choice, input) = input;
    let mut lines = input.splitn(4, '\n');
    let [rules, content, kind, state_key] = std::array::from_fn(|_| lines.next().unwrap_or_default());
    let me = user_id!("@me:example.org");
    let ruleset = match serde_json::from_str::<Ruleset>(rules) {
        Ok(ruleset) => ruleset,
        Err(_) => Ruleset::server_default(me),
    };
    // What comes into a room is canonical.
    let Ok(content) = canonical::parse_object(content.as_bytes()) else { return };
    let content: Box<RawValue> = serde_json::value::to_raw_value(&content).expect("an object can be written");
    let state_key = (choice & 8 != 0).then_some(state_key);
    let may_notify_room = choice & 4 != 0;
    let joined = MEMBERS[usize::from(choice & 3)];

    let mut event = json!({
        "type": kind, "sender": "@you:example.org", "room_id": "!room:example.org", "event_id": "$event",
        "origin_server_ts": 1, "content": content,
    });
    if let Some(state_key) = state_key {
        event["state_key"] = state_key.into();
    }
    let levels = PushConditionPowerLevelsCtx::new(
        std::collections::BTreeMap::new(),
        (if may_notify_room { 50 } else { 49 }).into(),
        NotificationPowerLevels::default(),
        RoomPowerLevelsRules::new(&AuthorizationRules::V11, None),
    );
    let context = PushConditionRoomCtx::new(
        room_id!("!room:example.org").to_owned(),
        UInt::new_saturating(joined),
        me.to_owned(),
        "Me Myself".to_owned(),
    )
    .with_power_levels(levels);
    let evaluated = outcome(&ruleset, &event.to_string(), &context);
    assert!(evaluated.notify || !evaluated.highlight);

    let class = class_of(&EventFacts { kind, state_key, content: &content, joined, may_notify_room });
    let named = mentioned(&content).iter().any(|user| user == me);
    let own_member = state_key == Some(me.as_str());
    let mask = mask(&ruleset, room_id!("!room:example.org"));
    let is_plain = specials(&ruleset).is_empty() && !named && !own_member;
    if is_plain && rules.is_empty() {
        assert_eq!(class.map_or(Outcome::default(), |class| mask.of(class)), evaluated, "{event}");
    }
    if let Some(class) = class {
        let mut counts = Vec::new();
        push::count(&mut counts, class);
        let unread = mask.unread(&counts, &[]);
        assert_eq!((unread.notify, unread.highlight), (mask.of(class).notify.into(), mask.of(class).highlight.into()));
    }
});
