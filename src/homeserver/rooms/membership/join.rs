//! Joining a room of this server, also one whose join rule asks for another room: client-server API, "Restricted rooms".

use std::sync::Arc;

use matron_matrix::Error as MatrixError;
use matron_storage::Snapshot;
use ruma::events::room::join_rules::{AllowRule, JoinRule};
use ruma::{OwnedRoomId, OwnedUserId, RoomId};
use serde_json::{Map, Value};

use crate::accounts::Session;
use crate::error::Result;
use crate::rooms::Rooms;
use crate::schema::RoomNum;
use crate::schema::rooms::Membership;

/// What of a join's content the server says itself, or nobody.
const OURS: [&str; 7] = [
    "membership",
    "displayname",
    "avatar_url",
    "reason",
    "third_party_signed",
    "is_direct",
    "join_authorised_via_users_server",
];

impl Rooms {
    /// Joins a room of this server.
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
        let membership = self.membership(&snapshot, room, session.user).await?;
        if membership == Some(Membership::Join) {
            return Ok(room_id.to_owned());
        }
        if session.guest && !self.lets_guests_in(&snapshot, room).await? {
            return Err(MatrixError::guest_access_forbidden("guests may not join this room").into());
        }
        let mut content = self.member_content(session.user, "join", reason).await?;
        if membership != Some(Membership::Invite)
            && let Some(authorizer) = self.authorizer(&snapshot, session, room).await?
            && let Some(content) = content.as_object_mut()
        {
            content.insert("join_authorised_via_users_server".to_owned(), authorizer.as_str().into());
        }
        if let Some(content) = content.as_object_mut() {
            content.extend(signed.map(|signed| ("third_party_signed".to_owned(), signed)));
            let ours = |key: &str| OURS.contains(&key);
            content.extend(more.into_iter().filter(|(key, _)| !ours(key)));
        }
        self.move_member(&session.user_id, room, &session.user_id, content).await?;
        self.carry_over(session, room_id).await?;
        Ok(room_id.to_owned())
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
