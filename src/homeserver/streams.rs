//! News: what changed lately, in memory, and who waits for it.
//!
//! The committer tells of every batch before it can be read (so that these tables are never behind a snapshot) and after
//! (so that those who wait are woken). Nobody is called by name: writers announce topics, readers ask or wait.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use matron_storage::{News, Observer, Position, Snapshot, Topic};
use quick_cache::sync::Cache;
use tokio::sync::{Notify, mpsc, watch};

use crate::error::Result;
use crate::locks::lock;
use crate::meters::Held;
use crate::schema::accounts::ERASED;
use crate::schema::rooms::{MEMBERS, Membership};
use crate::schema::{RoomNum, UserNum};

mod recent;
mod token;

use recent::Recent;
pub use token::{Token, TokenError};

/// How many of the latest changes of rooms are kept in memory, and how many of users.
const RECENT: usize = 65_536;
/// How many of the latest changes of users' rules are.
const RECENT_RULES: usize = 4096;

/// What a batch can be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A room's timeline, state or receipts.
    Room(RoomNum),
    /// Who is in a room.
    Members(RoomNum),
    /// What concerns one user alone: account data, to-device messages, their own receipts.
    User(UserNum),
    /// Which rooms a user is in.
    Memberships(UserNum),
    /// A user's devices or keys.
    DeviceList(UserNum),
    /// A user's pushers.
    Pushers(UserNum),
    /// A user's push rules, or whom they ignore.
    Rules(UserNum),
    /// What was redacted in a room.
    Redactions(RoomNum),
    /// A user was erased.
    Erased(UserNum),
    /// A room's resolved state.
    State(RoomNum),
    /// How far a user has read, or where they last spoke.
    Read(UserNum),
}

impl From<Subject> for Topic {
    fn from(subject: Subject) -> Self {
        let (kind, subject) = match subject {
            Subject::Room(room) => (1, room.0),
            Subject::Members(room) => (2, room.0),
            Subject::User(user) => (3, user.0),
            Subject::Memberships(user) => (4, user.0),
            Subject::DeviceList(user) => (5, user.0),
            Subject::Pushers(user) => (6, user.0),
            Subject::Rules(user) => (10, user.0),
            Subject::Redactions(room) => (11, room.0),
            Subject::Erased(user) => (12, user.0),
            Subject::State(room) => (13, room.0),
            Subject::Read(user) => (14, user.0),
        };
        Self { kind, subject }
    }
}

impl Subject {
    /// Whether anybody waits for it. What the others mean for a client is announced beside them.
    const fn wakes(self) -> bool {
        match self {
            Self::Room(_) | Self::Members(_) | Self::User(_) | Self::Memberships(_) | Self::DeviceList(_) => true,
            Self::Pushers(_)
            | Self::Rules(_)
            | Self::Redactions(_)
            | Self::Erased(_)
            | Self::State(_)
            | Self::Read(_) => false,
        }
    }

    const fn of(topic: Topic) -> Option<Self> {
        Some(match topic.kind {
            1 => Self::Room(RoomNum(topic.subject)),
            2 => Self::Members(RoomNum(topic.subject)),
            3 => Self::User(UserNum(topic.subject)),
            4 => Self::Memberships(UserNum(topic.subject)),
            5 => Self::DeviceList(UserNum(topic.subject)),
            6 => Self::Pushers(UserNum(topic.subject)),
            10 => Self::Rules(UserNum(topic.subject)),
            11 => Self::Redactions(RoomNum(topic.subject)),
            12 => Self::Erased(UserNum(topic.subject)),
            13 => Self::State(RoomNum(topic.subject)),
            14 => Self::Read(UserNum(topic.subject)),
            _ => return None,
        })
    }
}

#[derive(Debug, Default)]
struct Tables {
    /// The latest changes of rooms.
    recent: Recent<RoomNum>,
    /// The latest news of users.
    recent_users: Recent<Subject>,
    /// The latest changes of users' rules.
    rules: Recent<UserNum>,
    rooms: HashMap<RoomNum, Position>,
    members: HashMap<RoomNum, Position>,
    /// When anybody last came into any room or left it.
    moved: Position,
    users: HashMap<UserNum, Position>,
    memberships: HashMap<UserNum, Position>,
    device_lists: Position,
    device_list_of: HashMap<UserNum, Position>,
    redactions: HashMap<RoomNum, Position>,
    states: HashMap<RoomNum, Position>,
    read: HashMap<UserNum, Position>,
    /// From here on the tables know everything; of what was before, nothing.
    began: Position,
    erased: Arc<HashMap<UserNum, Position>>,
}

