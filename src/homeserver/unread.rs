//! Unread counts: a function of running counters, read positions and the user's rules. Nothing is stored per member.
//!
//! The room's counter counts every notifying event by its class; each thread has a counter of its own. What a user has
//! not read is the difference between two readings, through the mask of their push rules; events whose outcome may differ
//! for them (mentions, say) have a mark, whose outcome is evaluated now.

use std::collections::BTreeMap;
use std::sync::Arc;

use matron_matrix::push::{Class, Mask, mask, outcome};
use matron_storage::{Position, Snapshot};
use ruma::push::{PushConditionPowerLevelsCtx, PushConditionRoomCtx, Ruleset};
use ruma::{RoomId, UInt};
use serde::Serialize;

use crate::accounts::{Accounts, Session};
use crate::error::{Error, Result};
use crate::ids::Ids;
use crate::rooms::Rooms;
use crate::rooms::event::by_num;
use crate::rooms::view::View;
use crate::schema::ephemeral::{RECEIPTS, ReceiptKind};
use crate::schema::rooms::{Arrival, MARKS, SPOKEN, THREAD_COUNTS, THREAD_ORDER, THREADS, TIMELINE, UserRoom, VOIDED};
use crate::schema::{EventNum, RoomNum, UserNum};

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

/// How far a user has read a room.
#[derive(Debug, Clone, Default)]
pub struct ReadUpTo {
    /// Everything up to here, whatever thread.
    pub all: Position,
    main: Position,
    threads: BTreeMap<EventNum, Position>,
}

impl ReadUpTo {
    /// Up to where they have read a thread, or what is in none.
    #[must_use]
    pub fn of(&self, thread: Option<EventNum>) -> Position {
        match thread {
            None => self.main,
            Some(root) => self.threads.get(&root).copied().unwrap_or_default().max(self.all),
        }
    }
}

/// A sum that marks may lower below zero on the way.
#[derive(Default, Clone, Copy)]
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

/// Counts what is unread.
#[derive(Debug, Clone)]
pub struct Counter {
    accounts: Arc<Accounts>,
    rooms: Arc<Rooms>,
    ids: Arc<Ids>,
}

impl Counter {
    /// Needs the owners of rules and rooms.
    #[must_use]
    pub const fn new(accounts: Arc<Accounts>, rooms: Arc<Rooms>, ids: Arc<Ids>) -> Self {
        Self { accounts, rooms, ids }
    }

