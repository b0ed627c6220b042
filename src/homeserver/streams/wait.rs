//! Who waits for news, and how they are woken: those alone whom it concerns.

use std::collections::HashSet;
use std::sync::Arc;

use matron_storage::{Position, Snapshot};
use tokio::sync::{Notify, mpsc};

use super::{Streams, Subject};
use crate::error::Result;
use crate::locks::lock;
use crate::schema::{RoomNum, UserNum};

/// A user who waits, maybe in several requests.
#[derive(Debug, Default)]
pub(super) struct Parked {
    waiting: usize,
    notify: Arc<Notify>,
}

/// Where the news arrive that [`Streams::serve`] wakes people by.
pub type NewsReceiver = mpsc::UnboundedReceiver<(Subject, Position)>;

impl Streams {
    /// Wakes those whom a subject concerns.
    pub fn tell(&self, subject: Subject, position: Position) {
        // The receiver lives as long as the server; when it is gone, nobody waits.
        let _ = self.news.send((subject, position));
    }

    fn wake(&self, user: UserNum) {
        if let Some(parked) = lock(&self.parked).get(&user) {
            parked.notify.notify_waiters();
        }
    }

    /// Begins to wait: changes that become readable from now on wake the ticket.
    pub fn park(self: &Arc<Self>, user: UserNum) -> Ticket {
        let notify = {
            let mut parked = lock(&self.parked);
            let entry = parked.entry(user).or_default();
            entry.waiting += 1;
            Arc::clone(&entry.notify)
        };
        Ticket { streams: Arc::clone(self), user, notify }
    }

    /// How many users wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        lock(&self.parked).len()
    }

    /// Wakes people by the news, until nobody can send any more. `snapshot` gives the store as of now.
    pub async fn serve(&self, mut news: NewsReceiver, snapshot: impl Fn() -> Snapshot) {
        let mut told = HashSet::new();
        while let Some(first) = news.recv().await {
            told.clear();
            let mut next = Some(first);
            while let Some((subject, _)) = next {
                match subject {
                    Subject::Room(room) | Subject::Members(room) => {
                        told.insert(room);
                    }
                    Subject::User(user) | Subject::Memberships(user) | Subject::Access(user) => self.wake(user),
                    Subject::DeviceList(_) => self.wake_everybody(),
                    _ => {}
                }
                next = news.try_recv().ok();
            }
            for room in &told {
                if let Err(error) = self.wake_room(&snapshot(), *room).await {
                    tracing::error!(%error, "a room's members cannot be woken");
                    self.wake_everybody();
                }
            }
        }
    }

    /// Wakes the joined members who wait, by walking the shorter of the two lists.
    async fn wake_room(&self, snapshot: &Snapshot, room: RoomNum) -> Result<()> {
        if lock(&self.parked).is_empty() {
            return Ok(());
        }
        let joined = self.joined(snapshot, room).await?;
        let parked = lock(&self.parked);
        if parked.len() < joined.len() {
            parked
                .iter()
                .filter(|(user, _)| joined.contains(user))
                .for_each(|(_, entry)| entry.notify.notify_waiters());
        } else {
            joined.iter().filter_map(|user| parked.get(user)).for_each(|entry| entry.notify.notify_waiters());
        }
        Ok(())
    }

    /// Wakes all who wait: at a stop, and where it is not known whom something concerns.
    pub fn wake_everybody(&self) {
        lock(&self.parked).values().for_each(|entry| entry.notify.notify_waiters());
    }
}

/// A place among those who wait. Dropping it leaves.
#[derive(Debug)]
pub struct Ticket {
    streams: Arc<Streams>,
    user: UserNum,
    notify: Arc<Notify>,
}

impl Ticket {
    /// Resolves at the next wake-up after this call.
    pub fn woken(&self) -> tokio::sync::futures::Notified<'_> {
        self.notify.notified()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut parked = lock(&self.streams.parked);
        if let Some(entry) = parked.get_mut(&self.user) {
            entry.waiting -= 1;
            if entry.waiting == 0 {
                parked.remove(&self.user);
            }
        }
    }
}
