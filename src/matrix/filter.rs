//! Filters: which events of which rooms a client wants. Client-server API, "Filtering".
//!
//! A filter is asked about every event of a walk, so its lists have bounds. They hold wherever it comes from: no filter is
//! asked that was not made ready, which one beyond them cannot be.

use std::collections::HashSet;

use ruma::api::client::filter::{Filter, FilterDefinition, RoomEventFilter, RoomFilter, UrlFilter};

use crate::{Error, Result};

/// The most entries of one list. Clients name a handful; what stands for itself alone costs one look however many there are.
const MOST_ENTRIES: usize = 1000;
/// The most stars in a list of types, and the most fields of events: each costs something with every event.
const MOST_PARTS: usize = 100;
/// The longest type, and the longest field, in bytes: no event has a longer type.
const MAX_BYTES: usize = 255;

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

/// The types that a list names.
#[derive(Debug, Clone, Default)]
struct Types {
    /// Those that stand for themselves.
    whole: HashSet<String>,
    /// Those with a star.
    patterns: Vec<String>,
}

impl Types {
    fn new(types: &[String]) -> Result<Self> {
        bounded(types)?;
        short(types)?;
        if types.iter().map(|kind| kind.matches('*').count()).sum::<usize>() > MOST_PARTS {
            return Err(Error::invalid_param(format!("the types in a filter have {MOST_PARTS} stars at most")));
        }
        let (patterns, whole): (Vec<_>, Vec<_>) = types.iter().cloned().partition(|kind| kind.contains('*'));
        Ok(Self { whole: whole.into_iter().collect(), patterns })
    }

    fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.patterns.is_empty()
    }

    fn name(&self, kind: &str) -> bool {
        self.whole.contains(kind) || self.patterns.iter().any(|pattern| matches(pattern, kind))
    }
}

/// A filter made ready for many events.
#[derive(Debug, Clone, Default)]
pub struct Compiled {
    types: Option<Types>,
    not_types: Types,
    senders: Option<HashSet<String>>,
    not_senders: HashSet<String>,
    rooms: Option<HashSet<String>>,
    not_rooms: HashSet<String>,
    contains_url: Option<bool>,
}

impl Compiled {
    /// Makes a room event filter ready.
    ///
    /// # Errors
    /// `M_INVALID_PARAM` where a list of it is too long.
    pub fn of_room_events(filter: &RoomEventFilter) -> Result<Self> {
        Ok(Self {
            types: filter.types.as_deref().map(Types::new).transpose()?,
            not_types: Types::new(&filter.not_types)?,
            senders: filter.senders.as_deref().map(ids).transpose()?,
            not_senders: ids(&filter.not_senders)?,
            rooms: filter.rooms.as_deref().map(ids).transpose()?,
            not_rooms: ids(&filter.not_rooms)?,
            contains_url: filter.url_filter.as_ref().map(|url| *url == UrlFilter::EventsWithUrl),
        })
    }

    /// Makes a filter of account data or presence ready.
    ///
    /// # Errors
    /// `M_INVALID_PARAM` where a list of it is too long.
    pub fn of_events(filter: &Filter) -> Result<Self> {
        Ok(Self {
            types: filter.types.as_deref().map(Types::new).transpose()?,
            not_types: Types::new(&filter.not_types)?,
            senders: filter.senders.as_deref().map(ids).transpose()?,
            not_senders: ids(&filter.not_senders)?,
            ..Self::default()
        })
    }

    /// Makes ready which rooms a filter wants, whatever is in them.
    ///
    /// # Errors
    /// `M_INVALID_PARAM` where a list of them is too long.
    pub fn of_rooms(filter: &RoomFilter) -> Result<Self> {
        Ok(Self {
            rooms: filter.rooms.as_deref().map(ids).transpose()?,
            not_rooms: ids(&filter.not_rooms)?,
            ..Self::default()
        })
    }

    /// The same of whatever room: for who has chosen the rooms already.
    #[must_use]
    pub fn in_any_room(self) -> Self {
        Self { rooms: None, not_rooms: HashSet::new(), ..self }
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
    }

    /// Whether it lets nothing through, whatever comes.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.types.as_ref().is_some_and(Types::is_empty)
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
        !self.not_types.name(event.kind)
            && self.types.as_ref().is_none_or(|types| types.name(event.kind))
            && !self.not_senders.contains(event.sender)
            && self.senders.as_ref().is_none_or(|senders| senders.contains(event.sender))
            && self.wants_room(event.room_id)
            && self.contains_url.is_none_or(|wanted| event.json.is_some_and(contains_url) == wanted)
    }
}

/// Refuses a whole filter that could not be made ready, before it is kept.
///
/// # Errors
/// `M_INVALID_PARAM` where a list of it is too long.
pub fn check(definition: &FilterDefinition) -> Result<()> {
    let room = &definition.room;
    for events in [&room.timeline, &room.state, &room.ephemeral, &room.account_data] {
        Compiled::of_room_events(events)?;
    }
    for events in [&definition.account_data, &definition.presence] {
        Compiled::of_events(events)?;
    }
    Compiled::of_rooms(room)?;
    definition.event_fields.as_deref().map_or(Ok(()), check_fields)
}

