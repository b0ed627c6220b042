//! Walking a room's history: client-server API, "Getting events for a room" (/messages, /event).

use std::collections::HashMap;

use matron_matrix::filter::{Candidate, Compiled};
use matron_matrix::splice::List;
use matron_storage::{Keyspace, Position, Scan, Value};
use ruma::{EventId, RoomId};
use serde_json::value::RawValue;

use super::Rooms;
use super::state::senders_of;
use super::tree::NodeNum;
use super::view::View;
use crate::accounts::Session;
use crate::error::{Error, Result};
use crate::schema::rooms::{Arrival, GAPS, Gap, ROOM_ORDER, StoredEvent, TIMELINE};
use crate::schema::{RoomNum, UserNum};
use crate::streams::Token;

/// The most events that one page may hold.
pub const MOST_EVENTS: usize = 1000;

/// Bytes of events, as they are shown, after which a page ends before it is full; the next one goes on there.
const MOST_BYTES: usize = 8 << 20;
/// Bytes of events, as they are stored, that a page looks at.
const MOST_BYTES_READ: usize = 32 << 20;
/// So many events are read and written at once: with all that is bundled with it, each may have some hundred kilobytes.
const CHUNK: usize = 64;

/// How many events a page may look at for each that it holds, where a filter passes few.
const LOOKS_PER_EVENT: usize = 20;

/// A place in room order, between two events: after all up to this key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Between {
    /// The depth.
    pub depth: u64,
    /// Where at that depth.
    pub arrival: Arrival,
}

impl Between {
    /// The end of a room's history.
    pub const END: Self = Self { depth: u64::MAX, arrival: Arrival::Live(Position::MAX) };
    /// The beginning.
    pub const START: Self = Self { depth: 0, arrival: Arrival::Backfilled(i64::MIN) };

    /// Just before an event.
    #[must_use]
    pub const fn before(depth: u64, arrival: Arrival) -> Self {
        let arrival = match arrival {
            Arrival::Live(position) => Arrival::Live(Position::new(position.get().saturating_sub(1))),
            Arrival::Backfilled(number) => Arrival::Backfilled(number.saturating_sub(1)),
        };
        Self { depth, arrival }
    }

    /// Just after an event.
    #[must_use]
    pub const fn after(depth: u64, arrival: Arrival) -> Self {
        Self { depth, arrival }
    }

    /// As a token. Events that come after `until` are left out of the pages that follow.
    #[must_use]
    pub const fn token(self, until: Position) -> Token {
        Token::Room { depth: self.depth, arrival: self.arrival, until }
    }
}

/// What a page is to hold.
#[derive(Debug, Clone)]
pub struct Page<'a> {
    /// Where it begins.
    pub from: Option<Token>,
    /// Where it ends at the latest.
    pub to: Option<Token>,
    /// Towards newer events.
    pub forward: bool,
    /// How many events at most.
    pub limit: usize,
    /// Which of them.
    pub filter: &'a Compiled,
}

/// A page of history.
#[derive(Debug)]
pub struct History {
    /// The events, in the direction of the walk.
    pub events: List,
    /// Who sent them: for members that are sent along.
    pub senders: Vec<UserNum>,
    /// The states before and after each of them.
    pub states: Vec<(NodeNum, NodeNum)>,
    /// Where it began.
    pub start: Token,
    /// Where the next one begins; none where there is nothing more.
    pub end: Option<Token>,
}

/// Where room order stood as of a position: behind the greatest depth of what had come by then.
async fn between_at(view: &View<'_>, position: Position) -> Result<Between> {
    let first = (view.room, Arrival::Live(Position::ZERO));
    let up_to = TIMELINE.range(first..=(view.room, Arrival::Live(position)));
    let last = view.snapshot.scan(&TIMELINE, up_to).reverse().first().await?;
    Ok(last.map_or(Between::START, |(_, event)| Between {
        depth: event.header.room_depth,
        arrival: Arrival::Live(position),
    }))
}

/// What a token means as a place in room order, and up to which position events count.
pub(super) async fn place_of(view: &View<'_>, token: Token) -> Result<(Between, Position)> {
    match token {
        Token::Room { depth, arrival, until } => Ok((Between { depth, arrival }, until)),
        Token::Stream { position, .. } => Ok((between_at(view, position).await?, position)),
    }
}

