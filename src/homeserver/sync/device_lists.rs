//! Whose devices a client must look at anew: client-server API, "Tracking the device list for a user".

use std::collections::HashSet;

use matron_storage::{Position, Snapshot};

use super::Sync;
use super::answer::DeviceLists;
use crate::accounts::Session;
use crate::error::Result;
use crate::schema::UserNum;

impl Sync {
    /// The answer's part: who changed or came, who is gone. And those who came.
    pub(super) async fn device_lists(
        &self,
        snapshot: &Snapshot,
        session: &Session,
        since: Position,
    ) -> Result<(DeviceLists, HashSet<UserNum>)> {
        let changes = self.rooms.device_list_changes(snapshot, session.user, since).await?;
        let changed = self.names(changes.changed).await?;
        let left = self.names(changes.left).await?;
        Ok((DeviceLists { changed, left }, changes.came))
    }

    /// The part for a client that must mend what it remembers: everybody who shares a room.
    pub(super) async fn all_device_lists(&self, snapshot: &Snapshot, session: &Session) -> Result<DeviceLists> {
        let sharing = self.rooms.sharing(snapshot, session.user).await?;
        Ok(DeviceLists { changed: self.names(sharing).await?, left: Vec::new() })
    }

    async fn names(&self, users: HashSet<UserNum>) -> Result<Vec<String>> {
        let mut names = Vec::with_capacity(users.len());
        for user in users {
            names.push(self.ids.user_id(user).await?.to_string());
        }
        Ok(names)
    }
}
