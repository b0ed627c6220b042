//! Whose devices a client must look at anew: client-server API, "Tracking the device list for a user".

use std::collections::HashSet;

use matron_storage::{Position, Snapshot};

use super::Sync;
use super::answer::DeviceLists;
use crate::accounts::Session;
use crate::devices::{changed_users, signed_users};
use crate::error::Result;
use crate::rooms::tree::Change;
use crate::schema::rooms::{MEMBERS, Membership, USER_ROOMS};
use crate::schema::{RoomNum, UserNum};

/// What the rooms of an answer say of who shares them.
#[derive(Debug, Default)]
pub(super) struct Sharing {
    /// Users who may share a room now and did not before.
    pub came: HashSet<UserNum>,
    /// Users who may share none any more.
    pub went: HashSet<UserNum>,
}

impl Sync {
    /// Whether two users are joined to a common room.
    async fn share_a_room(&self, snapshot: &Snapshot, user: UserNum, other: UserNum) -> Result<bool> {
        let mut scan = snapshot.scan(&USER_ROOMS, USER_ROOMS.under(&(user,)));
        while let Some(((_, room), own)) = scan.next().await? {
            if own.membership == Membership::Join {
                let member = snapshot.get(&MEMBERS, &(room, other)).await?;
                if member.is_some_and(|member| member.membership == Membership::Join) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Everybody joined to a room.
    pub(super) async fn everybody(&self, snapshot: &Snapshot, room: RoomNum) -> Result<HashSet<UserNum>> {
        Ok((*self.streams.joined(snapshot, room).await?).clone())
    }

    /// Notes members who came and went by the changes of a room's state.
    pub(super) async fn note_members(
        &self,
        snapshot: &Snapshot,
        room: RoomNum,
        changes: &[Change],
        sharing: &mut Sharing,
    ) -> Result<()> {
        let kind = self.ids.kind("m.room.member").await?;
        for change in changes {
            let name = self.ids.state_key_name(change.key).await?;
            if name.kind != kind {
                continue;
            }
            let Ok(user) = ruma::UserId::parse(&name.key) else { continue };
            let Some(user) = self.ids.find_user(&user).await? else { continue };
            let member = snapshot.get(&MEMBERS, &(room, user)).await?;
            if member.is_some_and(|member| member.membership == Membership::Join) {
                sharing.came.insert(user);
            } else {
                sharing.went.insert(user);
            }
        }
        Ok(())
    }

    /// The answer's part: who changed, who came, who is gone.
    pub(super) async fn device_lists(
        &self,
        snapshot: &Snapshot,
        session: &Session,
        since: Position,
        sharing: Sharing,
    ) -> Result<DeviceLists> {
        let mut changed: HashSet<UserNum> = HashSet::new();
        if self.streams.device_lists_changed(since) {
            for user in changed_users(snapshot, since, snapshot.position()).await? {
                if user == session.user || self.share_a_room(snapshot, session.user, user).await? {
                    changed.insert(user);
                }
            }
            changed.extend(signed_users(snapshot, session.user, since, snapshot.position()).await?);
        }
        changed.extend(sharing.came.iter().filter(|user| **user != session.user));
        let mut left = Vec::new();
        for user in sharing.went {
            if user != session.user
                && !changed.contains(&user)
                && !self.share_a_room(snapshot, session.user, user).await?
            {
                left.push(self.ids.user_id(user).await?.to_string());
            }
        }
        let mut ids = Vec::with_capacity(changed.len());
        for user in changed {
            ids.push(self.ids.user_id(user).await?.to_string());
        }
        Ok(DeviceLists { changed: ids, left })
    }
}
