//! Unread counts: a function of running counters, read positions and the user's rules. Nothing is stored per member.
//!
//! The room's counter counts every notifying event by its class; each thread has a counter of its own. What a user has
//! not read is the difference between two readings, through the mask of their push rules; events whose outcome may differ
//! for them (mentions, say) have a mark, whose outcome is evaluated now. What was counted is remembered, so that the next
//! time only new events are looked at.

use std::collections::{BTreeMap, BTreeSet};

use std::sync::Arc;

use matron_matrix::push::{Mask, mask};
use matron_storage::{Position, Snapshot};
use ruma::RoomId;
use ruma::push::Ruleset;
use serde::Serialize;

use self::marks::Circumstances;
use self::memo::{Memo, Memos};
use crate::accounts::{Accounts, Session};
use crate::error::{Error, Result};
use crate::ids::Ids;
use crate::meters::Held;
use crate::rooms::Rooms;
use crate::rooms::event::by_num;
use crate::rooms::view::View;
use crate::schema::rooms::{Arrival, Mark, THREAD_COUNTS, THREAD_MOVES, THREADS, TIMELINE, UserRoom, VOIDED};
use crate::schema::{EventNum, RoomNum};

mod marks;
mod memo;
mod read;

pub use read::ReadUpTo;

/// Unread events.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Unread {
    /// That want the user's attention very much.
    pub highlight_count: u64,
    /// That notify.
    pub notification_count: u64,
}

/// Unread events of a room: of its main timeline, and of each thread by its root's id.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Of what is in no thread.
    pub main: Unread,
    /// Of each thread that has any.
    pub threads: BTreeMap<String, Unread>,
}

impl Counts {
    /// All of them together.
    #[must_use]
    pub fn whole(&self) -> Unread {
        self.threads.values().fold(self.main, |sum, thread| Unread {
            highlight_count: sum.highlight_count + thread.highlight_count,
            notification_count: sum.notification_count + thread.notification_count,
        })
    }
}

/// A sum that marks may lower below zero on the way.
#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    notify: i64,
    highlight: i64,
}

impl Sum {
    fn add(&mut self, mask: Mask, now: &[u32], read: &[u32], sign: i64) {
        let unread = mask.unread(now, read);
        self.notify += sign * i64::try_from(unread.notify).unwrap_or(i64::MAX);
        self.highlight += sign * i64::try_from(unread.highlight).unwrap_or(i64::MAX);
    }

    fn add_one(&mut self, notify: bool, highlight: bool, sign: i64) {
        self.notify += sign * i64::from(notify);
        self.highlight += sign * i64::from(highlight);
    }

    fn unread(self) -> Unread {
        Unread {
            notification_count: u64::try_from(self.notify).unwrap_or(0),
            highlight_count: u64::try_from(self.highlight).unwrap_or(0),
        }
    }
}

/// What was counted of a room for a user.
#[derive(Debug, Default, Clone)]
struct Tally {
    /// Up to here.
    at: Position,
    /// The room's running counts there.
    counts: Vec<u32>,
    main: Sum,
    threads: BTreeMap<EventNum, Sum>,
    /// What marks were judged by, if there were any.
    judged_by: Option<Circumstances>,
}

impl Tally {
    /// Where counting goes on of what is read up to `read`.
    fn start(&self, read: Position) -> Position {
        read.max(self.at)
    }

    fn of(&mut self, thread: Option<EventNum>) -> &mut Sum {
        match thread {
            None => &mut self.main,
            Some(root) => self.threads.entry(root).or_default(),
        }
    }
}

/// Counts what is unread.
#[derive(Debug, Clone)]
pub struct Counter {
    accounts: Arc<Accounts>,
    rooms: Arc<Rooms>,
    ids: Arc<Ids>,
    memos: Arc<Memos>,
}

impl Counter {
    /// Needs the owners of rules and rooms.
    #[must_use]
    pub fn new(accounts: Arc<Accounts>, rooms: Arc<Rooms>, ids: Arc<Ids>) -> Self {
        Self { accounts, rooms, ids, memos: Arc::new(Memos::new()) }
    }

    pub(crate) fn held(&self) -> Held {
        self.memos.held()
    }