impl Rooms {
    /// A page of a room's history; where members are loaded lazily, with its senders as they were then.
    ///
    /// # Errors
    /// `M_FORBIDDEN` where the user may see nothing of the room.
    pub async fn messages(
        &self,
        session: &Session,
        room_id: &RoomId,
        page: &Page<'_>,
        lazy: bool,
    ) -> Result<(History, List)> {
        let snapshot = self.store.snapshot();
        let mut view = self.view(&snapshot, session, room_id).await?;
        view.state().await?;
        let history = walk(&mut view, page).await?;
        let members = if lazy { senders_of(&mut view, &history).await? } else { List::default() };
        Ok((history, members))
    }

    /// One event.
    ///
    /// # Errors
    /// `M_NOT_FOUND` where there is none, or the user may not see it.
    pub async fn event(&self, session: &Session, room_id: &RoomId, event_id: &EventId) -> Result<Box<RawValue>> {
        let snapshot = self.store.snapshot();
        let mut view = self.view_for_event(&snapshot, session, room_id).await?;
        let found = view.find(event_id).await?;
        view.show_bundled(found.event, true).await
    }
}

/// Walks room order from a place, as far as the view allows it. A page ends at a gap: another server may have what is
/// missing there, and whoever asks for the next page has waited for it, or goes on without. It also ends where its events
/// are large.
///
/// # Errors
/// The store cannot be read.
pub async fn walk(view: &mut View<'_>, page: &Page<'_>) -> Result<History> {
    let reach = view.reach().await?;
    let now = reach.unwrap_or_else(|| view.snapshot.position());
    let (start, until) = match page.from {
        Some(token) => place_of(view, token).await?,
        None if page.forward => (Between::START, Position::MAX),
        None => (Between::END, now),
    };
    let to = match page.to {
        Some(token) => Some(place_of(view, token).await?.0),
        None => None,
    };
    // Backwards, what came after the walk began is left out; forwards, everything that is there counts.
    let until = if page.forward { now } else { until.min(now) };
    let (from, to) = match reach {
        Some(left) => within(start, to, between_at(view, left).await?, page.forward),
        None => (start, to),
    };
    let limit = page.limit.clamp(1, MOST_EVENTS);
    let mut order = order(view, from, to, page.forward).expecting(limit.min(CHUNK) + 1);
    let mut gaps = Gaps::new(view, from, to, page.forward).await?;
    let mut history = History {
        events: List::default(),
        senders: Vec::new(),
        states: Vec::new(),
        start: start.token(until),
        end: None,
    };
    let mut last = from;
    let (mut looked, mut read) = (0, 0);
    let mut more = false;
    while !more {
        let chunk = next_chunk(&mut order, CHUNK.min(limit - history.senders.len() + 1), until).await?;
        if chunk.is_empty() {
            break;
        }
        let events = events_at(view, &chunk).await?;
        let mut kept = Vec::with_capacity(chunk.len());
        for ((depth, arrival), event) in chunk.into_iter().zip(events) {
            let has_gap = gaps.lie_before((depth, arrival)).await?;
            // Forwards, the gap comes first; a page that begins there goes on, since it was asked for before.
            let at_gap = page.forward && has_gap && looked > 0;
            if at_gap || history.senders.len() == limit || looked > limit * LOOKS_PER_EVENT {
                more = true;
                break;
            }
            looked += 1;
            last = if page.forward { Between::after(depth, arrival) } else { Between::before(depth, arrival) };
            let event = event.ok_or_else(|| Error::internal("room order names an event that is not there"))?;
            read += event.json.len();
            if wanted(view, page.filter, &event).await? && view.sees(&event, Some(arrival)).await? {
                history.senders.push(event.header.sender);
                history.states.push((event.header.state_before, event.header.state_after));
                kept.push(event);
            }
            if has_gap && !page.forward {
                more = true;
                break;
            }
        }
        view.write_all(kept, true, &mut history.events).await?;
        more |= history.events.bytes() >= MOST_BYTES || read >= MOST_BYTES_READ;
    }
    if more || (page.forward && !history.events.is_empty()) {
        history.end = Some(last.token(until));
    }
    Ok(history)
}

/// Between which places somebody walks who sees nothing beyond `end`: what came since they left is not even walked over.
fn within(from: Between, to: Option<Between>, end: Between, forward: bool) -> (Between, Option<Between>) {
    if forward { (from, Some(to.map_or(end, |to| to.min(end)))) } else { (from.min(end), to) }
}

