//! Who is typing: client-server API, "Typing Notifications". In memory alone, for this run of the program.
//!
//! Every change of any room takes the next number of one counter, so that a sync knows by one number what its client has
//! seen. Notices end by themselves: readers look at the time, and one timer for all of them wakes those who wait.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use ruma::{OwnedUserId, RoomId};
use tokio::sync::Notify;

use super::Ephemeral;
use crate::accounts::Session;
use crate::error::Result;
use crate::locks::lock;
use crate::schema::RoomNum;
use crate::streams::Subject;

/// The longest time that a notice stands without being renewed.
const LONGEST: Duration = Duration::from_mins(1);
/// How long the timer sleeps at most: a clock that jumps is seen then.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);
/// How many users type in a room at most; clients show far fewer.
const MOST_IN_ROOM: usize = 100;
/// How many rooms are remembered.
const MOST_ROOMS: usize = 20_000;

/// The notices of a room.
#[derive(Debug, Default)]
struct Room {
    /// The number of their last change.
    changed: u64,
    /// Who types, and until when, in milliseconds since 1970.
    users: HashMap<OwnedUserId, u64>,
}

#[derive(Debug, Default)]
struct Notices {
    counter: u64,
    rooms: HashMap<RoomNum, Room>,
    /// The rooms by their last change.
    order: BTreeMap<u64, RoomNum>,
    /// When notices end.
    ends: BTreeSet<(u64, RoomNum, OwnedUserId)>,
    /// Rooms whose last change is not after this one were forgotten, unless they are here.
    floor: u64,
}

/// All notices.
#[derive(Debug, Default)]
pub(super) struct Typing {
    notices: Mutex<Notices>,
    /// An end came that is sooner than those before.
    sooner: Notify,
}

impl Typing {
    fn lock(&self) -> MutexGuard<'_, Notices> {
        lock(&self.notices)
    }
}

impl Notices {
    /// Sets until when a user types, or that they do not. True if who types is another list than before.
    fn set(&mut self, room: RoomNum, user: &OwnedUserId, until: Option<u64>) -> bool {
        let entry = match until {
            Some(_) => self.rooms.entry(room).or_default(),
            None => match self.rooms.get_mut(&room) {
                Some(entry) => entry,
                None => return false,
            },
        };
        let old = match until {
            Some(until) => {
                if entry.users.len() >= MOST_IN_ROOM && !entry.users.contains_key(user) {
                    return false;
                }
                self.ends.insert((until, room, user.clone()));
                entry.users.insert(user.clone(), until)
            }
            None => entry.users.remove(user),
        };
        if let Some(old) = old.filter(|old| Some(*old) != until) {
            self.ends.remove(&(old, room, user.clone()));
        }
        let differs = old.is_some() != until.is_some();
        if differs {
            self.touch(room);
        }
        differs
    }

    /// Gives a room's change its number.
    fn touch(&mut self, room: RoomNum) {
        self.counter += 1;
        if let Some(entry) = self.rooms.get_mut(&room) {
            self.order.remove(&entry.changed);
            entry.changed = self.counter;
            self.order.insert(self.counter, room);
        }
        while self.rooms.len() > MOST_ROOMS {
            let Some((changed, oldest)) = self.order.pop_first() else { break };
            self.floor = changed;
            for (user, until) in self.rooms.remove(&oldest).unwrap_or_default().users {
                self.ends.remove(&(until, oldest, user));
            }
        }
    }

    /// Takes away what ended: the rooms that it ended in.
    fn expire(&mut self, now: u64) -> BTreeSet<RoomNum> {
        let mut rooms = BTreeSet::new();
        while self.ends.first().is_some_and(|(until, ..)| *until <= now) {
            let Some((_, room, user)) = self.ends.pop_first() else { break };
            if let Some(entry) = self.rooms.get_mut(&room) {
                entry.users.remove(&user);
            }
            rooms.insert(room);
        }
        for room in &rooms {
            self.touch(*room);
        }
        rooms
    }
}

impl Ephemeral {
    /// Says that a user types, for so long, or that they do not any more.
    ///
    /// # Errors
    /// `M_FORBIDDEN` where they are not joined to the room.
    pub async fn set_typing(&self, session: &Session, room_id: &RoomId, timeout: Option<Duration>) -> Result<()> {
        session.may_act()?;
        let snapshot = self.store.snapshot();
        let room = self.rooms.joined_room(&snapshot, session, room_id).await?;
        let until = timeout.filter(|timeout| !timeout.is_zero()).map(|timeout| {
            let millis = u64::try_from(timeout.min(LONGEST).as_millis()).unwrap_or(0);
            self.clock.millis().saturating_add(millis)
        });
        let (changed, sooner) = {
            let mut notices = self.typing.lock();
            let first = notices.ends.first().map(|(until, ..)| *until);
            let changed = notices.set(room, &session.user_id, until);
            (changed, until.is_some_and(|until| first.is_none_or(|first| until < first)))
        };
        if changed {
            self.streams.tell(Subject::Room(room), snapshot.position());
        }
        if sooner {
            self.typing.sooner.notify_one();
        }
        Ok(())
    }

    /// The number of the last change of any room: zero when the program starts.
    #[must_use]
    pub fn typing_counter(&self) -> u64 {
        self.typing.lock().counter
    }

    /// Who types in a room now, if that changed after `counter`.
    #[must_use]
    pub fn typing_since(&self, room: RoomNum, counter: u64) -> Option<Vec<OwnedUserId>> {
        let now = self.clock.millis();
        let notices = self.typing.lock();
        let Some(entry) = notices.rooms.get(&room) else {
            // What was forgotten stands for nobody typing.
            return (0 < counter && counter < notices.floor).then(Vec::new);
        };
        if entry.changed <= counter {
            return None;
        }
        let typing = entry.users.iter().filter(|(_, until)| **until > now);
        let mut typing: Vec<_> = typing.map(|(user, _)| user.clone()).collect();
        typing.sort_unstable();
        Some(typing)
    }

    /// The rooms where who types changed after `counter`; none where memory does not reach back so far.
    #[must_use]
    pub fn typing_changed(&self, counter: u64) -> Option<Vec<RoomNum>> {
        let notices = self.typing.lock();
        let after = (std::ops::Bound::Excluded(counter), std::ops::Bound::Unbounded);
        (counter >= notices.floor).then(|| notices.order.range(after).map(|(_, room)| *room).collect())
    }

    /// Takes away the notices that ended, and wakes those who wait in their rooms.
    pub fn expire_typing(&self) {
        let ended = self.typing.lock().expire(self.clock.millis());
        let position = self.store.snapshot().position();
        for room in ended {
            self.streams.tell(Subject::Room(room), position);
        }
    }

    /// The timer of all notices: runs until the server stops.
    pub async fn watch_typing(&self) {
        loop {
            let next = self.typing.lock().ends.first().map(|(until, ..)| *until);
            let sooner = self.typing.sooner.notified();
            match next {
                None => sooner.await,
                Some(until) => {
                    let left = Duration::from_millis(until.saturating_sub(self.clock.millis()).max(1));
                    tokio::select! {
                        () = sooner => {}
                        () = tokio::time::sleep(left.min(LONGEST_SLEEP)) => self.expire_typing(),
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
