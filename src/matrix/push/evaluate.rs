//! One event, one user: what the user's rules say of it, by ruma's evaluator.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use ruma::push::{
    Action, AnyPushRuleRef, ConditionalPushRule, FlattenedJson, PushCondition, PushConditionRoomCtx, Ruleset,
};
use ruma::serde::Raw;
use serde_json::Value;

use super::words;

/// What an event does for a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// It notifies: it counts as unread and may be pushed.
    pub notify: bool,
    /// It notifies and is to be highlighted.
    pub highlight: bool,
}

impl Outcome {
    /// What a rule's actions come to.
    #[must_use]
    pub fn of(actions: &[Action]) -> Self {
        let notify = actions.iter().any(Action::should_notify);
        Self { notify, highlight: notify && actions.iter().any(Action::is_highlight) }
    }
}

/// What a user's rules say of an event, which is given as clients see it. A user's own events do nothing for them.
#[must_use]
pub fn outcome(ruleset: &Ruleset, event: &str, context: &PushConditionRoomCtx) -> Outcome {
    Outcome::of(actions(ruleset, event, context))
}

/// The actions of the first rule that matches an event; empty where none does, or the event is the user's own.
#[must_use]
pub fn actions<'r>(ruleset: &'r Ruleset, event: &str, context: &PushConditionRoomCtx) -> &'r [Action] {
    // ruma takes for granted that the JSON can be read, so that is seen to first.
    if serde_json::from_str::<Value>(event).is_err() {
        return &[];
    }
    let Ok(event) = Raw::<Value>::from_json_string(event.to_owned()) else { return &[] };
    let event = FlattenedJson::from_raw(&event);
    if event.get_str("sender").is_some_and(|sender| sender == context.user_id) {
        return &[];
    }
    let body = event.get_str("content.body").map(str::to_lowercase);
    let look = Look { event: &event, body: body.as_deref(), context };
    ruleset.iter().find(|rule| look.matches(*rule)).map_or(&[], AnyPushRuleRef::actions)
}

/// Whether a user's rules look for the user's name in the room: only then it has to be known.
#[must_use]
pub fn asks_for_display_name(ruleset: &Ruleset) -> bool {
    let rules = ruleset.override_.iter().chain(&ruleset.underride).filter(|rule| rule.enabled);
    rules.flat_map(|rule| &rule.conditions).any(is_display_name)
}

/// An event as rules look at it.
struct Look<'a> {
    event: &'a FlattenedJson,
    body: Option<&'a str>,
    context: &'a PushConditionRoomCtx,
}

impl Look<'_> {
    fn matches(&self, rule: AnyPushRuleRef<'_>) -> bool {
        match rule {
            AnyPushRuleRef::Content(rule) => rule.enabled && self.says(&rule.pattern),
            AnyPushRuleRef::Override(rule) | AnyPushRuleRef::Underride(rule) if looks_into_body(rule) => {
                rule.enabled && rule.conditions.iter().all(|condition| self.holds(condition))
            }
            rule => now(rule.applies(self.event, self.context)),
        }
    }

    fn holds(&self, condition: &PushCondition) -> bool {
        match body_pattern(condition, self.context) {
            Some(pattern) => self.says(pattern),
            None => now(condition.applies(self.event, self.context)),
        }
    }

    fn says(&self, pattern: &str) -> bool {
        self.body.is_some_and(|body| words::contains(body, &pattern.to_lowercase()))
    }
}

fn looks_into_body(rule: &ConditionalPushRule) -> bool {
    rule.conditions.iter().any(|condition| match condition {
        PushCondition::EventMatch(data) => data.key == "content.body",
        condition => is_display_name(condition),
    })
}

fn body_pattern<'a>(condition: &'a PushCondition, context: &'a PushConditionRoomCtx) -> Option<&'a str> {
    match condition {
        PushCondition::EventMatch(data) if data.key == "content.body" => Some(&data.pattern),
        condition if is_display_name(condition) => Some(&context.user_display_name),
        _ => None,
    }
}

/// A condition that is deprecated, but may stand in rules of old.
fn is_display_name(condition: &PushCondition) -> bool {
    condition.kind() == "contains_display_name"
}

/// ruma's conditions are futures for thread subscriptions alone, which are not asked for here: they never wait.
fn now(answer: impl Future<Output = bool>) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    matches!(pin!(answer).poll(&mut context), Poll::Ready(true))
}
