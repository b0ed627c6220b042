//! What news can be about.

use matron_storage::Topic;

use crate::schema::{RoomNum, UserNum};

/// What a batch can be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A room's timeline, state or receipts.
    Room(RoomNum),
    /// Somebody came into a room.
    Came(RoomNum, UserNum),
    /// Somebody left a room.
    Went(RoomNum, UserNum),
    /// What concerns one user alone: account data, to-device messages, their own receipts.
    User(UserNum),
    /// Which rooms a user is in.
    Memberships(UserNum),
    /// A user's devices or keys.
    DeviceList(UserNum),
    /// A user's pushers.
    Pushers(UserNum),
    /// A user's push rules, or whom they ignore.
    Rules(UserNum),
    /// What was redacted in a room.
    Redactions(RoomNum),
    /// A user was erased.
    Erased(UserNum),
    /// A room's resolved state.
    State(RoomNum),
    /// How far a user has read, or where they last spoke.
    Read(UserNum),
    /// A user's tokens, or what they may do.
    Access(UserNum),
    /// A room's receipts.
    Receipts(RoomNum),
    /// What can be claimed of a user's devices: their one-time and fallback keys.
    Claimable(UserNum),
}

impl From<Subject> for Topic {
    fn from(subject: Subject) -> Self {
        let object = match subject {
            Subject::Came(_, user) | Subject::Went(_, user) => user.0,
            _ => 0,
        };
        let (kind, subject) = match subject {
            Subject::Room(room) => (1, room.0),
            Subject::User(user) => (3, user.0),
            Subject::Memberships(user) => (4, user.0),
            Subject::DeviceList(user) => (5, user.0),
            Subject::Pushers(user) => (6, user.0),
            Subject::Rules(user) => (10, user.0),
            Subject::Redactions(room) => (11, room.0),
            Subject::Erased(user) => (12, user.0),
            Subject::State(room) => (13, room.0),
            Subject::Read(user) => (14, user.0),
            Subject::Access(user) => (15, user.0),
            Subject::Came(room, _) => (20, room.0),
            Subject::Went(room, _) => (21, room.0),
            Subject::Receipts(room) => (22, room.0),
            Subject::Claimable(user) => (23, user.0),
        };
        Self { kind, subject, object }
    }
}

impl Subject {
    /// Whether anybody waits for it. What the others mean for a client is announced beside them.
    pub(super) const fn wakes(self) -> bool {
        match self {
            Self::Room(_) | Self::User(_) | Self::Memberships(_) | Self::DeviceList(_) | Self::Access(_) => true,
            Self::Came(..)
            | Self::Went(..)
            | Self::Pushers(_)
            | Self::Rules(_)
            | Self::Redactions(_)
            | Self::Erased(_)
            | Self::State(_)
            | Self::Read(_)
            | Self::Receipts(_)
            | Self::Claimable(_) => false,
        }
    }

    /// The subject of a topic; none where it is one of another build.
    pub(super) const fn of(topic: Topic) -> Option<Self> {
        Some(match topic.kind {
            1 => Self::Room(RoomNum(topic.subject)),
            3 => Self::User(UserNum(topic.subject)),
            4 => Self::Memberships(UserNum(topic.subject)),
            5 => Self::DeviceList(UserNum(topic.subject)),
            6 => Self::Pushers(UserNum(topic.subject)),
            10 => Self::Rules(UserNum(topic.subject)),
            11 => Self::Redactions(RoomNum(topic.subject)),
            12 => Self::Erased(UserNum(topic.subject)),
            13 => Self::State(RoomNum(topic.subject)),
            14 => Self::Read(UserNum(topic.subject)),
            15 => Self::Access(UserNum(topic.subject)),
            20 => Self::Came(RoomNum(topic.subject), UserNum(topic.object)),
            21 => Self::Went(RoomNum(topic.subject), UserNum(topic.object)),
            22 => Self::Receipts(RoomNum(topic.subject)),
            23 => Self::Claimable(UserNum(topic.subject)),
            _ => return None,
        })
    }
}
