//! Who shares a room with whom: whose devices somebody has to know of.
//!
//! Client-server API, "Tracking the device list for a user".

use std::collections::HashSet;

use matron_storage::{Position, Snapshot};
use ruma::{OwnedRoomId, RoomId};

use super::Rooms;
use super::roots::root_at;
use super::tree::{EMPTY, NodeNum, Reader, diff};
use crate::devices::{changed_users, signed_users};
use crate::error::{Error, Result};
use crate::schema::rooms::{HEADS, Membership, ROOMS, USER_ROOMS, UserRoom};
use crate::schema::{EventNum, RoomNum, UserNum};

/// In how many rooms somebody may have come or gone before the user's own rooms are looked through.
const MOST_ROOMS: usize = 4096;

/// Whose devices a user has to look at anew, and whose no more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceListChanges {
    /// Devices or keys changed, or a room is shared that was not before.
    pub changed: HashSet<UserNum>,
    /// No room is shared any more.
    pub left: HashSet<UserNum>,
    /// A room is shared that was not before, with these of those who changed.
    pub came: HashSet<UserNum>,
}

impl Rooms {
    /// Whether two users are joined to a room together; everybody shares with themselves.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn shares(&self, snapshot: &Snapshot, one: UserNum, other: UserNum) -> Result<bool> {
        if one == other {
            return Ok(true);
        }
        for room in self.joined_rooms(snapshot, one).await?.iter() {
            if self.streams.is_joined(snapshot, *room, other).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// All who are joined to a room together with a user, and the user.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn sharing(&self, snapshot: &Snapshot, user: UserNum) -> Result<HashSet<UserNum>> {
        let mut sharing = HashSet::from([user]);
        for room in self.joined_rooms(snapshot, user).await?.iter() {
            sharing.extend(self.streams.joined(snapshot, *room).await?.iter());
        }
        Ok(sharing)
    }

