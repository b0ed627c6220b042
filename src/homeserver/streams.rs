//! News: what changed lately, in memory, and who waits for it.
//!
//! The committer tells of every batch before it can be read (so that these tables are never behind a snapshot) and after
//! (so that those who wait are woken). Nobody is called by name: writers announce topics, readers ask or wait.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, RwLock};

use matron_storage::{News, Observer, Position};
use tokio::sync::{mpsc, watch};

use crate::locks::{lock, read, write};
use crate::meters::Held;
use crate::schema::{RoomNum, UserNum};

mod before;
mod members;
mod recent;
mod subject;
#[cfg(test)]
mod tests;
mod token;
mod wait;

use members::{JoinedRooms, Members};
use recent::Recent;
use wait::Parked;

pub use members::Joined;
pub use subject::Subject;
pub use token::{Token, TokenError};
pub use wait::{NewsReceiver, Ticket};

/// How many of the latest changes of rooms are kept in memory, and how many of users.
const RECENT: usize = 65_536;
/// How many of the latest changes of users' rules are.
const RECENT_RULES: usize = 4096;

/// What changed when. Of the time before this run, [`Streams::begin`] says what they know.
#[derive(Debug, Default)]
struct Tables {
    /// The latest changes of rooms.
    recent: Recent<RoomNum>,
    /// The latest news of users.
    recent_users: Recent<Subject>,
    /// The latest changes of users' rules.
    rules: Recent<UserNum>,
    /// When rooms last changed: those that changed no later than `recent` reaches back may be missing.
    rooms: HashMap<RoomNum, Position>,
    /// When a receipt last moved in rooms.
    receipts: HashMap<RoomNum, Position>,
    /// When anybody last came into any room or left it.
    moved: Position,
    users: HashMap<UserNum, Position>,
    memberships: HashMap<UserNum, Position>,
    /// When anybody's devices or keys last changed, in this run or before.
    device_lists: Position,
    device_list_of: HashMap<UserNum, Position>,
    claimable: HashMap<UserNum, Position>,
    redactions: HashMap<RoomNum, Position>,
    states: HashMap<RoomNum, Position>,
    read: HashMap<UserNum, Position>,
    access: HashMap<UserNum, Position>,
    /// Where this run begins: from here on the tables know everything.
    began: Position,
    erased: Arc<HashMap<UserNum, Position>>,
}

/// What changed lately, and who waits.
#[derive(Debug)]
pub struct Streams {
    tables: RwLock<Tables>,
    members: Members,
    joined_rooms: JoinedRooms,
    parked: Mutex<HashMap<UserNum, Parked>>,
    news: mpsc::UnboundedSender<(Subject, Position)>,
    /// Up to where something happened that followers look at.
    grown: watch::Sender<Position>,
    boot: u32,
}

impl Observer for Streams {
    fn committing(&self, news: &[News]) {
        self.note(news, true);
    }

    fn doubted(&self, news: &[News]) {
        self.note(news, false);
    }

    fn committed(&self, news: &[News], position: Position) {
        // What followers write themselves is no news to anybody.
        if !news.is_empty() {
            self.grown.send_replace(position);
        }
        let is_waited_for = !lock(&self.parked).is_empty();
        for News { position, topic } in news {
            let Some(subject) = Subject::of(*topic) else { continue };
            if matches!(subject, Subject::Erased(_)) || (is_waited_for && subject.wakes()) {
                self.tell(subject, *position);
            }
        }
    }
}

