//! What relates to an event: client-server API, "Relationships API".

use std::collections::HashMap;
use std::ops::Bound;

use matron_matrix::digest;
use matron_storage::{Keyspace, Position, Scan, Snapshot};
use ruma::{EventId, RoomId};
use serde_json::value::RawValue;

use super::Rooms;
use super::append::{MOST_LEVELS, target_of_stored};
use super::event::by_num;
use super::history::{Between, MOST_EVENTS, place_of};
use super::view::View;
use crate::accounts::Session;
use crate::error::Result;
use crate::schema::relations::{INDIRECT, RELATIONS, Relation};
use crate::schema::rooms::{Arrival, StoredEvent, TIMELINE};
use crate::schema::{Digest, RoomNum};
use crate::streams::Token;

/// How many related events a page may look at for each that it holds, where few may be seen.
const LOOKS_PER_EVENT: usize = 20;
/// How many relations a page passes over that are not asked for.
const MOST_PASSED: usize = 10_000;
/// Bytes of events after which a page ends before it is full; the next one goes on there.
const MOST_BYTES: usize = 8 << 20;
/// So many events are shown at once: with all that is bundled with it, each may have some hundred kilobytes.
const CHUNK: usize = 64;

/// Which relations a client asks for.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Only these: `m.annotation`, say.
    pub rel_type: Option<String>,
    /// Only events of this type.
    pub kind: Option<String>,
    /// Where the page begins.
    pub from: Option<Token>,
    /// Where it ends at the latest.
    pub to: Option<Token>,
    /// Oldest first.
    pub forward: bool,
    /// How many at most.
    pub limit: usize,
    /// Also what relates to what relates to the event.
    pub recurse: bool,
}

impl Asked {
    /// Whether only some relations are asked for.
    const fn is_choosy(&self) -> bool {
        self.rel_type.is_some() || self.kind.is_some()
    }

    fn wants(&self, rel_type: &str, kind: &str) -> bool {
        self.rel_type.as_ref().is_none_or(|wanted| wanted == rel_type)
            && self.kind.as_ref().is_none_or(|wanted| wanted == kind)
    }
}

/// A page of relations.
#[derive(Debug)]
pub struct Relations {
    /// The events, in the direction of the walk.
    pub events: Vec<Box<RawValue>>,
    /// Where the next page begins; none where there is nothing more.
    pub next: Option<Token>,
    /// How many relations in a row were followed, where that was asked for.
    pub depth: Option<usize>,
}

type Key = (RoomNum, Digest, u64, Arrival);
type Bounds = (Bound<Key>, Bound<Key>);
/// A relation and its place, if there is one more.
type Next = Option<(Between, Relation)>;

/// What relates to an event directly and over others, as one list in room order.
struct Walk {
    direct: Scan<Key, Relation>,
    indirect: Option<Scan<Key, Relation>>,
    /// The next of each.
    next: (Next, Next),
    forward: bool,
}

async fn step(scan: &mut Scan<Key, Relation>) -> Result<Next> {
    let row = scan.next().await?;
    Ok(row.map(|((.., depth, arrival), relation)| (Between { depth, arrival }, relation)))
}

impl Walk {
    async fn new(snapshot: &Snapshot, bounds: Bounds, asked: &Asked) -> Result<Self> {
        // A range names its keyspace too.
        let scan = |space: &Keyspace<Key, Relation>| {
            let scan = snapshot.scan(space, space.range(bounds));
            if asked.forward { scan } else { scan.reverse() }
        };
        let mut direct = scan(&RELATIONS);
        let mut next = (step(&mut direct).await?, None);
        let mut indirect = None;
        if asked.recurse {
            let mut scan = scan(&INDIRECT);
            next.1 = step(&mut scan).await?;
            indirect = Some(scan);
        }
        Ok(Self { direct, indirect, next, forward: asked.forward })
    }

    async fn next(&mut self) -> Result<Next> {
        let takes_direct = match &self.next {
            (Some((direct, _)), Some((indirect, _))) => (direct < indirect) == self.forward,
            (direct, _) => direct.is_some(),
        };
        if takes_direct {
            let next = step(&mut self.direct).await?;
            return Ok(std::mem::replace(&mut self.next.0, next));
        }
        let next = match &mut self.indirect {
            Some(scan) => step(scan).await?,
            None => None,
        };
        Ok(std::mem::replace(&mut self.next.1, next))
    }
}

/// The ways from related events to the one that is asked about: an event that is asked for is none of the page where one in
/// between is not asked for.
struct Ways<'a> {
    asked: &'a Asked,
    target: Digest,
    /// Whether all from an event in between on is asked for.
    known: HashMap<Digest, bool>,
}

