//! What a push gateway is told of an event: push gateway API, `POST /_matrix/push/v1/notify`.

use std::sync::Arc;

use matron_matrix::client_event::{content, raw};
use matron_matrix::event::{Pdu, rules};
use matron_storage::Snapshot;
use ruma::RoomVersionId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::Push;
use crate::error::{Error, Result};
use crate::rooms::event::readable;
use crate::schema::RoomNum;
use crate::schema::push::Pusher;
use crate::schema::rooms::{HEADS, ROOMS, StoredEvent};

/// An event as it is told, the same to all: made once.
#[derive(Debug)]
pub(super) struct Told {
    event_id: String,
    room_id: String,
    kind: String,
    sender: String,
    sender_display_name: Option<String>,
    room_name: Option<String>,
    room_alias: Option<String>,
    content: Box<RawValue>,
    /// Whose membership it is about, if it is about one.
    member: Option<String>,
}

#[derive(Serialize)]
struct Body<'a> {
    notification: Notification<'a>,
}

#[derive(Default, Serialize)]
struct Notification<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room_id: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender_display_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room_alias: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_is_target: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prio: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a RawValue>,
    counts: Counts,
    devices: [Device<'a>; 1],
}

#[derive(Default, Serialize)]
struct Counts {
    /// Told even where it is zero: a gateway that is told nothing leaves the number beside the icon as it was.
    unread: u64,
}

#[derive(Default, Serialize)]
struct Device<'a> {
    app_id: &'a str,
    pushkey: &'a str,
    /// In seconds since 1970.
    pushkey_ts: u64,
    data: Map<String, Value>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    tweaks: Map<String, Value>,
}

/// A pusher's `data`.
pub(super) fn data_of(pusher: &Pusher) -> Map<String, Value> {
    serde_json::from_str(&pusher.data).unwrap_or_default()
}

impl Told {
    /// The room's name, if it has one.
    pub fn room_name(&self) -> Option<&str> {
        self.room_name.as_deref().or(self.room_alias.as_deref())
    }

    /// The sender's name.
    pub fn sender_name(&self) -> &str {
        self.sender_display_name.as_deref().unwrap_or(&self.sender)
    }

    /// The body of a call about the event, for one pusher of a user. `actions` are those of the rule that it came by, as a
    /// JSON list.
    pub fn body(&self, pusher: &Pusher, user_id: &str, actions: &str, unread: u64) -> Result<Vec<u8>> {
        let mut device = device(pusher);
        let tweaks = tweaks(actions);
        let brief = device.data.get("format").is_some_and(|format| format == "event_id_only");
        let mut notification = Notification {
            event_id: Some(&self.event_id),
            room_id: Some(&self.room_id),
            prio: Some(if self.is_urgent(&tweaks) { "high" } else { "low" }),
            counts: Counts { unread },
            ..Notification::default()
        };
        if !brief {
            notification.kind = Some(&self.kind);
            notification.sender = Some(&self.sender);
            notification.sender_display_name = self.sender_display_name.as_deref();
            notification.room_name = self.room_name.as_deref();
            notification.room_alias = self.room_alias.as_deref();
            notification.content = Some(&self.content);
            notification.user_is_target = self.member.as_ref().map(|member| member == user_id);
        }
        device.tweaks = tweaks;
        notification.devices = [device];
        serde_json::to_vec(&Body { notification }).map_err(Error::internal)
    }

    /// What makes a noise, stands out, or cannot be judged here wakes a device at once.
    fn is_urgent(&self, tweaks: &Map<String, Value>) -> bool {
        self.kind == "m.room.encrypted"
            || tweaks.get("sound").is_some_and(|sound| !sound.is_null())
            || tweaks.get("highlight").is_some_and(|highlight| highlight == true)
    }
}

/// The body of a call about nothing but the number beside the icon.
pub(super) fn badge_body(pusher: &Pusher, unread: u64) -> Result<Vec<u8>> {
    let notification = Notification { counts: Counts { unread }, devices: [device(pusher)], ..Notification::default() };
    serde_json::to_vec(&Body { notification }).map_err(Error::internal)
}

fn device(pusher: &Pusher) -> Device<'_> {
    let mut data = data_of(pusher);
    data.remove("url");
    Device { app_id: &pusher.app_id, pushkey: &pusher.pushkey, pushkey_ts: pusher.set / 1000, data, tweaks: Map::new() }
}

/// What a rule's actions set: "If a `highlight` tweak is given with no value, its value is defined to be `true`".
fn tweaks(actions: &str) -> Map<String, Value> {
    #[derive(Deserialize)]
    struct Tweak {
        set_tweak: String,
        value: Option<Value>,
    }
    let actions: Vec<Value> = serde_json::from_str(actions).unwrap_or_default();
    let tweaks = actions.into_iter().filter_map(|action| serde_json::from_value::<Tweak>(action).ok());
    tweaks
        .map(|Tweak { set_tweak, value }| {
            let default = if set_tweak == "highlight" { Value::Bool(true) } else { Value::Null };
            (set_tweak, value.unwrap_or(default))
        })
        .collect()
}

impl Push {
    /// An event as it is told now: pruned, where it was redacted.
    pub(super) async fn told(&self, snapshot: &Snapshot, room: RoomNum, event: StoredEvent) -> Result<Told> {
        let gone = || Error::internal("a room of an event is missing");
        let row = snapshot.get(&ROOMS, &room).await?.ok_or_else(gone)?;
        let version = RoomVersionId::try_from(row.version.as_str()).map_err(Error::internal)?;
        let root = snapshot.get(&HEADS, &room).await?.ok_or_else(gone)?.state;
        let header = event.header.clone();
        let sender = self.ids.user_id(header.sender).await?;
        let member = match header.state_key {
            Some(key) if header.kind == "m.room.member" => Some(self.ids.state_key_name(key).await?.key.clone()),
            _ => None,
        };
        let text = |pdu: Option<Arc<Pdu>>, name: &str| {
            let content: Map<String, Value> = pdu?.content_as().ok()?;
            Some(content.get(name)?.as_str()?.to_owned()).filter(|text| !text.is_empty())
        };
        let state = |kind: &'static str, key: String| self.state_of(snapshot, room, root, kind, key);
        Ok(Told {
            event_id: header.event_id(),
            room_id: row.id,
            sender_display_name: text(state("m.room.member", sender.to_string()).await?, "displayname"),
            room_name: text(state("m.room.name", String::new()).await?, "name"),
            room_alias: text(state("m.room.canonical_alias", String::new()).await?, "alias"),
            content: raw(content(&readable(event, &rules(&version)?)?)?.to_owned())?,
            kind: header.kind,
            sender: sender.to_string(),
            member,
        })
    }

    async fn state_of(
        &self,
        snapshot: &Snapshot,
        room: RoomNum,
        root: u32,
        kind: &'static str,
        key: String,
    ) -> Result<Option<Arc<Pdu>>> {
        let Some(key) = self.ids.find_state_key(kind, &key).await? else { return Ok(None) };
        match self.rooms.states(snapshot, room).get(root, key).await? {
            Some(num) => self.rooms.authority(snapshot, num).await.map(Some),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests;