impl Streams {
    /// Notes what changed, or may have. What was read before is no longer trusted either way; what the tables say by
    /// themselves takes up only what is certain.
    fn note(&self, news: &[News], is_certain: bool) {
        let mut tables = write(&self.tables);
        for News { position, topic } in news {
            let Some(subject) = Subject::of(*topic) else { continue };
            match subject {
                Subject::Room(room) => {
                    tables.rooms.insert(room, *position);
                    tables.recent.push(RECENT, *position, room);
                }
                Subject::Came(room, user) | Subject::Went(room, user) => {
                    tables.moved = *position;
                    if is_certain {
                        self.members.mend(*position, room, user, matches!(subject, Subject::Came(..)));
                    } else {
                        self.members.doubt(*position);
                    }
                }
                Subject::Receipts(room) => {
                    tables.receipts.insert(room, *position);
                }
                Subject::User(user) => {
                    tables.users.insert(user, *position);
                }
                Subject::Memberships(user) => {
                    tables.memberships.insert(user, *position);
                    tables.users.insert(user, *position);
                }
                Subject::DeviceList(user) => {
                    tables.device_lists = *position;
                    tables.device_list_of.insert(user, *position);
                    tables.users.insert(user, *position);
                }
                Subject::Claimable(user) => {
                    tables.claimable.insert(user, *position);
                }
                Subject::Rules(user) => tables.rules.push(RECENT_RULES, *position, user),
                Subject::Redactions(room) => {
                    tables.redactions.insert(room, *position);
                }
                Subject::State(room) => {
                    tables.states.insert(room, *position);
                }
                Subject::Read(user) => {
                    tables.read.insert(user, *position);
                }
                Subject::Access(user) => {
                    tables.access.insert(user, *position);
                }
                Subject::Erased(user) if is_certain => {
                    Arc::make_mut(&mut tables.erased).insert(user, *position);
                }
                // Those of whom that is not certain are looked up when their rows can be read.
                Subject::Erased(_) | Subject::Pushers(_) => {}
            }
            if matches!(subject, Subject::User(_) | Subject::Memberships(_) | Subject::Pushers(_)) {
                tables.recent_users.push(RECENT, *position, subject);
            }
        }
    }

    /// Empty tables; `boot` tells this run of the program from others. The receiver goes to [`Self::serve`].
    #[must_use]
    pub fn new(boot: u32) -> (Arc<Self>, NewsReceiver) {
        let (news, receiver) = mpsc::unbounded_channel();
        let streams = Self {
            tables: RwLock::default(),
            members: Members::new(),
            joined_rooms: members::joined_rooms(),
            parked: Mutex::default(),
            news,
            grown: watch::Sender::default(),
            boot,
        };
        (Arc::new(streams), receiver)
    }

    /// Wakes a follower: it changes with every commit that tells news. What is in it is the position of the latest.
    #[must_use]
    pub fn grown(&self) -> watch::Receiver<Position> {
        self.grown.subscribe()
    }

    /// The rooms that changed in the batch that ended at a position. None where memory does not reach back so far.
    #[must_use]
    pub fn rooms_at(&self, position: Position) -> Option<Vec<RoomNum>> {
        let tables = read(&self.tables);
        // Of what was before, memory has events alone.
        if position <= tables.began { None } else { tables.recent.at(position) }
    }

    /// What is new of users after `since`, in order: what concerns them, their memberships, their pushers. None where
    /// memory does not reach back so far.
    #[must_use]
    pub fn users_since(&self, since: Position) -> Option<Vec<(Position, Subject)>> {
        read(&self.tables).recent_users.all_since(since)
    }

    /// Tells this run of the program from others.
    #[must_use]
    pub const fn boot(&self) -> u32 {
        self.boot
    }

    /// Those of `rooms`, which are in order, that changed after `since`: by all changes since, or room by room where that
    /// is shorter. None where memory does not reach back so far. Of the time before this run, receipts are not among the
    /// changes ([`Self::is_before`], [`Self::receipts_moved`]).
    #[must_use]
    pub fn changed_of(&self, rooms: &[RoomNum], since: Position) -> Option<Vec<RoomNum>> {
        let tables = read(&self.tables);
        let changes = tables.recent.after(since)?;
        if changes.len() < rooms.len() {
            let mut seen = HashSet::new();
            let changed = changes.map(|(_, room)| *room).filter(|room| rooms.binary_search(room).is_ok());
            return Some(changed.filter(|room| seen.insert(*room)).collect());
        }
        let is_changed = |room: &RoomNum| tables.rooms.get(room).is_some_and(|position| *position > since);
        Some(rooms.iter().copied().filter(is_changed).collect())
    }

