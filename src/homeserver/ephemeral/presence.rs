//! Who is there: client-server API, "Presence". In memory alone, for this run of the program.
//!
//! Each device says how its user is; the most present of them counts. Every change that others are to know of takes the
//! next number of one counter, so that a sync knows by one number what its client has seen.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use matron_matrix::Error as MatrixError;
use ruma::UserId;
use ruma::presence::PresenceState;
use tokio::sync::Notify;

use self::book::{Book, State};
use super::Ephemeral;
use crate::accounts::Session;
use crate::error::Result;
use crate::locks::lock;
use crate::schema::{RoomNum, UserNum};
use crate::streams::Subject;

mod book;

/// The longest message that goes with a state.
const MAX_MESSAGE_BYTES: usize = 2048;
/// Changes of so long a time are told together: a busy server's are many.
const PAUSE: Duration = Duration::from_millis(250);
/// How long the timer sleeps at most: a clock that jumps is seen then.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);

/// How somebody is, as others are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// `online`, `unavailable` or `offline`.
    pub presence: &'static str,
    /// Whether they are doing something right now.
    pub currently_active: Option<bool>,
    /// Milliseconds since they last did something, if they ever did.
    pub last_active_ago: Option<u64>,
    /// What they say about it.
    pub status_msg: Option<String>,
    /// The number of the change by which they got the name or picture that they have: zero where that was not in this run.
    pub renamed: u64,
}

/// Everybody's presence.
#[derive(Debug, Default)]
pub(super) struct Presence {
    book: Mutex<Book>,
    /// Users whose change nobody was woken for yet.
    untold: Mutex<HashSet<UserNum>>,
    /// Something changed, or is due sooner than before.
    news: Notify,
}

impl Presence {
    /// Does something to the book; who changed by it is told of soon.
    fn change<T>(&self, change: impl FnOnce(&mut Book) -> T) -> T {
        let (done, changed, sooner) = {
            let mut book = lock(&self.book);
            let before = book.next_due();
            let done = change(&mut book);
            let sooner = book.next_due().is_some_and(|due| before.is_none_or(|before| due < before));
            (done, book.take_changed(), sooner)
        };
        let is_news = sooner || !changed.is_empty();
        lock(&self.untold).extend(changed);
        if is_news {
            self.news.notify_one();
        }
        done
    }
}

/// The states that the spec has.
fn state(presence: &PresenceState) -> Result<State, MatrixError> {
    match presence {
        PresenceState::Online => Ok(State::Online),
        PresenceState::Unavailable => Ok(State::Unavailable),
        PresenceState::Offline => Ok(State::Offline),
        _ => Err(MatrixError::invalid_param("presence is online, unavailable or offline")),
    }
}

/// A device that syncs, until this is dropped.
#[derive(Debug)]
pub struct Syncing {
    ephemeral: Arc<Ephemeral>,
    session: Session,
}

impl Drop for Syncing {
    fn drop(&mut self) {
        let now = self.ephemeral.clock.millis();
        let (user, device) = (self.session.user, self.session.device);
        self.ephemeral.presence.change(|book| book.end_sync(user, device, now));
    }
}

impl Ephemeral {
    /// Whether anybody's presence is kept and told.
    #[must_use]
    pub fn tells_presence(&self) -> bool {
        self.config.presence
    }

    /// Sets a user's presence as they ask. Where presence is off, nothing happens.
    ///
    /// # Errors
    /// `M_FORBIDDEN` where it is another user's; `M_INVALID_PARAM`.
    pub fn set_presence(
        &self,
        session: &Session,
        user_id: &UserId,
        presence: &PresenceState,
        message: Option<String>,
    ) -> Result<()> {
        if *user_id != session.user_id {
            return Err(MatrixError::forbidden("this is another user").into());
        }
        let state = state(presence)?;
        if message.as_ref().is_some_and(|message| message.len() > MAX_MESSAGE_BYTES) {
            return Err(MatrixError::invalid_param("the message is too long").into());
        }
        if self.tells_presence() {
            let now = self.clock.millis();
            let (user, device) = (session.user, session.device);
            self.presence.change(|book| book.set(user, device, state, message, now));
        }
        Ok(())
    }