/// What changed lately, and who waits.
#[derive(Debug)]
pub struct Streams {
    tables: Mutex<Tables>,
    parked: Mutex<HashMap<UserNum, Parked>>,
    joined: Cache<RoomNum, (Position, Arc<HashSet<UserNum>>)>,
    news: mpsc::UnboundedSender<(Subject, Position)>,
    /// Up to where something happened that followers look at.
    grown: watch::Sender<Position>,
    boot: u32,
}

#[derive(Debug, Default)]
struct Parked {
    waiting: usize,
    notify: Arc<Notify>,
}

/// Where the news arrive that [`Streams::serve`] wakes people by.
pub type NewsReceiver = mpsc::UnboundedReceiver<(Subject, Position)>;

impl Observer for Streams {
    fn committing(&self, news: &[News]) {
        let mut tables = lock(&self.tables);
        for News { position, topic } in news {
            let subject = Subject::of(*topic);
            match subject {
                Some(Subject::Room(room)) => {
                    tables.rooms.insert(room, *position);
                    tables.recent.push(RECENT, *position, room);
                }
                Some(Subject::Members(room)) => {
                    tables.members.insert(room, *position);
                    tables.moved = *position;
                }
                Some(Subject::User(user)) => {
                    tables.users.insert(user, *position);
                }
                Some(Subject::Memberships(user)) => {
                    tables.memberships.insert(user, *position);
                    tables.users.insert(user, *position);
                }
                Some(Subject::DeviceList(user)) => {
                    tables.device_lists = *position;
                    tables.device_list_of.insert(user, *position);
                    tables.users.insert(user, *position);
                }
                Some(Subject::Rules(user)) => tables.rules.push(RECENT_RULES, *position, user),
                Some(Subject::Redactions(room)) => {
                    tables.redactions.insert(room, *position);
                }
                Some(Subject::State(room)) => {
                    tables.states.insert(room, *position);
                }
                Some(Subject::Read(user)) => {
                    tables.read.insert(user, *position);
                }
                Some(Subject::Erased(user)) => {
                    Arc::make_mut(&mut tables.erased).insert(user, *position);
                }
                Some(Subject::Pushers(_)) | None => {}
            }
            if let Some(subject @ (Subject::User(_) | Subject::Memberships(_) | Subject::Pushers(_))) = subject {
                tables.recent_users.push(RECENT, *position, subject);
            }
        }
    }

    fn committed(&self, news: &[News], position: Position) {
        // What followers write themselves is no news to anybody.
        if !news.is_empty() {
            self.grown.send_replace(position);
        }
        if lock(&self.parked).is_empty() {
            return;
        }
        for News { position, topic } in news {
            if let Some(subject) = Subject::of(*topic).filter(|subject| subject.wakes()) {
                self.tell(subject, *position);
            }
        }
    }
}

impl Streams {
    /// Empty tables; `boot` tells this run of the program from others. The receiver goes to [`Self::serve`].
    #[must_use]
    pub fn new(boot: u32) -> (Arc<Self>, NewsReceiver) {
        let (news, receiver) = mpsc::unbounded_channel();
        let streams = Self {
            tables: Mutex::default(),
            parked: Mutex::default(),
            joined: Cache::new(10_000),
            news,
            grown: watch::Sender::default(),
            boot,
        };
        (Arc::new(streams), receiver)
    }

