//! What is to be pushed: a short queue per pusher, so that a slow gateway keeps its own pushes waiting and nobody else's.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use matron_storage::{Batch, Position};
use tokio::sync::{Notify, Semaphore};

use super::pace::{LONGEST_PAUSE, Pace};
use super::told::Told;
use crate::config;
use crate::locks::lock;
use crate::schema::push::{Pusher, PusherKey, PusherKind, WAITING, Waiting};
use crate::schema::{EventNum, RoomNum, UserNum};

/// How many events wait for a pusher: of more the newest. Who was away for long needs no alarm for each.
const MOST_EVENTS: usize = 50;
/// After how long an event is no news any more, in milliseconds; where letters tell of it, so long after that is due.
const GIVE_UP_AFTER: u64 = 24 * 60 * 60 * 1000;
/// How long is waited after the first failure; then twice as long each time.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_hours(1);
/// How many calls of one gateway run at a time.
const CALLS_PER_GATEWAY: usize = 16;
/// About how many bytes of rows go into one batch.
const BATCH_BYTES: usize = 256 << 10;
/// Beyond so many gateways those that nobody calls at the moment are forgotten.
const MOST_GATEWAYS: usize = 1000;

/// What names a pusher.
pub(super) type Name = (UserNum, PusherKey);

/// An event that is to be pushed.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub position: Position,
    pub room: RoomNum,
    pub thread: Option<EventNum>,
    /// When it came, in milliseconds since 1970.
    pub since: u64,
    /// The actions of the rule that it came by, as a JSON list.
    pub actions: Arc<str>,
    /// What is told of it, where that was made already.
    pub told: Option<Arc<Told>>,
    /// Whether it has a row.
    stored: bool,
}

impl Item {
    /// An event that came now.
    pub const fn new(
        (room, position, thread): (RoomNum, Position, Option<EventNum>),
        since: u64,
        actions: Arc<str>,
        told: Option<Arc<Told>>,
    ) -> Self {
        Self { position, room, thread, since, actions, told, stored: false }
    }

    /// An event that waited before the server stopped.
    pub fn of_row(position: Position, thread: Option<EventNum>, row: Waiting) -> Self {
        let Waiting { room, since, actions } = row;
        Self { position, room, thread, since, actions: actions.into(), told: None, stored: true }
    }
}

/// What is to be done next for a pusher.
#[derive(Debug)]
pub(super) struct Work {
    pub pusher: Arc<Pusher>,
    /// The event; none where only the number is to be told.
    pub item: Option<Item>,
    /// How much is unread.
    pub unread: u64,
}

#[derive(Debug)]
struct Queue {
    pusher: Arc<Pusher>,
    events: VecDeque<Item>,
    unread: u64,
    /// Whether the number is to be told though no event is.
    badge_due: bool,
    /// Whether somebody sees to the queue.
    busy: bool,
    failures: u32,
    /// Ends a wait: the pusher was set anew.
    hurry: Arc<Notify>,
}

/// What waits for all pushers.
#[derive(Debug, Default)]
pub(super) struct Desk {
    /// Those that somebody sees to. Only they take theirs away, so that there are never two at one.
    queues: Mutex<HashMap<Name, Queue>>,
    /// Rows of pushes that were delivered or dropped, to be deleted.
    done: Mutex<Vec<(Name, Position)>>,
    gateways: Mutex<HashMap<String, Arc<Semaphore>>>,
    /// Of e-mail pushers: when they told last.
    paces: Mutex<HashMap<Name, Pace>>,
    /// How long an event may wait until a letter that tells of it is due, in milliseconds.
    letters_wait: u64,
}

impl Desk {
    /// An empty one.
    pub fn new(config: &config::Push) -> Self {
        let letters_wait = config.email_after.max(config.email_pause).max(LONGEST_PAUSE);
        Self { letters_wait, ..Self::default() }
    }

    /// Adds an event. Whether somebody must now begin to see to the queue.
    pub fn add(&self, name: Name, pusher: &Arc<Pusher>, item: Item, unread: u64) -> bool {
        let mut queues = lock(&self.queues);
        let queue = queues.entry(name).or_insert_with(|| Queue::new(pusher));
        queue.unread = unread;
        queue.badge_due = false;
        if queue.events.iter().any(|known| known.position == item.position) {
            return queue.begin();
        }
        queue.events.push_back(item);
        if queue.events.len() > MOST_EVENTS
            && let Some(oldest) = queue.events.pop_front()
        {
            self.forget(name, &oldest);
        }
        queue.begin()
    }