    /// Says that a device syncs, and how its user is while it does; `offline` tells nobody anything.
    ///
    /// # Errors
    /// `M_INVALID_PARAM`.
    pub fn begin_sync(self: &Arc<Self>, session: &Session, presence: &PresenceState) -> Result<Option<Syncing>> {
        let state = state(presence)?;
        if !self.tells_presence() || state == State::Offline {
            return Ok(None);
        }
        let now = self.clock.millis();
        self.presence.change(|book| book.begin_sync(session.user, session.device, state, now));
        Ok(Some(Syncing { ephemeral: Arc::clone(self), session: session.clone() }))
    }

    /// Says that a user just did something.
    pub fn was_active(&self, session: &Session) {
        if self.tells_presence() {
            let now = self.clock.millis();
            self.presence.change(|book| book.act(session.user, session.device, now));
        }
    }

    /// Says that a user has another name or picture: it goes to others with how they are, also where that did not change.
    pub fn profile_changed(&self, user: UserNum) {
        if self.tells_presence() {
            self.presence.change(|book| book.rename(user));
        }
    }

    /// Another user's presence, or one's own.
    ///
    /// # Errors
    /// `M_FORBIDDEN` where the two share no room.
    pub async fn presence_of(&self, session: &Session, user_id: &UserId) -> Result<Shown> {
        let forbidden = || MatrixError::forbidden("you share no room with this user");
        let snapshot = self.store.snapshot();
        let user = self.ids.find_user(user_id).await?.ok_or_else(forbidden)?;
        if !self.rooms.shares(&snapshot, session.user, user).await? {
            return Err(forbidden().into());
        }
        Ok(lock(&self.presence.book).shown(user, self.clock.millis()))
    }

    /// The number of the last change of anybody's presence: zero when the program starts.
    #[must_use]
    pub fn presence_counter(&self) -> u64 {
        lock(&self.presence.book).counter()
    }

    /// Whose presence changed after `counter`; without one, all who are not offline.
    #[must_use]
    pub fn presence_changed(&self, counter: Option<u64>) -> HashSet<UserNum> {
        lock(&self.presence.book).changed(counter)
    }

    /// How these users are; those of whom nothing is known are left out.
    #[must_use]
    pub fn presences(&self, users: impl IntoIterator<Item = UserNum>) -> Vec<(UserNum, Shown)> {
        let (book, now) = (lock(&self.presence.book), self.clock.millis());
        let users = users.into_iter().filter(|user| book.knows(*user));
        users.map(|user| (user, book.shown(user, now))).collect()
    }

    /// Lets states end that are due, and wakes those who wait and share a room with anybody who changed.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn tell_presence(&self) -> Result<()> {
        let now = self.clock.millis();
        self.presence.change(|book| book.expire(now));
        let users = std::mem::take(&mut *lock(&self.presence.untold));
        let snapshot = self.store.snapshot();
        let mut rooms: HashSet<RoomNum> = HashSet::new();
        for user in users {
            rooms.extend(self.rooms.joined_rooms(&snapshot, user).await?.iter());
        }
        for room in rooms {
            self.streams.tell(Subject::Room(room), snapshot.position());
        }
        Ok(())
    }

    /// The timer of all presence: runs until the server stops.
    pub async fn watch_presence(&self) {
        loop {
            let due = lock(&self.presence.book).next_due();
            let left = due.map_or(LONGEST_SLEEP, |due| {
                Duration::from_millis(due.saturating_sub(self.clock.millis()).max(1)).min(LONGEST_SLEEP)
            });
            tokio::select! {
                () = self.presence.news.notified() => {}
                () = tokio::time::sleep(left) => {}
            }
            let is_due = due.is_some_and(|due| due <= self.clock.millis());
            if !is_due && lock(&self.presence.untold).is_empty() {
                continue;
            }
            if let Err(error) = self.tell_presence().await {
                tracing::warn!(%error, "changes of presence cannot be told");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
