//! Guests leave a room that does not let them in any more: client-server API, "Guest Access".

use std::sync::Arc;

use ruma::RoomId;
use serde::Deserialize;

use super::Rooms;
use crate::error::Result;
use crate::schema::RoomNum;
use crate::schema::accounts::{ACCOUNTS, AccountKind};

#[derive(Deserialize)]
struct GuestAccess {
    guest_access: String,
}

impl Rooms {
    /// Whether guests may join a room.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) async fn lets_guests_in(&self, snapshot: &matron_storage::Snapshot, room: RoomNum) -> Result<bool> {
        let access: Option<GuestAccess> = self.current(snapshot, room, "m.room.guest_access").await?;
        Ok(access.is_some_and(|access| access.guest_access == "can_join"))
    }

    /// Lets this server's guests leave, where the room does not let them in any more.
    ///
    /// # Errors
    /// The store fails.
    pub(super) async fn turn_guests_out(self: &Arc<Self>, room_id: &RoomId, room: RoomNum) -> Result<()> {
        let snapshot = self.store.snapshot();
        if self.lets_guests_in(&snapshot, room).await? {
            return Ok(());
        }
        let joined: Vec<_> = self.streams.joined(&snapshot, room).await?.iter().copied().collect();
        for (user, account) in joined.iter().zip(snapshot.get_many(&ACCOUNTS, &joined).await?) {
            if account.is_none_or(|account| account.kind != AccountKind::Guest) {
                continue;
            }
            match self.step_out(*user, room).await {
                Ok(()) => {}
                Err(error) if error.is_refusal() => tracing::warn!(%room_id, %error, "a guest cannot be turned out"),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
