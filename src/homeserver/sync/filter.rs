//! A sync filter, made ready once for many rooms.

use matron_matrix::filter::Compiled;
use ruma::api::client::filter::{EventFormat, FilterDefinition, LazyLoadOptions};

/// The most events of a room's timeline in one answer.
const MOST_TIMELINE: usize = 100;

/// What a sync is to hold.
#[derive(Debug, Clone)]
pub struct SyncFilter {
    pub(super) timeline: Compiled,
    pub(super) timeline_limit: usize,
    pub(super) state: Compiled,
    pub(super) ephemeral: Compiled,
    pub(super) room_account_data: Compiled,
    pub(super) account_data: Compiled,
    pub(super) presence: Compiled,
    pub(super) include_leave: bool,
    /// Members only of those who speak; with `Some(true)` again and again.
    pub(super) lazy: Option<bool>,
    pub(super) threads: bool,
    pub(super) rooms: Rooms,
    pub(super) event_fields: Option<Vec<String>>,
    /// Whether events are shown as servers send them to each other.
    pub(super) whole_events: bool,
}

/// Which rooms.
#[derive(Debug, Clone, Default)]
pub(super) struct Rooms {
    only: Option<Vec<String>>,
    not: Vec<String>,
}

impl Rooms {
    pub(super) fn wants(&self, room_id: &str) -> bool {
        !self.not.iter().any(|not| not == room_id)
            && self.only.as_ref().is_none_or(|only| only.iter().any(|wanted| wanted == room_id))
    }
}

impl From<&FilterDefinition> for SyncFilter {
    fn from(definition: &FilterDefinition) -> Self {
        let room = &definition.room;
        let strings = |ids: &[ruma::OwnedRoomId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        let limit = room.timeline.limit.map_or(10, |limit| usize::try_from(u64::from(limit)).unwrap_or(MOST_TIMELINE));
        Self {
            timeline: Compiled::of_room_events(&room.timeline),
            timeline_limit: limit.min(MOST_TIMELINE),
            state: Compiled::of_room_events(&room.state),
            ephemeral: Compiled::of_room_events(&room.ephemeral),
            room_account_data: Compiled::of_room_events(&room.account_data),
            account_data: Compiled::of_events(&definition.account_data),
            presence: Compiled::of_events(&definition.presence),
            include_leave: room.include_leave,
            lazy: match room.state.lazy_load_options {
                LazyLoadOptions::Enabled { include_redundant_members } => Some(include_redundant_members),
                LazyLoadOptions::Disabled => None,
            },
            threads: room.timeline.unread_thread_notifications,
            rooms: Rooms { only: room.rooms.as_deref().map(strings), not: strings(&room.not_rooms) },
            event_fields: definition.event_fields.clone(),
            whole_events: definition.event_format == EventFormat::Federation,
        }
    }
}
