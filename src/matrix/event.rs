//! A persistent event (PDU): taken apart, built, hashed, signed, redacted.

use ruma::events::TimelineEventType;
use ruma::room_version_rules::RoomVersionRules;
use ruma::signatures::{JsonError, reference_hash};
use ruma::{
    CanonicalJsonObject, EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId,
    RoomVersionId, UInt, UserId,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{Error, Result};

mod build;
pub use build::{Setting, Template, build};

/// The room versions that are served: all whose events are canonical JSON.
pub const ROOM_VERSIONS: [RoomVersionId; 7] = [
    RoomVersionId::V6,
    RoomVersionId::V7,
    RoomVersionId::V8,
    RoomVersionId::V9,
    RoomVersionId::V10,
    RoomVersionId::V11,
    RoomVersionId::V12,
];

/// The rules of a room version.
///
/// # Errors
/// `M_UNSUPPORTED_ROOM_VERSION` where it is not served.
pub fn rules(version: &RoomVersionId) -> Result<RoomVersionRules> {
    let unsupported = || Error::unsupported_room_version(format!("room version {version} is not supported"));
    if !ROOM_VERSIONS.contains(version) {
        return Err(unsupported());
    }
    version.rules().ok_or_else(unsupported)
}

/// A PDU's fields, as rules and readers need them. Its JSON is kept as it is.
#[derive(Debug, Clone)]
pub struct Pdu {
    /// Its id.
    pub event_id: OwnedEventId,
    /// Its room (also where the JSON has none, as in version 12's create event).
    pub room_id: OwnedRoomId,
    /// Its sender.
    pub sender: OwnedUserId,
    /// Its type.
    pub kind: TimelineEventType,
    /// Its state key, if it is a state event.
    pub state_key: Option<String>,
    /// Its content.
    pub content: Box<RawValue>,
    /// When its server says it was made.
    pub origin_server_ts: MilliSecondsSinceUnixEpoch,
    /// Its depth, clamped to the spec's range.
    pub depth: u64,
    /// The events before it.
    pub prev_events: Vec<OwnedEventId>,
    /// The events that authorize it.
    pub auth_events: Vec<OwnedEventId>,
    /// What it redacts, if it is a redaction.
    pub redacts: Option<OwnedEventId>,
    /// Whether it failed authorization.
    pub rejected: bool,
}

#[derive(Deserialize)]
struct Wire<'a> {
    room_id: Option<OwnedRoomId>,
    sender: OwnedUserId,
    #[serde(rename = "type")]
    kind: TimelineEventType,
    state_key: Option<String>,
    #[serde(borrow)]
    content: &'a RawValue,
    origin_server_ts: MilliSecondsSinceUnixEpoch,
    depth: UInt,
    prev_events: Vec<OwnedEventId>,
    auth_events: Vec<OwnedEventId>,
    redacts: Option<OwnedEventId>,
}

#[derive(Deserialize)]
struct RedactsContent {
    redacts: Option<OwnedEventId>,
}

/// What an event redacts, if it is a redaction: named beside the content, or since room version 11 in it.
fn redacts_of(kind: &TimelineEventType, beside: Option<OwnedEventId>, content: &RawValue) -> Option<OwnedEventId> {
    if *kind != TimelineEventType::RoomRedaction {
        return None;
    }
    beside.or_else(|| serde_json::from_str::<RedactsContent>(content.get()).ok().and_then(|content| content.redacts))
}

impl Pdu {
    /// Takes a PDU's JSON apart.
    ///
    /// # Errors
    /// `M_BAD_JSON` where a field is missing or has another form.
    pub fn parse(event_id: OwnedEventId, json: &str) -> Result<Self> {
        let wire: Wire<'_> = serde_json::from_str(json).map_err(|error| Error::bad_json(error.to_string()))?;
        let room_id = match wire.room_id {
            Some(room_id) => room_id,
            None => room_id_of_create(&event_id)?,
        };
        let redacts = redacts_of(&wire.kind, wire.redacts, wire.content);
        Ok(Self {
            event_id,
            room_id,
            sender: wire.sender,
            kind: wire.kind,
            state_key: wire.state_key,
            content: wire.content.to_owned(),
            origin_server_ts: wire.origin_server_ts,
            depth: u64::from(wire.depth),
            prev_events: wire.prev_events,
            auth_events: wire.auth_events,
            redacts,
            rejected: false,
        })
    }

