//! Whom events may concern: the users who have a pusher, by the rooms that they are in. In memory, kept up with the stream.

use std::collections::HashMap;
use std::sync::Arc;

use matron_matrix::push::{Mask, Specials, is_for_all_rooms, mask, specials};
use matron_storage::Snapshot;
use ruma::push::Ruleset;
use ruma::{OwnedUserId, RoomId, UserId};

use super::Push;
use super::badge::Badge;
use crate::accounts::Session;
use crate::error::Result;
use crate::schema::push::{PUSHERS, Pusher, PusherKey};
use crate::schema::rooms::{Membership, USER_ROOMS};
use crate::schema::{DeviceNum, RoomNum, UserNum};

/// A user's rules as they are asked for every event.
#[derive(Debug)]
pub(super) struct Compiled {
    /// What they were made of.
    pub ruleset: Arc<Ruleset>,
    /// What no class answers.
    specials: Specials,
    /// What classes do, where that is the same in all rooms.
    everywhere: Option<Mask>,
}

impl Compiled {
    /// Rules of a user's.
    pub fn new(ruleset: Arc<Ruleset>, user_id: &OwnedUserId) -> Self {
        let specials = specials(&ruleset);
        // No room has such an id.
        let nowhere = RoomId::parse(format!("!{}", user_id.as_str())).ok();
        let everywhere = nowhere.filter(|_| is_for_all_rooms(&ruleset)).map(|room| mask(&ruleset, &room));
        Self { ruleset, specials, everywhere }
    }

    /// What classes do in a room.
    pub fn mask(&self, room_id: &RoomId) -> Mask {
        self.everywhere.unwrap_or_else(|| mask(&self.ruleset, room_id))
    }

    /// Whether the user's own rules may say something of a sender's event that its class does not know.
    pub fn looks_deeper(&self, sender: &UserId) -> bool {
        let specials = &self.specials;
        specials.custom || !specials.keywords.is_empty() || specials.senders.iter().any(|known| known == sender)
    }
}

/// Somebody with a pusher.
#[derive(Debug)]
pub(super) struct Recipient {
    /// The user, as those ask who look into rooms.
    pub session: Session,
    /// The pushers that are on.
    pub pushers: Vec<(PusherKey, Arc<Pusher>)>,
    /// What is unread, once it was asked for.
    pub badge: Option<Badge>,
    compiled: Option<Arc<Compiled>>,
}

impl Recipient {
    /// Their rules as of a snapshot. With other rules, other things are unread.
    pub async fn rules(&mut self, push: &Push, snapshot: &Snapshot) -> Result<Arc<Compiled>> {
        let ruleset = push.accounts.ruleset(snapshot, self.session.user).await?;
        if let Some(compiled) = &self.compiled
            && Arc::ptr_eq(&compiled.ruleset, &ruleset)
        {
            return Ok(Arc::clone(compiled));
        }
        if self.compiled.is_some() {
            self.badge = None;
        }
        let compiled = Arc::new(Compiled::new(ruleset, &self.session.user_id));
        self.compiled = Some(Arc::clone(&compiled));
        Ok(compiled)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Audience {
    /// Users with a pusher that is on.
    pub users: HashMap<UserNum, Recipient>,
    rooms: HashMap<RoomNum, Vec<UserNum>>,
}

impl Audience {
    /// Those of them who are in a room.
    pub fn of(&self, room: RoomNum) -> &[UserNum] {
        self.rooms.get(&room).map_or(&[], Vec::as_slice)
    }

    /// Whether anybody of them is there.
    pub fn hears(&self, room: RoomNum) -> bool {
        self.rooms.contains_key(&room)
    }

    /// Whether something is known to be unread by somebody in a room.
    pub fn is_unread(&self, user: UserNum, room: RoomNum) -> bool {
        let badge = self.users.get(&user).and_then(|recipient| recipient.badge.as_ref());
        badge.is_some_and(|badge| badge.has(room))
    }

    /// Somebody came into a room.
    pub fn join(&mut self, user: UserNum, room: RoomNum) {
        let users = self.rooms.entry(room).or_default();
        if !users.contains(&user) {
            users.push(user);
        }
    }

    /// Somebody is not in a room. Whether they were until now.
    pub fn leave(&mut self, user: UserNum, room: RoomNum) -> bool {
        let Some(users) = self.rooms.get_mut(&room) else { return false };
        let before = users.len();
        users.retain(|known| *known != user);
        let was_there = users.len() < before;
        if users.is_empty() {
            self.rooms.remove(&room);
        }
        was_there
    }

    /// Everybody who has a pusher.
    pub async fn load(push: &Push, snapshot: &Snapshot) -> Result<Self> {
        let mut audience = Self::default();
        let mut scan = snapshot.scan(&PUSHERS, PUSHERS.all());
        let mut users: Vec<UserNum> = Vec::new();
        while let Some(((user, _), _)) = scan.next().await? {
            if users.last() != Some(&user) {
                users.push(user);
            }
        }
        for user in users {
            audience.reload(push, snapshot, user).await?;
        }
        Ok(audience)
    }

    /// Reads a user's pushers anew.
    pub async fn reload(&mut self, push: &Push, snapshot: &Snapshot, user: UserNum) -> Result<()> {
        let rows = snapshot.scan(&PUSHERS, PUSHERS.under(&(user,))).collect().await?;
        let on = rows.into_iter().filter(|(_, pusher)| pusher.enabled);
        let pushers: Vec<_> = on.map(|((_, key), pusher)| (key, Arc::new(pusher))).collect();
        if pushers.is_empty() {
            if self.users.remove(&user).is_some() {
                for room in joined_rooms(snapshot, user).await? {
                    self.leave(user, room);
                }
            }
            return Ok(());
        }
        if let Some(recipient) = self.users.get_mut(&user) {
            recipient.pushers = pushers;
            return Ok(());
        }
        let session = Session {
            user_id: push.ids.user_id(user).await?,
            user,
            device_id: "".into(),
            device: DeviceNum(0),
            guest: false,
            admin: false,
            suspended: false,
            rate_limit: None,
        };
        self.users.insert(user, Recipient { session, pushers, badge: None, compiled: None });
        for room in joined_rooms(snapshot, user).await? {
            self.join(user, room);
        }
        Ok(())
    }
}

/// The rooms that a user is joined to.
pub(super) async fn joined_rooms(snapshot: &Snapshot, user: UserNum) -> Result<Vec<RoomNum>> {
    let mut rooms = Vec::new();
    let mut scan = snapshot.scan(&USER_ROOMS, USER_ROOMS.under(&(user,)));
    while let Some(((_, room), row)) = scan.next().await? {
        if row.membership == Membership::Join {
            rooms.push(room);
        }
    }
    Ok(rooms)
}
