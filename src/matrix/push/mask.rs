//! Masks: a user's rules for a room, as what each class does for them.

use ruma::RoomId;
use ruma::push::{
    Action, ConditionalPushRule, PredefinedOverrideRuleId as Override, PredefinedUnderrideRuleId as Underride, Ruleset,
};

use super::class::{Base, Class, sets};
use super::evaluate::Outcome;
use super::specials::{is_about_rooms, room_of};

/// What each class does for a user in a room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mask {
    notify: u64,
    highlight: u64,
}

/// How much is unread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// Events that notify (`notification_count`).
    pub notify: u64,
    /// Those of them that are to be highlighted (`highlight_count`).
    pub highlight: u64,
}

impl Mask {
    /// What a class does.
    #[must_use]
    pub const fn of(self, class: Class) -> Outcome {
        Outcome { notify: self.notify & class.bit() != 0, highlight: self.highlight & class.bit() != 0 }
    }

    /// Whether no class does anything: the room is muted.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.notify == 0
    }

    /// What came between two points of running counts.
    #[must_use]
    pub fn unread(self, now: &[u32], read: &[u32]) -> Unread {
        let mut unread = Unread::default();
        if self.is_empty() {
            return unread;
        }
        for (place, (class, now)) in Class::all().zip(now).enumerate() {
            let came = u64::from(now.saturating_sub(read.get(place).copied().unwrap_or(0)));
            let outcome = self.of(class);
            unread.notify += if outcome.notify { came } else { 0 };
            unread.highlight += if outcome.highlight { came } else { 0 };
        }
        unread
    }
}

/// A user's rules for a room, walked in the order of evaluation: each decides the classes that it matches and that no
/// rule before it did. Rules that look deeper than classes do ([`super::specials`]) are passed over.
#[must_use]
pub fn mask(ruleset: &Ruleset, room_id: &RoomId) -> Mask {
    let mut walk = Walk { mask: Mask::default(), undecided: sets::ALL };
    for (matches, actions) in deciding(ruleset, room_id) {
        walk.decide(matches, actions);
    }
    walk.mask
}

/// The actions of the rule that decides a class in a room, as [`mask`] walks the rules; empty where none does.
#[must_use]
pub fn actions_of<'r>(ruleset: &'r Ruleset, room_id: &RoomId, class: Class) -> &'r [Action] {
    let mut rules = deciding(ruleset, room_id);
    rules.find(|(matches, _)| matches & class.bit() != 0).map_or(&[], |(_, actions)| actions)
}

/// Whether a user's rules are the same for every room, as far as classes go.
#[must_use]
pub fn is_for_all_rooms(ruleset: &Ruleset) -> bool {
    ruleset.room.is_empty() && ruleset.override_.iter().chain(&ruleset.underride).all(|rule| rule.default)
}

/// The rules in the order of evaluation, each as the classes that it matches in a room and its actions.
fn deciding<'r>(ruleset: &'r Ruleset, room_id: &RoomId) -> impl Iterator<Item = (u64, &'r [Action])> {
    let overrides = ruleset.override_.iter().filter(|rule| rule.enabled).map(|rule| {
        let matches = if rule.default { default_override(rule) } else { own(rule, room_id) };
        (matches, &*rule.actions)
    });
    let room = ruleset.room.get(room_id.as_str()).filter(|rule| rule.enabled);
    let underrides = ruleset.underride.iter().filter(|rule| rule.enabled).map(|rule| {
        let matches = if rule.default { default_underride(rule) } else { own(rule, room_id) };
        (matches, &*rule.actions)
    });
    overrides.chain(room.map(|rule| (sets::ALL, &*rule.actions))).chain(underrides)
}

struct Walk {
    mask: Mask,
    undecided: u64,
}

impl Walk {
    fn decide(&mut self, matches: u64, actions: &[Action]) {
        let decided = self.undecided & matches;
        if decided == 0 {
            return;
        }
        self.undecided &= !decided;
        let outcome = Outcome::of(actions);
        if outcome.notify {
            self.mask.notify |= decided;
        }
        if outcome.highlight {
            self.mask.highlight |= decided;
        }
    }
}

/// The classes that an override rule of the server's matches. Invites and mentions of the user concern nobody else.
fn default_override(rule: &ConditionalPushRule) -> u64 {
    match Override::from(rule.rule_id.as_str()) {
        Override::Master => sets::ALL,
        Override::SuppressNotices => sets::NOTICE,
        Override::IsRoomMention => sets::ROOM_MENTION,
        Override::Tombstone => sets::of(Base::Tombstone) | sets::of(Base::EditedTombstone),
        // Three rules share a class: whoever changed one of them has all their events evaluated.
        Override::SuppressEdits => sets::of(Base::Suppressed) | sets::of(Base::EditedTombstone),
        _ => 0,
    }
}

/// The classes that an underride rule of the server's matches.
fn default_underride(rule: &ConditionalPushRule) -> u64 {
    match Underride::from(rule.rule_id.as_str()) {
        Underride::Call => sets::of(Base::Call),
        Underride::EncryptedRoomOneToOne => sets::of(Base::OneToOneEncrypted),
        Underride::RoomOneToOne => sets::of(Base::OneToOneMessage),
        Underride::Message => sets::of(Base::Message) | sets::of(Base::OneToOneMessage),
        Underride::Encrypted => sets::of(Base::Encrypted) | sets::of(Base::OneToOneEncrypted),
        _ => 0,
    }
}

/// The classes that a rule of the user's own matches: all in the room that it names.
fn own(rule: &ConditionalPushRule, room_id: &RoomId) -> u64 {
    let here = |named: &str| named.eq_ignore_ascii_case(room_id.as_str());
    if is_about_rooms(rule) && rule.conditions.iter().filter_map(room_of).all(here) { sets::ALL } else { 0 }
}
