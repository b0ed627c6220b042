//! Joining a room of this server, also one whose join rule asks for another room: client-server API, "Restricted rooms".

use std::sync::Arc;

use matron_matrix::Error as MatrixError;
use matron_storage::Snapshot;
use ruma::events::room::join_rules::{AllowRule, JoinRule};
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, RoomId};
use serde_json::{Map, Value};

use super::Said;
use crate::accounts::Session;
use crate::error::Result;
use crate::rooms::Rooms;
use crate::schema::RoomNum;
use crate::schema::rooms::Membership;

/// What the body of the endpoint means otherwise, and what the profile says.
const NOT_SAID: [&str; 4] = ["displayname", "avatar_url", "reason", "is_direct"];

impl Rooms {
    /// Joins a room of this server. `signed` proves that an invite by third-party identifier is the caller's: none is made
    /// here, so there is none that it could belong to.
    ///
    /// # Errors
    /// `M_FORBIDDEN`; `M_NOT_FOUND` where the room is not known here; `M_GUEST_ACCESS_FORBIDDEN`; `M_USER_SUSPENDED`.
    pub async fn join(
        self: &Arc<Self>,
        session: &Session,
        room_id: &RoomId,
        reason: Option<&str>,
        signed: Option<Value>,
    ) -> Result<OwnedRoomId> {
        self.join_saying(session, room_id, reason, signed, Map::new()).await
    }

    /// As [`Self::join`], with more that the member event is to say; what the server says in it stays the server's.
    ///
    /// # Errors
    /// As [`Self::join`].
    pub async fn join_saying(
        self: &Arc<Self>,
        session: &Session,
        room_id: &RoomId,
        reason: Option<&str>,
        signed: Option<Value>,
        more: Map<String, Value>,
    ) -> Result<OwnedRoomId> {
        session.may_act()?;
        let snapshot = self.store.snapshot();
        let room = self.room_num(&snapshot, room_id).await?;
        if self.membership(&snapshot, room, session.user).await? != Some(Membership::Join) {
            if signed.is_some() {
                return Err(MatrixError::forbidden("no invite by third-party identifier is pending").into());
            }
            let more = more.into_iter().filter(|(name, _)| !NOT_SAID.contains(&name.as_str()));
            let said = Said::by_client(more).and("reason", reason.map(Value::from));
            self.enter(session, room_id, said).await?;
        }
        Ok(room_id.to_owned())
    }

    /// Comes into a room of this server, or says something else of oneself there.
    ///
    /// # Errors
    /// As [`Self::join`].
    pub(super) async fn enter(
        self: &Arc<Self>,
        session: &Session,
        room_id: &RoomId,
        mut said: Said,
    ) -> Result<OwnedEventId> {
        session.may_act()?;
        let snapshot = self.store.snapshot();
        let room = self.room_num(&snapshot, room_id).await?;
        let membership = self.membership(&snapshot, room, session.user).await?;
        let is_in = membership == Some(Membership::Join);
        if !is_in && membership != Some(Membership::Invite) {
            let authorizer = self.authorizer(&snapshot, session, room).await?;
            said = said.and("join_authorised_via_users_server", authorizer.map(|user| user.as_str().into()));
        }
        let content = self.member_content(session.user, "join", said).await?;
        let event_id = self.move_member(&session.user_id, room, &session.user_id, content).await?;
        if !is_in {
            self.carry_over_to_joined(session, room_id).await?;
        }
        Ok(event_id)
    }

    /// In a restricted room, for who is in one of the allowed rooms: a member of this server who might invite.
    ///
    /// Client-server API, "Restricted rooms".
    async fn authorizer(&self, snapshot: &Snapshot, session: &Session, room: RoomNum) -> Result<Option<OwnedUserId>> {
        let rule: Option<JoinRule> = self.current(snapshot, room, "m.room.join_rules").await?;
        let Some(JoinRule::Restricted(restricted) | JoinRule::KnockRestricted(restricted)) = rule else {
            return Ok(None);
        };
        let mut allowed = false;
        for rule in &restricted.allow {
            if let AllowRule::RoomMembership(condition) = rule
                && let Some(other) = self.ids.room(snapshot, condition.room_id.as_str()).await?
                && self.membership(snapshot, other, session.user).await? == Some(Membership::Join)
            {
                allowed = true;
                break;
            }
        }
        if !allowed {
            return Err(MatrixError::forbidden("you are in none of the rooms whose members may join").into());
        }
        let levels = self.power_levels(snapshot, room).await?;
        let joined = self.streams.joined(snapshot, room).await?;
        for user in &joined {
            let id = self.ids.user_id(*user).await?;
            if id.server_name() == self.config.server_name && levels.user_can_invite(&id) {
                return Ok(Some(id));
            }
        }
        Err(MatrixError::forbidden("nobody of this server in the room may let you in").into())
    }
}
