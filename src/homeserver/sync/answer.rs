//! The answer of /sync, and how it is written: once, into one buffer. Client-server API, "Syncing".

use std::collections::BTreeMap;
use std::sync::Arc;

use matron_matrix::splice::{List, Object, push_number, push_text};
use tokio::sync::OwnedSemaphorePermit;

use crate::devices::KeyCounts;
use crate::unread::Unread;

/// Bytes of one room's timeline in an answer, and of all of them together: what is beyond is left to /messages, but for one
/// event of each room.
const MOST_OF_ROOM: usize = 1 << 20;
const MOST_OF_ALL: usize = 32 << 20;

/// A list of events under its name.
#[derive(Debug, Default)]
pub struct Events {
    /// The events.
    pub events: List,
}

impl Events {
    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    fn write(&self, out: &mut String) {
        let mut object = Object::begin(out);
        self.events.write(object.member("events"));
        object.end();
    }

    fn write_unless_empty(&self, name: &str, object: &mut Object<'_>) {
        if !self.is_empty() {
            self.write(object.member(name));
        }
    }
}

fn write_texts(texts: &[String], out: &mut String) {
    let mut list = List::default();
    for text in texts {
        push_text(list.element(), text);
    }
    list.write(out);
}

/// Which state of a room is told, and by which name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateName {
    /// `state`: as of the timeline's beginning.
    State,
    /// `state_after`: as of its end.
    StateAfter,
    /// The same by the name that its proposal had, MSC4222.
    ProposedStateAfter,
}

impl StateName {
    /// Whether it is the state as of the timeline's end.
    #[must_use]
    pub fn is_after(self) -> bool {
        self != Self::State
    }

    const fn name(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::StateAfter => "state_after",
            Self::ProposedStateAfter => "org.matrix.msc4222.state_after",
        }
    }
}

/// A part of a room's timeline.
#[derive(Debug, Default)]
pub struct Timeline {
    /// The events, oldest first.
    pub events: List,
    /// Whether older ones than these are new to the client too.
    pub limited: bool,
    /// From where /messages goes on backwards.
    pub prev_batch: String,
}

impl Timeline {
    fn write(&self, out: &mut String) {
        let mut object = Object::begin(out);
        self.events.write(object.member("events"));
        object.flag("limited", self.limited);
        object.text("prev_batch", &self.prev_batch);
        object.end();
    }
}

/// Who is in a room, in short.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Members to name a nameless room by.
    pub heroes: Option<Vec<String>>,
    /// How many are joined.
    pub joined: Option<u64>,
    /// How many are invited.
    pub invited: Option<u64>,
}

impl Summary {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn write(&self, out: &mut String) {
        let mut object = Object::begin(out);
        if let Some(heroes) = &self.heroes {
            write_texts(heroes, object.member("m.heroes"));
        }
        if let Some(joined) = self.joined {
            object.number("m.joined_member_count", joined);
        }
        if let Some(invited) = self.invited {
            object.number("m.invited_member_count", invited);
        }
        object.end();
    }
}

fn write_unread(unread: Unread, out: &mut String) {
    let mut object = Object::begin(out);
    object.number("highlight_count", unread.highlight_count);
    object.number("notification_count", unread.notification_count);
    object.end();
}

/// A room that the user is joined to.
#[derive(Debug, Default)]
pub struct Joined {
    /// Who is in it.
    pub summary: Summary,
    /// State up to the beginning of the timeline, or to its end: see [`StateName`].
    pub state: Events,
    /// What happened.
    pub timeline: Timeline,
    /// Typing and receipts.
    pub ephemeral: Events,
    /// The user's own data of the room.
    pub account_data: Events,
    /// Unread events, threads apart if the client asked for them.
    pub unread_notifications: Option<Unread>,
    /// Unread events of threads.
    pub unread_thread_notifications: BTreeMap<String, Unread>,
}

impl Joined {
    fn write(&self, state: StateName, out: &mut String) {
        let mut object = Object::begin(out);
        if !self.summary.is_empty() {
            self.summary.write(object.member("summary"));
        }
        self.state.write(object.member(state.name()));
        self.timeline.write(object.member("timeline"));
        self.ephemeral.write_unless_empty("ephemeral", &mut object);
        self.account_data.write_unless_empty("account_data", &mut object);
        if let Some(unread) = self.unread_notifications {
            write_unread(unread, object.member("unread_notifications"));
        }
        write_map(&self.unread_thread_notifications, "unread_thread_notifications", &mut object, |unread, out| {
            write_unread(*unread, out);
        });
        object.end();
    }
}

/// A map under its name, unless it is empty.
fn write_map<V>(map: &BTreeMap<String, V>, name: &str, object: &mut Object<'_>, write: impl Fn(&V, &mut String)) {
    if map.is_empty() {
        return;
    }
    let mut inner = Object::begin(object.member(name));
    for (key, value) in map {
        write(value, inner.named(key));
    }
    inner.end();
}

