//! The answer of /sync as JSON: client-server API, "Syncing".

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::unread::Unread;

/// A list of events under its name.
#[derive(Debug, Default, Serialize)]
pub struct Events {
    /// The events.
    pub events: Vec<Box<RawValue>>,
}

impl Events {
    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

/// A part of a room's timeline.
#[derive(Debug, Default, Serialize)]
pub struct Timeline {
    /// The events, oldest first.
    pub events: Vec<Box<RawValue>>,
    /// Whether older ones than these are new to the client too.
    pub limited: bool,
    /// From where /messages goes on backwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prev_batch: Option<String>,
}

/// Who is in a room, in short.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Members to name a nameless room by.
    #[serde(rename = "m.heroes", skip_serializing_if = "Option::is_none")]
    pub heroes: Option<Vec<String>>,
    /// How many are joined.
    #[serde(rename = "m.joined_member_count", skip_serializing_if = "Option::is_none")]
    pub joined: Option<u64>,
    /// How many are invited.
    #[serde(rename = "m.invited_member_count", skip_serializing_if = "Option::is_none")]
    pub invited: Option<u64>,
}

impl Summary {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A room that the user is joined to.
#[derive(Debug, Default, Serialize)]
pub struct Joined {
    /// Who is in it.
    #[serde(skip_serializing_if = "Summary::is_empty")]
    pub summary: Summary,
    /// State up to the beginning of the timeline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Events>,
    /// State up to the end of the timeline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_after: Option<Events>,
    /// As `state_after`, under the name that clients of before know.
    #[serde(rename = "org.matrix.msc4222.state_after", skip_serializing_if = "Option::is_none")]
    pub unstable_state_after: Option<Events>,
    /// What happened.
    pub timeline: Timeline,
    /// Typing and receipts.
    #[serde(skip_serializing_if = "Events::is_empty")]
    pub ephemeral: Events,
    /// The user's own data of the room.
    #[serde(skip_serializing_if = "Events::is_empty")]
    pub account_data: Events,
    /// Unread events, threads apart if the client asked for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread_notifications: Option<Unread>,
    /// Unread events of threads.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unread_thread_notifications: BTreeMap<String, Unread>,
}

/// A room that the user has left.
#[derive(Debug, Default, Serialize)]
pub struct Left {
    /// State up to the beginning of the timeline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Events>,
    /// State up to the end of the timeline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_after: Option<Events>,
    /// As `state_after`, under the name that clients of before know.
    #[serde(rename = "org.matrix.msc4222.state_after", skip_serializing_if = "Option::is_none")]
    pub unstable_state_after: Option<Events>,
    /// What happened until they left.
    pub timeline: Timeline,
    /// The user's own data of the room.
    #[serde(skip_serializing_if = "Events::is_empty")]
    pub account_data: Events,
}

/// A room that the user is invited to.
#[derive(Debug, Default, Serialize)]
pub struct Invited {
    /// What they may know of it.
    pub invite_state: Events,
}

/// A room that the user knocked on.
#[derive(Debug, Default, Serialize)]
pub struct Knocked {
    /// What they may know of it.
    pub knock_state: Events,
}

/// All rooms of an answer, by their ids.
#[derive(Debug, Default, Serialize)]
pub struct Rooms {
    /// Joined ones.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub join: BTreeMap<String, Joined>,
    /// Invites.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub invite: BTreeMap<String, Invited>,
    /// Knocks.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub knock: BTreeMap<String, Knocked>,
    /// Left ones.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub leave: BTreeMap<String, Left>,
}

impl Rooms {
    fn is_empty(&self) -> bool {
        self.join.is_empty() && self.invite.is_empty() && self.knock.is_empty() && self.leave.is_empty()
    }
}

/// Whose devices and keys a client must look at anew.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct DeviceLists {
    /// Whose changed, or who shares a room now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
    /// Who shares no room any more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
}

impl DeviceLists {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The answer.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// What to ask with next time.
    pub next_batch: String,
    /// Rooms.
    #[serde(skip_serializing_if = "Rooms::is_empty")]
    pub rooms: Rooms,
    /// The account's own data.
    #[serde(skip_serializing_if = "Events::is_empty")]
    pub account_data: Events,
    /// Who is there.
    #[serde(skip_serializing_if = "Events::is_empty")]
    pub presence: Events,
    /// Messages for this device.
    #[serde(skip_serializing_if = "Events::is_empty")]
    pub to_device: Events,
    /// Whose devices changed.
    #[serde(skip_serializing_if = "DeviceLists::is_empty")]
    pub device_lists: DeviceLists,
    /// How many one-time keys are left, per algorithm.
    pub device_one_time_keys_count: BTreeMap<String, u64>,
    /// Algorithms whose fallback key was not used yet.
    pub device_unused_fallback_key_types: Vec<String>,
    /// The same, under the name that clients of before know.
    #[serde(rename = "org.matrix.msc2732.device_unused_fallback_key_types")]
    pub unstable_unused_fallback_key_types: Vec<String>,
}

impl Answer {
    /// Whether it tells nothing new: then a client rather waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty()
            && self.account_data.is_empty()
            && self.presence.is_empty()
            && self.to_device.is_empty()
            && self.device_lists.is_empty()
    }
}