    /// A user's unread events in a room that they are joined to.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn unread(&self, view: &mut View<'_>, session: &Session, own: &UserRoom) -> Result<Counts> {
        let snapshot = view.snapshot.clone();
        let ruleset = self.accounts.ruleset(&snapshot, session.user).await?;
        let room_id = RoomId::parse(&view.room_id).map_err(Error::internal)?;
        let mask = mask(&ruleset, &room_id);
        let read = self.read_up_to(&snapshot, session.user, view.room, own).await?;
        let now = view.head.counts.clone();
        let mut main = Sum::default();
        let mut threads: BTreeMap<EventNum, Sum> = BTreeMap::new();
        if !mask.is_empty() {
            main.add(mask, &now, &counts_at(&snapshot, view.room, read.main).await?, 1);
            let active = (view.room, read.all.next())..=(view.room, Position::MAX);
            for (_, root) in snapshot.scan(&THREAD_ORDER, THREAD_ORDER.range(active)).collect().await? {
                let Some(thread) = snapshot.get(&THREADS, &(view.room, root)).await? else { continue };
                // The room's counter holds the threads' events too: they are no part of the main timeline.
                main.add(mask, &thread.counts, &thread_at(&snapshot, view.room, root, read.main).await?, -1);
                let upto = read.of(Some(root));
                let sum = threads.entry(root).or_default();
                sum.add(mask, &thread.counts, &thread_at(&snapshot, view.room, root, upto).await?, 1);
            }
        }
        self.apply_marks(view, session, (&ruleset, mask), &read, (&mut main, &mut threads)).await?;
        let mut counts = Counts { main: main.unread(), threads: BTreeMap::new() };
        for (root, sum) in threads {
            let unread = sum.unread();
            if unread != Unread::default() {
                let root = by_num(&snapshot, root).await?.event.header.event_id();
                counts.threads.insert(root, unread);
            }
        }
        Ok(counts)
    }

    /// How far a user has read a room that they are joined to.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn read_up_to(
        &self,
        snapshot: &Snapshot,
        user: UserNum,
        room: RoomNum,
        own: &UserRoom,
    ) -> Result<ReadUpTo> {
        let mut all = own.since;
        let mut main = Position::ZERO;
        let mut threads: BTreeMap<EventNum, Position> = BTreeMap::new();
        for kind in [ReceiptKind::Public, ReceiptKind::Private] {
            let rows = snapshot.scan(&RECEIPTS, RECEIPTS.under(&(room, user, kind))).collect().await?;
            for ((.., thread), receipt) in rows {
                let Some(read) = receipt.read else { continue };
                match thread.as_str() {
                    "" => all = all.max(read),
                    "main" => main = main.max(read),
                    root => {
                        let digest = matron_matrix::digest::of_event_id(root);
                        if let Some(root) = self.ids.event(snapshot, &digest).await? {
                            let entry = threads.entry(root).or_default();
                            *entry = (*entry).max(read);
                        }
                    }
                }
            }
        }
        for ((_, _, thread), spoken) in snapshot.scan(&SPOKEN, SPOKEN.under(&(room, user))).collect().await? {
            if thread.0 == 0 {
                main = main.max(spoken);
            } else {
                let entry = threads.entry(thread).or_default();
                *entry = (*entry).max(spoken);
            }
        }
        Ok(ReadUpTo { all, main: main.max(all), threads })
    }

    /// Marks say where an event's outcome may be another than its class's; voided events count no more.
    async fn apply_marks(
        &self,
        view: &mut View<'_>,
        session: &Session,
        (ruleset, mask): (&Ruleset, Mask),
        read: &ReadUpTo,
        (main, threads): (&mut Sum, &mut BTreeMap<EventNum, Sum>),
    ) -> Result<()> {
        let snapshot = view.snapshot.clone();
        let room = view.room;
        let first = read.all.next();
        let voided = VOIDED.range((room, first)..=(room, Position::MAX));
        let voided: BTreeMap<_, _> =
            snapshot.scan(&VOIDED, voided).collect().await?.into_iter().map(|((_, at), mark)| (at, mark)).collect();
        let marks = MARKS.range((session.user, room, first)..=(session.user, room, Position::MAX));
        let marks = snapshot.scan(&MARKS, marks).collect().await?;
        let mut apply = |thread: Option<EventNum>, notify, highlight, sign| match thread {
            None => main.add_one(notify, highlight, sign),
            Some(root) => threads.entry(root).or_default().add_one(notify, highlight, sign),
        };
        let of_class = |class: Option<u8>| {
            let outcome = class.and_then(Class::from_number).map(|class| mask.of(class));
            outcome.map_or((false, false), |outcome| (outcome.notify, outcome.highlight))
        };
        for (at, mark) in &voided {
            if *at > read.of(mark.thread) {
                let (notify, highlight) = of_class(mark.class);
                apply(mark.thread, notify, highlight, -1);
            }
        }
        for ((_, _, at), mark) in marks {
            if at <= read.of(mark.thread) || voided.contains_key(&at) {
                continue;
            }
            let Some(event) = snapshot.get(&TIMELINE, &(room, Arrival::Live(at))).await? else { continue };
            if event.header.redacted_by.is_some() {
                continue;
            }
            let (notify, highlight) = of_class(mark.class);
            apply(mark.thread, notify, highlight, -1);
            let one_to_one = mark.class.and_then(Class::from_number).is_some_and(Class::is_one_to_one);
            let json = view.show(event, true).await?;
            let context = self.context(view, session, one_to_one).await?;
            let outcome = outcome(ruleset, json.get(), &context);
            apply(mark.thread, outcome.notify, outcome.highlight, 1);
        }
        Ok(())
    }

    /// What rules ask of a room and its user beside the event; the room has two members where `one_to_one` says so.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn context(&self, view: &View<'_>, session: &Session, one_to_one: bool) -> Result<PushConditionRoomCtx> {
        let joined = if one_to_one { 2 } else { view.head.joined.max(3) };
        let profile = self.accounts.profile(&view.snapshot, session.user).await?;
        let name = profile.displayname.unwrap_or_else(|| session.user_id.localpart().to_owned());
        let room_id = RoomId::parse(&view.room_id).map_err(Error::internal)?;
        let levels = self.rooms.power_levels(&view.snapshot, view.room).await?;
        let context = PushConditionRoomCtx::new(room_id, UInt::new_saturating(joined), session.user_id.clone(), name);
        let levels =
            PushConditionPowerLevelsCtx::new(levels.users, levels.users_default, levels.notifications, levels.rules);
        Ok(context.with_power_levels(levels))
    }
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
