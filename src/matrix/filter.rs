//! Filters: which events of which rooms a client wants. Client-server API, "Filtering".

use std::collections::HashSet;

use ruma::api::client::filter::{RoomEventFilter, UrlFilter};

/// What a filter decides by.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The event's type.
    pub kind: &'a str,
    /// Its sender.
    pub sender: &'a str,
    /// Its room.
    pub room_id: &'a str,
    /// Its JSON, for those few filters that look into the content.
    pub json: Option<&'a str>,
}

/// A filter made ready for many events.
#[derive(Debug, Clone, Default)]
pub struct Compiled {
    types: Option<Vec<String>>,
    not_types: Vec<String>,
    senders: Option<HashSet<String>>,
    not_senders: HashSet<String>,
    rooms: Option<HashSet<String>>,
    not_rooms: HashSet<String>,
    contains_url: Option<bool>,
    rel_types: Vec<String>,
}

impl Compiled {
    /// Makes a room event filter ready.
    #[must_use]
    pub fn of_room_events(filter: &RoomEventFilter) -> Self {
        let strings = |ids: &[ruma::OwnedRoomId]| ids.iter().map(ToString::to_string).collect::<HashSet<_>>();
        Self {
            types: filter.types.clone(),
            not_types: filter.not_types.clone(),
            senders: filter.senders.as_ref().map(|ids| ids.iter().map(ToString::to_string).collect()),
            not_senders: filter.not_senders.iter().map(ToString::to_string).collect(),
            rooms: filter.rooms.as_deref().map(strings),
            not_rooms: strings(&filter.not_rooms),
            contains_url: filter.url_filter.as_ref().map(|url| *url == UrlFilter::EventsWithUrl),
            rel_types: Vec::new(),
        }
    }

    /// Makes a filter of account data or presence ready.
    #[must_use]
    pub fn of_events(filter: &ruma::api::client::filter::Filter) -> Self {
        Self {
            types: filter.types.clone(),
            not_types: filter.not_types.clone(),
            senders: filter.senders.as_ref().map(|ids| ids.iter().map(ToString::to_string).collect()),
            not_senders: filter.not_senders.iter().map(ToString::to_string).collect(),
            ..Self::default()
        }
    }

    /// Whether it lets everything through.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.types.is_none()
            && self.not_types.is_empty()
            && self.senders.is_none()
            && self.not_senders.is_empty()
            && self.rooms.is_none()
            && self.not_rooms.is_empty()
            && self.contains_url.is_none()
            && self.rel_types.is_empty()
    }

    /// Whether it lets nothing through, whatever comes.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.types.as_ref().is_some_and(Vec::is_empty)
            || self.senders.as_ref().is_some_and(HashSet::is_empty)
            || self.rooms.as_ref().is_some_and(HashSet::is_empty)
    }

    /// Whether it wants events of this room at all.
    #[must_use]
    pub fn wants_room(&self, room_id: &str) -> bool {
        !self.not_rooms.contains(room_id) && self.rooms.as_ref().is_none_or(|rooms| rooms.contains(room_id))
    }

    /// Whether it wants this event.
    #[must_use]
    pub fn wants(&self, event: &Candidate<'_>) -> bool {
        !self.not_types.iter().any(|pattern| matches(pattern, event.kind))
            && self.types.as_ref().is_none_or(|types| types.iter().any(|pattern| matches(pattern, event.kind)))
            && !self.not_senders.contains(event.sender)
            && self.senders.as_ref().is_none_or(|senders| senders.contains(event.sender))
            && self.wants_room(event.room_id)
            && self.contains_url.is_none_or(|wanted| event.json.is_some_and(contains_url) == wanted)
    }
}

/// Whether the content has a `url` that is text.
fn contains_url(json: &str) -> bool {
    json.contains("\"url\"")
        && serde_json::from_str::<serde_json::Value>(json)
            .is_ok_and(|event| event.pointer("/content/url").is_some_and(serde_json::Value::is_string))
}

/// Whether a type matches a pattern, in which `*` stands for any text. Linear in both lengths for each star.
#[must_use]
pub fn matches(pattern: &str, kind: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(first) = parts.next() else { return kind.is_empty() };
    let Some(mut rest) = kind.strip_prefix(first) else { return false };
    let mut parts: Vec<_> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.len() >= last.len() && rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_stand_for_any_text() {
        assert!(matches("m.room.*", "m.room.message"));
        assert!(matches("*", ""));
        assert!(matches("m.*.member", "m.room.member"));
        assert!(matches("a*b*c", "a-b-b-c"));
        assert!(!matches("m.room.*", "m.reaction"));
        assert!(!matches("ab*ba", "aba"));
        assert!(matches("m.room.message", "m.room.message"));
        assert!(!matches("m.room.message", "m.room.messages"));
    }
}