type OrderKey = (RoomNum, u64, Arrival);
type Order = Scan<OrderKey, ()>;

fn order(view: &View<'_>, from: Between, to: Option<Between>, forward: bool) -> Order {
    along(view, &ROOM_ORDER, from, to, forward)
}

/// Rows that lie in room order, from one place to another.
fn along<V: Value>(
    view: &View<'_>,
    space: &Keyspace<OrderKey, V>,
    from: Between,
    to: Option<Between>,
    forward: bool,
) -> Scan<OrderKey, V> {
    use std::ops::Bound::{Excluded, Included};

    let key = |place: Between| (view.room, place.depth, place.arrival);
    if forward {
        let range = (Excluded(key(from)), Included(key(to.unwrap_or(Between::END))));
        view.snapshot.scan(space, space.range(range))
    } else {
        let range = (Excluded(key(to.unwrap_or(Between::START))), Included(key(from)));
        view.snapshot.scan(space, space.range(range)).reverse()
    }
}

/// The gaps that a walk comes to.
struct Gaps {
    scan: Scan<OrderKey, Gap>,
    next: Option<(u64, Arrival)>,
    forward: bool,
}

impl Gaps {
    async fn new(view: &View<'_>, from: Between, to: Option<Between>, forward: bool) -> Result<Self> {
        let scan = along(view, &GAPS, from, to, forward).expecting(1);
        let mut gaps = Self { scan, next: None, forward };
        gaps.turn().await?;
        Ok(gaps)
    }

    async fn turn(&mut self) -> Result<()> {
        self.next = self.scan.next().await?.map(|((_, depth, arrival), _)| (depth, arrival));
        Ok(())
    }

    /// Whether events are missing before this one. To be asked in the order of the walk.
    async fn lie_before(&mut self, event: (u64, Arrival)) -> Result<bool> {
        while let Some(next) = self.next {
            if next == event {
                return Ok(true);
            }
            if self.forward == (next > event) {
                break;
            }
            self.turn().await?;
        }
        Ok(false)
    }
}

async fn next_chunk(order: &mut Order, most: usize, until: Position) -> Result<Vec<(u64, Arrival)>> {
    let mut chunk = Vec::with_capacity(most);
    while chunk.len() < most {
        let Some(((_, depth, arrival), ())) = order.next().await? else { break };
        if !matches!(arrival, Arrival::Live(position) if position > until) {
            chunk.push((depth, arrival));
        }
    }
    Ok(chunk)
}

/// The events at these places, in their order. Room order is the order of arrival but where the graph forked, so they lie side
/// by side in the timeline: one walk finds them in a fraction of the time that it takes to look for each.
async fn events_at(view: &View<'_>, places: &[(u64, Arrival)]) -> Result<Vec<Option<StoredEvent>>> {
    let arrivals = || places.iter().map(|(_, arrival)| *arrival);
    let (Some(first), Some(last)) = (arrivals().min(), arrivals().max()) else { return Ok(Vec::new()) };
    let range = TIMELINE.range((view.room, first)..=(view.room, last));
    let rows = view.snapshot.scan(&TIMELINE, range).take(places.len() + places.len() / 2).await?;
    let mut found: HashMap<Arrival, StoredEvent> =
        rows.into_iter().map(|((_, arrival), event)| (arrival, event)).collect();
    let mut events: Vec<_> = arrivals().map(|arrival| found.remove(&arrival)).collect();
    let elsewhere: Vec<_> =
        arrivals().zip(&events).filter(|(_, event)| event.is_none()).map(|(arrival, _)| (view.room, arrival)).collect();
    if !elsewhere.is_empty() {
        let mut others = view.snapshot.get_many(&TIMELINE, &elsewhere).await?.into_iter();
        for event in events.iter_mut().filter(|event| event.is_none()) {
            *event = others.next().flatten();
        }
    }
    Ok(events)
}

/// Whether a filter wants an event.
///
/// # Errors
/// The store cannot be read.
pub async fn wanted(view: &View<'_>, filter: &Compiled, event: &StoredEvent) -> Result<bool> {
    if filter.is_open() {
        return Ok(true);
    }
    let sender = view.rooms.ids.user_id(event.header.sender).await?;
    Ok(filter.wants(&Candidate {
        kind: &event.header.kind,
        sender: sender.as_str(),
        room_id: &view.room_id,
        json: Some(&event.json),
    }))
}