    /// The content as `T`.
    ///
    /// # Errors
    /// `M_BAD_JSON` where it has another form.
    pub fn content_as<'a, T: Deserialize<'a>>(&'a self) -> Result<T> {
        serde_json::from_str(self.content.get()).map_err(|error| Error::bad_json(error.to_string()))
    }

    /// Whether it is a state event of this type with this key.
    #[must_use]
    pub fn is_state(&self, kind: &TimelineEventType, key: &str) -> bool {
        self.kind == *kind && self.state_key.as_deref() == Some(key)
    }
}

/// In room version 12 the room's id is that of its create event, with another sigil.
///
/// # Errors
/// `M_BAD_JSON` where the id is no hash.
pub fn room_id_of_create(event_id: &EventId) -> Result<OwnedRoomId> {
    let id = event_id.as_str().replacen('$', "!", 1);
    RoomId::parse(&id).map_err(|error| Error::bad_json(error.to_string()))
}

impl ruma::state_res::Event for Pdu {
    type Id = OwnedEventId;

    fn event_id(&self) -> &OwnedEventId {
        &self.event_id
    }

    fn room_id(&self) -> Option<&RoomId> {
        // A create event that makes its own room has none in its JSON, and the rules want it so. No JSON can name the hash
        // of itself, so that nothing else looks like this.
        let makes_own = self.kind == TimelineEventType::RoomCreate
            && self.room_id.as_str().get(1..) == self.event_id.as_str().get(1..);
        (!makes_own).then_some(&*self.room_id)
    }

    fn sender(&self) -> &UserId {
        &self.sender
    }

    fn origin_server_ts(&self) -> MilliSecondsSinceUnixEpoch {
        self.origin_server_ts
    }

    fn event_type(&self) -> &TimelineEventType {
        &self.kind
    }

    fn content(&self) -> &RawValue {
        &self.content
    }

    fn state_key(&self) -> Option<&str> {
        self.state_key.as_deref()
    }

    fn prev_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.prev_events.iter())
    }

    fn auth_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.auth_events.iter())
    }

    fn redacts(&self) -> Option<&OwnedEventId> {
        self.redacts.as_ref()
    }

    fn rejected(&self) -> bool {
        self.rejected
    }
}

fn unbuildable(error: &JsonError) -> Error {
    match error {
        JsonError::PduTooLarge => Error::too_large(error.to_string()),
        _ => Error::bad_json(error.to_string()),
    }
}

/// The id of an event: its reference hash.
///
/// # Errors
/// `M_TOO_LARGE` or `M_BAD_JSON` where the object is no event.
pub fn event_id(object: &CanonicalJsonObject, rules: &RoomVersionRules) -> Result<OwnedEventId> {
    let hash = reference_hash(object, rules).map_err(|error| unbuildable(&error))?;
    EventId::parse(format!("${hash}")).map_err(|error| Error::bad_json(error.to_string()))
}

/// An event's JSON without what a redaction takes away.
///
/// # Errors
/// `M_BAD_JSON` where the stored JSON is no event.
pub fn redacted(json: &str, rules: &RoomVersionRules) -> Result<Box<str>> {
    let mut object: CanonicalJsonObject =
        serde_json::from_str(json).map_err(|error| Error::bad_json(error.to_string()))?;
    ruma::canonical_json::redact_in_place(&mut object, &rules.redaction, None)
        .map_err(|error| Error::bad_json(error.to_string()))?;
    object.remove("unsigned");
    serde_json::to_string(&object).map(Into::into).map_err(|error| Error::bad_json(error.to_string()))
}
