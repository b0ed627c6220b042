//! What a user set for a room goes over to the room that replaces it, when they join that.

use std::sync::Arc;

use ruma::{OwnedRoomId, RoomId};
use serde::Deserialize;

use super::Rooms;
use crate::accounts::Session;
use crate::error::Result;
use crate::schema::rooms::USER_ROOMS;

#[derive(Deserialize)]
struct Create {
    predecessor: Option<Predecessor>,
}

#[derive(Deserialize)]
struct Predecessor {
    room_id: OwnedRoomId,
}

impl Rooms {
    /// Carries tags, push rules and the mark as a direct chat over from the room's predecessor, if the user was there.
    ///
    /// # Errors
    /// The store fails.
    pub(super) async fn carry_over(self: &Arc<Self>, session: &Session, new_id: &RoomId) -> Result<()> {
        let snapshot = self.store.snapshot();
        let Some(new) = self.ids.room(&snapshot, new_id.as_str()).await? else { return Ok(()) };
        let create: Option<Create> = self.current(&snapshot, new, "m.room.create").await?;
        let Some(Predecessor { room_id: old_id }) = create.and_then(|create| create.predecessor) else { return Ok(()) };
        let Some(old) = self.ids.room(&snapshot, old_id.as_str()).await? else { return Ok(()) };
        if snapshot.get(&USER_ROOMS, &(session.user, old)).await?.is_none() {
            return Ok(());
        }
        self.accounts.carry_over(session, (old, &old_id), (new, new_id)).await
    }
}
