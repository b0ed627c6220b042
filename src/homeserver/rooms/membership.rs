//! Leaving, inviting and all else that moves members: client-server API, "Room membership".

use std::sync::Arc;

use matron_matrix::event::Template;
use matron_matrix::{Error as MatrixError, canonical};
use matron_storage::{Batch, Snapshot};
use ruma::events::TimelineEventType;
use ruma::{RoomId, UserId};
use serde_json::{Value, json};

use super::Rooms;
use super::intent::{Intent, Sent};
use crate::accounts::{Invites, Session};
use crate::error::{Error, Result};
use crate::schema::rooms::{MEMBERS, Membership, NOTICE_ROOMS, USER_ROOMS};
use crate::schema::{RoomNum, UserNum};
use crate::streams::Subject;

mod join;

/// The longest reason that is passed on.
const MAX_REASON_BYTES: usize = 2048;

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

    /// The rooms that a user of this server is joined to, in order.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn joined_rooms(&self, snapshot: &Snapshot, user: UserNum) -> Result<Arc<[RoomNum]>> {
        self.streams.rooms_of(snapshot, user).await
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
