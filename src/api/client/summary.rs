//! A room's summary as JSON: in the published list, in the hierarchy of a space, on its own.

use matron_homeserver::schema::directory::Summary;
use serde::Serialize;

/// A room of the published list; the other endpoints say more.
#[derive(Debug, Serialize)]
pub struct Chunk {
    room_id: String,
    num_joined_members: u64,
    world_readable: bool,
    guest_can_join: bool,
    join_rule: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    canonical_alias: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room_type: Option<String>,
}

impl From<Summary> for Chunk {
    fn from(summary: Summary) -> Self {
        Self {
            room_id: summary.room_id,
            num_joined_members: summary.joined,
            world_readable: summary.world_readable,
            guest_can_join: summary.guest_can_join,
            join_rule: summary.join_rule,
            name: summary.name,
            topic: summary.topic,
            canonical_alias: summary.canonical_alias,
            avatar_url: summary.avatar_url,
            room_type: summary.room_type,
        }
    }
}

/// A room in the hierarchy of a space, or on its own: more than the published list tells.
#[derive(Debug, Serialize)]
pub struct Details {
    #[serde(flatten)]
    chunk: Chunk,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed_room_ids: Vec<String>,
    room_version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption: Option<String>,
}

impl From<Summary> for Details {
    fn from(mut summary: Summary) -> Self {
        Self {
            allowed_room_ids: std::mem::take(&mut summary.allowed),
            room_version: std::mem::take(&mut summary.version),
            encryption: summary.encryption.take(),
            chunk: summary.into(),
        }
    }
}