    /// Whether an event came into a room after `since`, or a receipt in this run. True when memory does not reach back so
    /// far.
    #[must_use]
    pub fn room_changed(&self, room: RoomNum, since: Position) -> bool {
        let tables = read(&self.tables);
        !tables.recent.reaches(since) || tables.rooms.get(&room).is_some_and(|position| *position > since)
    }

    /// Whether anything that concerns a user alone changed after `since`. True for the time before this run.
    #[must_use]
    pub fn user_changed(&self, user: UserNum, since: Position) -> bool {
        let tables = read(&self.tables);
        since < tables.began || tables.users.get(&user).is_some_and(|position| *position > since)
    }

    /// Whether anybody's devices or keys changed after `since`.
    #[must_use]
    pub fn device_lists_changed(&self, since: Position) -> bool {
        read(&self.tables).device_lists > since
    }

    /// The last change of a user's devices or keys that memory knows of: what was read at or after it is still true.
    #[must_use]
    pub fn device_list_changed_at(&self, user: UserNum) -> Position {
        read(&self.tables).device_list_of.get(&user).copied().unwrap_or_default()
    }

    /// The last change that memory knows of in what can be claimed of a user's devices: what was read at or after it is
    /// still true.
    #[must_use]
    pub fn claimable_changed_at(&self, user: UserNum) -> Position {
        read(&self.tables).claimable.get(&user).copied().unwrap_or_default()
    }

    /// The last change of a user's memberships that memory knows of: what was read at or after it is still true.
    #[must_use]
    pub fn memberships_changed_at(&self, user: UserNum) -> Position {
        read(&self.tables).memberships.get(&user).copied().unwrap_or_default()
    }

    /// Whether anybody came into a room or left one after `since`. True for the time before this run.
    #[must_use]
    pub fn anybody_moved(&self, since: Position) -> bool {
        let tables = read(&self.tables);
        since < tables.began || tables.moved > since
    }

    /// The rooms that somebody came into or left after `since`, each once, if memory reaches back so far.
    #[must_use]
    pub fn rooms_moved_since(&self, since: Position) -> Option<Vec<RoomNum>> {
        self.members.rooms_moved_since(since)
    }

    /// The users whose push rules, or lists of whom they ignore, changed after `since`, each once, if memory reaches back
    /// so far.
    #[must_use]
    pub fn rules_changed_since(&self, since: Position) -> Option<Vec<UserNum>> {
        read(&self.tables).rules.since(since)
    }

    /// The last redaction in a room that memory knows of: what was read at or after it is still true.
    #[must_use]
    pub fn redacted_at(&self, room: RoomNum) -> Position {
        read(&self.tables).redactions.get(&room).copied().unwrap_or_default()
    }

    /// Whether a room's resolved state may have changed after `since`.
    #[must_use]
    pub fn state_changed(&self, room: RoomNum, since: Position) -> bool {
        let tables = read(&self.tables);
        since < tables.began || tables.states.get(&room).is_some_and(|position| *position > since)
    }

    /// Whether a user may have read anything, or spoken, after `since`.
    #[must_use]
    pub fn has_read(&self, user: UserNum, since: Position) -> bool {
        let tables = read(&self.tables);
        since < tables.began || tables.read.get(&user).is_some_and(|position| *position > since)
    }

    /// The last change of a user's tokens, or of what they may do, that memory knows of: what was read at or after it is
    /// still true.
    #[must_use]
    pub fn access_changed_at(&self, user: UserNum) -> Position {
        read(&self.tables).access.get(&user).copied().unwrap_or_default()
    }

    /// Who was erased, and when.
    #[must_use]
    pub fn erased(&self) -> Arc<HashMap<UserNum, Position>> {
        Arc::clone(&read(&self.tables).erased)
    }

    /// The caches of who is where.
    #[must_use]
    pub fn caches(&self) -> Vec<Held> {
        vec![self.members.held(), Held::of("joined_rooms", &self.joined_rooms)]
    }
}