    /// Says from which position on the tables are complete: the store's position at start. Who was erased before is read.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn begin(&self, snapshot: &Snapshot) -> Result<()> {
        let erased = snapshot.scan(&ERASED, ERASED.all()).collect().await?;
        let mut tables = lock(&self.tables);
        tables.began = snapshot.position();
        tables.recent.begin(snapshot.position());
        tables.recent_users.begin(snapshot.position());
        tables.rules.begin(snapshot.position());
        tables.erased = Arc::new(erased.into_iter().collect());
        Ok(())
    }

    /// Wakes a follower: it changes with every commit that tells news. What is in it is the position of the latest.
    #[must_use]
    pub fn grown(&self) -> watch::Receiver<Position> {
        self.grown.subscribe()
    }

    /// The rooms that changed in the batch that ended at a position. None where memory does not reach back so far.
    #[must_use]
    pub fn rooms_at(&self, position: Position) -> Option<Vec<RoomNum>> {
        lock(&self.tables).recent.at(position)
    }

    /// What is new of users after `since`, in order: what concerns them, their memberships, their pushers. None where
    /// memory does not reach back so far.
    #[must_use]
    pub fn users_since(&self, since: Position) -> Option<Vec<(Position, Subject)>> {
        lock(&self.tables).recent_users.all_since(since)
    }

    /// Tells this run of the program from others.
    #[must_use]
    pub const fn boot(&self) -> u32 {
        self.boot
    }

    /// The rooms that changed after `since`, each once, if memory reaches back so far and there are at most `most`
    /// changes to look at.
    #[must_use]
    pub fn rooms_since(&self, since: Position, most: usize) -> Option<Vec<RoomNum>> {
        lock(&self.tables).recent.since(since, most)
    }

    /// Whether a room changed after `since`. True when memory does not reach back so far.
    #[must_use]
    pub fn room_changed(&self, room: RoomNum, since: Position) -> bool {
        let tables = lock(&self.tables);
        since < tables.recent.floor() || tables.rooms.get(&room).is_some_and(|position| *position > since)
    }

    /// Whether anything that concerns a user alone changed after `since`. True when memory does not reach back so far.
    #[must_use]
    pub fn user_changed(&self, user: UserNum, since: Position) -> bool {
        let tables = lock(&self.tables);
        since < tables.recent.floor() || tables.users.get(&user).is_some_and(|position| *position > since)
    }

    /// Whether anybody's devices or keys changed after `since`. True when memory does not reach back so far.
    #[must_use]
    pub fn device_lists_changed(&self, since: Position) -> bool {
        let tables = lock(&self.tables);
        since < tables.recent.floor() || tables.device_lists > since
    }

    /// The last change of a user's devices or keys that memory knows of: what was read at or after it is still true.
    #[must_use]
    pub fn device_list_changed_at(&self, user: UserNum) -> Position {
        lock(&self.tables).device_list_of.get(&user).copied().unwrap_or_default()
    }

    /// The last change of a user's memberships that memory knows of: what was read at or after it is still true.
    #[must_use]
    pub fn memberships_changed_at(&self, user: UserNum) -> Position {
        lock(&self.tables).memberships.get(&user).copied().unwrap_or_default()
    }

    /// The last change of a room's members that memory knows of: what was read at or after it is still true.
    #[must_use]
    pub fn members_changed_at(&self, room: RoomNum) -> Position {
        lock(&self.tables).members.get(&room).copied().unwrap_or_default()
    }

    /// Whether anybody came into a room or left one after `since`. True when memory does not reach back so far.
    #[must_use]
    pub fn anybody_moved(&self, since: Position) -> bool {
        let tables = lock(&self.tables);
        since < tables.recent.floor() || tables.moved > since
    }

    /// The users whose push rules, or lists of whom they ignore, changed after `since`, each once, if memory reaches back
    /// so far.
    #[must_use]
    pub fn rules_changed_since(&self, since: Position) -> Option<Vec<UserNum>> {
        lock(&self.tables).rules.since(since, RECENT_RULES)
    }

    /// The last redaction in a room that memory knows of: what was read at or after it is still true.
    #[must_use]
    pub fn redacted_at(&self, room: RoomNum) -> Position {
        lock(&self.tables).redactions.get(&room).copied().unwrap_or_default()
    }

    /// Whether a room's resolved state may have changed after `since`.
    #[must_use]
    pub fn state_changed(&self, room: RoomNum, since: Position) -> bool {
        let tables = lock(&self.tables);
        since < tables.began || tables.states.get(&room).is_some_and(|position| *position > since)
    }

    /// Whether a user may have read anything, or spoken, after `since`.
    #[must_use]
    pub fn has_read(&self, user: UserNum, since: Position) -> bool {
        let tables = lock(&self.tables);
        since < tables.began || tables.read.get(&user).is_some_and(|position| *position > since)
    }

    /// Who was erased, and when.
    #[must_use]
    pub fn erased(&self) -> Arc<HashMap<UserNum, Position>> {
        Arc::clone(&lock(&self.tables).erased)
    }

    /// Who is joined to a room, from memory where that is still true.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn joined(&self, snapshot: &Snapshot, room: RoomNum) -> Result<Arc<HashSet<UserNum>>> {
        if let Some((as_of, joined)) = self.joined.get(&room)
            && as_of >= self.members_changed_at(room)
        {
            return Ok(joined);
        }
        let mut joined = HashSet::new();
        let mut scan = snapshot.scan(&MEMBERS, MEMBERS.under(&(room,)));
        while let Some(((_, user), member)) = scan.next().await? {
            if member.membership == Membership::Join {
                joined.insert(user);
            }
        }
        let joined = Arc::new(joined);
        self.joined.insert(room, (snapshot.position(), Arc::clone(&joined)));
        Ok(joined)
    }

    /// Wakes those whom a subject concerns.
    pub fn tell(&self, subject: Subject, position: Position) {
        // The receiver lives as long as the server; when it is gone, nobody waits.
        let _ = self.news.send((subject, position));
    }

    /// Wakes a user at once: a token was revoked, say.
    pub fn wake(&self, user: UserNum) {
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

    /// The cache of rooms' members.
    #[must_use]
    pub fn caches(&self) -> Vec<Held> {
        vec![Held::of("joined_members", &self.joined)]
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
                    Subject::User(user) | Subject::Memberships(user) => self.wake(user),
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
