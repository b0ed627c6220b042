//! Guests come into a room only while it lets them in, and leave it when it does no more: client-server API, "Guest Access".
//!
//! The room's writer asks when a guest's turn comes, so that nobody slips in while that changes. The batch by which a room
//! lets no guests in any more has a row that those who are in are to leave; it is done behind it, again after a stop.

use std::sync::Arc;
use std::time::Duration;

use matron_matrix::Error as MatrixError;
use matron_matrix::event::{Pdu, Template};
use matron_storage::{Batch, Error as StorageError, Snapshot};
use ruma::UserId;
use ruma::events::{StateEventType, TimelineEventType};
use serde::Deserialize;
use tokio::task::JoinHandle;

use super::Rooms;
use super::append::Append;
use super::intent::{Intent, Sent};
use crate::behind;
use crate::error::{Error, Result};
use crate::schema::accounts::{ACCOUNTS, Account, AccountKind};
use crate::schema::rooms::GUESTS_LEAVING;
use crate::schema::{EventNum, RoomNum, UserNum};

/// How long a request waits for guests to leave: most rooms have few.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long nobody is turned out after a policy server was away.
const SECONDS_OF_REST: usize = 60;

#[derive(Deserialize)]
struct GuestAccess {
    guest_access: String,
}

impl GuestAccess {
    fn lets_in(&self) -> bool {
        self.guest_access == "can_join"
    }
}

/// Whether a room's guest access event lets guests in.
fn lets_in(event: &Pdu) -> bool {
    event.content_as::<GuestAccess>().is_ok_and(|access| access.lets_in())
}

fn is_guests(account: Option<&Account>) -> bool {
    account.is_some_and(|account| account.kind == AccountKind::Guest)
}

impl Append<'_> {
    /// Refuses a guest who wants to come into a room that lets none in, as the room is now.
    ///
    /// # Errors
    /// `M_GUEST_ACCESS_FORBIDDEN`.
    pub(super) async fn check_guest(&mut self, template: &Template) -> Result<()> {
        let membership = template.content.get("membership").and_then(|membership| membership.as_str());
        if template.kind != TimelineEventType::RoomMember || membership != Some("join") {
            return Ok(());
        }
        let access = self.working.state_event(self.rooms, &StateEventType::RoomGuestAccess, "").await?;
        if access.is_some_and(|(_, access)| lets_in(&access)) || !self.rooms.is_guest(&template.sender).await? {
            return Ok(());
        }
        Err(MatrixError::guest_access_forbidden("guests may not join this room").into())
    }

    /// Notes what follows from another guest access event in the place of the `old` one.
    pub(super) async fn guest_access_changed(&mut self, old: Option<EventNum>, new: Option<&Pdu>) -> Result<()> {
        let let_them_in = match old {
            Some(old) => lets_in(self.working.pdu(self.rooms, old).await?.as_ref()),
            None => false,
        };
        if let_them_in && !new.is_some_and(lets_in) {
            self.let_guests_leave();
        }
        Ok(())
    }

    /// Notes that guests are to leave, where they are let in no more when it comes to that.
    pub(super) fn let_guests_leave(&mut self) {
        let position = self.batch.stamp();
        self.batch.put(&GUESTS_LEAVING, &self.working.num, &position);
    }
}

