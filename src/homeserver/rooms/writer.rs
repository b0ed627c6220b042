//! A room has one writer at a time. What waits for a busy room meanwhile goes together into its next batch, so a room's
//! throughput grows with its load; a client that hangs up stops nothing halfway, since the writer is a task of its own.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use matron_matrix::Error as MatrixError;
use matron_matrix::policy::PolicyServer;
use matron_storage::{Batch, Position, Snapshot};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use ruma::EventId;
use ruma::events::StateEventType;
use tokio::sync::oneshot;
use tracing::Instrument as _;

use super::Rooms;
use super::append::Append;
use super::build::build;
use super::event::membership_of;
use super::intent::{Intent, Refused, Sent};
use super::policy::{MOST_ASKED, Unsigned};
use super::working::Working;
use crate::error::{Error, Result};
use crate::locks::lock;
use crate::meters::Held;
use crate::schema::RoomNum;
use crate::schema::rooms::{Membership, TRANSACTIONS, Transaction};

/// A batch takes no more events when it has grown to this.
const FULL_BATCH_BYTES: usize = 512 << 10;

/// Bytes of rooms' working copies that are kept for their next event, about: those of some thousand rooms.
const KEPT_BYTES: u64 = 128 << 20;
/// As many rooms the cache is told that it holds. It makes a part for every 32, and no part holds more than its share of the
/// bytes: few parts have room for the largest rooms.
const KEPT_ROOMS: usize = 128;

/// What can be wanted of a room's writer.
#[derive(Debug)]
enum Wish {
    /// An event.
    Event(Box<Intent>),
    /// That the room is in the published list, or is not.
    List(bool),
}

impl Wish {
    /// Whether nothing else may be in its batch.
    fn is_upgrade(&self) -> bool {
        matches!(self, Self::Event(intent) if intent.upgrade.is_some())
    }
}

/// What became of a wish.
#[derive(Debug)]
enum Done {
    /// An event was sent.
    Sent(Sent),
    /// An event must be signed by the room's policy server before it is.
    Unsigned(Box<Unsigned>),
    /// The list knows.
    Listed,
}

type Answer = oneshot::Sender<Result<Done>>;

#[derive(Debug)]
struct Waiting {
    wish: Wish,
    answer: Answer,
}

/// A room's working copy until the next writer takes it.
#[derive(Debug)]
struct Idle {
    working: Mutex<Option<Box<Working>>>,
    weight: u64,
}

/// What a working copy weighs in memory, about.
#[derive(Debug, Clone)]
struct Weigh;

impl Weighter<RoomNum, Arc<Idle>> for Weigh {
    fn weight(&self, _: &RoomNum, idle: &Arc<Idle>) -> u64 {
        idle.weight
    }
}

/// The rooms' queues. A room that is here has a writer.
#[derive(Debug)]
pub struct Writers {
    queues: Mutex<HashMap<RoomNum, VecDeque<Waiting>>>,
    /// Working copies of rooms without a writer. They are true, since only a writer changes a room.
    idle: Cache<RoomNum, Arc<Idle>, Weigh>,
    nothing: Snapshot,
}

impl Default for Writers {
    fn default() -> Self {
        let idle = Cache::with_weighter(KEPT_ROOMS, KEPT_BYTES, Weigh);
        Self { queues: Mutex::default(), idle, nothing: Snapshot::of_nothing() }
    }
}

impl Writers {
    pub(super) fn held(&self) -> Held {
        Held::of("idle_rooms", &self.idle)
    }

    /// How many rooms have a writer, and how much waits for all of them.
    pub(super) fn busy(&self) -> (usize, usize) {
        let queues = lock(&self.queues);
        (queues.len(), queues.values().map(VecDeque::len).sum())
    }

    /// Puts an intent in a room's queue. True if the room needs a writer.
    fn push(&self, room: RoomNum, waiting: Waiting) -> bool {
        let mut queues = lock(&self.queues);
        let is_idle = !queues.contains_key(&room);
        queues.entry(room).or_default().push_back(waiting);
        is_idle
    }

    /// The next intent of a room. Where none waits, the writer is relieved.
    fn next(&self, room: RoomNum, relieve: bool) -> Option<Waiting> {
        let mut queues = lock(&self.queues);
        let next = queues.get_mut(&room).and_then(VecDeque::pop_front);
        if next.is_none() && relieve {
            queues.remove(&room);
        }
        next
    }

    /// The next intent of a room that may share a batch with others: an upgrade has one of its own.
    fn next_beside(&self, room: RoomNum) -> Option<Waiting> {
        let mut queues = lock(&self.queues);
        queues.get_mut(&room)?.pop_front_if(|next| !next.wish.is_upgrade())
    }

    fn take_idle(&self, room: RoomNum, snapshot: Snapshot) -> Option<Box<Working>> {
        let (_, idle) = self.idle.remove(&room)?;
        let mut working = lock(&idle.working).take()?;
        working.see(snapshot);
        Some(working)
    }

    fn keep_idle(&self, mut working: Box<Working>) {
        working.see(self.nothing.clone());
        let (room, weight) = (working.num, working.weight());
        self.idle.insert(room, Arc::new(Idle { working: Mutex::new(Some(working)), weight }));
    }
}

