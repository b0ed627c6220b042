//! Leaving, inviting and all else that moves members: client-server API, "Room membership".

use std::sync::Arc;

use matron_matrix::event::Template;
use matron_matrix::{Error as MatrixError, canonical};
use matron_storage::{Batch, Snapshot};
use ruma::events::TimelineEventType;
use ruma::{EventId, OwnedEventId, RoomId, UserId};
use serde_json::{Map, Value};

use super::Rooms;
use super::event::by_num;
use super::intent::Intent;
use crate::accounts::{Invites, Session};
use crate::error::{Error, Result};
use crate::schema::rooms::{MEMBERS, Membership, NOTICE_ROOMS, ROOMS, USER_ROOMS};
use crate::schema::{RoomNum, UserNum};
use crate::streams::Subject;

mod by_state;
mod join;
mod said;

pub(super) use by_state::Move;
pub use said::Said;

/// The longest user id.
const MAX_USER_ID_BYTES: usize = 255;

fn not_known() -> MatrixError {
    MatrixError::not_found("the room is not known here")
}

impl Rooms {
    /// A member event's content: the membership, what the user's profile says, and what else is said.
    ///
    /// # Errors
    /// `M_INVALID_PARAM` where the reason is too long; the store cannot be read.
    pub(super) async fn member_content(&self, user: UserNum, membership: &str, said: Said) -> Result<Value> {
        let profile = self.accounts.profile(&self.store.snapshot(), user).await?;
        let mut content = Map::new();
        content.extend(profile.displayname.map(|name| ("displayname".to_owned(), name.into())));
        content.extend(profile.avatar_url.map(|avatar| ("avatar_url".to_owned(), avatar.as_str().into())));
        said.beside(membership, content)
    }

    /// An invite's content, if the user takes invites. Whom nobody here knows has no number yet, nor gets one before the
    /// room takes them.
    ///
    /// # Errors
    /// `M_INVITE_BLOCKED`; `M_INVALID_PARAM`.
    pub(super) async fn invite_content(&self, inviter: &UserId, target: &UserId, said: Said) -> Result<Value> {
        check_user_id(target)?;
        let Some(user) = self.ids.find_user(target).await? else { return said.alone("invite") };
        self.check_invite(inviter, (user, target)).await?;
        self.member_content(user, "invite", said).await
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
    ) -> Result<OwnedEventId> {
        let intent = Intent { unless_same: true, ..Intent::new(self.member_template(sender, target, content)?) };
        Ok(self.submit(room, intent).await?.event_id)
    }

    /// A member event as it is to be sent.
    pub(super) fn member_template(&self, sender: &UserId, target: &UserId, content: Value) -> Result<Template> {
        Ok(Template {
            sender: sender.to_owned(),
            kind: TimelineEventType::RoomMember,
            state_key: Some(target.to_string()),
            content: canonical::object(content)?,
            redacts: None,
            origin_server_ts: self.clock.now(),
        })
    }

    /// Knocks on a room of this server.
    ///
    /// # Errors
    /// `M_FORBIDDEN`, `M_NOT_FOUND`.
    pub async fn knock(self: &Arc<Self>, session: &Session, room_id: &RoomId, said: Said) -> Result<OwnedEventId> {
        session.may_act()?;
        let room = self.room_num(&self.store.snapshot(), room_id).await?;
        let content = self.member_content(session.user, "knock", said).await?;
        self.move_member(&session.user_id, room, &session.user_id, content).await
    }

    /// Leaves a room, or turns down its invite, or takes back a knock. Who left has left by the event that says so.
    ///
    /// # Errors
    /// `M_FORBIDDEN`, `M_NOT_FOUND`.
    pub async fn leave(self: &Arc<Self>, session: &Session, room_id: &RoomId, said: Said) -> Result<OwnedEventId> {
        let snapshot = self.store.snapshot();
        let room = self.room_num(&snapshot, room_id).await?;
        let member = snapshot.get(&MEMBERS, &(room, session.user)).await?;
        let member = member.ok_or_else(|| MatrixError::forbidden("you are not in this room"))?;
        match member.membership {
            Membership::Leave => {
                let left_by = by_num(&snapshot, member.event).await?.event.header.event_id();
                return EventId::parse(left_by).map_err(Error::internal);
            }
            Membership::Invite if snapshot.get(&NOTICE_ROOMS, &session.user).await? == Some(room) => {
                let why = "what the server has to say cannot be turned down";
                return Err(MatrixError::cannot_leave_server_notice_room(why).into());
            }
            _ => {}
        }
        self.move_member(&session.user_id, room, &session.user_id, said.alone("leave")?).await
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
        said: Said,
    ) -> Result<OwnedEventId> {
        session.may_act()?;
        let room = self.joined_room(&self.store.snapshot(), session, room_id).await?;
        let content = self.invite_content(&session.user_id, target, said).await?;
        self.move_member(&session.user_id, room, target, content).await
    }

