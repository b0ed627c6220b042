//! Room upgrades: client-server API, "Room Upgrades". The new room, the old one's tombstone and what moves are one batch;
//! only of what there may be any number of, some may go over behind it.

use std::sync::Arc;

use matron_matrix::event::{Template, rules};
use matron_matrix::{Error as MatrixError, canonical};
use matron_storage::Error as StorageError;
use ruma::events::TimelineEventType;
use ruma::{MilliSecondsSinceUnixEpoch, OwnedRoomId, OwnedUserId, RoomId, RoomVersionId, UserId};
use serde_json::{Value, json};

use super::Rooms;
use super::intent::{Intent, Sent, Upgrade};
use super::membership::check_user_id;
use crate::accounts::Session;
use crate::error::{Error, Result};
use crate::schema::RoomNum;

mod batch;
mod levels;
mod moving;

/// How often an upgrade is tried anew where an alias changes meanwhile.
const TRIES: u32 = 8;
/// The most users that an upgrade makes creators.
const MOST_CREATORS: usize = 100;

impl Rooms {
    /// Replaces a room by a new one of another version.
    ///
    /// # Errors
    /// `M_UNSUPPORTED_ROOM_VERSION`; `M_FORBIDDEN` for all who may not send the room's tombstone; `M_INVALID_PARAM`.
    pub async fn upgrade(
        self: &Arc<Self>,
        session: &Session,
        room_id: &RoomId,
        version: &RoomVersionId,
        creators: Vec<OwnedUserId>,
    ) -> Result<OwnedRoomId> {
        session.may_act()?;
        let rules = rules(version)?;
        if creators.len() > MOST_CREATORS {
            return Err(MatrixError::invalid_param("there are too many creators").into());
        }
        creators.iter().try_for_each(|user| check_user_id(user))?;
        let privileged = rules.authorization.explicitly_privilege_room_creators;
        let creators = if privileged { creators } else { Vec::new() };
        let room = self.joined_room(&self.store.snapshot(), session, room_id).await?;
        for _ in 0..TRIES {
            let upgrade = Upgrade {
                version: version.clone(),
                creators: creators.clone(),
                user: session.user,
                room: self.ids.new_room().await?,
                id: RoomId::new_v1(&self.config.server_name),
            };
            let (now, number) = (self.clock.now(), upgrade.room);
            let tombstone = template(&session.user_id, now, TimelineEventType::RoomTombstone, "", json!({}))?;
            let intent = Intent { upgrade: Some(Arc::new(upgrade)), ..Intent::new(tombstone) };
            match self.submit_upgrade(room, intent, number).await {
                Err(Error::Storage(StorageError::Conflict)) => {}
                Err(error) => return Err(error),
                Ok(sent) => {
                    let new = sent.replacement.ok_or_else(|| Error::internal("an upgrade made no room"))?;
                    self.carry_over(session, &new).await?;
                    return Ok(new);
                }
            }
        }
        Err(StorageError::Conflict.into())
    }

    /// Submits an upgrade, and has moved what does not fit into its batch, whether anybody still waits or not.
    async fn submit_upgrade(self: &Arc<Self>, old: RoomNum, intent: Intent, new: RoomNum) -> Result<Sent> {
        let rooms = Arc::clone(self);
        let upgraded = self.tasks.spawn(async move {
            let sent = rooms.submit(old, intent).await;
            if sent.is_ok() {
                rooms.move_behind(new);
            }
            sent
        });
        upgraded.await.map_err(Error::internal)?
    }
}

pub(super) fn template(
    sender: &UserId,
    at: MilliSecondsSinceUnixEpoch,
    kind: TimelineEventType,
    key: &str,
    content: Value,
) -> Result<Template> {
    Ok(Template {
        sender: sender.to_owned(),
        kind,
        state_key: Some(key.to_owned()),
        content: canonical::object(content)?,
        redacts: None,
        origin_server_ts: at,
    })
}