/// A room's queue, while a writer sees to it. One that ends before its time leaves the room to the next.
struct Duty<'a> {
    writers: &'a Writers,
    room: RoomNum,
    is_done: bool,
}

impl Drop for Duty<'_> {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        // Whoever waits is answered by the end of their channel.
        let left = lock(&self.writers.queues).remove(&self.room);
        tracing::error!(room = %self.room, waiting = left.map_or(0, |left| left.len()), "a room's writer broke down");
    }
}

impl Rooms {
    /// Does what somebody of this server wants, in its turn. Answers when it is on disk.
    ///
    /// # Errors
    /// What the room's rules answer; the store's failures.
    pub async fn submit(self: &Arc<Self>, room: RoomNum, intent: Intent) -> Result<Sent> {
        let mut intent = Box::new(intent);
        for _ in 0..MOST_ASKED {
            match self.wish(room, Wish::Event(intent)).await? {
                Done::Sent(sent) => return Ok(sent),
                // The room goes on while its policy server thinks.
                Done::Unsigned(unsigned) => intent = self.signed(*unsigned).await?,
                Done::Listed => break,
            }
        }
        Err(Error::internal("an event was not sent: its room has other policy servers all the time"))
    }

    /// Puts a room into the published list, or takes it out.
    ///
    /// # Errors
    /// The store's failures.
    pub(super) async fn list(self: &Arc<Self>, room: RoomNum, listed: bool) -> Result<()> {
        self.wish(room, Wish::List(listed)).await.map(drop)
    }

    async fn wish(self: &Arc<Self>, room: RoomNum, wish: Wish) -> Result<Done> {
        let _timed = self.meters.appends.time();
        let (answer, answered) = oneshot::channel();
        if self.writers.push(room, Waiting { wish, answer }) {
            let rooms = Arc::clone(self);
            self.tasks.spawn(async move { rooms.write(room).await });
        }
        let answered = answered.instrument(tracing::debug_span!("append")).await;
        answered.map_err(|_| Error::internal("a room's writer ended before it answered"))?
    }

    /// Writes batch after batch until nothing waits for the room.
    async fn write(&self, room: RoomNum) {
        let mut duty = Duty { writers: &self.writers, room, is_done: false };
        let mut working = self.writers.take_idle(room, self.store.snapshot());
        loop {
            // The working copy goes back before the writer is relieved: the next one must find it.
            let next = self.writers.next(room, false);
            let Some(first) = next else {
                if let Some(working) = working.take() {
                    self.writers.keep_idle(working);
                }
                match self.writers.next(room, true) {
                    Some(first) => {
                        working = self.writers.take_idle(room, self.store.snapshot());
                        working = self.write_batch(room, working, first).await;
                        continue;
                    }
                    None => {
                        duty.is_done = true;
                        return;
                    }
                }
            };
            working = self.write_batch(room, working, first).await;
        }
    }

    /// Writes one batch of what waits. The working copy comes back only if it is true.
    async fn write_batch(&self, room: RoomNum, working: Option<Box<Working>>, first: Waiting) -> Option<Box<Working>> {
        let mut working = match working {
            Some(working) => working,
            None => match Working::load(self, self.store.snapshot(), room).await {
                Ok(working) => Box::new(working),
                Err(error) => {
                    let _ = first.answer.send(Err(error));
                    return None;
                }
            },
        };
        let mut batch = Batch::new();
        let mut append = Append::new(self, &mut working, &mut batch);
        let mut pending: Vec<(Answer, Done)> = Vec::new();
        let mut next = Some(first);
        while let Some(Waiting { wish, answer }) = next.take() {
            let is_alone = wish.is_upgrade();
            let done = match wish {
                Wish::Event(intent) => append.intend(*intent).await,
                Wish::List(listed) => {
                    append.list(listed);
                    Ok(Done::Listed)
                }
            };
            match done {
                Ok(done) => pending.push((answer, done)),
                Err(Refused::Intent(error)) => {
                    let _ = answer.send(Err(error));
                }
                Err(Refused::Batch(error)) => {
                    give_up(room, &error, pending);
                    let _ = answer.send(Err(error));
                    return None;
                }
            }
            if !is_alone && append.batch.size() < FULL_BATCH_BYTES {
                next = self.writers.next_beside(room);
            }
        }
        if let Err(error) = append.finish().await {
            give_up(room, &error, pending);
            return None;
        }
        self.commit(working, batch, pending).await
    }