    /// Refuses an invite that its user has blocked. The server's own notices reach everybody.
    ///
    /// # Errors
    /// `M_INVITE_BLOCKED`.
    async fn check_invite(&self, inviter: &UserId, (user, target): (UserNum, &UserId)) -> Result<()> {
        if target.server_name() != self.config.server_name || self.config.speaks_for_server(inviter) {
            return Ok(());
        }
        match self.accounts.invites(&self.store.snapshot(), user, inviter).await? {
            Invites::Blocked => Err(MatrixError::invite_blocked("this user does not take invites from you").into()),
            Invites::Allowed | Invites::Ignored => Ok(()),
        }
    }

    /// Lets a user of this server leave a room that they may not stay in.
    pub(super) async fn step_out(self: &Arc<Self>, user: UserNum, room: RoomNum) -> Result<()> {
        let user_id = self.ids.user_id(user).await?;
        self.move_member(&user_id, room, &user_id, Said::default().alone("leave")?).await.map(drop)
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
        said: Said,
    ) -> Result<OwnedEventId> {
        session.may_act()?;
        let (room, membership) = self.joined_with(session, room_id, target).await?;
        if !matches!(membership, Some(Membership::Join | Membership::Invite | Membership::Knock)) {
            return Err(MatrixError::forbidden("they are not in the room").into());
        }
        self.move_member(&session.user_id, room, target, said.alone("leave")?).await
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
        said: Said,
    ) -> Result<OwnedEventId> {
        session.may_act()?;
        let room = self.joined_room(&self.store.snapshot(), session, room_id).await?;
        self.move_member(&session.user_id, room, target, said.alone("ban")?).await
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
        said: Said,
    ) -> Result<OwnedEventId> {
        session.may_act()?;
        let (room, membership) = self.joined_with(session, room_id, target).await?;
        if membership != Some(Membership::Ban) {
            return Err(MatrixError::forbidden("they are not banned").into());
        }
        self.move_member(&session.user_id, room, target, said.alone("leave")?).await
    }

