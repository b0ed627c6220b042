//! Classes and masks against ruma's evaluator.

use proptest::prelude::*;
use ruma::power_levels::NotificationPowerLevels;
use ruma::push::{
    Action, ConditionalPushRule, HighlightTweakValue, NewPatternedPushRule, NewPushRule, NewSimplePushRule,
    PushConditionPowerLevelsCtx, PushConditionRoomCtx, Ruleset, Tweak,
};
use ruma::room_version_rules::{AuthorizationRules, RoomPowerLevelsRules};
use ruma::serde::Raw;
use ruma::{RoomId, UInt, UserId, room_id, user_id};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use super::words;
use super::{
    Class, EventFacts, Keywords, Outcome, actions, actions_of, asks_for_display_name, class_of, count,
    is_for_all_rooms, mask, mentioned, outcome, specials,
};

const ROOM: &str = "!here:example.org";

fn me() -> &'static UserId {
    user_id!("@me:example.org")
}

fn context(members: u64, may_notify: bool) -> PushConditionRoomCtx {
    let level = if may_notify { 50 } else { 49 };
    let rules = RoomPowerLevelsRules::new(&AuthorizationRules::V11, None);
    PushConditionRoomCtx::new(
        RoomId::parse(ROOM).unwrap(),
        UInt::new(members).unwrap(),
        me().to_owned(),
        "Me Myself".to_owned(),
    )
    .with_power_levels(PushConditionPowerLevelsCtx::new(
        std::collections::BTreeMap::new(),
        level.into(),
        NotificationPowerLevels::default(),
        rules,
    ))
}

/// ruma's own loop, of which ours differs only in how it looks into bodies.
fn by_ruma(ruleset: &Ruleset, event: &Value, context: &PushConditionRoomCtx) -> Outcome {
    let event = Raw::<Value>::from_json(to_raw_value(event).unwrap());
    let future = std::pin::pin!(ruleset.get_actions(&event, context));
    let mut task = std::task::Context::from_waker(std::task::Waker::noop());
    match std::future::Future::poll(future, &mut task) {
        std::task::Poll::Ready(actions) => Outcome::of(actions),
        std::task::Poll::Pending => panic!("ruma waits"),
    }
}

fn raw(json: &Value) -> Box<RawValue> {
    to_raw_value(json).unwrap()
}

#[derive(Debug, Clone)]
struct Sample {
    kind: &'static str,
    state_key: Option<&'static str>,
    content: Value,
    members: u64,
    may_notify: bool,
}

impl Sample {
    fn event(&self) -> Value {
        let mut event = json!({
            "type": self.kind,
            "sender": "@you:example.org",
            "room_id": ROOM,
            "event_id": "$event",
            "origin_server_ts": 1,
            "content": self.content,
        });
        if let Some(state_key) = self.state_key {
            event["state_key"] = state_key.into();
        }
        event
    }

    fn class(&self) -> Option<Class> {
        let content = raw(&self.content);
        class_of(&EventFacts {
            kind: self.kind,
            state_key: self.state_key,
            content: &content,
            joined: self.members,
            may_notify_room: self.may_notify,
        })
    }
}

fn samples() -> impl Strategy<Value = Sample> {
    let kind = prop::sample::select(vec![
        "m.room.message",
        "M.Room.Message",
        "m.room.encrypted",
        "m.room.member",
        "m.room.tombstone",
        "m.room.server_acl",
        "m.room.topic",
        "m.room.redaction",
        "m.call.invite",
        "m.reaction",
        "org.example.custom",
    ]);
    let state_key = prop::option::of(prop::sample::select(vec!["", "@me:example.org", "x"]));
    let msgtype =
        prop::option::of(prop::sample::select(vec![json!("m.text"), json!("m.notice"), json!("M.NOTICE"), json!(1)]));
    let mention = prop::option::of(prop::sample::select(vec![
        json!({"room": true}),
        json!({"room": false}),
        json!({"room": "true"}),
        json!({"room": true, "user_ids": ["@you:example.org"]}),
        json!({}),
        json!(true),
    ]));
    let relation = prop::option::of(prop::sample::select(vec![
        json!({"rel_type": "m.replace", "event_id": "$x"}),
        json!({"rel_type": "m.thread", "event_id": "$x"}),
        json!("m.replace"),
    ]));
    let room = (1_u64..4, any::<bool>());
    (kind, state_key, msgtype, mention, relation, room).prop_map(
        |(kind, state_key, msgtype, mention, relation, (members, may_notify))| {
            let mut content = json!({"body": "hello", "membership": "join"});
            for (key, value) in [("msgtype", msgtype), ("m.mentions", mention), ("m.relates_to", relation)] {
                if let Some(value) = value {
                    content[key] = value;
                }
            }
            Sample { kind, state_key, content, members, may_notify }
        },
    )
}

