//! Who waits for news, and how they are woken: those alone whom it concerns.

use std::collections::HashSet;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use matron_storage::{Position, Snapshot};
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinError, JoinSet};

use super::members::{FEW, Joined, ask};
use super::{Streams, Subject};
use crate::error::Result;
use crate::locks::lock;
use crate::schema::{RoomNum, UserNum};

/// More than so many who are woken at once are a crowd, and are woken in pieces of so many.
const CROWD: usize = 64;

/// A user who waits, maybe in several requests.
#[derive(Debug, Default)]
pub(super) struct Parked {
    waiting: usize,
    bell: Arc<Bell>,
}

/// What wakes a user.
#[derive(Debug, Default)]
struct Bell {
    notify: Notify,
    /// Whether its turn comes anyhow: whoever is woken sees all that is published by then.
    is_listed: AtomicBool,
    /// Whether it rang for a crowd the last time.
    for_crowd: AtomicBool,
}

impl Bell {
    fn ring(&self) {
        self.ring_for(false);
    }

    fn ring_for(&self, crowd: bool) {
        self.for_crowd.store(crowd, Ordering::Relaxed);
        self.is_listed.store(false, Ordering::Release);
        self.notify.notify_waiters();
    }
}

/// Where the news arrive that [`Streams::serve`] wakes people by.
pub type NewsReceiver = mpsc::UnboundedReceiver<(Subject, Position)>;

/// News that are taken together.
#[derive(Debug, Default)]
struct Told {
    /// The members of these are concerned.
    rooms: HashSet<RoomNum>,
    /// These are.
    users: HashSet<UserNum>,
    /// These are, and all who share a room with them.
    tracked: HashSet<UserNum>,
    /// These were erased, or that was tried.
    erased: Vec<UserNum>,
}

impl Told {
    /// All that wait.
    fn take(first: (Subject, Position), news: &mut NewsReceiver) -> Self {
        let mut told = Self::default();
        let mut next = Some(first);
        while let Some((subject, _)) = next {
            match subject {
                Subject::Room(room) => {
                    told.rooms.insert(room);
                }
                Subject::User(user) | Subject::Memberships(user) | Subject::Access(user) => {
                    told.users.insert(user);
                }
                Subject::DeviceList(user) => {
                    told.tracked.insert(user);
                }
                Subject::Erased(user) => told.erased.push(user),
                _ => {}
            }
            next = news.try_recv().ok();
        }
        told
    }
}

/// What a walk over a room's members came to.
type Walked = Result<(RoomNum, Result<()>), JoinError>;

/// Walks over the members of large rooms, at most one of each room.
#[derive(Debug, Default)]
struct Aside {
    rooms: HashSet<RoomNum>,
    walks: JoinSet<(RoomNum, Result<()>)>,
}

impl Aside {
    fn walk(&mut self, streams: Arc<Streams>, snapshot: Snapshot, room: RoomNum) {
        if self.rooms.insert(room) {
            self.walks.spawn(async move { (room, streams.joined(&snapshot, room).await.map(drop)) });
        }
    }
}

impl Streams {
    /// Wakes those whom a subject concerns.
    pub fn tell(&self, subject: Subject, position: Position) {
        // The receiver lives as long as the server; when it is gone, nobody waits.
        let _ = self.news.send((subject, position));
    }

    fn wake(&self, user: UserNum) {
        if let Some(parked) = lock(&self.parked).get(&user) {
            parked.bell.ring();
        }
    }

    /// Begins to wait: changes that become readable from now on wake the ticket.
    pub fn park(self: &Arc<Self>, user: UserNum) -> Ticket {
        let bell = {
            let mut parked = lock(&self.parked);
            let entry = parked.entry(user).or_default();
            entry.waiting += 1;
            Arc::clone(&entry.bell)
        };
        Ticket { streams: Arc::clone(self), user, bell }
    }

