//! Local events: limits, hashes, signature and id, each JSON of them put together once.
//!
//! What is hashed, what is signed and what is stored are the same members in the same order: without hashes and signature,
//! with the redacted content, whole. So the parts are written once and put together three times. What is signed is also what
//! the event's id is the hash of: server-server API, "Signing events" and "Calculating the reference hash for an event".

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ruma::canonical_json::redact_content_in_place;
use ruma::events::TimelineEventType;
use ruma::room_version_rules::RoomVersionRules;
use ruma::signatures::KeyPair;
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedUserId, RoomId,
    ServerName,
};
use serde_json::value::RawValue;

use super::{Pdu, redacts_of, room_id_of_create};
use crate::canonical::MAX_EVENT_BYTES;
use crate::splice::{List, Object, push_text};
use crate::{Error, Result, digest};

#[cfg(test)]
mod tests;

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

/// The greatest whole number of canonical JSON.
const MAX_NUMBER: u64 = (1 << 53) - 1;

/// An event's members but for its content.
struct Frame<'a> {
    template: &'a Template,
    setting: &'a Setting<'a>,
    kind: &'a str,
    auth_events: List,
    prev_events: List,
    /// What it redacts, where that stands beside the content.
    redacts: Option<&'a str>,
}

/// What of an event is written.
struct Dress<'a> {
    content: &'a str,
    hash: Option<&'a str>,
    redacts: Option<&'a str>,
    /// By whom, with which key, and the signature.
    signature: Option<(&'a str, &'a str, &'a str)>,
}

impl Frame<'_> {
    /// The event in canonical JSON: its members sorted by name.
    fn write(&self, dress: &Dress<'_>) -> Result<String> {
        let mut out = String::with_capacity(dress.content.len() + 1024);
        let mut object = Object::begin(&mut out);
        self.auth_events.write(object.member("auth_events"));
        object.raw("content", dress.content);
        object.number("depth", self.setting.depth);
        if let Some(hash) = dress.hash {
            let mut hashes = Object::begin(object.member("hashes"));
            hashes.text("sha256", hash);
            hashes.end();
        }
        object.number("origin_server_ts", self.template.origin_server_ts.get().into());
        self.prev_events.write(object.member("prev_events"));
        if let Some(redacts) = dress.redacts {
            object.text("redacts", redacts);
        }
        if let Some(room_id) = self.setting.room_id {
            object.text("room_id", room_id.as_str());
        }
        object.text("sender", self.template.sender.as_str());
        if let Some((server, key, signature)) = dress.signature {
            let mut signatures = Object::begin(object.member("signatures"));
            let mut of_server = Object::begin(signatures.named(server));
            push_text(of_server.named(key), signature);
            of_server.end();
            signatures.end();
        }
        if let Some(state_key) = &self.template.state_key {
            object.text("state_key", state_key);
        }
        object.text("type", self.kind);
        object.end();
        if out.len() > MAX_EVENT_BYTES {
            return Err(Error::too_large(format!("the event has {} bytes, {MAX_EVENT_BYTES} are allowed", out.len())));
        }
        Ok(out)
    }
}

fn ids(ids: &[OwnedEventId]) -> List {
    let mut list = List::default();
    for id in ids {
        push_text(list.element(), id.as_str());
    }
    list
}

fn to_json(content: &CanonicalJsonObject) -> Result<String> {
    serde_json::to_string(content).map_err(|error| Error::bad_json(error.to_string()))
}

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
    let kind = template.kind.to_string();
    if kind.len() > MAX_NAME_BYTES {
        return Err(Error::too_large("the event type is longer than 255 bytes"));
    }
    if template.state_key.as_ref().is_some_and(|key| key.len() > MAX_NAME_BYTES) {
        return Err(Error::too_large("the state key is longer than 255 bytes"));
    }
    if setting.depth > MAX_NUMBER || u64::from(template.origin_server_ts.get()) > MAX_NUMBER {
        return Err(Error::bad_json("a number is out of range"));
    }
    let mut redacted = template.content.clone();
    let redacts = template.redacts.as_deref().map(EventId::as_str);
    let stands_inside = setting.rules.redaction.content_field_redacts;
    let content = match redacts {
        Some(redacts) if stands_inside => {
            redacted.insert("redacts".to_owned(), CanonicalJsonValue::String(redacts.to_owned()));
            to_json(&redacted)?
        }
        _ => to_json(&template.content)?,
    };
    redact_content_in_place(&mut redacted, &setting.rules.redaction, &kind);
    let frame = Frame {
        template,
        setting,
        kind: &kind,
        auth_events: ids(&setting.auth_events),
        prev_events: ids(&setting.prev_events),
        redacts: redacts.filter(|_| !stands_inside),
    };

    let bare = Dress { content: &content, hash: None, redacts: frame.redacts, signature: None };
    let hash = STANDARD_NO_PAD.encode(digest::of(frame.write(&bare)?.as_bytes()));
    let pruned = Dress { content: &to_json(&redacted)?, hash: Some(&hash), redacts: None, signature: None };
    let signed = frame.write(&pruned)?;
    let signature = key.sign(signed.as_bytes());
    let event_id = EventId::parse(digest::to_event_id(&digest::of(signed.as_bytes())))
        .map_err(|error| Error::bad_json(error.to_string()))?;
    let (key_id, signature) = (signature.id(), signature.base64());
    let whole = Dress { hash: Some(&hash), signature: Some((server.as_str(), &key_id, &signature)), ..bare };
    let json = frame.write(&whole)?;

    let content = RawValue::from_string(content).map_err(|error| Error::bad_json(error.to_string()))?;
    let pdu = Pdu {
        room_id: match setting.room_id {
            Some(room_id) => room_id.to_owned(),
            None => room_id_of_create(&event_id)?,
        },
        event_id,
        sender: template.sender.clone(),
        state_key: template.state_key.clone(),
        redacts: redacts_of(&template.kind, template.redacts.clone().filter(|_| !stands_inside), &content),
        kind: template.kind.clone(),
        content,
        origin_server_ts: template.origin_server_ts,
        depth: setting.depth,
        prev_events: setting.prev_events.clone(),
        auth_events: setting.auth_events.clone(),
        rejected: false,
    };
    Ok((Arc::new(pdu), json.into()))
}
