//! A persistent event (PDU): taken apart, built, hashed, signed, redacted.

use std::sync::Arc;

use ruma::events::TimelineEventType;
use ruma::room_version_rules::RoomVersionRules;
use ruma::signatures::{JsonError, KeyPair, hash_and_sign_event, reference_hash};
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId,
    OwnedUserId, RoomId, RoomVersionId, ServerName, UInt, UserId,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::canonical::to_event_json;
use crate::{Error, Result};

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
        let redacts = if wire.kind == TimelineEventType::RoomRedaction {
            wire.redacts.or_else(|| {
                serde_json::from_str::<RedactsContent>(wire.content.get()).ok().and_then(|content| content.redacts)
            })
        } else {
            None
        };
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

/// What a local user wants to say; the rest of the event is added when its turn comes.
#[derive(Debug, Clone)]
pub struct Template {
    /// Who says it.
    pub sender: OwnedUserId,
    /// The event's type.
    pub kind: TimelineEventType,
    /// The state key, for state events.
    pub state_key: Option<String>,
    /// The content.
    pub content: CanonicalJsonObject,
    /// What it redacts, for redactions.
    pub redacts: Option<OwnedEventId>,
    /// When it was said.
    pub origin_server_ts: MilliSecondsSinceUnixEpoch,
}

/// Where a new event goes.
#[derive(Debug, Clone)]
pub struct Setting<'a> {
    /// The room; none for a create event of version 12, which makes its own.
    pub room_id: Option<&'a RoomId>,
    /// The rules of the room's version.
    pub rules: &'a RoomVersionRules,
    /// The events before it.
    pub prev_events: Vec<OwnedEventId>,
    /// The events that authorize it.
    pub auth_events: Vec<OwnedEventId>,
    /// Its depth.
    pub depth: u64,
}

/// Lengths in bytes, as "Size limits" of the client-server API has them.
const MAX_NAME_BYTES: usize = 255;

/// Builds a local event: limits, hashes, signature, id.
///
/// # Errors
/// `M_TOO_LARGE`, `M_BAD_JSON`.
pub fn build<K: KeyPair>(
    template: &Template,
    setting: &Setting<'_>,
    server: &ServerName,
    key: &K,
) -> Result<(Arc<Pdu>, Box<str>)> {
    if template.kind.to_string().len() > MAX_NAME_BYTES {
        return Err(Error::too_large("the event type is longer than 255 bytes"));
    }
    if template.state_key.as_ref().is_some_and(|key| key.len() > MAX_NAME_BYTES) {
        return Err(Error::too_large("the state key is longer than 255 bytes"));
    }
    let text = |value: &str| CanonicalJsonValue::String(value.to_owned());
    let ids = |ids: &[OwnedEventId]| CanonicalJsonValue::Array(ids.iter().map(|id| text(id.as_str())).collect());
    let number = |value: u64| {
        value.try_into().map(CanonicalJsonValue::Integer).map_err(|_| Error::bad_json("a number is out of range"))
    };
    let mut content = template.content.clone();
    let mut object = CanonicalJsonObject::new();
    if let Some(redacts) = &template.redacts {
        if setting.rules.redaction.content_field_redacts {
            content.insert("redacts".to_owned(), text(redacts.as_str()));
        } else {
            object.insert("redacts".to_owned(), text(redacts.as_str()));
        }
    }
    object.insert("auth_events".to_owned(), ids(&setting.auth_events));
    object.insert("content".to_owned(), CanonicalJsonValue::Object(content));
    object.insert("depth".to_owned(), number(setting.depth)?);
    object.insert("origin_server_ts".to_owned(), number(template.origin_server_ts.get().into())?);
    object.insert("prev_events".to_owned(), ids(&setting.prev_events));
    if let Some(room_id) = setting.room_id {
        object.insert("room_id".to_owned(), text(room_id.as_str()));
    }
    object.insert("sender".to_owned(), text(template.sender.as_str()));
    if let Some(state_key) = &template.state_key {
        object.insert("state_key".to_owned(), text(state_key));
    }
    object.insert("type".to_owned(), text(&template.kind.to_string()));

    hash_and_sign_event(server.as_str(), key, &mut object, &setting.rules.redaction)
        .map_err(|error| unbuildable(&error))?;
    let json = to_event_json(&object)?;
    let event_id = event_id(&object, setting.rules)?;
    let pdu = Pdu::parse(event_id, &json)?;
    Ok((Arc::new(pdu), json))
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
