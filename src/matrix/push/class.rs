//! Classes: what the server-default rules see in an event, the same for every member who is not named in it.

use serde_json::value::RawValue;

use super::mentions::Clues;

/// What the default rules tell apart by type, relation and the size of the room. The commonest come first, so that
/// running counts stay short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Base {
    /// `m.room.message`.
    Message = 0,
    /// `m.room.encrypted`.
    Encrypted = 1,
    /// `m.room.message` in a room of two.
    OneToOneMessage = 2,
    /// `m.room.encrypted` in a room of two.
    OneToOneEncrypted = 3,
    /// What no default rule is about: a topic, say. A room rule may still notify of it.
    Other = 4,
    /// `m.call.invite`.
    Call = 5,
    /// `m.room.tombstone`.
    Tombstone = 6,
    /// Reactions, edits and server ACLs: only a mention of the room, which is looked at earlier, notifies of them.
    Suppressed = 7,
    /// A tombstone that says it is an edit: the rule about tombstones is looked at before the one about edits.
    EditedTombstone = 8,
}

/// How many bases there are.
const BASES: u8 = 9;

/// What the server-default rules see in an event. Its number is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Class(u8);

impl Class {
    /// How many classes there are: each base, with or without a permitted mention of the room, as a notice or not.
    pub const COUNT: usize = BASES as usize * 4;

    /// The class of these traits.
    #[must_use]
    pub const fn new(base: Base, room_mention: bool, notice: bool) -> Self {
        let mut number = base as u8;
        if room_mention {
            number += BASES;
        }
        if notice {
            number += 2 * BASES;
        }
        Self(number)
    }

    /// The class with this number, if there is one.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        if (number as usize) < Self::COUNT { Some(Self(number)) } else { None }
    }

    /// Its number: its place in running counts.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Every class.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..BASES * 4).map(Self)
    }

    /// Whether the room had two members, where the default rules ask: of messages alone.
    #[must_use]
    pub const fn is_one_to_one(self) -> Option<bool> {
        let base = self.0 % BASES;
        if base == Base::OneToOneMessage as u8 || base == Base::OneToOneEncrypted as u8 {
            Some(true)
        } else if base == Base::Message as u8 || base == Base::Encrypted as u8 {
            Some(false)
        } else {
            None
        }
    }

    pub(super) const fn bit(self) -> u64 {
        1 << self.0
    }
}

/// Sets of classes, one bit each.
pub(super) mod sets {
    use super::{BASES, Base};

    const BASE_BITS: u64 = (1 << BASES) - 1;
    /// Every class.
    pub const ALL: u64 = (1 << (BASES * 4)) - 1;
    /// The room is mentioned, by somebody who may.
    pub const ROOM_MENTION: u64 = BASE_BITS << BASES | BASE_BITS << (BASES * 3);
    /// Notices.
    pub const NOTICE: u64 = BASE_BITS << (BASES * 2) | BASE_BITS << (BASES * 3);

    /// A base with all its variants.
    pub const fn of(base: Base) -> u64 {
        let bit = 1 << base as u8;
        bit | bit << BASES | bit << (BASES * 2) | bit << (BASES * 3)
    }
}

/// What decides an event's class.
#[derive(Debug, Clone, Copy)]
pub struct EventFacts<'a> {
    /// Its type.
    pub kind: &'a str,
    /// Its state key, if it is a state event.
    pub state_key: Option<&'a str>,
    /// Its content.
    pub content: &'a RawValue,
    /// How many users are joined to its room.
    pub joined: u64,
    /// Whether its sender has the power to notify the room (`notifications.room` of the power levels).
    pub may_notify_room: bool,
}

/// An event's class; none where the default rules keep it from everybody who is not named in it: memberships, and
/// reactions, edits and server ACLs that do not mention the room.
#[must_use]
pub fn class_of(event: &EventFacts<'_>) -> Option<Class> {
    // Rules match types whatever their case.
    let is = |kind: &str| event.kind.eq_ignore_ascii_case(kind);
    if is("m.room.member") {
        return None;
    }
    let clues = Clues::of(event.content);
    let room_mention = clues.room_mention && event.may_notify_room;
    let whole_room = event.state_key == Some("");
    let one_to_one = event.joined == 2;
    let base = if is("m.room.tombstone") && whole_room {
        if clues.edit { Base::EditedTombstone } else { Base::Tombstone }
    } else if clues.edit || is("m.reaction") || (is("m.room.server_acl") && whole_room) {
        if !room_mention {
            return None;
        }
        Base::Suppressed
    } else if is("m.room.message") {
        if one_to_one { Base::OneToOneMessage } else { Base::Message }
    } else if is("m.room.encrypted") {
        if one_to_one { Base::OneToOneEncrypted } else { Base::Encrypted }
    } else if is("m.call.invite") {
        Base::Call
    } else {
        Base::Other
    };
    Some(Class::new(base, room_mention, clues.notice))
}

/// Adds an event of a class to running counts, which are as long as the greatest class in them asks for.
pub fn count(counts: &mut Vec<u32>, class: Class) {
    let place = usize::from(class.number());
    if counts.len() <= place {
        counts.resize(place + 1, 0);
    }
    if let Some(count) = counts.get_mut(place) {
        *count = count.saturating_add(1);
    }
}
