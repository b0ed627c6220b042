//! Joining, leaving, inviting and all else that moves members: client-server API, "Room membership".

use std::sync::Arc;

use matron_matrix::event::Template;
use matron_matrix::{Error as MatrixError, canonical};
use matron_storage::{Batch, Snapshot};
use ruma::events::TimelineEventType;
use ruma::events::room::join_rules::{AllowRule, JoinRule};
use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Rooms;
use super::intent::{Intent, Sent};
use crate::accounts::{Invites, Session};
use crate::error::{Error, Result};
use crate::schema::rooms::{HEADS, MEMBERS, Membership, NOTICE_ROOMS, USER_ROOMS};
use crate::schema::{RoomNum, UserNum};
use crate::streams::Subject;

/// The longest reason that is passed on.
const MAX_REASON_BYTES: usize = 2048;

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

/// The longest user id.
const MAX_USER_ID_BYTES: usize = 255;

fn not_known() -> MatrixError {
    MatrixError::not_found("the room is not known here")
}

impl Rooms {
    /// A member event's content: the membership, and what the user's profile says.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) async fn member_content(&self, user: UserNum, membership: &str, reason: Option<&str>) -> Result<Value> {
        let mut content = json!({ "membership": membership });
        let Some(fields) = content.as_object_mut() else { return Err(Error::internal("an object is none")) };
        let profile = self.accounts.profile(&self.store.snapshot(), user).await?;
        if let Some(name) = profile.displayname {
            fields.insert("displayname".to_owned(), name.into());
        }
        if let Some(avatar) = profile.avatar_url {
            fields.insert("avatar_url".to_owned(), avatar.as_str().into());
        }
        if let Some(reason) = reason {
            if reason.len() > MAX_REASON_BYTES {
                return Err(MatrixError::invalid_param("the reason is too long").into());
            }
            fields.insert("reason".to_owned(), reason.into());
        }
        Ok(content)
    }

    async fn room_num(&self, snapshot: &Snapshot, room_id: &RoomId) -> Result<RoomNum> {
        Ok(self.ids.room(snapshot, room_id.as_str()).await?.ok_or_else(not_known)?)
    }

    /// A user's membership of a room, if they have or had any.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn membership(&self, snapshot: &Snapshot, room: RoomNum, user: UserNum) -> Result<Option<Membership>> {
        Ok(snapshot.get(&MEMBERS, &(room, user)).await?.map(|member| member.membership))
    }

    /// Whether a user is joined to a room.
    ///
    /// # Errors
    /// `M_FORBIDDEN` where they are not, or there is no such room.
    pub async fn joined_room(&self, snapshot: &Snapshot, session: &Session, room_id: &RoomId) -> Result<RoomNum> {
        let not_joined = || MatrixError::forbidden("you are not joined to this room");
        let room = self.ids.room(snapshot, room_id.as_str()).await?.ok_or_else(not_joined)?;
        match self.membership(snapshot, room, session.user).await? {
            Some(Membership::Join) => Ok(room),
            _ => Err(not_joined().into()),
        }
    }

    /// The content of a state event of a room now.
    pub(crate) async fn current<T: for<'a> Deserialize<'a>>(
        &self,
        snapshot: &Snapshot,
        room: RoomNum,
        kind: &str,
    ) -> Result<Option<T>> {
        let Some(head) = snapshot.get(&HEADS, &room).await? else { return Ok(None) };
        let Some(key) = self.ids.find_state_key(kind, "").await? else { return Ok(None) };
        let Some(num) = self.states(snapshot, room).get(head.state, key).await? else { return Ok(None) };
        Ok(self.authority(snapshot, num).await?.content_as().ok())
    }

    pub(super) async fn move_member(
        self: &Arc<Self>,
        sender: &UserId,
        room: RoomNum,
        target: &UserId,
        content: Value,
    ) -> Result<Sent> {
        let template = Template {
            sender: sender.to_owned(),
            kind: TimelineEventType::RoomMember,
            state_key: Some(target.to_string()),
            content: canonical::object(content)?,
            redacts: None,
            origin_server_ts: self.clock.now(),
        };
        let intent = Intent { unless_same: true, ..Intent::new(template) };
        self.submit(room, intent).await
    }

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
        for user in joined.iter() {
            let id = self.ids.user_id(*user).await?;
            if id.server_name() == self.config.server_name && levels.user_can_invite(&id) {
                return Ok(Some(id));
            }
        }
        Err(MatrixError::forbidden("nobody of this server in the room may let you in").into())
    }

    /// The power levels of a room now.
    ///
    /// # Errors
    /// The store cannot be read; the room's state cannot be.
    pub async fn power_levels(
        &self,
        snapshot: &Snapshot,
        room: RoomNum,
    ) -> Result<ruma::events::room::power_levels::RoomPowerLevels> {
        let mut working = super::working::Working::load(self, snapshot.clone(), room).await?;
        super::power::current(self, &mut working).await
    }

    /// Knocks on a room of this server.
    ///
    /// # Errors
    /// `M_FORBIDDEN`, `M_NOT_FOUND`.
    pub async fn knock(self: &Arc<Self>, session: &Session, room_id: &RoomId, reason: Option<&str>) -> Result<()> {
        session.may_act()?;
        let room = self.room_num(&self.store.snapshot(), room_id).await?;
        let content = self.member_content(session.user, "knock", reason).await?;
        self.move_member(&session.user_id, room, &session.user_id, content).await.map(drop)
    }

    /// Leaves a room, or turns down its invite, or takes back a knock.
    ///
    /// # Errors
    /// `M_FORBIDDEN`, `M_NOT_FOUND`.
    pub async fn leave(self: &Arc<Self>, session: &Session, room_id: &RoomId, reason: Option<&str>) -> Result<()> {
        let snapshot = self.store.snapshot();
        let room = self.room_num(&snapshot, room_id).await?;
        match self.membership(&snapshot, room, session.user).await? {
            None => return Err(MatrixError::forbidden("you are not in this room").into()),
            Some(Membership::Leave) => return Ok(()),
            Some(Membership::Invite) if snapshot.get(&NOTICE_ROOMS, &session.user).await? == Some(room) => {
                let why = "what the server has to say cannot be turned down";
                return Err(MatrixError::cannot_leave_server_notice_room(why).into());
            }
            Some(_) => {}
        }
        let content = bare("leave", reason)?;
        self.move_member(&session.user_id, room, &session.user_id, content).await.map(drop)
    }

    /// Invites somebody.
    ///
    /// # Errors
    /// `M_FORBIDDEN`, `M_NOT_FOUND`.
    pub async fn invite(
        self: &Arc<Self>,
        session: &Session,
        room_id: &RoomId,
        target: &UserId,
        reason: Option<&str>,
    ) -> Result<()> {
        session.may_act()?;
        let snapshot = self.store.snapshot();
        let room = self.joined_room(&snapshot, session, room_id).await?;
        check_user_id(target)?;
        let user = self.ids.user(target).await?;
        self.check_invite(&snapshot, &session.user_id, target).await?;
        let content = self.member_content(user, "invite", reason).await?;
        self.move_member(&session.user_id, room, target, content).await.map(drop)
    }

    /// Refuses an invite that its user has blocked. The server's own notices reach everybody.
    ///
    /// # Errors
    /// `M_INVITE_BLOCKED`.
    pub(super) async fn check_invite(&self, snapshot: &Snapshot, inviter: &UserId, target: &UserId) -> Result<()> {
        let speaks_for_server = self.config.notices.as_ref().is_some_and(|notices| {
            notices.localpart == inviter.localpart() && inviter.server_name() == self.config.server_name
        });
        if target.server_name() != self.config.server_name || speaks_for_server {
            return Ok(());
        }
        let Some(user) = self.ids.find_user(target).await? else { return Ok(()) };
        match self.accounts.invites(snapshot, user, inviter).await? {
            Invites::Blocked => Err(MatrixError::invite_blocked("this user does not take invites from you").into()),
            Invites::Allowed | Invites::Ignored => Ok(()),
        }
    }

    /// Lets a user of this server leave a room that they may not stay in.
    pub(super) async fn step_out(self: &Arc<Self>, user: UserNum, room: RoomNum) -> Result<()> {
        let user_id = self.ids.user_id(user).await?;
        self.move_member(&user_id, room, &user_id, bare("leave", None)?).await.map(drop)
    }

    /// Removes somebody.
    ///
    /// # Errors
    /// `M_FORBIDDEN`; `M_BAD_STATE` where they are not there.
    pub async fn kick(
        self: &Arc<Self>,
        session: &Session,
        room_id: &RoomId,
        target: &UserId,
        reason: Option<&str>,
    ) -> Result<()> {
        session.may_act()?;
        let snapshot = self.store.snapshot();
        let room = self.joined_room(&snapshot, session, room_id).await?;
        let membership = self.target_membership(&snapshot, room, target).await?;
        if !matches!(membership, Some(Membership::Join | Membership::Invite | Membership::Knock)) {
            return Err(MatrixError::forbidden("they are not in the room").into());
        }
        self.move_member(&session.user_id, room, target, bare("leave", reason)?).await.map(drop)
    }

    /// Bans somebody.
    ///
    /// # Errors
    /// `M_FORBIDDEN`.
    pub async fn ban(
        self: &Arc<Self>,
        session: &Session,
        room_id: &RoomId,
        target: &UserId,
        reason: Option<&str>,
    ) -> Result<()> {
        session.may_act()?;
        let room = self.joined_room(&self.store.snapshot(), session, room_id).await?;
        self.move_member(&session.user_id, room, target, bare("ban", reason)?).await.map(drop)
    }

    /// Lifts a ban.
    ///
    /// # Errors
    /// `M_FORBIDDEN`; also where they are not banned.
    pub async fn unban(
        self: &Arc<Self>,
        session: &Session,
        room_id: &RoomId,
        target: &UserId,
        reason: Option<&str>,
    ) -> Result<()> {
        session.may_act()?;
        let snapshot = self.store.snapshot();
        let room = self.joined_room(&snapshot, session, room_id).await?;
        if self.target_membership(&snapshot, room, target).await? != Some(Membership::Ban) {
            return Err(MatrixError::forbidden("they are not banned").into());
        }
        self.move_member(&session.user_id, room, target, bare("leave", reason)?).await.map(drop)
    }

    async fn target_membership(
        &self,
        snapshot: &Snapshot,
        room: RoomNum,
        target: &UserId,
    ) -> Result<Option<Membership>> {
        match self.ids.find_user(target).await? {
            Some(user) => self.membership(snapshot, room, user).await,
            None => Ok(None),
        }
    }

    /// Forgets a room that one has left: it is in no list any more, nor is its history.
    ///
    /// # Errors
    /// `M_UNKNOWN` while one is still in it.
    pub async fn forget(&self, session: &Session, room_id: &RoomId) -> Result<()> {
        let snapshot = self.store.snapshot();
        let unknown = || MatrixError::forbidden("you were never in this room");
        let room = self.ids.room(&snapshot, room_id.as_str()).await?.ok_or_else(unknown)?;
        let key = (session.user, room);
        let mut own = snapshot.get(&USER_ROOMS, &key).await?.ok_or_else(unknown)?;
        if !matches!(own.membership, Membership::Leave | Membership::Ban) {
            return Err(MatrixError::unknown("leave the room before you forget it").into());
        }
        let mut batch = Batch::new();
        batch.expect_value(&USER_ROOMS, &key, &own);
        own.forgotten = true;
        batch.put(&USER_ROOMS, &key, &own);
        batch.announce(Subject::Memberships(session.user).into());
        match self.store.commit(batch).await {
            Ok(_) => Ok(()),
            Err(matron_storage::Error::Conflict) => {
                Err(MatrixError::unknown("your membership changed meanwhile").into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The rooms that a user is joined to.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn joined_rooms(&self, snapshot: &Snapshot, user: UserNum) -> Result<Vec<RoomNum>> {
        let mut rooms = Vec::new();
        let mut scan = snapshot.scan(&USER_ROOMS, USER_ROOMS.under(&(user,)));
        while let Some(((_, room), own)) = scan.next().await? {
            if own.membership == Membership::Join {
                rooms.push(room);
            }
        }
        Ok(rooms)
    }

    /// Leaves every room and turns down every invite: the account is being closed.
    ///
    /// # Errors
    /// The store fails.
    pub async fn leave_all(self: &Arc<Self>, user: UserNum) -> Result<()> {
        let user_id = self.ids.user_id(user).await?;
        let mut rooms = Vec::new();
        let mut scan = self.store.snapshot().scan(&USER_ROOMS, USER_ROOMS.under(&(user,)));
        while let Some(((_, room), own)) = scan.next().await? {
            if matches!(own.membership, Membership::Join | Membership::Invite | Membership::Knock) {
                rooms.push(room);
            }
        }
        // No snapshot is held while they are left, which may take long.
        drop(scan);
        for room in rooms {
            match self.move_member(&user_id, room, &user_id, bare("leave", None)?).await {
                Err(error) if !error.is_refusal() => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Nobody gets a number whose id could be no state key.
pub(super) fn check_user_id(user_id: &UserId) -> Result<()> {
    if user_id.as_str().len() > MAX_USER_ID_BYTES {
        return Err(MatrixError::invalid_param("a user id has 255 bytes at most").into());
    }
    Ok(())
}

/// A member event's content that tells nothing of the profile.
fn bare(membership: &str, reason: Option<&str>) -> Result<Value> {
    if reason.is_some_and(|reason| reason.len() > MAX_REASON_BYTES) {
        return Err(MatrixError::invalid_param("the reason is too long").into());
    }
    Ok(match reason {
        Some(reason) => json!({ "membership": membership, "reason": reason }),
        None => json!({ "membership": membership }),
    })
}
