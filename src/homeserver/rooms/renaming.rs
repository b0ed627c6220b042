//! A new name or picture is said in every room: behind the request, so that somebody in many rooms does not wait for all,
//! and again after a restart where it was not done.

use std::sync::Arc;
use std::time::Duration;

use matron_storage::{Batch, Error as StorageError};

use super::Rooms;
use super::membership::Said;
use crate::behind;
use crate::error::Result;
use crate::schema::UserNum;
use crate::schema::accounts::RENAMED;

/// How long a request waits for its rooms: most users are in few.
const PATIENCE: Duration = Duration::from_secs(1);

impl Rooms {
    /// Says a user's new name or picture in every room that they are joined to. Answers when that is done, or after a
    /// second; then it goes on.
    pub async fn profile_changed(self: &Arc<Self>, user: UserNum) {
        let _ = tokio::time::timeout(PATIENCE, self.rename_behind(user)).await;
    }

    /// Goes on where a stop came between a new name and its rooms.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn resume_renaming(self: &Arc<Self>) -> Result<()> {
        for (user, _) in self.store.snapshot().scan(&RENAMED, RENAMED.all()).collect().await? {
            drop(self.rename_behind(user));
        }
        Ok(())
    }

    fn rename_behind(self: &Arc<Self>, user: UserNum) -> tokio::task::JoinHandle<()> {
        let rooms = Arc::clone(self);
        behind::run(&self.tasks, "saying a new name in all rooms", move || {
            let rooms = Arc::clone(&rooms);
            async move { rooms.rename(user).await }
        })
    }

    /// Says the name in all rooms, and again if it changed meanwhile: the last of several changes is what stays.
    async fn rename(self: &Arc<Self>, user: UserNum) -> Result<()> {
        loop {
            let change = self.store.snapshot().get(&RENAMED, &user).await?;
            self.rename_everywhere(user).await?;
            let Some(change) = change else { return Ok(()) };
            let mut batch = Batch::new();
            batch.expect_value(&RENAMED, &user, &change);
            batch.delete(&RENAMED, &user);
            match self.store.commit(batch).await {
                Err(StorageError::Conflict) => {}
                done => return Ok(done.map(drop)?),
            }
        }
    }

    /// Rooms that refuse the name keep the old one.
    async fn rename_everywhere(self: &Arc<Self>, user: UserNum) -> Result<()> {
        let user_id = self.ids.user_id(user).await?;
        // Bound before the walk: it may take long, and no snapshot is held for it.
        let joined = self.joined_rooms(&self.store.snapshot(), user).await?;
        for room in joined.iter().copied() {
            let content = self.member_content(user, "join", Said::default()).await?;
            match self.move_member(&user_id, room, &user_id, content).await {
                Err(error) if !error.is_refusal() => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}
