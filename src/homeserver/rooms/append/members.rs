//! What changes in a room's state means for its members: rows, counts, and news for the users of this server.

use matron_storage::Position;
use ruma::UserId;
use ruma::events::StateEventType;

use super::Append;
use crate::error::Result;
use crate::rooms::event::membership_of;
use crate::rooms::summary;
use crate::rooms::tree::Change;
use crate::rooms::working::{Policy, StateEvent};
use crate::schema::accounts::{USER_STREAM, UserChange, UserNews};
use crate::schema::rooms::{MEMBERS, Member, Membership, SERVERS, USER_ROOMS, UserRoom};
use crate::schema::{EventNum, UserNum};
use crate::streams::Subject;

impl Append<'_> {
    /// Writes what follows from changes of the resolved state.
    pub(super) async fn apply(&mut self, changes: &[Change], position: Position) -> Result<()> {
        if changes.len() > 1 {
            self.working.state.clear();
        }
        for change in changes {
            let name = self.rooms.ids.state_key_name(change.key).await?;
            let kind = StateEventType::from(&*self.rooms.ids.kind_name(name.kind).await?);
            let new = match change.new {
                Some(num) => Some((num, self.changed_event(num).await?)),
                None => None,
            };
            let is_member = kind == StateEventType::RoomMember;
            let membership = new.as_ref().filter(|_| is_member).map(|(_, pdu)| membership_of(pdu.content.get()));
            let is_gone = is_member && matches!(membership, None | Some(Membership::Leave | Membership::Ban));
            self.remember(change, (kind.clone(), name.key.clone()), new.as_ref(), is_gone);
            if kind == StateEventType::SpaceChild {
                self.move_child(&name.key, new.as_ref().map(|(num, _)| *num));
            }
            if kind == StateEventType::RoomPolicy && name.key.is_empty() {
                self.working.policy = Policy::Unknown;
            }
            if kind == StateEventType::RoomGuestAccess && name.key.is_empty() {
                self.guest_access_changed(change.old, new.as_ref().map(|(_, pdu)| &**pdu)).await?;
            }
            self.retell |= name.key.is_empty() && summary::tells(&kind);
            if is_member {
                self.move_member(&name.key, change.new.zip(membership), position).await?;
            }
        }
        Ok(())
    }

    /// Memory keeps what the state names from now on, and not what it named. Whoever is gone does nothing here for a while:
    /// where people come and go, memory would keep ever more of them.
    fn remember(&mut self, change: &Change, name: (StateEventType, String), new: Option<&StateEvent>, is_gone: bool) {
        if is_gone {
            self.working.state.remove(&name);
        } else {
            self.working.state.insert(name, new.cloned());
        }
        for num in change.old.into_iter().chain(change.new.filter(|_| is_gone)) {
            self.rooms.forget_authority(num);
        }
    }

    async fn move_member(
        &mut self,
        user_id: &str,
        new: Option<(EventNum, Membership)>,
        position: Position,
    ) -> Result<()> {
        // A member event for what is no user id changes nothing for anybody.
        let Ok(user_id) = UserId::parse(user_id) else { return Ok(()) };
        let room = self.working.num;
        let user = self.rooms.ids.user(&user_id).await?;
        let old = self.working.member(user).await?;
        let old_membership = old.as_ref().map(|member| member.membership);
        let membership = new.map(|(_, membership)| membership);
        let member = new.map(|(event, membership)| Member { membership, event });
        match &member {
            Some(member) => self.batch.put(&MEMBERS, &(room, user), member),
            None => self.batch.delete(&MEMBERS, &(room, user)),
        }
        self.working.touched.members.insert(user, member);
        self.count_members(old_membership, membership);
        let (was_joined, is_joined) = (old_membership == Some(Membership::Join), membership == Some(Membership::Join));
        if was_joined != is_joined {
            self.moved.insert(user);
            self.retell = true;
            self.count_server(user_id.server_name().as_str(), is_joined).await?;
        }
        if user_id.server_name() == self.rooms.config.server_name {
            if was_joined != is_joined {
                self.working.member_moved(self.rooms, user, is_joined).await?;
            }
            self.tell_user(user, new, position).await?;
        }
        Ok(())
    }

    /// Announces who came and who went: each once, as they are after the batch.
    pub(super) fn tell_members(&mut self) {
        let room = self.working.num;
        for user in std::mem::take(&mut self.moved) {
            let member = self.working.touched.members.get(&user).and_then(Option::as_ref);
            let is_joined = member.is_some_and(|member| member.membership == Membership::Join);
            let subject = if is_joined { Subject::Came(room, user) } else { Subject::Went(room, user) };
            self.batch.announce(subject.into());
        }
    }

    const fn count_members(&mut self, old: Option<Membership>, new: Option<Membership>) {
        let head = &mut self.working.head;
        match old {
            Some(Membership::Join) => head.joined = head.joined.saturating_sub(1),
            Some(Membership::Invite) => head.invited = head.invited.saturating_sub(1),
            _ => {}
        }
        match new {
            Some(Membership::Join) => head.joined += 1,
            Some(Membership::Invite) => head.invited += 1,
            _ => {}
        }
    }

    async fn count_server(&mut self, server: &str, joined: bool) -> Result<()> {
        let key = (self.working.num, server.to_owned());
        let before = self.working.joined_of(server).await?;
        let count = if joined { before + 1 } else { before.saturating_sub(1) };
        self.working.touched.servers.insert(server.to_owned(), count);
        if count == 0 {
            self.batch.delete(&SERVERS, &key);
        } else {
            self.batch.put(&SERVERS, &key, &count);
        }
        Ok(())
    }

    /// A user of this server sees the room with other eyes: their own row and their own stream.
    async fn tell_user(
        &mut self,
        user: UserNum,
        new: Option<(EventNum, Membership)>,
        position: Position,
    ) -> Result<()> {
        let room = self.working.num;
        let old = match self.working.touched.user_rooms.get(&user) {
            Some(row) => row.clone(),
            None => self.working.snapshot.get(&USER_ROOMS, &(user, room)).await?,
        };
        let is_out = matches!(new, Some((_, Membership::Leave | Membership::Ban)));
        // What others do to somebody who is out and has forgotten the room brings nothing back, and is no news.
        let forgotten = old.as_ref().filter(|old| old.forgotten && is_out).map(|old| old.news);
        if let Some(old) = &old
            && forgotten.is_none()
        {
            self.batch.delete(&USER_STREAM, &(user, old.news));
        }
        self.batch.announce(Subject::Memberships(user).into());
        let Some((event, membership)) = new else {
            self.batch.delete(&USER_ROOMS, &(user, room));
            self.working.touched.user_rooms.insert(user, None);
            return Ok(());
        };
        let left = match &old {
            _ if membership == Membership::Join => None,
            Some(old) if old.membership == Membership::Join => Some(position),
            // Nothing of what was forgotten is to be read again before a new join.
            Some(old) if old.forgotten && !is_out => None,
            Some(old) => old.left,
            None => None,
        };
        let stays = old.as_ref().filter(|old| old.membership == membership);
        let row = UserRoom {
            membership,
            event,
            // A new display name is no new membership: who was joined stays joined since then.
            since: stays.map_or(position, |old| old.since),
            news: forgotten.unwrap_or(position),
            forgotten: forgotten.is_some(),
            left,
            stripped: None,
        };
        self.batch.put(&USER_ROOMS, &(user, room), &row);
        if forgotten.is_none() {
            let news = UserNews { change: UserChange::Membership, room: Some(room), kind: String::new() };
            self.batch.put(&USER_STREAM, &(user, position), &news);
        }
        self.working.touched.user_rooms.insert(user, Some(row));
        Ok(())
    }
}
