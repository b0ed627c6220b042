//! News: what changed lately, in memory, and who waits for it.
//!
//! The committer tells of every batch before it can be read (so that these tables are never behind a snapshot) and after
//! (so that those who wait are woken). Nobody is called by name: writers announce topics, readers ask or wait.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use matron_storage::{News, Observer, Position, Snapshot};
use quick_cache::sync::Cache;
use tokio::sync::{mpsc, watch};

use crate::error::Result;
use crate::locks::lock;
use crate::meters::Held;
use crate::schema::accounts::ERASED;
use crate::schema::rooms::{MEMBERS, Membership};
use crate::schema::{RoomNum, UserNum};

mod recent;
mod subject;
mod token;
mod wait;

use recent::Recent;
pub use subject::Subject;
pub use token::{Token, TokenError};
use wait::Parked;
pub use wait::{NewsReceiver, Ticket};

/// How many of the latest changes of rooms are kept in memory, and how many of users.
const RECENT: usize = 65_536;
/// How many of the latest changes of users' rules are.
const RECENT_RULES: usize = 4096;

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
        let joined = Arc::new(read_joined(snapshot, room).await?);
        self.joined.insert(room, (snapshot.position(), Arc::clone(&joined)));
        Ok(joined)
    }

    /// As [`Self::joined`], but never of later than the snapshot: for those who are not to learn who came then.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn joined_as_of(&self, snapshot: &Snapshot, room: RoomNum) -> Result<Arc<HashSet<UserNum>>> {
        let joined = self.joined(snapshot, room).await?;
        if self.members_changed_at(room) <= snapshot.position() {
            return Ok(joined);
        }
        read_joined(snapshot, room).await.map(Arc::new)
    }

    /// The cache of rooms' members.
    #[must_use]
    pub fn caches(&self) -> Vec<Held> {
        vec![Held::of("joined_members", &self.joined)]
    }
}

async fn read_joined(snapshot: &Snapshot, room: RoomNum) -> Result<HashSet<UserNum>> {
    let mut joined = HashSet::new();
    let mut scan = snapshot.scan(&MEMBERS, MEMBERS.under(&(room,)));
    while let Some(((_, user), member)) = scan.next().await? {
        if member.membership == Membership::Join {
            joined.insert(user);
        }
    }
    Ok(joined)
}