    /// Those of `users` who share a room with a user: costs the user's rooms.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn who_of_these_shares(
        &self,
        snapshot: &Snapshot,
        user: UserNum,
        users: HashSet<UserNum>,
    ) -> Result<HashSet<UserNum>> {
        if users.is_empty() {
            return Ok(users);
        }
        let rooms = self.joined_rooms(snapshot, user).await?;
        self.who_shares(snapshot, &rooms, user, users).await
    }

    /// Those of `users` who share a room with `user`: costs the user's rooms, and nothing where there is nobody to ask for.
    async fn who_shares(
        &self,
        snapshot: &Snapshot,
        rooms: &[RoomNum],
        user: UserNum,
        mut users: HashSet<UserNum>,
    ) -> Result<HashSet<UserNum>> {
        let mut sharing = HashSet::new();
        if users.remove(&user) {
            sharing.insert(user);
        }
        let mut others: Vec<UserNum> = users.into_iter().collect();
        for room in rooms {
            if others.is_empty() {
                break;
            }
            sharing.extend(self.streams.joined_of(snapshot, *room, &others).await?);
            others.retain(|other| !sharing.contains(other));
        }
        Ok(sharing)
    }

    /// What a user's clients have to know of others' devices that they did not know at `since`. Costs what changed: rooms
    /// where nobody came or went are not looked into.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn device_list_changes(
        &self,
        snapshot: &Snapshot,
        user: UserNum,
        since: Position,
    ) -> Result<DeviceListChanges> {
        let now = snapshot.position();
        if since >= now {
            return Ok(DeviceListChanges::default());
        }
        let mut changed = HashSet::new();
        if self.streams.device_lists_changed(since) {
            changed.extend(changed_users(snapshot, since, now).await?);
        }
        if self.streams.user_changed(user, since) {
            changed.extend(signed_users(snapshot, user, since, now).await?);
        }
        let mut came = HashSet::new();
        let mut gone = HashSet::new();
        let own_key = self.ids.find_state_key("m.room.member", self.ids.user_id(user).await?.as_str()).await?;
        for (room, own) in self.rooms_that_moved(snapshot, user, since).await? {
            let is_joined = own.membership == Membership::Join;
            if !is_joined && own.left.is_none_or(|left| left <= since) {
                continue;
            }
            let Some(head) = snapshot.get(&HEADS, &room).await? else { continue };
            let before = root_at(snapshot, room, since).await?.unwrap_or(EMPTY);
            let states = self.states(snapshot, room);
            let was_joined = match own_key {
                Some(key) => self.is_join(snapshot, states.get(before, key).await?).await?,
                None => false,
            };
            match (was_joined, is_joined) {
                (true, true) => {
                    self.moved(snapshot, &states, (before, head.state), &mut came, &mut gone).await?;
                }
                (false, true) => came.extend(self.streams.joined(snapshot, room).await?.iter()),
                (true, false) => {
                    // Whom they shared it with to the last: who came later is nobody they know of.
                    let left = own.left.unwrap_or(since);
                    let parting = root_at(snapshot, room, left).await?.unwrap_or(EMPTY);
                    gone.extend(self.joined_then(snapshot, room, &states, (parting, head.state)).await?);
                    let mut unseen = HashSet::new();
                    self.moved(snapshot, &states, (before, parting), &mut unseen, &mut gone).await?;
                }
                (false, false) => {}
            }
        }
        came.remove(&user);
        gone.remove(&user);
        changed.extend(&came);
        if changed.is_empty() && gone.is_empty() {
            return Ok(DeviceListChanges::default());
        }
        // Who changed and shares nothing is nobody's business, but who went is told of as having gone.
        let rooms = self.joined_rooms(snapshot, user).await?;
        let shared = self.who_shares(snapshot, &rooms, user, changed.union(&gone).copied().collect()).await?;
        changed.retain(|user| shared.contains(user));
        gone.retain(|user| !shared.contains(user));
        came.retain(|user| shared.contains(user));
        Ok(DeviceListChanges { changed, left: gone, came })
    }

    /// The user's rooms where somebody may have come or gone after `since`: by memory where that reaches back so far.
    async fn rooms_that_moved(
        &self,
        snapshot: &Snapshot,
        user: UserNum,
        since: Position,
    ) -> Result<Vec<(RoomNum, UserRoom)>> {
        if !self.streams.anybody_moved(since) {
            return Ok(Vec::new());
        }
        let Some(moved) = self.streams.rooms_moved_since(since).filter(|moved| moved.len() <= MOST_ROOMS) else {
            let rows = snapshot.scan(&USER_ROOMS, USER_ROOMS.under(&(user,))).collect().await?;
            let rooms = rows.into_iter().map(|((_, room), own)| (room, own));
            return Ok(rooms.filter(|(room, _)| self.streams.room_changed(*room, since)).collect());
        };
        let keys: Vec<_> = moved.iter().map(|room| (user, *room)).collect();
        let rows = snapshot.get_many(&USER_ROOMS, &keys).await?;
        Ok(moved.into_iter().zip(rows).filter_map(|(room, own)| Some((room, own?))).collect())
    }

    /// Who was joined to a room in an earlier one of its states: costs what changed since.
    async fn joined_then(
        &self,
        snapshot: &Snapshot,
        room: RoomNum,
        states: &Reader,
        (then, now): (NodeNum, NodeNum),
    ) -> Result<HashSet<UserNum>> {
        let (mut came, mut were) = (HashSet::new(), HashSet::new());
        self.moved(snapshot, states, (then, now), &mut came, &mut were).await?;
        let joined = self.streams.joined(snapshot, room).await?;
        were.extend(joined.iter().filter(|user| !came.contains(*user)));
        Ok(were)
    }

    /// Who joined and who is joined no more between two states of a room.
    async fn moved(
        &self,
        snapshot: &Snapshot,
        states: &Reader,
        (before, after): (NodeNum, NodeNum),
        came: &mut HashSet<UserNum>,
        gone: &mut HashSet<UserNum>,
    ) -> Result<()> {
        if before == after {
            return Ok(());
        }
        let member = self.ids.kind("m.room.member").await?;
        for change in diff(states, before, after).await? {
            let name = self.ids.state_key_name(change.key).await?;
            if name.kind != member {
                continue;
            }
            let was = self.is_join(snapshot, change.old).await?;
            let is = self.is_join(snapshot, change.new).await?;
            if was == is {
                continue;
            }
            let Ok(id) = ruma::UserId::parse(&name.key) else { continue };
            if let Some(user) = self.ids.find_user(&id).await? {
                if is {
                    came.insert(user)
                } else {
                    gone.insert(user)
                };
            }
        }
        Ok(())
    }

    async fn is_join(&self, snapshot: &Snapshot, event: Option<EventNum>) -> Result<bool> {
        let Some(event) = event else { return Ok(false) };
        let pdu = self.authority(snapshot, event).await?;
        Ok(super::event::membership_of(pdu.content.get()) == Membership::Join)
    }

    /// The ids of the rooms that a user is joined to.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn joined_room_ids(&self, user: UserNum) -> Result<Vec<OwnedRoomId>> {
        let snapshot = self.store.snapshot();
        let rooms = self.joined_rooms(&snapshot, user).await?;
        let rows = snapshot.get_many(&ROOMS, rooms.iter()).await?;
        rows.into_iter().flatten().map(|row| RoomId::parse(&row.id).map_err(Error::internal)).collect()
    }
}