/// A room that the user has left.
#[derive(Debug, Default)]
pub struct Left {
    /// State up to the beginning of the timeline, or to its end: see [`StateName`].
    pub state: Events,
    /// What happened until they left.
    pub timeline: Timeline,
    /// The user's own data of the room.
    pub account_data: Events,
}

impl Left {
    fn write(&self, state: StateName, out: &mut String) {
        let mut object = Object::begin(out);
        self.state.write(object.member(state.name()));
        self.timeline.write(object.member("timeline"));
        self.account_data.write_unless_empty("account_data", &mut object);
        object.end();
    }
}

/// A room that the user is invited to.
#[derive(Debug, Default)]
pub struct Invited {
    /// What they may know of it.
    pub invite_state: Events,
}

/// A room that the user knocked on.
#[derive(Debug, Default)]
pub struct Knocked {
    /// What they may know of it.
    pub knock_state: Events,
}

/// All rooms of an answer, by their ids.
#[derive(Debug, Default)]
pub struct Rooms {
    /// Joined ones.
    pub join: BTreeMap<String, Joined>,
    /// Invites.
    pub invite: BTreeMap<String, Invited>,
    /// Knocks.
    pub knock: BTreeMap<String, Knocked>,
    /// Left ones.
    pub leave: BTreeMap<String, Left>,
    /// Bytes of their timelines.
    told: usize,
}

impl Rooms {
    /// About how many bytes the next room's timeline may have: one at least.
    pub(super) fn spare(&self) -> usize {
        MOST_OF_ALL.saturating_sub(self.told).clamp(1, MOST_OF_ROOM)
    }

    /// Adds a room that the user is joined to.
    pub(super) fn add_joined(&mut self, room_id: String, joined: Joined) {
        self.told += joined.timeline.events.bytes();
        self.join.insert(room_id, joined);
    }

    /// Adds a room that the user has left.
    pub(super) fn add_left(&mut self, room_id: String, left: Left) {
        self.told += left.timeline.events.bytes();
        self.leave.insert(room_id, left);
    }

    fn is_empty(&self) -> bool {
        self.join.is_empty() && self.invite.is_empty() && self.knock.is_empty() && self.leave.is_empty()
    }

    fn write(&self, state: StateName, out: &mut String) {
        let stripped = |name: &str, state: &Events, out: &mut String| {
            let mut object = Object::begin(out);
            state.write(object.member(name));
            object.end();
        };
        let mut object = Object::begin(out);
        write_map(&self.join, "join", &mut object, |room, out| room.write(state, out));
        write_map(&self.invite, "invite", &mut object, |room, out| stripped("invite_state", &room.invite_state, out));
        write_map(&self.knock, "knock", &mut object, |room, out| stripped("knock_state", &room.knock_state, out));
        write_map(&self.leave, "leave", &mut object, |room, out| room.write(state, out));
        object.end();
    }
}

/// Whose devices and keys a client must look at anew.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct DeviceLists {
    /// Whose changed, or who shares a room now.
    pub changed: Vec<String>,
    /// Who shares no room any more.
    pub left: Vec<String>,
}

impl DeviceLists {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn write(&self, out: &mut String) {
        let mut object = Object::begin(out);
        for (name, users) in [("changed", &self.changed), ("left", &self.left)] {
            if !users.is_empty() {
                write_texts(users, object.member(name));
            }
        }
        object.end();
    }
}

/// The answer.
#[derive(Debug)]
pub struct Answer {
    /// What to ask with next time.
    pub next_batch: String,
    /// Rooms.
    pub rooms: Rooms,
    /// The account's own data.
    pub account_data: Events,
    /// Who is there.
    pub presence: Events,
    /// Messages for this device.
    pub to_device: Events,
    /// Whose devices changed.
    pub device_lists: DeviceLists,
    /// How many keys the device has left.
    pub keys: Arc<KeyCounts>,
    /// Whoever waits to be told everything does so until this answer is written.
    pub(super) _turn: Option<OwnedSemaphorePermit>,
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

    /// The answer as JSON.
    #[must_use]
    pub fn to_json(&self, state: StateName) -> String {
        let mut out = String::with_capacity(1024);
        let mut object = Object::begin(&mut out);
        object.text("next_batch", &self.next_batch);
        if !self.rooms.is_empty() {
            self.rooms.write(state, object.member("rooms"));
        }
        self.account_data.write_unless_empty("account_data", &mut object);
        self.presence.write_unless_empty("presence", &mut object);
        self.to_device.write_unless_empty("to_device", &mut object);
        if !self.device_lists.is_empty() {
            self.device_lists.write(object.member("device_lists"));
        }
        let mut counts = Object::begin(object.member("device_one_time_keys_count"));
        for (algorithm, count) in &self.keys.one_time {
            push_number(counts.named(algorithm.as_str()), u64::from(*count));
        }
        counts.end();
        // Clients of before know the second name.
        for name in ["device_unused_fallback_key_types", "org.matrix.msc2732.device_unused_fallback_key_types"] {
            write_texts(&self.keys.unused_fallback, object.member(name));
        }
        object.end();
        out
    }
}