fn some_actions() -> impl Strategy<Value = Vec<Action>> {
    let highlight = Action::SetTweak(Tweak::Highlight(HighlightTweakValue::Yes));
    let no_highlight = Action::SetTweak(Tweak::Highlight(HighlightTweakValue::No));
    prop::sample::select(vec![
        vec![],
        vec![Action::Notify],
        vec![Action::Notify, highlight.clone()],
        vec![highlight],
        vec![Action::Notify, no_highlight],
        vec![Action::Notify, historical()],
        vec![historical()],
    ])
}

/// "Historical Actions": clients of old set them, and they do nothing.
fn historical() -> Action {
    serde_json::from_str(r#""dont_notify""#).unwrap()
}

/// Rules that ask for a room at most: `(kind, room, actions, enabled)`.
fn own_rules() -> impl Strategy<Value = Vec<(u8, bool, Vec<Action>, bool)>> {
    prop::collection::vec((0_u8..4, any::<bool>(), some_actions(), prop::bool::weighted(0.8)), 0..4)
}

fn rulesets() -> impl Strategy<Value = Ruleset> {
    let changes =
        prop::collection::vec((0_usize..15, prop::option::of(any::<bool>()), prop::option::of(some_actions())), 0..4);
    (changes, own_rules()).prop_map(|(changes, own)| {
        let mut ruleset = Ruleset::server_default(me());
        let rules: Vec<_> = ruleset
            .iter()
            .map(|rule| {
                let kind = match rule {
                    ruma::push::AnyPushRuleRef::Override(_) => ruma::push::RuleKind::Override,
                    _ => ruma::push::RuleKind::Underride,
                };
                (kind, rule.rule_id().to_owned())
            })
            .collect();
        for (place, enabled, actions) in changes {
            let (kind, id) = &rules[place % rules.len()];
            if let Some(enabled) = enabled {
                ruleset.set_enabled(kind.clone(), id, enabled).unwrap();
            }
            if let Some(actions) = actions {
                ruleset.set_actions(kind.clone(), id, actions).unwrap();
            }
        }
        for (nth, (kind, here, actions, enabled)) in own.into_iter().enumerate() {
            let room = if here { room_id!("!here:example.org") } else { room_id!("!there:example.org") };
            let id = format!("own{nth}");
            let conditions = if nth == 3 {
                vec![]
            } else {
                serde_json::from_value(json!([{"kind": "event_match", "key": "room_id", "pattern": room}])).unwrap()
            };
            let rule = |conditions| ConditionalPushRule {
                actions: actions.clone(),
                default: false,
                enabled,
                rule_id: id.clone(),
                conditions,
            };
            match kind {
                0 => {
                    ruleset.override_.shift_insert(1, rule(conditions));
                }
                1 => {
                    ruleset.underride.shift_insert(0, rule(conditions));
                }
                2 => {
                    let unknown = serde_json::from_value(json!([{"kind": "org.example.phase_of_moon"}])).unwrap();
                    ruleset.override_.shift_insert(1, rule(unknown));
                }
                _ => {
                    let rule = NewSimplePushRule::new(room.to_owned(), actions.clone());
                    ruleset.insert(NewPushRule::Room(rule), None, None).unwrap();
                    ruleset.set_enabled(ruma::push::RuleKind::Room, room, enabled).unwrap();
                }
            }
        }
        ruleset
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_mask_says_what_the_evaluator_says(ruleset in rulesets(), sample in samples()) {
        let context = context(sample.members, sample.may_notify);
        let event = sample.event();
        let evaluated = by_ruma(&ruleset, &event, &context);
        prop_assert_eq!(outcome(&ruleset, &event.to_string(), &context), evaluated);
        if specials(&ruleset).is_empty() {
            let masked = sample.class().map(|class| mask(&ruleset, &context.room_id).of(class)).unwrap_or_default();
            prop_assert_eq!(masked, evaluated, "class {:?}", sample.class());
            let room = &context.room_id;
            let of_class = sample.class().map(|class| actions_of(&ruleset, room, class)).unwrap_or_default();
            if evaluated.notify {
                let told = actions(&ruleset, &event.to_string(), &context);
                prop_assert_eq!(format!("{of_class:?}"), format!("{told:?}"));
            }
            if is_for_all_rooms(&ruleset) {
                prop_assert_eq!(mask(&ruleset, room), mask(&ruleset, room_id!("!elsewhere:example.org")));
            }
        }
    }

    // Runs of wildcards are left out: ruma 0.17 takes every second of them for itself. So are line ends, at which its
    // wildcards stop.
    #[test]
    fn words_are_found_as_ruma_finds_them(body in "[aAbé_\\- ]{0,12}", pattern in "([*?]?[aAbé_\\- ]){0,4}[*?]?") {
        let mut ruleset = Ruleset::new();
        let rule = NewPatternedPushRule::new("word".to_owned(), pattern, vec![Action::Notify]);
        ruleset.insert(NewPushRule::Content(rule), None, None).unwrap();
        let event = json!({"type": "m.room.message", "sender": "@you:example.org", "content": {"body": body}});
        let context = context(3, true);
        prop_assert_eq!(outcome(&ruleset, &event.to_string(), &context), by_ruma(&ruleset, &event, &context));
    }

    #[test]
    fn any_text_is_evaluated(event: String, pattern: String, body: String) {
        let ruleset = Ruleset::server_default(me());
        let _ = actions(&ruleset, &event, &context(2, false));
        let _ = words::contains(&body, &pattern);
    }

    #[test]
    fn running_counts_tell_what_came(classes in prop::collection::vec(0_u8..36, 0..40), read in 0_usize..40) {
        let (mut counts, mut at_read) = (Vec::new(), Vec::new());
        let mask = mask(&Ruleset::server_default(me()), room_id!("!here:example.org"));
        let mut expected = (0, 0);
        for (nth, number) in classes.into_iter().enumerate() {
            if nth == read {
                at_read.clone_from(&counts);
                expected = (0, 0);
            }
            let class = Class::from_number(number).unwrap();
            count(&mut counts, class);
            expected.0 += u64::from(mask.of(class).notify);
            expected.1 += u64::from(mask.of(class).highlight);
        }
        let unread = mask.unread(&counts, &at_read);
        prop_assert_eq!((unread.notify, unread.highlight), expected);
    }
}

proptest! {
    // Each pattern with wildcards is a regular expression to be made ready, which takes its time.
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn keywords_together_hit_whom_each_alone_hits(
        body in "[aAb_é 日\\-]{0,16}",
        patterns in prop::collection::vec("[aAb_é 日*?\\-]{0,4}", 0..8),
        gone in 0_usize..8,
    ) {
        let mut keywords = Keywords::default();
        for (user, pattern) in patterns.iter().enumerate() {
            keywords.add(pattern, user);
            // Everybody has one in common with the one before.
            keywords.add(&patterns[user.saturating_sub(1)], user);
        }
        if let Some(pattern) = patterns.get(gone) {
            keywords.remove(pattern, gone);
            keywords.remove(&patterns[gone.saturating_sub(1)], gone);
        }
        let hits = |pattern: &String| words::contains(&body.to_lowercase(), &pattern.to_lowercase());
        let expected: std::collections::BTreeSet<usize> = (0..patterns.len())
            .filter(|user| *user != gone && (hits(&patterns[*user]) || hits(&patterns[user.saturating_sub(1)])))
            .collect();
        prop_assert_eq!(keywords.hits(&body), expected);
        for (user, pattern) in patterns.iter().enumerate() {
            keywords.remove(pattern, user);
            keywords.remove(&patterns[user.saturating_sub(1)], user);
        }
        prop_assert!(keywords.is_empty());
    }
}

#[test]
fn plain_members_get_what_the_default_rules_say() {
    let mask = mask(&Ruleset::server_default(me()), room_id!("!here:example.org"));
    let does = |kind: &'static str, content: Value, members| {
        let sample = Sample { kind, state_key: None, content, members, may_notify: true };
        sample.class().map(|class| (mask.of(class).notify, mask.of(class).highlight))
    };
    assert_eq!(does("m.room.message", json!({"body": "hi"}), 9), Some((true, false)));
    assert_eq!(does("m.room.message", json!({"msgtype": "m.notice"}), 9), Some((false, false)));
    assert_eq!(does("m.room.encrypted", json!({}), 2), Some((true, false)));
    assert_eq!(does("m.room.message", json!({"m.mentions": {"room": true}}), 9), Some((true, true)));
    assert_eq!(does("m.room.topic", json!({}), 9), Some((false, false)));
    assert_eq!(does("m.reaction", json!({}), 9), None);
    assert_eq!(does("m.room.member", json!({"membership": "join"}), 9), None);
    let edit = json!({"m.relates_to": {"rel_type": "m.replace", "event_id": "$x"}});
    assert_eq!(does("m.room.message", edit, 9), None);
}

#[test]
fn only_messages_remember_whether_there_were_two() {
    let remembers = |kind: &'static str, content: Value, members| {
        let sample = Sample { kind, state_key: None, content, members, may_notify: true };
        sample.class().and_then(Class::is_one_to_one)
    };
    for kind in ["m.room.message", "m.room.encrypted"] {
        assert_eq!(remembers(kind, json!({"msgtype": "m.notice"}), 2), Some(true));
        assert_eq!(remembers(kind, json!({"m.mentions": {"room": true}}), 2), Some(true));
        assert_eq!(remembers(kind, json!({}), 3), Some(false));
    }
    for kind in ["m.sticker", "m.call.invite", "m.room.topic", "m.room.member", "org.example.custom"] {
        assert_eq!(remembers(kind, json!({}), 2), None);
        assert_eq!(remembers(kind, json!({}), 3), None);
    }
}

#[test]
fn names_are_looked_for_where_a_rule_asks() {
    let mut ruleset = Ruleset::server_default(me());
    assert!(!asks_for_display_name(&ruleset));
    let named = serde_json::from_value(json!([{"kind": "contains_display_name"}])).unwrap();
    let actions = vec![Action::Notify];
    let rule =
        ConditionalPushRule { actions, default: false, enabled: true, rule_id: "n".to_owned(), conditions: named };
    ruleset.underride.shift_insert(0, rule);
    assert!(asks_for_display_name(&ruleset));
    ruleset.set_enabled(ruma::push::RuleKind::Underride, "n", false).unwrap();
    assert!(!asks_for_display_name(&ruleset));
}

#[test]
fn ones_own_events_never_notify() {
    let event = json!({"type": "m.room.message", "sender": me(), "content": {"body": "me myself"}});
    assert_eq!(outcome(&Ruleset::server_default(me()), &event.to_string(), &context(2, true)), Outcome::default());
}

#[test]
fn historical_actions_do_nothing() {
    assert_eq!(Outcome::of(&[historical()]), Outcome::of(&[]));
    assert_eq!(Outcome::of(&[Action::Notify, historical()]), Outcome::of(&[Action::Notify]));
}

#[test]
fn who_is_named_is_highlighted() {
    let content = json!({"body": "hi", "m.mentions": {"user_ids": [me(), "no id", 7, me(), "@you:example.org"]}});
    assert_eq!(mentioned(&raw(&content)), [me(), user_id!("@you:example.org")]);
    let event = json!({"type": "m.room.message", "sender": "@you:example.org", "content": content});
    let named = outcome(&Ruleset::server_default(me()), &event.to_string(), &context(5, false));
    assert_eq!(named, Outcome { notify: true, highlight: true });
}

#[test]
fn long_texts_of_near_misses_do_no_harm() {
    let body = "xa ".repeat(21_000);
    assert!(!words::contains(&body, "a"));
    assert!(words::contains(&format!("{body}a"), "a"));
    assert!(!words::contains(&body, &format!("{}b", "?".repeat(250))));
    assert!(words::contains("anything", "*"));
}

#[test]
fn wildcards_stand_for_line_ends_too() {
    for body in ["cake is a lie", "cake\nis a lie", "the cake\r\n\nis\na lie\n"] {
        assert!(words::contains(body, "cake*lie"), "{body:?}");
    }
    assert!(words::contains("cake\nlie", "cake?lie"));
    assert!(!words::contains("cake\n\nlie", "cake?lie"));
    assert!(words::contains("hello\n", "h*o?"));
    let mut keywords = Keywords::default();
    keywords.add("cake*lie", 1);
    assert!(keywords.hits("Cake\nis a LIE").contains(&1));
}

#[test]
fn specials_are_what_no_class_answers() {
    let mut ruleset = Ruleset::server_default(me());
    assert!(specials(&ruleset).is_empty());
    let rule = NewPatternedPushRule::new("cake".to_owned(), "cake*lie".to_owned(), vec![Action::Notify]);
    ruleset.insert(NewPushRule::Content(rule), None, None).unwrap();
    let rule = NewSimplePushRule::new(user_id!("@boss:example.org").to_owned(), vec![]);
    ruleset.insert(NewPushRule::Sender(rule), None, None).unwrap();
    let found = specials(&ruleset);
    assert_eq!((found.keywords, found.senders.len(), found.custom), (vec!["cake*lie".to_owned()], 1, false));
    ruleset.set_enabled(ruma::push::RuleKind::Override, ".m.rule.reaction", false).unwrap();
    assert!(specials(&ruleset).custom);
    assert!(specials(&ruleset).keywords.is_empty(), "whose events are all evaluated watches out for nothing else");
}

#[test]
fn many_keywords_without_words_are_their_owners_cost() {
    let mut ruleset = Ruleset::server_default(me());
    for nth in 0..33 {
        assert!(!specials(&ruleset).custom);
        let rule = NewPatternedPushRule::new(format!("r{nth}"), format!("a{nth}*"), vec![Action::Notify]);
        ruleset.insert(NewPushRule::Content(rule), None, None).unwrap();
    }
    assert!(specials(&ruleset).custom);
}
