//! Reading single events: by number, by id, as PDUs, and pruned where they were redacted.

use std::sync::Arc;

use matron_matrix::digest;
use matron_matrix::event::{Pdu, redacted};
use matron_storage::{Position, Snapshot};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use ruma::events::room::member::MembershipState;
use ruma::room_version_rules::RoomVersionRules;
use ruma::{EventId, OwnedEventId};
use serde::Deserialize;

use super::Rooms;
use crate::error::{Error, Result};
use crate::schema::rooms::{
    Arrival, EventHeader, Membership, OUTLIERS, PLACES, Place, Standing, StoredEvent, TIMELINE,
};
use crate::schema::{EventNum, RoomNum};

/// Bytes of state events that are kept in memory, about: as they are shown, and as the rules see them.
const SHOWN_BYTES: u64 = 16 << 20;
const AUTHORITY_BYTES: u64 = 32 << 20;
/// Who asks for more than this is shown all members of a large room: they would drive all others out.
const MOST_SHOWN_AT_ONCE: usize = 128;

/// A state event as the rules see it, as it lay in the store as of a position.
#[derive(Debug, Clone)]
pub(super) struct Authority {
    as_of: Position,
    room: RoomNum,
    pdu: Arc<Pdu>,
}

/// A state event that was shown lately, as it lay in the store as of a position.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    as_of: Position,
    event: Arc<StoredEvent>,
}

/// Bytes of memory that an event takes as the rules see it, about.
pub(super) fn weight(pdu: &Pdu) -> u64 {
    let named = pdu.prev_events.len() + pdu.auth_events.len();
    512 + pdu.content.get().len() as u64 + 64 * named as u64
}

/// What a state event weighs in memory, about.
#[derive(Debug, Clone)]
pub(super) struct Weigh;

impl Weighter<EventNum, Authority> for Weigh {
    fn weight(&self, _: &EventNum, known: &Authority) -> u64 {
        weight(&known.pdu)
    }
}

impl Weighter<EventNum, Shown> for Weigh {
    fn weight(&self, _: &EventNum, shown: &Shown) -> u64 {
        shown.event.json.len() as u64 + 256
    }
}

/// State events that authorized others lately.
pub(super) type Authorities = Cache<EventNum, Authority, Weigh>;

/// No events yet.
pub(super) fn authorities() -> Authorities {
    Cache::with_weighter(20_000, AUTHORITY_BYTES, Weigh)
}

/// State events that were shown lately.
pub(super) type ShownEvents = Cache<EventNum, Shown, Weigh>;

/// No events yet.
pub(super) fn shown_events() -> ShownEvents {
    Cache::with_weighter(20_000, SHOWN_BYTES, Weigh)
}

/// An event and where it lies.
#[derive(Debug, Clone)]
pub struct Found {
    /// The event.
    pub event: StoredEvent,
    /// Its room and its place there.
    pub place: Place,
}

impl EventHeader {
    /// The event's id.
    #[must_use]
    pub fn event_id(&self) -> String {
        digest::to_event_id(&self.digest)
    }
}

/// An event by its number.
///
/// # Errors
/// The store cannot be read, or the event's row is missing.
pub async fn by_num(snapshot: &Snapshot, num: EventNum) -> Result<Found> {
    let place = snapshot.get(&PLACES, &num).await?;
    let place = place.ok_or_else(|| Error::internal(format!("event {num} has no place")))?;
    let event = match place.arrival {
        Some(arrival) => snapshot.get(&TIMELINE, &(place.room, arrival)).await?,
        None => snapshot.get(&OUTLIERS, &num).await?,
    };
    let event = event.ok_or_else(|| Error::internal(format!("event {num} is not at its place")))?;
    Ok(Found { event, place })
}

/// Many events by their numbers, in that order.
///
/// # Errors
/// The store cannot be read, or an event's row is missing.
pub async fn by_nums(snapshot: &Snapshot, nums: &[EventNum]) -> Result<Vec<StoredEvent>> {
    Ok(found_by_nums(snapshot, nums).await?.into_iter().map(|found| found.event).collect())
}

/// Many events by their numbers, in that order, with their places.
///
/// # Errors
/// The store cannot be read, or an event's row is missing.
pub async fn found_by_nums(snapshot: &Snapshot, nums: &[EventNum]) -> Result<Vec<Found>> {
    let places = snapshot.get_many(&PLACES, nums).await?;
    let mut keys: Vec<(usize, Place, Arrival)> = Vec::with_capacity(nums.len());
    let mut events: Vec<Option<Found>> = vec![None; nums.len()];
    for (nth, (num, place)) in nums.iter().zip(places).enumerate() {
        let place = place.ok_or_else(|| Error::internal(format!("event {num} has no place")))?;
        match place.arrival {
            Some(arrival) => keys.push((nth, place, arrival)),
            None => {
                if let Some(slot) = events.get_mut(nth) {
                    *slot = snapshot.get(&OUTLIERS, num).await?.map(|event| Found { event, place });
                }
            }
        }
    }
    keys.sort_by_key(|(_, place, arrival)| (place.room, *arrival));
    let sorted: Vec<_> = keys.iter().map(|(_, place, arrival)| (place.room, *arrival)).collect();
    for ((nth, place, _), event) in keys.into_iter().zip(snapshot.get_many(&TIMELINE, &sorted).await?) {
        if let Some(slot) = events.get_mut(nth) {
            *slot = event.map(|event| Found { event, place });
        }
    }
    let found: Vec<_> = events.into_iter().flatten().collect();
    if found.len() == nums.len() { Ok(found) } else { Err(Error::internal("an event is not at its place")) }
}