    async fn commit(
        &self,
        mut working: Box<Working>,
        batch: Batch,
        pending: Vec<(Answer, Done)>,
    ) -> Option<Box<Working>> {
        if batch.is_empty() {
            for (answer, done) in pending {
                let _ = answer.send(Ok(done));
            }
            return Some(working);
        }
        match self.store.commit(batch).await {
            Ok(committed) => {
                working.committed(self, committed.first);
                for (answer, mut done) in pending {
                    if let Done::Sent(sent) = &mut done {
                        let nth = sent.position.and_then(Position::pending_index);
                        sent.position = nth.map(|nth| Position::new(committed.first.get() + u64::from(nth)));
                    }
                    let _ = answer.send(Ok(done));
                }
                Some(working)
            }
            Err(error) => {
                let why = error.to_string();
                let unknown = matches!(error, matron_storage::Error::OutcomeUnknown(_));
                let conflict = matches!(error, matron_storage::Error::Conflict);
                for (answer, _) in pending {
                    let error = if unknown {
                        matron_storage::Error::OutcomeUnknown(why.clone())
                    } else if conflict {
                        matron_storage::Error::Conflict
                    } else {
                        matron_storage::Error::Unavailable(why.clone())
                    };
                    let _ = answer.send(Err(error.into()));
                }
                None
            }
        }
    }
}

/// Answers all who wait for a batch that cannot be built.
fn give_up(room: RoomNum, error: &Error, pending: Vec<(Answer, Done)>) {
    // A rule that says no to an upgrade is no failure of ours.
    if !error.is_refusal() {
        tracing::error!(%error, %room, "a room's batch cannot be built");
    }
    for (answer, _) in pending {
        let _ = answer.send(Err(Error::internal("the batch that it was in cannot be built")));
    }
}

impl Append<'_> {
    /// Adds one intent to the batch, which stands or fails alone.
    async fn intend(&mut self, mut intent: Intent) -> Result<Done, Refused> {
        if let Some(sent) = self.answered(&intent).await.map_err(Refused::Intent)? {
            return Ok(Done::Sent(sent));
        }
        if let Some(upgrade) = &intent.upgrade {
            return self.upgrade(intent.template, upgrade).await.map(Done::Sent);
        }
        self.check_joined(&intent).await.map_err(Refused::Intent)?;
        self.check_guest(&intent.template).await.map_err(Refused::Intent)?;
        let policy = self.working.policy_server(self.rooms).await.map_err(Refused::Intent)?;
        let (built, is_signed) = match intent.asked.take().filter(|asked| asked.is_enough_for(policy.as_deref())) {
            Some(asked) => (self.resume(&intent.template, *asked).await, true),
            None => (build(self.rooms, self.working, &intent.template, &intent.from).await, false),
        };
        let built = built.map_err(Refused::Intent)?;
        self.check_relation(&built.pdu).await.map_err(Refused::Intent)?;
        self.check_redaction(&built.pdu).await.map_err(Refused::Intent)?;
        if let Some(policy) = policy.filter(|_| !is_signed && PolicyServer::is_asked_about(&built.pdu)) {
            return Ok(Done::Unsigned(Box::new(Unsigned { rules: self.working.rules.clone(), intent, built, policy })));
        }
        let event_id = built.pdu.event_id.clone();
        let transaction = intent.transaction.as_ref().map(|key| (key.device, key.id.clone()));
        let position = self.live(built, transaction).await.map_err(Refused::Batch)?;
        if let Some(key) = intent.transaction {
            let row = Transaction { event_id: event_id.to_string(), at: self.rooms.clock.millis() };
            self.batch.put(&TRANSACTIONS, &(key.device, key.request), &row);
            self.working.touched.transactions.insert((key.device, key.request), row.event_id);
        }
        Ok(Done::Sent(Sent { event_id, position: Some(position), replacement: None }))
    }

    /// Refuses what is said of a member who left meanwhile: by the room's rules it might let them in again.
    ///
    /// # Errors
    /// `M_FORBIDDEN`.
    async fn check_joined(&mut self, intent: &Intent) -> Result<()> {
        let Some(key) = intent.template.state_key.as_ref().filter(|_| intent.while_joined) else { return Ok(()) };
        let member = self.working.state_event(self.rooms, &StateEventType::RoomMember, key).await?;
        if member.is_some_and(|(_, member)| membership_of(member.content.get()) == Membership::Join) {
            return Ok(());
        }
        Err(MatrixError::forbidden("they are not in the room any more").into())
    }

    /// The answer that an intent has already: by its transaction, or because the state is so.
    async fn answered(&mut self, intent: &Intent) -> Result<Option<Sent>> {
        if let Some(key) = &intent.transaction {
            let row = (key.device, key.request);
            let known = match self.working.touched.transactions.get(&row) {
                Some(event_id) => Some(event_id.clone()),
                None => self.working.snapshot.get(&TRANSACTIONS, &row).await?.map(|row| row.event_id),
            };
            if let Some(event_id) = known {
                let event_id = EventId::parse(event_id).map_err(Error::internal)?;
                return Ok(Some(Sent { event_id, position: None, replacement: None }));
            }
        }
        if intent.unless_same
            && let Some(key) = &intent.template.state_key
        {
            let kind = intent.template.kind.to_string().into();
            if let Some((num, pdu)) = self.working.state_event(self.rooms, &kind, key).await? {
                let content = serde_json::to_string(&intent.template.content).map_err(Error::internal)?;
                if pdu.sender == intent.template.sender
                    && pdu.content.get() == content
                    && !self.is_redacted(num).await?
                {
                    return Ok(Some(Sent { event_id: pdu.event_id.clone(), position: None, replacement: None }));
                }
            }
        }
        Ok(None)
    }
}