impl Rooms {
    /// Whether guests may join a room.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) async fn lets_guests_in(&self, snapshot: &Snapshot, room: RoomNum) -> Result<bool> {
        let access: Option<GuestAccess> = self.current(snapshot, room, "m.room.guest_access").await?;
        Ok(access.is_some_and(|access| access.lets_in()))
    }

    async fn is_guest(&self, user_id: &UserId) -> Result<bool> {
        let Some(user) = self.ids.find_user(user_id).await? else { return Ok(false) };
        Ok(is_guests(self.store.snapshot().get(&ACCOUNTS, &user).await?.as_ref()))
    }

    /// Submits an intent. Where it may be the end of guests in the room, they leave, whether anybody still waits or not; the
    /// answer comes when they are gone, or after a second, and then it goes on.
    pub(super) async fn submit_minding_guests(
        self: &Arc<Self>,
        room: RoomNum,
        intent: Intent,
        is_about_guests: bool,
    ) -> Result<Sent> {
        if !is_about_guests {
            return self.submit(room, intent).await;
        }
        let rooms = Arc::clone(self);
        let submitted = self.tasks.spawn(async move {
            let sent = rooms.submit(room, intent).await;
            let _ = tokio::time::timeout(PATIENCE, rooms.turn_out_behind(room)).await;
            sent
        });
        submitted.await.map_err(Error::internal)?
    }

    /// Goes on where a stop came between the end of guest access and the guests.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn resume_turning_out(self: &Arc<Self>) -> Result<()> {
        for (room, _) in self.store.snapshot().scan(&GUESTS_LEAVING, GUESTS_LEAVING.all()).collect().await? {
            drop(self.turn_out_behind(room));
        }
        Ok(())
    }

    fn turn_out_behind(self: &Arc<Self>, room: RoomNum) -> JoinHandle<()> {
        let rooms = Arc::clone(self);
        behind::run(&self.tasks, "letting guests leave", move || {
            let rooms = Arc::clone(&rooms);
            async move { rooms.turn_guests_out(room).await }
        })
    }

    /// Lets this server's guests leave, where they are to, and looks again where that changed meanwhile, or where a policy
    /// server was away.
    async fn turn_guests_out(self: &Arc<Self>, room: RoomNum) -> Result<()> {
        while !self.tasks.is_closed() {
            let Some(change) = self.store.snapshot().get(&GUESTS_LEAVING, &room).await? else { return Ok(()) };
            let mut is_done = true;
            for guest in self.unwanted_guests(room).await? {
                if self.tasks.is_closed() {
                    return Ok(());
                }
                // Those before may have taken long to leave.
                if !self.is_unwanted(guest, room).await? {
                    continue;
                }
                match self.step_out(guest, room).await {
                    Err(error) if error.is_refusal() => {
                        tracing::warn!(%room, %error, "a guest cannot be turned out");
                        // A policy server that is away may be back then.
                        is_done &= !matches!(error, Error::Upstream(_));
                    }
                    done => done?,
                }
            }
            if !is_done {
                self.rest().await;
                continue;
            }
            let mut batch = Batch::new();
            batch.expect_value(&GUESTS_LEAVING, &room, &change);
            batch.delete(&GUESTS_LEAVING, &room);
            match self.store.commit(batch).await {
                Err(StorageError::Conflict) => {}
                done => return Ok(done.map(drop)?),
            }
        }
        Ok(())
    }

    /// Waits, unless the server stops.
    async fn rest(&self) {
        for _ in 0..SECONDS_OF_REST {
            if self.tasks.is_closed() {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Whether somebody is a guest still, and the room lets none in.
    async fn is_unwanted(&self, guest: UserNum, room: RoomNum) -> Result<bool> {
        let snapshot = self.store.snapshot();
        let is_guest = is_guests(snapshot.get(&ACCOUNTS, &guest).await?.as_ref());
        Ok(is_guest && !self.lets_guests_in(&snapshot, room).await?)
    }

    /// The guests of this server in a room that lets none in.
    async fn unwanted_guests(&self, room: RoomNum) -> Result<Vec<UserNum>> {
        let snapshot = self.store.snapshot();
        if self.lets_guests_in(&snapshot, room).await? {
            return Ok(Vec::new());
        }
        let joined: Vec<_> = self.streams.joined(&snapshot, room).await?.iter().copied().collect();
        let accounts = snapshot.get_many(&ACCOUNTS, &joined).await?;
        let guests = joined.into_iter().zip(accounts).filter(|(_, account)| is_guests(account.as_ref()));
        Ok(guests.map(|(user, _)| user).collect())
    }
}

#[cfg(test)]
mod tests;
