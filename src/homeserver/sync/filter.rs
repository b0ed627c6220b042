//! A sync filter, made ready once for many rooms.

use matron_matrix::Error as MatrixError;
use matron_matrix::filter::{Compiled, check_fields};
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
    /// Which rooms.
    pub(super) rooms: Compiled,
    pub(super) event_fields: Option<Vec<String>>,
    /// Whether events are shown as servers send them to each other.
    pub(super) whole_events: bool,
}

impl TryFrom<&FilterDefinition> for SyncFilter {
    type Error = MatrixError;

    /// `M_INVALID_PARAM` where a list of it is too long: one that was kept before there were bounds may be.
    fn try_from(definition: &FilterDefinition) -> Result<Self, MatrixError> {
        let room = &definition.room;
        definition.event_fields.as_deref().map_or(Ok(()), check_fields)?;
        let limit = room.timeline.limit.map_or(10, |limit| usize::try_from(u64::from(limit)).unwrap_or(MOST_TIMELINE));
        Ok(Self {
            timeline: Compiled::of_room_events(&room.timeline)?,
            timeline_limit: limit.min(MOST_TIMELINE),
            state: Compiled::of_room_events(&room.state)?,
            ephemeral: Compiled::of_room_events(&room.ephemeral)?,
            room_account_data: Compiled::of_room_events(&room.account_data)?,
            account_data: Compiled::of_events(&definition.account_data)?,
            presence: Compiled::of_events(&definition.presence)?,
            include_leave: room.include_leave,
            lazy: match room.state.lazy_load_options {
                LazyLoadOptions::Enabled { include_redundant_members } => Some(include_redundant_members),
                LazyLoadOptions::Disabled => None,
            },
            threads: room.timeline.unread_thread_notifications,
            rooms: Compiled::of_rooms(room)?,
            event_fields: definition.event_fields.clone(),
            whole_events: definition.event_format == EventFormat::Federation,
        })
    }
}

#[cfg(test)]
mod tests {
    use ruma::api::client::filter::FilterDefinition;
    use serde_json::json;

    use super::SyncFilter;

    #[test]
    fn a_filter_beyond_bounds_is_refused_also_if_it_was_kept() {
        let ready = |count: usize, part: &str| {
            let ids: Vec<_> = (0..count).map(|nth| format!("!{nth}:localhost")).collect();
            let kept = json!({ "room": { part: ids } }).to_string();
            SyncFilter::try_from(&serde_json::from_str::<FilterDefinition>(&kept).unwrap())
        };
        for part in ["rooms", "not_rooms"] {
            assert_eq!(ready(1000, part).unwrap().rooms.wants_room("!999:localhost"), part == "rooms");
            assert_eq!(ready(1001, part).unwrap_err().kind.errcode().to_string(), "M_INVALID_PARAM");
        }
        let fields: Vec<_> = (0..101).map(|nth| format!("content.{nth}")).collect();
        let definition: FilterDefinition = serde_json::from_value(json!({ "event_fields": fields })).unwrap();
        assert!(SyncFilter::try_from(&definition).is_err());
    }
}