impl Ways<'_> {
    /// Whether all between this event and the one that is asked about is asked for too, and how many events were looked at
    /// for that.
    async fn lead_from(&mut self, view: &View<'_>, event: &StoredEvent) -> Result<(bool, usize)> {
        let mut between = Vec::new();
        let mut next = target_of_stored(event);
        let is_wanted = loop {
            let Some((id, ..)) = next else { break false };
            let digest = digest::of_event_id(&id);
            if digest == self.target {
                break true;
            }
            if let Some(known) = self.known.get(&digest) {
                break *known;
            }
            let Some(num) = view.rooms.ids.event(&view.snapshot, &digest).await? else { break false };
            if between.len() == MOST_LEVELS {
                break false;
            }
            between.push(digest);
            let event = by_num(&view.snapshot, num).await?.event;
            next = target_of_stored(&event).filter(|(_, rel_type, _)| self.asked.wants(rel_type, &event.header.kind));
        };
        let looked = between.len();
        self.known.extend(between.into_iter().map(|digest| (digest, is_wanted)));
        Ok((is_wanted, looked))
    }
}

impl Rooms {
    /// The events that relate to an event, as far as the user may see them.
    ///
    /// # Errors
    /// `M_NOT_FOUND` where there is no such event or room, or the user may not see it.
    pub async fn relations(
        &self,
        session: &Session,
        room_id: &RoomId,
        target: &EventId,
        asked: &Asked,
    ) -> Result<Relations> {
        let snapshot = self.store.snapshot();
        let mut view = self.view_for_event(&snapshot, session, room_id).await?;
        // Also of somebody whom the user ignores: their thread is listed, with what others say in it.
        view.find_of_anybody(target).await?;
        let target = digest::of_event_id(target.as_str());
        let (bounds, until) = bounds(&view, target, asked).await?;
        let ways = Ways { asked, target, known: HashMap::new() };
        let mut ways = Some(ways).filter(|_| asked.recurse && asked.is_choosy());
        let mut walk = Walk::new(&snapshot, bounds, asked).await?;
        let limit = asked.limit.clamp(1, MOST_EVENTS);
        let depth = asked.recurse.then_some(MOST_LEVELS);
        let (mut events, mut kept, mut next, mut last) = (Vec::new(), Vec::new(), None, None);
        let (mut bytes, mut looked, mut passed) = (0, 0, 0);
        while let Some((place, relation)) = walk.next().await? {
            let is_later = matches!(place.arrival, Arrival::Live(position) if position > until);
            let is_wanted = !is_later && asked.wants(&relation.rel_type, &relation.kind);
            let is_full =
                events.len() + kept.len() == limit || looked >= limit * LOOKS_PER_EVENT || bytes >= MOST_BYTES;
            if passed == MOST_PASSED || (is_wanted && is_full) {
                next = last;
                break;
            }
            let Between { depth, arrival } = place;
            last = Some(if asked.forward { Between::after(depth, arrival) } else { Between::before(depth, arrival) });
            if !is_wanted {
                passed += 1;
                continue;
            }
            looked += 1;
            let Some(event) = snapshot.get(&TIMELINE, &(view.room, arrival)).await? else { continue };
            let (leads_there, between) = match &mut ways {
                Some(ways) => ways.lead_from(&view, &event).await?,
                None => (true, 0),
            };
            looked += between;
            if leads_there && view.sees(&event, Some(arrival)).await? {
                bytes += event.json.len();
                kept.push(event);
            }
            if kept.len() == CHUNK {
                let shown = view.show_all(std::mem::take(&mut kept), true).await?;
                bytes += shown.iter().map(|event| event.get().len()).sum::<usize>();
                events.extend(shown);
            }
        }
        events.extend(view.show_all(kept, true).await?);
        Ok(Relations { events, next: next.map(|next| next.token(until)), depth })
    }
}

/// Between which keys to walk, and up to which position events count.
async fn bounds(view: &View<'_>, target: Digest, asked: &Asked) -> Result<(Bounds, Position)> {
    use Bound::{Excluded, Included};

    let now = view.snapshot.position();
    let place = async |token: Option<Token>| match token {
        Some(token) => place_of(view, token).await.map(Some),
        None => Ok(None),
    };
    let (from, to) = (place(asked.from).await?, place(asked.to).await?);
    // Backwards, what came after the walk began is left out; forwards, everything that is there counts.
    let until = from.filter(|_| !asked.forward).map_or(now, |(_, until)| until.min(now));
    let (from, to) = (from.map(|(place, _)| place), to.map(|(place, _)| place));
    let key = |place: Between| (view.room, target, place.depth, place.arrival);
    let (low, high) = if asked.forward {
        (from.unwrap_or(Between::START), to.unwrap_or(Between::END))
    } else {
        (to.unwrap_or(Between::START), from.unwrap_or(Between::END))
    };
    Ok(((Excluded(key(low)), Included(key(high))), until))
}