    /// Says how much is unread now, which is told though there is no event. Whether somebody must begin.
    pub fn set_unread(&self, name: Name, pusher: &Arc<Pusher>, unread: u64) -> bool {
        let mut queues = lock(&self.queues);
        let queue = queues.entry(name).or_insert_with(|| Queue::new(pusher));
        queue.unread = unread;
        // An event that waits will tell the number.
        queue.badge_due = queue.events.is_empty();
        queue.begin()
    }

    /// Whether an event of a room waits for a pusher.
    pub fn waits(&self, name: Name, room: RoomNum) -> bool {
        lock(&self.queues).get(&name).is_some_and(|queue| queue.events.iter().any(|item| item.room == room))
    }

    /// These are not to be told any more: the user has read them, or may not see them.
    pub fn withdraw(&self, name: Name, is_gone: impl Fn(&Item) -> bool) {
        let mut queues = lock(&self.queues);
        let Some(queue) = queues.get_mut(&name) else { return };
        let waited = !queue.events.is_empty();
        queue.events.retain(|item| {
            let gone = is_gone(item);
            if gone {
                self.forget(name, item);
            }
            !gone
        });
        // They would have told the number.
        queue.badge_due |= waited && queue.events.is_empty();
    }

    /// The pusher was set anew: what waits goes there, and at once.
    pub fn renew(&self, name: Name, pusher: &Arc<Pusher>) {
        if let Some(queue) = lock(&self.queues).get_mut(&name)
            && queue.pusher != *pusher
        {
            queue.pusher = Arc::clone(pusher);
            queue.failures = 0;
            queue.hurry.notify_one();
        }
    }

    /// Drops what waits for a user's pushers that are not among these.
    pub fn keep(&self, user: UserNum, pushers: &[(PusherKey, Arc<Pusher>)]) {
        for (name, queue) in lock(&self.queues).iter_mut() {
            if name.0 == user && !pushers.iter().any(|(known, _)| *known == name.1) {
                self.empty(*name, queue);
                queue.hurry.notify_one();
            }
        }
    }

    /// What is to be done next for a pusher; none where nothing is: then nobody sees to it any more. What is too old by
    /// `now` is dropped.
    pub fn next(&self, name: Name, now: u64) -> Option<Work> {
        let mut queues = lock(&self.queues);
        let queue = queues.get_mut(&name)?;
        let patience = match queue.pusher.kind {
            PusherKind::Http => GIVE_UP_AFTER,
            PusherKind::Email => self.letters_wait + GIVE_UP_AFTER,
        };
        while let Some(item) = queue.events.front()
            && now.saturating_sub(item.since) > patience
        {
            self.forget(name, item);
            queue.events.pop_front();
            queue.badge_due = true;
        }
        let item = queue.events.front().cloned();
        if item.is_none() && !queue.badge_due {
            queues.remove(&name);
            return None;
        }
        Some(Work { pusher: Arc::clone(&queue.pusher), item, unread: queue.unread })
    }

    /// The work was done, or is not to be done at all.
    pub fn finish(&self, name: Name, work: &Work) {
        let mut queues = lock(&self.queues);
        let Some(queue) = queues.get_mut(&name) else { return };
        queue.failures = 0;
        match &work.item {
            // As it is now: it may have got a row meanwhile.
            Some(item) => {
                let place = queue.events.iter().position(|known| known.position == item.position);
                if let Some(done) = place.and_then(|place| queue.events.remove(place)) {
                    self.forget(name, &done);
                }
                // What was read while it was told: no event waits that would tell it.
                queue.badge_due |= queue.events.is_empty() && queue.unread != work.unread;
            }
            None => queue.badge_due = queue.badge_due && queue.unread != work.unread,
        }
    }

    /// All events that wait for a pusher.
    pub fn waiting_for(&self, name: Name) -> Vec<Item> {
        lock(&self.queues).get(&name).map(|queue| queue.events.iter().cloned().collect()).unwrap_or_default()
    }

    /// When somebody got letters.
    pub fn pace(&self, name: Name) -> Option<Pace> {
        lock(&self.paces).get(&name).copied()
    }

    /// Somebody got a letter.
    pub fn set_pace(&self, name: Name, pace: Pace) {
        lock(&self.paces).insert(name, pace);
    }