    /// A user's unread events in a room that they are joined to.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn unread(&self, view: &mut View<'_>, session: &Session, own: &UserRoom) -> Result<Counts> {
        let snapshot = view.snapshot.clone();
        let ruleset = self.accounts.ruleset(&snapshot, session.user).await?;
        let memo = self.memos.get(session.user, view.room).filter(|memo| memo.tally.at <= snapshot.position());
        let read = match &memo {
            Some(memo) if memo.read.is_still(own) && !self.rooms.streams.has_read(session.user, memo.tally.at) => {
                memo.read.clone()
            }
            _ => self.read_up_to(&snapshot, session.user, view.room, own).await?,
        };
        // The same rules do the same in the room.
        let mask = match &memo {
            Some(memo) if Arc::ptr_eq(&memo.ruleset, &ruleset) => memo.mask,
            _ => mask(&ruleset, &RoomId::parse(&view.room_id).map_err(Error::internal)?),
        };
        let mut tally = match memo {
            Some(memo) if self.holds(&memo, view, session, &ruleset, &read).await? => memo.tally.clone(),
            _ => Tally::default(),
        };
        if tally.at < view.head.last || tally.at == Position::ZERO {
            // What is remembered holds only while nothing is redacted.
            let voided = match tally.at {
                Position::ZERO => self.voided(&snapshot, view.room, read.all).await?,
                _ => BTreeMap::new(),
            };
            if !mask.is_empty() {
                count(view, mask, &read, &voided, &mut tally).await?;
            }
            self.apply_marks(view, session, (&ruleset, mask), &read, &voided, &mut tally).await?;
        }
        tally.at = snapshot.position();
        tally.counts.clone_from(&view.head.counts);
        let counts = shown(&snapshot, &tally).await?;
        self.memos.keep(session.user, view.room, Memo { ruleset, mask, read, tally });
        Ok(counts)
    }

    /// Whether an earlier count is still true up to where it went.
    async fn holds(
        &self,
        memo: &Memo,
        view: &View<'_>,
        session: &Session,
        ruleset: &Arc<Ruleset>,
        read: &ReadUpTo,
    ) -> Result<bool> {
        let holds = Arc::ptr_eq(&memo.ruleset, ruleset)
            && memo.read == *read
            && self.rooms.streams.redacted_at(view.room) <= memo.tally.at;
        match &memo.tally.judged_by {
            Some(judged_by) if holds => Ok(*judged_by == self.circumstances(view, session, ruleset).await?),
            _ => Ok(holds),
        }
    }

    /// The notifying events of a room after a position that were redacted.
    async fn voided(&self, snapshot: &Snapshot, room: RoomNum, after: Position) -> Result<BTreeMap<Position, Mark>> {
        let range = VOIDED.range((room, after.next())..=(room, Position::MAX));
        let rows = snapshot.scan(&VOIDED, range).collect().await?;
        Ok(rows.into_iter().map(|((_, at), mark)| (at, mark)).collect())
    }
}

/// Adds what came since the tally's end, by its class.
async fn count(
    view: &View<'_>,
    mask: Mask,
    read: &ReadUpTo,
    voided: &BTreeMap<Position, Mark>,
    tally: &mut Tally,
) -> Result<()> {
    let (snapshot, room) = (&view.snapshot, view.room);
    let start = tally.start(read.main);
    let before =
        if start == tally.at { std::mem::take(&mut tally.counts) } else { counts_at(snapshot, room, start).await? };
    tally.main.add(mask, &view.head.counts, &before, 1);
    let moved = THREAD_MOVES.range((room, tally.start(read.all).next())..=(room, Position::MAX));
    let moved = snapshot.scan(&THREAD_MOVES, moved).collect().await?;
    let mut roots: BTreeSet<EventNum> = moved.into_iter().map(|(_, root)| root).collect();
    roots.extend(voided.values().filter_map(|mark| mark.thread));
    for root in roots {
        let Some(thread) = snapshot.get(&THREADS, &(room, root)).await? else { continue };
        // The room's counter holds the threads' events too: they are no part of the main timeline.
        tally.main.add(mask, &thread.counts, &thread_at(snapshot, room, root, start).await?, -1);
        let start = tally.start(read.of(Some(root)));
        let before = thread_at(snapshot, room, root, start).await?;
        tally.of(Some(root)).add(mask, &thread.counts, &before, 1);
    }
    Ok(())
}

/// The counts as they are told.
async fn shown(snapshot: &Snapshot, tally: &Tally) -> Result<Counts> {
    let mut counts = Counts { main: tally.main.unread(), threads: BTreeMap::new() };
    for (root, sum) in &tally.threads {
        let unread = sum.unread();
        if unread != Unread::default() {
            let root = by_num(snapshot, *root).await?.event.header.event_id();
            counts.threads.insert(root, unread);
        }
    }
    Ok(counts)
}

/// The room's counter as of a position: that of the last event up to it.
async fn counts_at(snapshot: &Snapshot, room: RoomNum, position: Position) -> Result<Vec<u32>> {
    let range = TIMELINE.range((room, Arrival::Live(Position::ZERO))..=(room, Arrival::Live(position)));
    let last = snapshot.scan(&TIMELINE, range).reverse().first().await?;
    Ok(last.map(|(_, event)| event.header.counts).unwrap_or_default())
}

/// A thread's counter as of a position.
async fn thread_at(snapshot: &Snapshot, room: RoomNum, root: EventNum, position: Position) -> Result<Vec<u32>> {
    let range = THREAD_COUNTS.range((room, root, Position::ZERO)..=(room, root, position));
    let last = snapshot.scan(&THREAD_COUNTS, range).reverse().first().await?;
    Ok(last.map(|(_, counts)| counts.counts).unwrap_or_default())
}