/// Refuses fields of events that are too many, or too long.
///
/// # Errors
/// `M_INVALID_PARAM`.
pub fn check_fields(fields: &[String]) -> Result<()> {
    if fields.len() > MOST_PARTS {
        return Err(Error::invalid_param(format!("a filter names {MOST_PARTS} fields at most")));
    }
    short(fields)
}

/// Refuses a list that is longer than any of a filter may be.
///
/// # Errors
/// `M_INVALID_PARAM`.
pub fn bounded<T>(list: &[T]) -> Result<()> {
    if list.len() > MOST_ENTRIES {
        return Err(Error::invalid_param(format!("a list in a filter has {MOST_ENTRIES} entries at most")));
    }
    Ok(())
}

fn short(texts: &[String]) -> Result<()> {
    if texts.iter().any(|text| text.len() > MAX_BYTES) {
        return Err(Error::invalid_param(format!("types and fields in a filter have {MAX_BYTES} bytes at most")));
    }
    Ok(())
}

fn ids<T: ToString>(ids: &[T]) -> Result<HashSet<String>> {
    bounded(ids)?;
    Ok(ids.iter().map(ToString::to_string).collect())
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
    use ruma::api::client::filter::{FilterDefinition, RoomEventFilter};
    use serde_json::{Value, json};

    use super::{Candidate, Compiled, MAX_BYTES, MOST_ENTRIES, MOST_PARTS, check, matches};
    use crate::Result;

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

    fn compiled(filter: Value) -> Result<Compiled> {
        Compiled::of_room_events(&serde_json::from_value::<RoomEventFilter>(filter).unwrap())
    }

    fn checked(definition: Value) -> Result<()> {
        check(&serde_json::from_value::<FilterDefinition>(definition).unwrap())
    }

    /// So many texts that differ: `#` stands for their number.
    fn texts(pattern: &str, count: usize) -> Vec<String> {
        (0..count).map(|nth| pattern.replace('#', &nth.to_string())).collect()
    }

    #[test]
    fn types_are_named_whole_or_by_stars() {
        let filter = json!({ "types": ["m.room.message", "m.call.*"], "not_types": ["m.call.hangup", "*.reject"] });
        let filter = compiled(filter).unwrap();
        let wants = |kind| filter.wants(&Candidate { kind, sender: "@a:b", room_id: "!a:b", json: None });
        assert!(wants("m.room.message") && wants("m.call.invite"));
        assert!(!wants("m.call.hangup") && !wants("m.call.reject") && !wants("m.room.name"));
        assert!(compiled(json!({ "types": [] })).unwrap().is_closed());
        assert!(compiled(json!({})).unwrap().is_open());
        let chosen = compiled(json!({ "rooms": ["!c:d"], "not_rooms": ["!a:b"] })).unwrap();
        assert!(!chosen.wants_room("!a:b") && chosen.in_any_room().wants_room("!a:b"));
    }

    #[test]
    fn lists_have_bounds() {
        for (list, pattern, most) in [
            ("types", "m.#", MOST_ENTRIES),
            ("types", "m.#.*", MOST_PARTS),
            ("not_types", "m.#", MOST_ENTRIES),
            ("not_types", "*.#", MOST_PARTS),
            ("senders", "@#:b", MOST_ENTRIES),
            ("not_senders", "@#:b", MOST_ENTRIES),
            ("rooms", "!#:b", MOST_ENTRIES),
            ("not_rooms", "!#:b", MOST_ENTRIES),
        ] {
            let filter = |count| json!({ list: texts(pattern, count) });
            assert!(compiled(filter(most)).is_ok(), "{list} {pattern}");
            let refusal = compiled(filter(most + 1)).unwrap_err().to_string();
            assert!(refusal.starts_with("M_INVALID_PARAM"), "{list} {pattern} {refusal}");
            assert!(checked(json!({ "room": { "timeline": filter(most) } })).is_ok(), "{list} {pattern}");
            assert!(checked(json!({ "room": { "timeline": filter(most + 1) } })).is_err(), "{list} {pattern}");
        }
        let long = "x".repeat(MAX_BYTES + 1);
        assert!(compiled(json!({ "types": [long] })).is_err());
        assert!(compiled(json!({ "not_types": ["*".repeat(MOST_PARTS + 1)] })).is_err());
    }

    #[test]
    fn a_whole_filter_is_checked_everywhere() {
        let types = json!({ "not_types": texts("m.#", MOST_ENTRIES + 1) });
        for part in ["timeline", "state", "ephemeral", "account_data"] {
            assert!(checked(json!({ "room": { part: types } })).is_err(), "{part}");
        }
        for part in ["account_data", "presence"] {
            assert!(checked(json!({ part: types })).is_err(), "{part}");
        }
        for part in ["rooms", "not_rooms"] {
            assert!(checked(json!({ "room": { part: texts("!#:b", MOST_ENTRIES) } })).is_ok(), "{part}");
            assert!(checked(json!({ "room": { part: texts("!#:b", MOST_ENTRIES + 1) } })).is_err(), "{part}");
        }
        assert!(checked(json!({ "event_fields": texts("content.#", MOST_PARTS) })).is_ok());
        assert!(checked(json!({ "event_fields": texts("content.#", MOST_PARTS + 1) })).is_err());
        assert!(checked(json!({ "event_fields": ["x".repeat(MAX_BYTES + 1)] })).is_err());
    }
}