    /// What ends a wait for a pusher.
    pub fn hurry(&self, name: Name) -> Option<Arc<Notify>> {
        lock(&self.queues).get(&name).map(|queue| Arc::clone(&queue.hurry))
    }

    /// The call failed: how long to wait.
    pub fn fail(&self, name: Name) -> Option<Duration> {
        let mut queues = lock(&self.queues);
        let queue = queues.get_mut(&name)?;
        // What is told is made anew when it is told at last.
        queue.events.iter_mut().for_each(|item| item.told = None);
        let wait = wait_after(queue.failures, rand::random());
        queue.failures = queue.failures.saturating_add(1);
        Some(wait)
    }

    /// Drops what waits for a pusher: its gateway knows it no more.
    pub fn remove(&self, name: Name) {
        if let Some(queue) = lock(&self.queues).get_mut(&name) {
            self.empty(name, queue);
        }
        lock(&self.paces).remove(&name);
    }

    /// Deletes the rows of what waits no more, and writes those of what waits, by `batch`: in this order, since what was
    /// dropped may wait again.
    pub fn write(&self, batch: &mut Batch) -> Written {
        let mut written = Written { whole: true, ..Written::default() };
        written.done = std::mem::take(&mut *lock(&self.done));
        for ((user, key), position) in &written.done {
            batch.delete(&WAITING, &(*user, *key, *position));
        }
        for (name, queue) in lock(&self.queues).iter() {
            for item in queue.events.iter().filter(|item| !item.stored) {
                if batch.size() > BATCH_BYTES {
                    written.whole = false;
                    break;
                }
                let row = Waiting { room: item.room, since: item.since, actions: item.actions.to_string() };
                batch.put(&WAITING, &(name.0, name.1, item.position), &row);
                written.rows.push((*name, item.position));
            }
        }
        written
    }

    /// The batch of [`Self::write`] was committed, or not.
    pub fn wrote(&self, written: Written, committed: bool) {
        if !committed {
            lock(&self.done).extend(written.done);
            return;
        }
        let mut queues = lock(&self.queues);
        for (name, position) in written.rows {
            let item =
                queues.get_mut(&name).and_then(|queue| queue.events.iter_mut().find(|item| item.position == position));
            match item {
                Some(item) => item.stored = true,
                // It was delivered while the batch was on its way.
                None => lock(&self.done).push((name, position)),
            }
        }
    }

    /// A row is good for nothing any more.
    pub fn drop_row(&self, name: Name, position: Position) {
        lock(&self.done).push((name, position));
    }

    /// How many events wait.
    pub fn waiting(&self) -> usize {
        lock(&self.queues).values().map(|queue| queue.events.len()).sum()
    }

    /// What every call of a gateway holds while it runs.
    pub fn gateway(&self, host: &str) -> Arc<Semaphore> {
        let mut gateways = lock(&self.gateways);
        if gateways.len() >= MOST_GATEWAYS {
            gateways.retain(|_, calls| Arc::strong_count(calls) > 1);
        }
        let calls = gateways.entry(host.to_owned());
        Arc::clone(calls.or_insert_with(|| Arc::new(Semaphore::new(CALLS_PER_GATEWAY))))
    }

    fn empty(&self, name: Name, queue: &mut Queue) {
        for item in queue.events.drain(..) {
            self.forget(name, &item);
        }
        queue.badge_due = false;
    }

    fn forget(&self, name: Name, item: &Item) {
        if item.stored {
            lock(&self.done).push((name, item.position));
        }
    }
}

/// What a batch of [`Desk::write`] holds.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// Whether nothing was left for another batch.
    pub whole: bool,
    rows: Vec<(Name, Position)>,
    done: Vec<(Name, Position)>,
}

impl Queue {
    fn new(pusher: &Arc<Pusher>) -> Self {
        Self {
            pusher: Arc::clone(pusher),
            events: VecDeque::new(),
            unread: 0,
            badge_due: false,
            busy: false,
            failures: 0,
            hurry: Arc::default(),
        }
    }

    const fn begin(&mut self) -> bool {
        let idle = !self.busy;
        self.busy = true;
        idle
    }
}

/// Twice as long after each failure; spread, so that a gateway that comes back is not called by all at once.
fn wait_after(failures: u32, chance: u8) -> Duration {
    let wait = FIRST_WAIT.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX)).min(LONGEST_WAIT);
    wait.mul_f64(0.75 + f64::from(chance) / 512.0)
}

#[cfg(test)]
mod tests;
