//! One room between two positions: the core of every sync. What changed in its timeline and state, for one reader.

use std::collections::HashSet;

use matron_matrix::client_event::only_fields;
use matron_matrix::splice::List;
use matron_storage::Position;

use self::members::{lazy_members, without_members};
use super::answer::{Summary, Timeline};
use super::filter::SyncFilter;
use super::sent::{Asker, SentMembers};
use super::summary::{is_news, summary};
use crate::error::Result;
use crate::rooms::history::{Between, wanted};
use crate::rooms::tree::{Change, EMPTY, NodeNum, diff};
use crate::rooms::view::View;
use crate::schema::rooms::{Arrival, StoredEvent, TIMELINE};
use crate::schema::{EventNum, StateKeyNum, UserNum};

mod members;

/// How many events are looked at for one that a filter lets through.
const LOOKS: usize = 20;

/// What to tell of a room.
pub(super) struct Span<'a> {
    /// What the client knows: nothing of the room where there is no position.
    pub since: Option<Position>,
    /// Up to where.
    pub until: Position,
    /// Up to where of the room's state, where that is less far: after it, the reader's own membership is all that they are
    /// told of it.
    pub state_until: Position,
    /// After so many bytes of events the timeline is full.
    pub bytes: usize,
    /// What it wants to know.
    pub filter: &'a SyncFilter,
    /// Whether state is told as of the timeline's end.
    pub state_after: bool,
    /// Whether all state is told, whatever the client knows.
    pub full_state: bool,
    /// The reading device, where members that it knows are not told again.
    pub asker: Option<Asker>,
    /// Whether it is told who is in the room, in short.
    pub summarized: bool,
}

impl Span<'_> {
    /// Whether the client is told of the room as of one that it does not know.
    pub const fn is_whole(&self) -> bool {
        self.since.is_none() || self.full_state
    }
}

/// What is new in a room.
pub(super) struct News {
    pub timeline: Timeline,
    /// State as `Span::state_after` says.
    pub state: List,
    /// Who is in the room, if that is told and may be news.
    pub summary: Option<Summary>,
    /// The members that the device did not know for certain.
    pub brought: HashSet<UserNum>,
}

/// The timeline's events as they are stored.
struct Stretch {
    events: Vec<(Arrival, StoredEvent)>,
    limited: bool,
    prev: Between,
}

/// The room's states at both ends of a span, as far as it is told of them.
struct Ends {
    /// Nothing where the client does not know the room.
    known: NodeNum,
    now: NodeNum,
    /// Members that are told with the state though they did not speak.
    heroes: Vec<UserNum>,
}

/// What is new for the reader in a room.
///
/// # Errors
/// The store cannot be read.
pub(super) async fn news(view: &mut View<'_>, span: &Span<'_>, sent: &SentMembers) -> Result<News> {
    let stretch = timeline(view, span).await?;
    let is_up_to_now = span.state_until >= view.snapshot.position();
    let now = if is_up_to_now { view.head.state } else { view.state_at(span.state_until).await? };
    let is_same = span.since.is_some_and(|since| !view.rooms.streams.state_changed(view.room, since));
    let known = match span.since {
        Some(_) if is_same => now,
        Some(since) => view.state_at(since.min(span.state_until)).await?,
        None => EMPTY,
    };
    let mut changes = diff(view.states(), if span.full_state { EMPTY } else { known }, now).await?;
    if span.state_until < span.until {
        add_own_membership(view, span, &mut changes).await?;
    }
    let (summary, heroes) = told_summary(view, span, &changes).await?.unzip();
    let ends = Ends { known, now, heroes: heroes.unwrap_or_default() };
    let nums = told_state(view, span, &stretch, &changes).await?;
    let (state, brought) = show_state(view, span, &stretch, nums, &ends, sent).await?;
    let limited = stretch.limited;
    let prev_batch = stretch.prev.token(span.until).render(view.rooms.store.epoch());
    let told: Vec<_> = stretch.events.into_iter().map(|(_, event)| event).collect();
    let mut events = List::default();
    // A client that was told of every event puts together itself what relates to what.
    match &span.filter.event_fields {
        None if limited => view.write_all(told, false, &mut events).await?,
        None => view.write_each(told, false, &mut events).await?,
        Some(fields) => {
            let shown = if limited { view.show_all(told, false).await? } else { view.show_each(told, false).await? };
            for event in &shown {
                events.push(&only_fields(event.get(), fields)?);
            }
        }
    }
    Ok(News { timeline: Timeline { events, limited, prev_batch }, state, summary, brought })
}

/// The room's summary and heroes, where they are told and may be others than the client knows.
async fn told_summary(view: &View<'_>, span: &Span<'_>, changes: &[Change]) -> Result<Option<(Summary, Vec<UserNum>)>> {
    let is_told = span.summarized
        && match span.since {
            Some(since) if !span.full_state => is_news(view, changes, since).await?,
            _ => true,
        };
    if is_told { summary(view).await.map(Some) } else { Ok(None) }
}

