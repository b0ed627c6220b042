//! What a user's rules ask that no class answers: keywords, senders, and whatever else somebody wrote by hand.

use ruma::OwnedUserId;
use ruma::push::{Action, ConditionalPushRule, PredefinedOverrideRuleId, PushCondition, Ruleset};

use super::keywords::has_whole_word;

/// The most keywords of a user's that each message is searched for whatever its words are; with more of them, all the
/// user's events are evaluated when the user reads them, at the user's own cost.
const MOST_WORDLESS: usize = 32;

/// Where a user's outcome may differ from that of an event's class. Disabled rules are none of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Specials {
    /// Glob patterns that a message's body is searched for (content rules).
    pub keywords: Vec<String>,
    /// Users with a rule of their own (sender rules).
    pub senders: Vec<OwnedUserId>,
    /// There are rules of which only an evaluation of each event can tell.
    pub custom: bool,
}

impl Specials {
    /// Whether classes tell all of this user's outcomes, but for events that name them.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.custom && self.keywords.is_empty() && self.senders.is_empty()
    }
}

/// What a ruleset asks that no class answers.
#[must_use]
pub fn specials(ruleset: &Ruleset) -> Specials {
    let mut specials = Specials::default();
    for rule in ruleset.override_.iter().filter(|rule| is_suppressor(rule)) {
        specials.custom |= !rule.enabled || notifies(&rule.actions);
    }
    for rule in ruleset.override_.iter().filter(|rule| rule.enabled) {
        // Before the suppressing rules, one that notifies of all events notifies of what has no class, too.
        specials.custom |= notifies(&rule.actions) && (comes_first(rule) || is_about_rooms(rule));
    }
    for rule in ruleset.override_.iter().chain(&ruleset.underride) {
        specials.custom |= rule.enabled && !rule.default && !is_about_rooms(rule) && !never_matches(rule);
    }
    specials.keywords = ruleset.content.iter().filter(|rule| rule.enabled).map(|rule| rule.pattern.clone()).collect();
    let wordless = specials.keywords.iter().filter(|pattern| !has_whole_word(pattern)).count();
    specials.custom |= wordless > MOST_WORDLESS;
    specials.custom |= ruleset.room.iter().any(|rule| rule.enabled && is_glob(rule.rule_id.as_str()));
    let (globs, senders) = ruleset
        .sender
        .iter()
        .filter(|rule| rule.enabled)
        .map(|rule| rule.rule_id.clone())
        .partition::<Vec<_>, _>(|id| is_glob(id.as_str()));
    specials.custom |= !globs.is_empty();
    specials.senders = senders;
    if specials.custom {
        // Every event is evaluated: there is nothing else to watch out for.
        specials.keywords.clear();
        specials.senders.clear();
    }
    specials
}

/// The default rules that keep events from everybody, which is why those events need no class.
fn is_suppressor(rule: &ConditionalPushRule) -> bool {
    use PredefinedOverrideRuleId::{MemberEvent, Reaction, RoomServerAcl, SuppressEdits};
    rule.default && [MemberEvent, Reaction, RoomServerAcl, SuppressEdits].iter().any(|id| rule.rule_id == id.as_str())
}

/// The default rules that match events without a class before those are suppressed.
fn comes_first(rule: &ConditionalPushRule) -> bool {
    use PredefinedOverrideRuleId::{Master, SuppressNotices};
    rule.default && [Master, SuppressNotices].iter().any(|id| rule.rule_id == id.as_str())
}

fn notifies(actions: &[Action]) -> bool {
    actions.iter().any(Action::should_notify)
}

/// Whether a rule of the user's own asks for nothing but the room: it matches all of a room's events, or none.
pub(super) fn is_about_rooms(rule: &ConditionalPushRule) -> bool {
    !rule.default && rule.conditions.iter().all(|condition| room_of(condition).is_some())
}

/// The room that a condition names, if that is all it asks for.
pub(super) fn room_of(condition: &PushCondition) -> Option<&str> {
    match condition {
        PushCondition::EventMatch(data) if data.key == "room_id" && !is_glob(&data.pattern) => Some(&data.pattern),
        _ => None,
    }
}

/// Conditions that are not known match nothing.
fn never_matches(rule: &ConditionalPushRule) -> bool {
    rule.conditions.iter().any(|condition| {
        !matches!(
            condition.kind(),
            "event_match"
                | "contains_display_name"
                | "room_member_count"
                | "sender_notification_permission"
                | "event_property_is"
                | "event_property_contains"
        )
    })
}

fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?'])
}