/// An event by its id, if it is known.
///
/// # Errors
/// The store cannot be read.
pub async fn by_id(rooms: &Rooms, snapshot: &Snapshot, id: &EventId) -> Result<Option<Found>> {
    match rooms.ids.event(snapshot, &digest::of_event_id(id.as_str())).await? {
        Some(num) => by_num(snapshot, num).await.map(Some),
        None => Ok(None),
    }
}

/// The JSON that anybody may be shown who saw the event before: pruned where it was redacted. What a user reads goes
/// through their view ([`super::view::View::readable`]), which also knows who was erased.
///
/// # Errors
/// The stored JSON is no event.
pub fn readable(event: StoredEvent, rules: &RoomVersionRules) -> Result<Box<str>> {
    if event.header.redacted_by.is_some() { Ok(redacted(&event.json, rules)?) } else { Ok(event.json) }
}

/// The stored event as it came.
///
/// # Errors
/// The stored JSON is no event.
pub fn parse(event: &StoredEvent) -> Result<Pdu> {
    let id = OwnedEventId::try_from(event.header.event_id()).map_err(Error::internal)?;
    let mut pdu = Pdu::parse(id, &event.json)?;
    pdu.rejected = event.header.standing == Standing::Rejected;
    Ok(pdu)
}

/// The stored event as the rules see it: where it was redacted, as what that leaves of it.
///
/// # Errors
/// The stored JSON is no event.
pub(super) fn pruned(event: &StoredEvent, rules: &RoomVersionRules) -> Result<Pdu> {
    if event.header.redacted_by.is_none() {
        return parse(event);
    }
    parse(&StoredEvent { header: event.header.clone(), json: redacted(&event.json, rules)? })
}

#[derive(Deserialize)]
struct MemberContent {
    membership: MembershipState,
}

/// The membership that a member event gives. Anything unknown is no membership, as the rules have it.
#[must_use]
pub(super) fn membership_of(content: &str) -> Membership {
    match serde_json::from_str::<MemberContent>(content).map(|content| content.membership) {
        Ok(MembershipState::Join) => Membership::Join,
        Ok(MembershipState::Invite) => Membership::Invite,
        Ok(MembershipState::Knock) => Membership::Knock,
        Ok(MembershipState::Ban) => Membership::Ban,
        _ => Membership::Leave,
    }
}

impl Rooms {
    /// A state event as the rules see it, from memory where it was needed lately.
    ///
    /// # Errors
    /// The store cannot be read, or the event's row is missing.
    pub async fn authority(&self, snapshot: &Snapshot, num: EventNum) -> Result<Arc<Pdu>> {
        if let Some(pdu) = self.remembered(num) {
            return Ok(pdu);
        }
        let Found { event, place } = by_num(snapshot, num).await?;
        let pdu = Arc::new(pruned(&event, &self.constants(snapshot, place.room).await?.rules)?);
        // What was rejected may be accepted one day.
        if !pdu.rejected {
            self.remember(num, (place.room, snapshot.position()), &pdu);
        }
        Ok(pdu)
    }

    /// Events of a room's state, in the order of their numbers, from memory where they were shown lately: whoever begins to
    /// sync is shown the same ones.
    ///
    /// # Errors
    /// The store cannot be read, or an event's row is missing.
    pub async fn state_events(
        &self,
        snapshot: &Snapshot,
        room: RoomNum,
        nums: &[EventNum],
    ) -> Result<Vec<Arc<StoredEvent>>> {
        if nums.len() > MOST_SHOWN_AT_ONCE {
            return Ok(by_nums(snapshot, nums).await?.into_iter().map(Arc::new).collect());
        }
        // An event's row changes only where it is redacted. What was read after this snapshot may name a redaction that is
        // not in it.
        let is_true = self.streams.redacted_at(room)..=snapshot.position();
        let known = |num: &EventNum| Some(self.shown.get(num).filter(|shown| is_true.contains(&shown.as_of))?.event);
        let mut events: Vec<Option<Arc<StoredEvent>>> = nums.iter().map(known).collect();
        let missing: Vec<_> =
            nums.iter().zip(&events).filter(|(_, event)| event.is_none()).map(|(num, _)| *num).collect();
        let mut read = by_nums(snapshot, &missing).await?.into_iter().map(Arc::new);
        for event in events.iter_mut().filter(|event| event.is_none()) {
            if let Some(fresh) = read.next() {
                let shown = Shown { as_of: snapshot.position(), event: Arc::clone(&fresh) };
                self.shown.insert(fresh.header.num, shown);
                *event = Some(fresh);
            }
        }
        Ok(events.into_iter().flatten().collect())
    }

    /// Memory has the event no more: it lies in the store in another form now, or hardly anybody will ask for it.
    pub(super) fn forget_authority(&self, num: EventNum) {
        self.authorities.remove(&num);
        self.shown.remove(&num);
    }

    /// A state event as the rules see it, where it was needed lately and nothing of its room was redacted since.
    pub(super) fn remembered(&self, num: EventNum) -> Option<Arc<Pdu>> {
        let known = self.authorities.get(&num)?;
        (known.as_of >= self.streams.redacted_at(known.room)).then_some(known.pdu)
    }

    /// Remembers a room's state event, as it was as of a position.
    pub(super) fn remember(&self, num: EventNum, (room, as_of): (RoomNum, Position), pdu: &Arc<Pdu>) {
        self.authorities.insert(num, Authority { as_of, room, pdu: Arc::clone(pdu) });
    }
}