    /// How many users wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        lock(&self.parked).len()
    }

    /// Wakes people by the news, until nobody can send any more. `snapshot` gives the store as of now.
    pub async fn serve(self: &Arc<Self>, mut news: NewsReceiver, snapshot: impl Fn() -> Snapshot) {
        let mut aside = Aside::default();
        loop {
            tokio::select! {
                first = news.recv() => {
                    let Some(first) = first else { return };
                    let mut told = Told::take(first, &mut news);
                    let erased = std::mem::take(&mut told.erased);
                    if !erased.is_empty()
                        && let Err(error) = self.look_up_erased(&snapshot(), &erased).await
                    {
                        tracing::error!(%error, "it cannot be found out who was erased");
                    }
                    // Whoever waits by now has looked at all that was told.
                    if !lock(&self.parked).is_empty() {
                        self.wake_whom_it_concerns(told, &snapshot(), &mut aside).await;
                    }
                }
                Some(walked) = aside.walks.join_next(), if !aside.walks.is_empty() => {
                    self.wake_after(walked, &mut aside);
                }
            }
        }
    }

    async fn wake_whom_it_concerns(self: &Arc<Self>, told: Told, snapshot: &Snapshot, aside: &mut Aside) {
        for user in told.users {
            self.wake(user);
        }
        let mut rooms = told.rooms;
        for user in told.tracked {
            self.wake(user);
            match self.rooms_of(snapshot, user).await {
                Ok(shared) => rooms.extend(shared.iter()),
                Err(error) => self.give_up(&error),
            }
        }
        for room in rooms {
            if let Err(error) = self.wake_room(snapshot, room, aside).await {
                self.give_up(&error);
            }
        }
    }

    /// Wakes the joined members who wait. Where nobody knows who is joined to a large room and many wait, or to one that
    /// many have left, they are found out aside: all others would wait for the walk over the members.
    async fn wake_room(self: &Arc<Self>, snapshot: &Snapshot, room: RoomNum, aside: &mut Aside) -> Result<()> {
        if let Some(joined) = self.members.newest(room) {
            self.wake_joined(&joined);
        } else if self.is_large_and_unknown(snapshot, room).await? {
            let waiting: Vec<UserNum> = lock(&self.parked).keys().copied().take(FEW + 1).collect();
            if waiting.len() > FEW {
                aside.walk(Arc::clone(self), snapshot.clone(), room);
            } else {
                ask(snapshot, room, &waiting).await?.into_iter().for_each(|user| self.wake(user));
            }
        } else if !aside.rooms.contains(&room) {
            // At the end of a walk that is under way they are woken by this too.
            match self.joined_at_once(snapshot, room).await? {
                Some(joined) => self.wake_joined(&joined),
                None => aside.walk(Arc::clone(self), snapshot.clone(), room),
            }
        }
        Ok(())
    }

    /// A walk is over: what was told of the room until now concerns those who are joined to it now. Who left meanwhile is
    /// woken by the news of that.
    fn wake_after(&self, walked: Walked, aside: &mut Aside) {
        match walked {
            Ok((room, found)) => {
                aside.rooms.remove(&room);
                match (found, self.members.newest(room)) {
                    (Ok(()), Some(joined)) => self.wake_joined(&joined),
                    // It was driven out of memory at once.
                    (Ok(()), None) => self.wake_everybody(),
                    (Err(error), _) => self.give_up(&error),
                }
            }
            Err(error) => {
                aside.rooms.clear();
                self.give_up(&error);
            }
        }
    }

    /// Wakes those of a room's members who wait, by walking the shorter of the two lists.
    fn wake_joined(&self, joined: &Joined) {
        let waiting = {
            let parked = lock(&self.parked);
            let unlisted = |entry: &Parked| {
                let is_listed = entry.bell.is_listed.swap(true, Ordering::AcqRel);
                (!is_listed).then(|| Arc::clone(&entry.bell))
            };
            if parked.len() < joined.len() {
                let joined = parked.iter().filter(|(user, _)| joined.contains(*user));
                joined.filter_map(|(_, entry)| unlisted(entry)).collect()
            } else {
                joined.iter().filter_map(|user| parked.get(user)).filter_map(unlisted).collect()
            }
        };
        wake_all(waiting);
    }

    fn give_up(&self, error: &dyn Display) {
        tracing::error!(%error, "it cannot be found out whom news concern");
        self.wake_everybody();
    }

    /// Wakes all who wait: at a stop, and where it cannot be found out whom something concerns.
    pub fn wake_everybody(&self) {
        lock(&self.parked).values().for_each(|entry| entry.bell.ring());
    }
}

/// Wakes all of these: a crowd in pieces, so that whoever asks for something meanwhile does not wait for all of them.
fn wake_all(waiting: Vec<Arc<Bell>>) {
    if waiting.len() <= CROWD {
        for bell in waiting {
            bell.ring();
        }
        return;
    }
    tokio::spawn(async move {
        for piece in waiting.chunks(CROWD) {
            for bell in piece {
                bell.ring_for(true);
            }
            tokio::task::yield_now().await;
        }
    });
}

/// A place among those who wait. Dropping it leaves.
#[derive(Debug)]
pub struct Ticket {
    streams: Arc<Streams>,
    user: UserNum,
    bell: Arc<Bell>,
}

impl Ticket {
    /// Resolves at the next wake-up after this call.
    pub fn woken(&self) -> tokio::sync::futures::Notified<'_> {
        self.bell.notify.notified()
    }

    /// Whether the last wake-up was that of a crowd, to all of whom the answer may take long.
    #[must_use]
    pub fn is_of_crowd(&self) -> bool {
        self.bell.for_crowd.load(Ordering::Relaxed)
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
