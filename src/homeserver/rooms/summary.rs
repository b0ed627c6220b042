//! What is told of a room to those who are not in it: its name and picture, who may come in, how many are there.

use std::collections::HashMap;

use matron_matrix::client_event::content;
use matron_matrix::event::rules;
use matron_storage::Snapshot;
use ruma::events::StateEventType;
use ruma::{MxcUri, RoomAliasId, RoomVersionId};
use serde_json::{Map, Value};

use super::Rooms;
use super::event::{by_num, readable};
use super::tree::{NodeNum, Reader};
use crate::error::{Error, Result};
use crate::schema::directory::Summary;
use crate::schema::rooms::{HEADS, ROOMS, RoomRow, StoredEvent};
use crate::schema::{EventNum, RoomNum};

/// The most rooms whose members may join that a summary tells: who looks at a page of rooms is looked for in those of all
/// of them. Who is in another one may join all the same.
const MOST_ALLOWED: usize = 100;

/// Whether a summary tells anything of this state.
pub(super) fn tells(kind: &StateEventType) -> bool {
    matches!(
        kind,
        StateEventType::RoomCreate
            | StateEventType::RoomName
            | StateEventType::RoomTopic
            | StateEventType::RoomCanonicalAlias
            | StateEventType::RoomAvatar
            | StateEventType::RoomJoinRules
            | StateEventType::RoomGuestAccess
            | StateEventType::RoomHistoryVisibility
            | StateEventType::RoomEncryption
    )
}

/// Reads contents of a state; events of a batch that is being built are among `fresh`.
struct Contents<'a> {
    rooms: &'a Rooms,
    states: &'a Reader,
    root: NodeNum,
    snapshot: &'a Snapshot,
    fresh: &'a HashMap<EventNum, StoredEvent>,
    version: RoomVersionId,
}

impl Contents<'_> {
    async fn of(&self, kind: &str) -> Result<Map<String, Value>> {
        let Some(key) = self.rooms.ids.find_state_key(kind, "").await? else { return Ok(Map::new()) };
        let Some(num) = self.states.get(self.root, key).await? else { return Ok(Map::new()) };
        let event = match self.fresh.get(&num) {
            Some(event) => event.clone(),
            None => by_num(self.snapshot, num).await?.event,
        };
        let json = readable(event, &rules(&self.version)?)?;
        Ok(serde_json::from_str(content(&json)?).unwrap_or_default())
    }

    async fn text(&self, kind: &str, field: &str) -> Result<Option<String>> {
        Ok(text(&self.of(kind).await?, field))
    }
}

fn text(content: &Map<String, Value>, field: &str) -> Option<String> {
    content.get(field)?.as_str().filter(|text| !text.is_empty()).map(ToOwned::to_owned)
}

/// The rooms whose members may join by a restricted rule.
fn allowed(join_rules: &Map<String, Value>) -> Vec<String> {
    let is_membership = |rule: &&Value| rule.get("type").and_then(Value::as_str) == Some("m.room_membership");
    let rules = join_rules.get("allow").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let rooms = rules.iter().filter(is_membership).filter_map(|rule| rule.get("room_id")?.as_str());
    rooms.take(MOST_ALLOWED).map(ToOwned::to_owned).collect()
}

/// The summary of a state.
pub(super) async fn read(
    rooms: &Rooms,
    row: &RoomRow,
    joined: u64,
    (states, root): (&Reader, NodeNum),
    (snapshot, fresh): (&Snapshot, &HashMap<EventNum, StoredEvent>),
) -> Result<Summary> {
    let version = RoomVersionId::try_from(row.version.as_str()).map_err(Error::internal)?;
    let contents = Contents { rooms, states, root, snapshot, fresh, version };
    let join_rules = contents.of("m.room.join_rules").await?;
    let join_rule = text(&join_rules, "join_rule").unwrap_or_else(|| "invite".to_owned());
    let restricted = matches!(join_rule.as_str(), "restricted" | "knock_restricted");
    let guest_access = contents.text("m.room.guest_access", "guest_access").await?;
    let visibility = contents.text("m.room.history_visibility", "history_visibility").await?;
    let alias = contents.text("m.room.canonical_alias", "alias").await?;
    let avatar = contents.text("m.room.avatar", "url").await?;
    Ok(Summary {
        room_id: row.id.clone(),
        version: row.version.clone(),
        joined,
        name: contents.text("m.room.name", "name").await?,
        topic: contents.text("m.room.topic", "topic").await?,
        canonical_alias: alias.filter(|alias| RoomAliasId::parse(alias).is_ok()),
        avatar_url: avatar.filter(|uri| <&MxcUri>::from(uri.as_str()).is_valid()),
        room_type: contents.text("m.room.create", "type").await?,
        allowed: if restricted { allowed(&join_rules) } else { Vec::new() },
        join_rule,
        guest_can_join: guest_access.as_deref() == Some("can_join"),
        world_readable: visibility.as_deref() == Some("world_readable"),
        encryption: contents.text("m.room.encryption", "algorithm").await?,
    })
}

impl Rooms {
    /// Whether everybody may join a room or read it, in one of its states.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) async fn is_open(&self, snapshot: &Snapshot, room: RoomNum, root: NodeNum) -> Result<bool> {
        let missing = || Error::internal(format!("room {room} has no row"));
        let row = snapshot.get(&ROOMS, &room).await?.ok_or_else(missing)?;
        let version = RoomVersionId::try_from(row.version.as_str()).map_err(Error::internal)?;
        let (states, fresh) = (&self.states(snapshot, room), &HashMap::new());
        let contents = Contents { rooms: self, states, root, snapshot, fresh, version };
        let join_rule = contents.text("m.room.join_rules", "join_rule").await?;
        let visibility = contents.text("m.room.history_visibility", "history_visibility").await?;
        Ok(join_rule.as_deref() == Some("public") || visibility.as_deref() == Some("world_readable"))
    }

    /// The summary of a room as it is now. Whether somebody may have it is for the caller to ask.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) async fn summary_of(&self, snapshot: &Snapshot, room: RoomNum) -> Result<Summary> {
        let missing = || Error::internal(format!("room {room} has no row"));
        let row = snapshot.get(&ROOMS, &room).await?.ok_or_else(missing)?;
        let head = snapshot.get(&HEADS, &room).await?.ok_or_else(missing)?;
        let states = self.states(snapshot, room);
        read(self, &row, head.joined, (&states, head.state), (snapshot, &HashMap::new())).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{MOST_ALLOWED, allowed};

    #[test]
    fn of_the_rooms_whose_members_may_join_so_many_are_told() {
        let rule = |nth: usize| json!({ "type": "m.room_membership", "room_id": format!("!{nth}:localhost") });
        let rules = json!({ "allow": (0..2 * MOST_ALLOWED).map(rule).collect::<Vec<_>>() });
        let told = allowed(rules.as_object().unwrap());
        assert_eq!((told.len(), told[0].as_str()), (MOST_ALLOWED, "!0:localhost"));
        for odd in [json!({}), json!({ "allow": 7 }), json!({ "allow": [7, {}, { "type": "m.room_membership" }] })] {
            assert!(allowed(odd.as_object().unwrap()).is_empty(), "{odd}");
        }
    }
}
