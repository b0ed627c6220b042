//! What a user set for a room goes over to the room that replaces it, when they make or join that.

use matron_storage::Snapshot;
use ruma::{OwnedRoomId, RoomId};
use serde::Deserialize;

use super::Rooms;
use crate::accounts::Session;
use crate::error::Result;
use crate::schema::RoomNum;
use crate::schema::rooms::USER_ROOMS;

#[derive(Deserialize)]
struct Create {
    predecessor: Option<Predecessor>,
}

#[derive(Deserialize)]
struct Predecessor {
    room_id: OwnedRoomId,
}

#[derive(Deserialize)]
struct Tombstone {
    replacement_room: OwnedRoomId,
}

/// A room that says which one it replaces.
struct Succession {
    new: RoomNum,
    old: RoomNum,
    old_id: OwnedRoomId,
}

impl Rooms {
    /// Carries tags, push rules and the mark as a direct chat over from the predecessor of a room that the user makes,
    /// if they were there.
    ///
    /// # Errors
    /// The store fails.
    pub(super) async fn carry_over(&self, session: &Session, new_id: &RoomId) -> Result<()> {
        let snapshot = self.store.snapshot();
        let Some(succession) = self.succession(&snapshot, new_id).await? else { return Ok(()) };
        self.carry(&snapshot, session, new_id, &succession).await
    }

    /// The same for a room that the user joins. Anybody can make one that says to replace another: that one must say so
    /// too.
    ///
    /// # Errors
    /// The store fails.
    pub(super) async fn carry_over_to_joined(&self, session: &Session, new_id: &RoomId) -> Result<()> {
        let snapshot = self.store.snapshot();
        let Some(succession) = self.succession(&snapshot, new_id).await? else { return Ok(()) };
        let tombstone: Option<Tombstone> = self.current(&snapshot, succession.old, "m.room.tombstone").await?;
        if tombstone.is_none_or(|tombstone| tombstone.replacement_room != *new_id) {
            return Ok(());
        }
        self.carry(&snapshot, session, new_id, &succession).await
    }

    /// The room and its predecessor, where both are known here.
    async fn succession(&self, snapshot: &Snapshot, new_id: &RoomId) -> Result<Option<Succession>> {
        let Some(new) = self.ids.room(snapshot, new_id.as_str()).await? else { return Ok(None) };
        let create: Option<Create> = self.current(snapshot, new, "m.room.create").await?;
        let predecessor = create.and_then(|create| create.predecessor);
        let Some(Predecessor { room_id: old_id }) = predecessor else { return Ok(None) };
        let old = self.ids.room(snapshot, old_id.as_str()).await?;
        Ok(old.map(|old| Succession { new, old, old_id }))
    }

    async fn carry(
        &self,
        snapshot: &Snapshot,
        session: &Session,
        new_id: &RoomId,
        succession: &Succession,
    ) -> Result<()> {
        let Succession { new, old, old_id } = succession;
        if snapshot.get(&USER_ROOMS, &(session.user, *old)).await?.is_none() {
            return Ok(());
        }
        self.accounts.carry_over(session, (*old, old_id), (*new, new_id)).await
    }
}
