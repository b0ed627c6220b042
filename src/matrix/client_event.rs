//! Events as clients see them: from the signed JSON, without what servers need, with what clients want to know.
//!
//! Client-server API, "Room event format".

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Error, Result};

/// What is added to an event when it is read; never stored.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Unsigned {
    /// Milliseconds since it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age: Option<u64>,
    /// The reader's own membership when it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub membership: Option<&'static str>,
    /// What the state event replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prev_content: Option<Box<RawValue>>,
    /// Who sent that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prev_sender: Option<String>,
    /// The id of the state event that it replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces_state: Option<String>,
    /// The redaction that pruned it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redacted_because: Option<Box<RawValue>>,
    /// The transaction that sent it, shown to the device that did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<String>,
    /// What relates to it.
    #[serde(rename = "m.relations", skip_serializing_if = "Option::is_none")]
    pub relations: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Stored<'a> {
    #[serde(borrow)]
    content: &'a RawValue,
    origin_server_ts: u64,
    #[serde(borrow)]
    redacts: Option<Cow<'a, str>>,
    #[serde(borrow)]
    sender: Cow<'a, str>,
    #[serde(borrow)]
    state_key: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
}

#[derive(Serialize)]
struct Shown<'a> {
    content: Cow<'a, RawValue>,
    event_id: &'a str,
    origin_server_ts: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    redacts: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room_id: Option<&'a str>,
    sender: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_key: Option<&'a str>,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unsigned: Option<&'a Unsigned>,
}

#[derive(Serialize)]
struct Stripped<'a> {
    content: &'a RawValue,
    sender: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_key: Option<&'a str>,
    #[serde(rename = "type")]
    kind: &'a str,
}

fn raw(value: &impl Serialize) -> Result<Box<RawValue>> {
    serde_json::value::to_raw_value(value).map_err(|error| Error::unknown(error.to_string()))
}

fn parse(json: &str) -> Result<Stored<'_>> {
    serde_json::from_str(json).map_err(|error| Error::unknown(format!("a stored event cannot be read: {error}")))
}

/// The event for clients. `room_id` is left out in /sync, where the room is known.
///
/// # Errors
/// `M_UNKNOWN` where the stored JSON is no event.
pub fn show(json: &str, event_id: &str, room_id: Option<&str>, unsigned: Option<&Unsigned>) -> Result<Box<RawValue>> {
    let stored = parse(json)?;
    let (redacts, content) = both_redacts(&stored)?;
    raw(&Shown {
        content,
        event_id,
        origin_server_ts: stored.origin_server_ts,
        redacts: redacts.as_deref(),
        room_id,
        sender: &stored.sender,
        state_key: stored.state_key.as_deref(),
        kind: &stored.kind,
        unsigned,
    })
}

/// A redaction shows its target at the top and in its content, so that old and new clients find it.
fn both_redacts<'a>(stored: &'a Stored<'a>) -> Result<(Option<Cow<'a, str>>, Cow<'a, RawValue>)> {
    if stored.kind != "m.room.redaction" {
        return Ok((stored.redacts.as_deref().map(Cow::Borrowed), Cow::Borrowed(stored.content)));
    }
    let mut content: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(stored.content.get()).unwrap_or_default();
    let inside = content.get("redacts").and_then(|value| value.as_str()).map(ToOwned::to_owned);
    match (&stored.redacts, inside) {
        (Some(outside), None) => {
            content.insert("redacts".to_owned(), outside.as_ref().into());
            Ok((Some(Cow::Borrowed(outside)), Cow::Owned(raw(&content)?)))
        }
        (None, Some(inside)) => Ok((Some(Cow::Owned(inside)), Cow::Borrowed(stored.content))),
        (outside, _) => Ok((outside.as_deref().map(Cow::Borrowed), Cow::Borrowed(stored.content))),
    }
}

/// The event as those see it who are not in the room: type, key, sender and content.
///
/// # Errors
/// `M_UNKNOWN` where the stored JSON is no event.
pub fn strip(json: &str) -> Result<Box<RawValue>> {
    let stored = parse(json)?;
    raw(&Stripped {
        content: stored.content,
        sender: &stored.sender,
        state_key: stored.state_key.as_deref(),
        kind: &stored.kind,
    })
}

/// The content alone.
///
/// # Errors
/// `M_UNKNOWN` where the stored JSON is no event.
pub fn content(json: &str) -> Result<Box<RawValue>> {
    Ok(parse(json)?.content.to_owned())
}

/// Only the fields that a filter's `event_fields` names (`content.body`; a backslash before a literal dot).
///
/// # Errors
/// `M_UNKNOWN` where the event is no JSON object.
pub fn only_fields(event: &RawValue, fields: &[String]) -> Result<Box<RawValue>> {
    let whole: serde_json::Value =
        serde_json::from_str(event.get()).map_err(|error| Error::unknown(error.to_string()))?;
    let mut kept = serde_json::Value::Object(serde_json::Map::new());
    for field in fields {
        let path = split_path(field);
        if let Some(value) = path.iter().try_fold(&whole, |value, name| value.get(name)) {
            insert(&mut kept, &path, value.clone());
        }
    }
    raw(&kept)
}

fn split_path(field: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut characters = field.chars();
    while let Some(character) = characters.next() {
        match character {
            '.' => parts.push(String::new()),
            '\\' => {
                if let (Some(part), Some(next)) = (parts.last_mut(), characters.next()) {
                    if next != '.' && next != '\\' {
                        part.push('\\');
                    }
                    part.push(next);
                }
            }
            other => {
                if let Some(part) = parts.last_mut() {
                    part.push(other);
                }
            }
        }
    }
    parts
}

fn insert(into: &mut serde_json::Value, path: &[String], value: serde_json::Value) {
    let (Some((first, rest)), Some(object)) = (path.split_first(), into.as_object_mut()) else { return };
    if rest.is_empty() {
        object.insert(first.clone(), value);
    } else {
        let inner = object.entry(first).or_insert_with(|| serde_json::Value::Object(serde_json::Map::new()));
        insert(inner, rest, value);
    }
}
