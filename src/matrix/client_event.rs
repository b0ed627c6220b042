//! Events as clients see them: from the signed JSON, without what servers need, with what clients want to know.
//!
//! Client-server API, "Room event format". What clients see is spliced from the stored JSON as it stands there.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::splice::{Members, Object, member};
use crate::{Error, Result};

#[cfg(test)]
mod tests;

/// What is added to an event when it is read; never stored.
#[derive(Debug, Clone, Default)]
pub struct Unsigned {
    /// The time as of which its age is told, in milliseconds since 1970.
    pub now: Option<u64>,
    /// The reader's own membership when it was sent.
    pub membership: Option<&'static str>,
    /// What the state event replaced, as JSON.
    pub prev_content: Option<Box<str>>,
    /// Who sent that.
    pub prev_sender: Option<String>,
    /// The id of the state event that it replaced.
    pub replaces_state: Option<String>,
    /// The redaction that pruned it, as JSON.
    pub redacted_because: Option<String>,
    /// The transaction that sent it, shown to the device that did.
    pub transaction_id: Option<String>,
    /// What relates to it.
    pub relations: Option<Box<RawValue>>,
}

impl Unsigned {
    fn write(&self, origin_server_ts: &str, out: &mut String) {
        let mut object = Object::begin(out);
        if let (Some(now), Ok(sent)) = (self.now, origin_server_ts.parse::<u64>()) {
            object.number("age", now.saturating_sub(sent));
        }
        if let Some(relations) = &self.relations {
            object.raw("m.relations", relations.get());
        }
        if let Some(membership) = self.membership {
            object.text("membership", membership);
        }
        if let Some(content) = &self.prev_content {
            object.raw("prev_content", content);
        }
        if let Some(sender) = &self.prev_sender {
            object.text("prev_sender", sender);
        }
        if let Some(redaction) = &self.redacted_because {
            object.raw("redacted_because", redaction);
        }
        if let Some(id) = &self.replaces_state {
            object.text("replaces_state", id);
        }
        if let Some(id) = &self.transaction_id {
            object.text("transaction_id", id);
        }
        object.end();
    }
}

/// What clients are shown of an event's own JSON, each part as it stands there.
struct Stored<'a> {
    content: &'a str,
    origin_server_ts: &'a str,
    redacts: Option<&'a str>,
    sender: &'a str,
    state_key: Option<&'a str>,
    kind: &'a str,
}

fn parse(json: &str) -> Result<Stored<'_>> {
    let (mut content, mut origin_server_ts, mut sender, mut kind) = (None, None, None, None);
    let (mut redacts, mut state_key) = (None, None);
    for (name, value) in Members::of(json) {
        let part = match name {
            "content" => &mut content,
            "origin_server_ts" => &mut origin_server_ts,
            "redacts" => &mut redacts,
            "sender" => &mut sender,
            "state_key" => &mut state_key,
            "type" => &mut kind,
            _ => continue,
        };
        *part = (value != "null").then_some(value);
    }
    let missing = || Error::unknown("a stored event cannot be read");
    Ok(Stored {
        content: content.ok_or_else(missing)?,
        origin_server_ts: origin_server_ts.ok_or_else(missing)?,
        redacts,
        sender: sender.ok_or_else(missing)?,
        state_key,
        kind: kind.ok_or_else(missing)?,
    })
}

/// Appends the event for clients. `room_id` is left out in /sync, where the room is known.
///
/// # Errors
/// `M_UNKNOWN` where the stored JSON is no event: then nothing is appended.
pub fn write(
    out: &mut String,
    json: &str,
    event_id: &str,
    room_id: Option<&str>,
    unsigned: Option<&Unsigned>,
) -> Result<()> {
    let stored = parse(json)?;
    let (redacts, content) = both_redacts(&stored)?;
    out.reserve(json.len());
    let mut object = Object::begin(out);
    object.raw("content", &content);
    object.text("event_id", event_id);
    object.raw("origin_server_ts", stored.origin_server_ts);
    if let Some(redacts) = redacts {
        object.raw("redacts", redacts);
    }
    if let Some(room_id) = room_id {
        object.text("room_id", room_id);
    }
    object.raw("sender", stored.sender);
    if let Some(state_key) = stored.state_key {
        object.raw("state_key", state_key);
    }
    object.raw("type", stored.kind);
    if let Some(unsigned) = unsigned {
        unsigned.write(stored.origin_server_ts, object.member("unsigned"));
    }
    object.end();
    Ok(())
}

