//! A new name or picture is said in every room: behind the request, so that somebody in many rooms does not wait for all,
//! and again after a restart where it was not done.

use std::sync::Arc;
use std::time::Duration;

use matron_storage::{Batch, Error as StorageError};
use ruma::UserId;

use super::Rooms;
use super::intent::Intent;
use super::membership::Said;
use crate::behind;
use crate::error::Result;
use crate::schema::accounts::RENAMED;
use crate::schema::{RoomNum, UserNum};

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

    async fn rename_everywhere(self: &Arc<Self>, user: UserNum) -> Result<()> {
        let user_id = self.ids.user_id(user).await?;
        // Bound before the walk: it may take long, and no snapshot is held for it.
        let joined = self.joined_rooms(&self.store.snapshot(), user).await?;
        for room in joined.iter().copied() {
            self.rename_in(room, user, &user_id).await?;
        }
        Ok(())
    }

    /// Says the name in a room, while the user is in it. A room that refuses the name keeps the old one.
    async fn rename_in(self: &Arc<Self>, room: RoomNum, user: UserNum, user_id: &UserId) -> Result<()> {
        let content = self.member_content(user, "join", Said::default()).await?;
        let template = self.member_template(user_id, user_id, content)?;
        let intent = Intent { unless_same: true, while_joined: true, ..Intent::new(template) };
        match self.submit(room, intent).await {
            Err(error) if !error.is_refusal() => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use ruma::api::client::room::create_room::v3::{Request as NewRoom, RoomPreset};

    use crate::fixture::{house, session};
    use crate::rooms::membership::Said;
    use crate::schema::rooms::Membership;

    #[tokio::test]
    async fn a_new_name_brings_nobody_back() {
        let server = house().await;
        let (rooms, ann, bob) = (&server.rooms, session(&server, "ann").await, session(&server, "bob").await);
        let mut request = NewRoom::new();
        request.preset = Some(RoomPreset::PublicChat);
        let id = rooms.create(&ann, request).await.unwrap();
        rooms.join(&bob, &id, None, None).await.unwrap();
        let room = server.ids.room(&server.store.snapshot(), id.as_str()).await.unwrap().unwrap();
        // As where the walk over bob's rooms began before he left this one, which anybody may join.
        rooms.leave(&bob, &id, Said::default()).await.unwrap();
        rooms.rename_in(room, bob.user, &bob.user_id).await.unwrap();
        let membership = async || rooms.membership(&server.store.snapshot(), room, bob.user).await.unwrap();
        assert_eq!(membership().await, Some(Membership::Leave));
        rooms.join(&bob, &id, None, None).await.unwrap();
        rooms.rename_in(room, bob.user, &bob.user_id).await.unwrap();
        assert_eq!(membership().await, Some(Membership::Join));
        server.stop().await;
    }
}