/// Brings the reader's own membership up to the span's end.
async fn add_own_membership(view: &View<'_>, span: &Span<'_>, changes: &mut Vec<Change>) -> Result<()> {
    let Some(new) = view.own.as_ref().map(|own| own.event) else { return Ok(()) };
    let own_key = view.rooms.ids.find_state_key("m.room.member", view.user_id().as_str()).await?;
    let Some(key) = own_key else { return Ok(()) };
    if let Some(change) = changes.iter_mut().find(|change| change.key == key) {
        change.new = Some(new);
        return Ok(());
    }
    let old = match span.since {
        Some(since) if !span.full_state => view.states().get(view.state_at(since).await?, key).await?,
        _ => None,
    };
    if old != Some(new) {
        changes.push(Change { key, old, new: Some(new) });
    }
    Ok(())
}

/// Adds an event of the state to a list, with the fields that the client wants.
async fn show(view: &mut View<'_>, event: &StoredEvent, span: &Span<'_>, list: &mut List) -> Result<()> {
    let Some(fields) = &span.filter.event_fields else { return view.write_state(event, false, list.element()).await };
    let mut whole = String::new();
    view.write_state(event, false, &mut whole).await?;
    list.push(&only_fields(&whole, fields)?);
    Ok(())
}

/// The newest events of the span that the filter wants and the reader may see.
async fn timeline(view: &mut View<'_>, span: &Span<'_>) -> Result<Stretch> {
    let limit = span.filter.timeline_limit;
    let prev = Between { depth: view.head.depth, arrival: Arrival::Live(span.until) };
    let mut stretch = Stretch { events: Vec::new(), limited: false, prev };
    let first = span.since.map_or(Position::ZERO, Position::next);
    let range = TIMELINE.range((view.room, Arrival::Live(first))..=(view.room, Arrival::Live(span.until)));
    let mut scan = view.snapshot.scan(&TIMELINE, range).reverse().expecting(limit.min(32) + 1);
    let (mut looked, mut bytes) = (0, 0);
    if span.filter.timeline.is_closed() || !span.filter.timeline.wants_room(&view.room_id) {
        return Ok(stretch);
    }
    while let Some(((_, arrival), event)) = scan.next().await? {
        if !wanted(view, &span.filter.timeline, &event).await? || !view.sees(&event, Some(arrival)).await? {
            looked += 1;
            if looked > LOOKS * limit.max(1) {
                stretch.limited = true;
                break;
            }
            continue;
        }
        if stretch.events.len() == limit || bytes >= span.bytes {
            stretch.limited = true;
            break;
        }
        bytes += event.json.len();
        stretch.prev = Between::before(event.header.depth, arrival);
        stretch.events.push((arrival, event));
    }
    // Who is new to the room has not seen what came before, however short it is.
    stretch.limited |= span.since.is_none() && !stretch.events.is_empty() && !reaches_create(&stretch);
    stretch.events.reverse();
    Ok(stretch)
}

fn reaches_create(stretch: &Stretch) -> bool {
    stretch.events.last().is_some_and(|(_, event)| event.header.kind == "m.room.create")
}

/// The state events that must be told: the difference between what the client knows and what is, without what the
/// timeline tells.
async fn told_state(
    view: &View<'_>,
    span: &Span<'_>,
    stretch: &Stretch,
    changes: &[Change],
) -> Result<Vec<(StateKeyNum, EventNum)>> {
    if span.state_after {
        return Ok(changes.iter().filter_map(|change| Some((change.key, change.new?))).collect());
    }
    let in_timeline: HashSet<EventNum> = stretch.events.iter().map(|(_, event)| event.header.num).collect();
    let begins_with = stretch.events.first().map(|(_, event)| event.header.state_before);
    let mut nums = Vec::new();
    for change in changes {
        match (change.new, begins_with) {
            (Some(new), Some(before)) if in_timeline.contains(&new) => {
                let earlier = view.states().get(before, change.key).await?;
                if earlier != change.old {
                    nums.extend(earlier.map(|event| (change.key, event)));
                }
            }
            (new, _) => nums.extend(new.map(|event| (change.key, event))),
        }
    }
    Ok(nums)
}

/// The state as it is told, and the members with it that the device did not know.
async fn show_state(
    view: &mut View<'_>,
    span: &Span<'_>,
    stretch: &Stretch,
    mut told: Vec<(StateKeyNum, EventNum)>,
    ends: &Ends,
    sent: &SentMembers,
) -> Result<(List, HashSet<UserNum>)> {
    let filter = &span.filter.state;
    let mut shown = List::default();
    if filter.is_closed() || !filter.wants_room(&view.room_id) {
        return Ok((shown, HashSet::new()));
    }
    if span.is_whole() && span.filter.lazy.is_some() {
        // Of a large room's members hardly any are told: they are not even read.
        if let Some(asker) = span.asker {
            sent.forget(asker, view.room);
        }
        told = without_members(view, span, told, ends).await?;
    }
    let nums: Vec<_> = told.into_iter().map(|(_, event)| event).collect();
    let mut events = view.rooms.state_events(&view.snapshot, view.room, &nums).await?;
    let brought = match span.filter.lazy {
        Some(_) => lazy_members(view, span, stretch, &mut events, ends, sent).await?,
        None => HashSet::new(),
    };
    for event in events {
        if wanted(view, filter, &event).await? {
            show(view, &event, span, &mut shown).await?;
        }
    }
    Ok((shown, brought))
}