/// Appends the event as servers send it to each other, with its id and what the reader wants to know beside it: for filters
/// with the `event_format` `federation`.
///
/// # Errors
/// `M_UNKNOWN` where the stored JSON is no event: then nothing is appended.
pub fn write_whole(out: &mut String, json: &str, event_id: &str, unsigned: &Unsigned) -> Result<()> {
    let stored = parse(json)?;
    let mut object = Object::begin(out);
    object.text("event_id", event_id);
    for (name, value) in Members::of(json).filter(|(name, _)| !matches!(*name, "event_id" | "unsigned")) {
        object.raw(name, value);
    }
    unsigned.write(stored.origin_server_ts, object.member("unsigned"));
    object.end();
    Ok(())
}

/// A redaction shows its target at the top and in its content, so that old and new clients find it.
fn both_redacts<'a>(stored: &Stored<'a>) -> Result<(Option<&'a str>, Cow<'a, str>)> {
    if stored.kind != "\"m.room.redaction\"" {
        return Ok((stored.redacts, Cow::Borrowed(stored.content)));
    }
    let inside = member(stored.content, "redacts").filter(|value| value.starts_with('"'));
    match (stored.redacts, inside) {
        (Some(outside), None) => {
            let mut content: serde_json::Map<String, serde_json::Value> =
                serde_json::from_str(stored.content).unwrap_or_default();
            let target = serde_json::from_str(outside).map_err(|error| Error::unknown(error.to_string()))?;
            content.insert("redacts".to_owned(), target);
            let content = serde_json::to_string(&content).map_err(|error| Error::unknown(error.to_string()))?;
            Ok((Some(outside), Cow::Owned(content)))
        }
        (None, Some(inside)) => Ok((Some(inside), Cow::Borrowed(stored.content))),
        (outside, _) => Ok((outside, Cow::Borrowed(stored.content))),
    }
}

/// Appends the event as those see it who are not in the room: type, key, sender and content.
///
/// # Errors
/// `M_UNKNOWN` where the stored JSON is no event: then nothing is appended.
pub fn write_stripped(out: &mut String, json: &str) -> Result<()> {
    let stored = parse(json)?;
    let mut object = Object::begin(out);
    object.raw("content", stored.content);
    object.raw("sender", stored.sender);
    if let Some(state_key) = stored.state_key {
        object.raw("state_key", state_key);
    }
    object.raw("type", stored.kind);
    object.end();
    Ok(())
}

/// The content alone.
///
/// # Errors
/// `M_UNKNOWN` where the stored JSON is no event.
pub fn content(json: &str) -> Result<&str> {
    member(json, "content").ok_or_else(|| Error::unknown("a stored event has no content"))
}

/// What [`write`] and others wrote, as a value that serializes.
///
/// # Errors
/// `M_UNKNOWN` where it is no JSON.
pub fn raw(json: String) -> Result<Box<RawValue>> {
    RawValue::from_string(json).map_err(|error| Error::unknown(error.to_string()))
}

/// Only the fields that a filter's `event_fields` names (`content.body`; a backslash before a literal dot).
///
/// # Errors
/// `M_UNKNOWN` where the event is no JSON object.
pub fn only_fields(event: &str, fields: &[String]) -> Result<String> {
    let whole: serde_json::Value = serde_json::from_str(event).map_err(|error| Error::unknown(error.to_string()))?;
    let mut kept = serde_json::Value::Object(serde_json::Map::new());
    for field in fields {
        let path = split_path(field);
        if let Some(value) = path.iter().try_fold(&whole, |value, name| value.get(name)) {
            insert(&mut kept, &path, value.clone());
        }
    }
    serde_json::to_string(&kept).map_err(|error| Error::unknown(error.to_string()))
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
