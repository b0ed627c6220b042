//! Room aliases of this server: client-server API, "Room aliases".

use std::sync::Arc;

use matron_matrix::event::Template;
use matron_matrix::{Error as MatrixError, canonical};
use matron_storage::{Batch, Error as StorageError};
use ruma::events::TimelineEventType;
use ruma::{OwnedRoomAliasId, OwnedRoomId, RoomAliasId, RoomId};
use serde_json::Value;

use super::Rooms;
use super::intent::Intent;
use crate::accounts::Session;
use crate::error::{Error, Result};
use crate::schema::RoomNum;
use crate::schema::rooms::{ALIASES, Alias, ROOM_ALIASES, ROOMS};

/// The longest alias, sigil and server name included.
pub(super) const MAX_ALIAS_BYTES: usize = 255;
/// The most aliases of a room, about: those who add some at once do not count each other's. An upgrade moves all in one
/// batch.
const MOST_ALIASES: usize = 500;
/// How often an alias is tried to be taken away that becomes another one meanwhile.
const TRIES: u32 = 8;

fn missing() -> MatrixError {
    MatrixError::not_found("the alias is not known")
}

impl Rooms {
    fn own_alias(&self, alias: &RoomAliasId) -> Result<()> {
        if alias.as_str().len() > MAX_ALIAS_BYTES {
            return Err(MatrixError::invalid_param("an alias has 255 bytes at most").into());
        }
        if alias.server_name() != self.config.server_name {
            return Err(MatrixError::invalid_param("the alias is of another server").into());
        }
        Ok(())
    }

    /// Gives a room an alias.
    ///
    /// # Errors
    /// `M_UNKNOWN` (409) where the alias is taken; `M_FORBIDDEN` for all who are not joined, also where the room is not
    /// known, and where it has too many aliases.
    pub async fn add_alias(&self, session: &Session, alias: &RoomAliasId, room_id: &RoomId) -> Result<()> {
        session.may_act()?;
        self.own_alias(alias)?;
        let snapshot = self.store.snapshot();
        let room = self.joined_room(&snapshot, session, room_id).await?;
        let there = snapshot.scan(&ROOM_ALIASES, ROOM_ALIASES.under(&(room,))).take(MOST_ALIASES).await?;
        if there.len() == MOST_ALIASES {
            return Err(MatrixError::forbidden("the room has as many aliases as a room can have").into());
        }
        let name = alias.to_string();
        let mut batch = Batch::new();
        batch.expect_absent(&ALIASES, &name);
        batch.put(&ALIASES, &name, &Alias { room, creator: session.user });
        batch.put(&ROOM_ALIASES, &(room, name), &());
        match self.store.commit(batch).await {
            Ok(_) => Ok(()),
            Err(StorageError::Conflict) => Err(Error::Taken(MatrixError::unknown("the alias is taken"))),
            Err(error) => Err(error.into()),
        }
    }

    /// The room that an alias stands for.
    ///
    /// # Errors
    /// `M_NOT_FOUND`; also for aliases of other servers.
    pub async fn find_alias(&self, alias: &RoomAliasId) -> Result<OwnedRoomId> {
        let snapshot = self.store.snapshot();
        let row = snapshot.get(&ALIASES, &alias.to_string()).await?.ok_or_else(missing)?;
        let room = snapshot.get(&ROOMS, &row.room).await?.ok_or_else(missing)?;
        RoomId::parse(&room.id).map_err(Error::internal)
    }