    /// A room that the caller is joined to, and somebody's membership of it.
    async fn joined_with(
        &self,
        session: &Session,
        room_id: &RoomId,
        target: &UserId,
    ) -> Result<(RoomNum, Option<Membership>)> {
        let snapshot = self.store.snapshot();
        let room = self.joined_room(&snapshot, session, room_id).await?;
        let membership = match self.ids.find_user(target).await? {
            Some(user) => self.membership(&snapshot, room, user).await?,
            None => None,
        };
        Ok((room, membership))
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
        // No row holds it, but only what has a position of its own is news to somebody who has read up to now.
        batch.stamp();
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

    /// Leaves every room and turns down every invite: the account is being closed. Answers how many rooms the user is still
    /// in, since their policy servers do not answer or say no.
    ///
    /// # Errors
    /// The store fails.
    pub async fn leave_all(self: &Arc<Self>, user: UserNum) -> Result<usize> {
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
        let mut stayed = 0;
        for room in rooms {
            match self.move_member(&user_id, room, &user_id, Said::default().alone("leave")?).await {
                Err(error) if !error.is_refusal() => return Err(error),
                Err(error) => {
                    let row = self.store.snapshot().get(&ROOMS, &room).await?;
                    let room_id = row.map(|row| row.id).unwrap_or_default();
                    tracing::warn!(%user_id, %room_id, %error, "a user whose account is closed cannot leave a room");
                    stayed += usize::from(matches!(error, Error::Upstream(_) | Error::Declined { .. }));
                }
                Ok(_) => {}
            }
        }
        Ok(stayed)
    }
}

/// Nobody gets a number whose id could be no state key.
pub(super) fn check_user_id(user_id: &UserId) -> Result<()> {
    if user_id.as_str().len() > MAX_USER_ID_BYTES {
        return Err(MatrixError::invalid_param("a user id has 255 bytes at most").into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ruma::api::client::room::create_room::v3::{Request as NewRoom, RoomPreset};
    use ruma::{RoomVersionId, user_id};
    use serde_json::json;

    use super::Said;
    use crate::error::Error;
    use crate::fixture::{house, session};

    #[tokio::test]
    async fn forgetting_a_room_is_news() {
        let server = house().await;
        let (rooms, ann) = (&server.rooms, session(&server, "ann").await);
        let room = rooms.create(&ann, NewRoom::new()).await.unwrap();
        rooms.leave(&ann, &room, Said::default()).await.unwrap();
        let before = server.store.snapshot().position();
        assert!(!server.streams.user_changed(ann.user, before));
        rooms.forget(&ann, &room).await.unwrap();
        assert!(server.streams.user_changed(ann.user, before));
        server.stop().await;
    }

    #[tokio::test]
    async fn a_forgotten_room_stays_so_until_one_comes_again() {
        let server = house().await;
        let (rooms, ann, bob) = (&server.rooms, session(&server, "ann").await, session(&server, "bob").await);
        let mut request = NewRoom::new();
        request.preset = Some(RoomPreset::PublicChat);
        let room = rooms.create(&ann, request).await.unwrap();
        rooms.join(&bob, &room, None, None).await.unwrap();
        rooms.leave(&bob, &room, Said::default()).await.unwrap();
        assert!(rooms.full_state(&bob, &room).await.is_ok());
        rooms.forget(&bob, &room).await.unwrap();
        assert!(rooms.full_state(&bob, &room).await.is_err());
        rooms.ban(&ann, &room, &bob.user_id, Said::default()).await.unwrap();
        assert!(rooms.full_state(&bob, &room).await.is_err());
        rooms.unban(&ann, &room, &bob.user_id, Said::default()).await.unwrap();
        assert!(rooms.full_state(&bob, &room).await.is_err());
        rooms.invite(&ann, &room, &bob.user_id, Said::default()).await.unwrap();
        rooms.leave(&bob, &room, Said::default()).await.unwrap();
        assert!(rooms.full_state(&bob, &room).await.is_err(), "who declines was not there");
        rooms.join(&bob, &room, None, None).await.unwrap();
        rooms.leave(&bob, &room, Said::default()).await.unwrap();
        assert!(rooms.full_state(&bob, &room).await.is_ok());
        server.stop().await;
    }

    #[tokio::test]
    async fn an_invite_by_third_party_identifier_that_nobody_made_lets_nobody_in() {
        let server = house().await;
        let (rooms, ann, bob) = (&server.rooms, session(&server, "ann").await, session(&server, "bob").await);
        let mut request = NewRoom::new();
        request.preset = Some(RoomPreset::PublicChat);
        let room = rooms.create(&ann, request).await.unwrap();
        let signed = json!({ "mxid": bob.user_id, "sender": ann.user_id, "token": "t", "signatures": {} });
        let refused = rooms.join(&bob, &room, None, Some(signed)).await.unwrap_err();
        assert!(matches!(&refused, Error::Matrix(error) if error.status() == 403), "{refused}");
        assert!(rooms.joined_room(&server.store.snapshot(), &bob, &room).await.is_err());
        server.stop().await;
    }

    #[tokio::test]
    async fn who_is_not_invited_in_the_end_gets_no_number() {
        let server = house().await;
        let (rooms, ids) = (&server.rooms, &server.ids);
        let (ann, bob) = (session(&server, "ann").await, session(&server, "bob").await);
        let room = rooms.create(&ann, NewRoom::new()).await.unwrap();
        let nobody = user_id!("@nobody:other.example");
        assert!(rooms.invite(&bob, &room, nobody, Said::default()).await.is_err());
        // A room whose maker may set none of its state is not made.
        let mut request = NewRoom::new();
        request.room_version = Some(RoomVersionId::V10);
        request.invite = vec![nobody.to_owned()];
        let levels = json!({ "users": { "@bob:localhost": 0 } });
        request.power_level_content_override = serde_json::from_value(levels).unwrap();
        assert!(rooms.create(&bob, request).await.is_err());
        assert_eq!(ids.find_user(nobody).await.unwrap(), None);
        rooms.invite(&ann, &room, nobody, Said::default()).await.unwrap();
        assert!(ids.find_user(nobody).await.unwrap().is_some());
        server.stop().await;
    }
}