    /// Takes an alias away: its maker may, and who may change the room's canonical alias.
    ///
    /// # Errors
    /// `M_NOT_FOUND`, `M_FORBIDDEN`.
    pub async fn remove_alias(self: &Arc<Self>, session: &Session, alias: &RoomAliasId) -> Result<()> {
        session.may_act()?;
        self.own_alias(alias)?;
        let name = alias.to_string();
        for _ in 0..TRIES {
            let snapshot = self.store.snapshot();
            let row = snapshot.get(&ALIASES, &name).await?.ok_or_else(missing)?;
            if row.creator != session.user && !session.admin {
                let levels = self.power_levels(&snapshot, row.room).await?;
                let joined = self.streams.is_joined(&snapshot, row.room, session.user).await?;
                let kind = ruma::events::StateEventType::RoomCanonicalAlias;
                if !joined || !levels.user_can_send_state(&session.user_id, kind) {
                    return Err(MatrixError::forbidden("you may not take this alias away").into());
                }
            }
            match self.take_away(&name, &row).await {
                Ok(()) => return self.uncanonize(session, row.room, alias).await,
                // It stands for another room by now, of which others decide.
                Err(StorageError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StorageError::Conflict.into())
    }

    /// Takes an alias away that still is what was read of it.
    async fn take_away(&self, name: &str, row: &Alias) -> Result<(), StorageError> {
        let name = name.to_owned();
        let mut batch = Batch::new();
        batch.expect_value(&ALIASES, &name, row);
        batch.delete(&ALIASES, &name);
        batch.delete(&ROOM_ALIASES, &(row.room, name));
        self.store.commit(batch).await.map(drop)
    }

    /// Takes a removed alias out of the room's canonical alias event, where its remover may change that.
    async fn uncanonize(self: &Arc<Self>, session: &Session, room: RoomNum, alias: &RoomAliasId) -> Result<()> {
        let snapshot = self.store.snapshot();
        let content = self.current::<serde_json::Map<String, Value>>(&snapshot, room, "m.room.canonical_alias").await?;
        let Some(mut content) = content else { return Ok(()) };
        let is_alias = |value: &Value| value.as_str() == Some(alias.as_str());
        let was_main = content.get("alias").is_some_and(is_alias);
        let mut was_other = false;
        if let Some(others) = content.get_mut("alt_aliases").and_then(Value::as_array_mut) {
            let before = others.len();
            others.retain(|other| !is_alias(other));
            was_other = others.len() != before;
        }
        if !was_main && !was_other {
            return Ok(());
        }
        if was_main {
            content.remove("alias");
        }
        let template = Template {
            sender: session.user_id.clone(),
            kind: TimelineEventType::RoomCanonicalAlias,
            state_key: Some(String::new()),
            content: canonical::object(Value::Object(content))?,
            redacts: None,
            origin_server_ts: self.clock.now(),
        };
        match self.submit(room, Intent::new(template)).await {
            Err(error) if !error.is_refusal() => Err(error),
            // Who may not change the event has still taken the alias away.
            _ => Ok(()),
        }
    }

    /// A room's aliases on this server.
    ///
    /// # Errors
    /// `M_FORBIDDEN` for all who are not joined, unless everybody may read the room.
    pub async fn aliases(&self, session: &Session, room_id: &RoomId) -> Result<Vec<OwnedRoomAliasId>> {
        let snapshot = self.store.snapshot();
        let view = self.view(&snapshot, session, room_id).await?;
        if !view.is_joined() && !view.everybody_may_read().await? {
            return Err(MatrixError::forbidden("you are not in this room").into());
        }
        let rows = snapshot.scan(&ROOM_ALIASES, ROOM_ALIASES.under(&(view.room,))).collect().await?;
        Ok(rows.into_iter().filter_map(|((_, alias), ())| RoomAliasId::parse(alias).ok()).collect())
    }
}

#[cfg(test)]
mod tests {
    use matron_matrix::canonical;
    use matron_storage::{Batch, Error as StorageError};
    use ruma::api::client::room::create_room::v3::{Request as NewRoom, RoomPreset};
    use ruma::api::error::ErrorKind;
    use ruma::events::TimelineEventType;
    use ruma::room_alias_id;
    use serde_json::json;

    use super::MOST_ALIASES;
    use crate::error::Error;
    use crate::fixture::{house, session};
    use crate::rooms::membership::Said;
    use crate::schema::rooms::{ALIASES, ROOM_ALIASES};

    #[tokio::test]
    async fn a_room_has_so_many_aliases_at_most() {
        let server = house().await;
        let (rooms, ann) = (&server.rooms, session(&server, "ann").await);
        let id = rooms.create(&ann, NewRoom::new()).await.unwrap();
        let room = server.ids.room(&server.store.snapshot(), id.as_str()).await.unwrap().unwrap();
        let mut batch = Batch::new();
        for nth in 1..MOST_ALIASES {
            batch.put(&ROOM_ALIASES, &(room, format!("#ward{nth}:localhost")), &());
        }
        server.store.commit(batch).await.unwrap();
        rooms.add_alias(&ann, room_alias_id!("#last:localhost"), &id).await.unwrap();
        let refused = rooms.add_alias(&ann, room_alias_id!("#more:localhost"), &id).await.unwrap_err();
        assert!(matches!(&refused, Error::Matrix(error) if error.kind == ErrorKind::Forbidden), "{refused}");
        rooms.remove_alias(&ann, room_alias_id!("#last:localhost")).await.unwrap();
        rooms.add_alias(&ann, room_alias_id!("#more:localhost"), &id).await.unwrap();
        server.stop().await;
    }

    #[tokio::test]
    async fn an_alias_that_leads_elsewhere_by_now_stays() {
        let server = house().await;
        let (rooms, ann) = (&server.rooms, session(&server, "ann").await);
        let one = rooms.create(&ann, NewRoom::new()).await.unwrap();
        let other = rooms.create(&ann, NewRoom::new()).await.unwrap();
        let alias = room_alias_id!("#ward:localhost");
        let name = alias.to_string();
        let read = async || server.store.snapshot().get(&ALIASES, &name).await.unwrap();
        rooms.add_alias(&ann, alias, &one).await.unwrap();
        let before = read().await.unwrap();
        // Somebody else is faster, and gives the name to another room.
        rooms.remove_alias(&ann, alias).await.unwrap();
        rooms.add_alias(&ann, alias, &other).await.unwrap();
        assert!(matches!(rooms.take_away(&name, &before).await, Err(StorageError::Conflict)));
        assert_eq!(rooms.find_alias(alias).await.unwrap(), other);
        let now = read().await.unwrap();
        assert!(server.store.snapshot().get(&ROOM_ALIASES, &(now.room, name.clone())).await.unwrap().is_some());
        rooms.take_away(&name, &now).await.unwrap();
        assert_eq!(read().await, None);
        server.stop().await;
    }

    #[tokio::test]
    async fn who_left_is_not_told_aliases_any_more() {
        let server = house().await;
        let (rooms, ann, bob) = (&server.rooms, session(&server, "ann").await, session(&server, "bob").await);
        let mut request = NewRoom::new();
        request.preset = Some(RoomPreset::PublicChat);
        let room = rooms.create(&ann, request).await.unwrap();
        rooms.add_alias(&ann, room_alias_id!("#ward:localhost"), &room).await.unwrap();
        rooms.join(&bob, &room, None, None).await.unwrap();
        assert_eq!(rooms.aliases(&bob, &room).await.unwrap().len(), 1);
        rooms.leave(&bob, &room, Said::default()).await.unwrap();
        assert!(rooms.aliases(&bob, &room).await.is_err());
        let everybody = canonical::object(json!({ "history_visibility": "world_readable" })).unwrap();
        let kind = TimelineEventType::RoomHistoryVisibility;
        rooms.send_state(&ann, &room, kind, String::new(), everybody).await.unwrap();
        assert_eq!(rooms.aliases(&bob, &room).await.unwrap().len(), 1);
        server.stop().await;
    }

    #[tokio::test]
    async fn an_alias_that_is_gone_stays_named_where_it_was() {
        let server = house().await;
        let (rooms, ann, bob) = (&server.rooms, session(&server, "ann").await, session(&server, "bob").await);
        let mut request = NewRoom::new();
        request.preset = Some(RoomPreset::PublicChat);
        let room = rooms.create(&ann, request).await.unwrap();
        rooms.join(&bob, &room, None, None).await.unwrap();
        let (ward, bobs) = (room_alias_id!("#ward:localhost"), room_alias_id!("#bobs:localhost"));
        rooms.add_alias(&ann, ward, &room).await.unwrap();
        rooms.add_alias(&bob, bobs, &room).await.unwrap();
        let name = async |content: serde_json::Value| {
            let content = canonical::object(content).unwrap();
            rooms.send_state(&ann, &room, TimelineEventType::RoomCanonicalAlias, String::new(), content).await
        };
        name(json!({ "alt_aliases": [bobs] })).await.unwrap();
        // Who may not change the event takes their alias away all the same.
        rooms.remove_alias(&bob, bobs).await.unwrap();
        name(json!({ "alias": ward, "alt_aliases": [bobs] })).await.unwrap();
        name(json!({ "alias": bobs })).await.unwrap();
        name(json!({ "alias": bobs, "alt_aliases": ["#none:localhost"] })).await.unwrap_err();
        name(json!({ "alias": ward })).await.unwrap();
        name(json!({ "alias": ward, "alt_aliases": [bobs] })).await.unwrap_err();
        server.stop().await;
    }
}
