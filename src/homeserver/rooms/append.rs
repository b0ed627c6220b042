//! The one door by which events enter a room: everything that an event brings is written in one batch.
//!
//! An append works on the room's [`Working`] copy, which only the room's writer has. Its verbs are what can happen to an
//! event: [`Append::live`] places one that was received as it happened; [`Append::outlier`] keeps one without a place;
//! [`Append::backfilled`] places one before those that are there; [`Append::restand`] changes how one stands.

use std::collections::BTreeSet;
use std::sync::Arc;

use matron_matrix::event::Pdu;
use matron_storage::{Batch, Position};
use ruma::events::TimelineEventType;

use super::Rooms;
use super::built::{Built, MAX_DEPTH, Received};
use super::tree::{Change, NodeNum, diff};
use super::working::Working;
use crate::error::Result;
use crate::schema::ids::{EVENT_NUMS, ROOM_NUMS};
use crate::schema::rooms::{
    Arrival, EDGES, EVENT_TIMES, EventHeader, Extremity, HEADS, OUTLIERS, PLACES, Place, ROOM_ORDER, ROOMS, STATES,
    STREAM, Standing, StateAt, StoredEvent, TIMELINE,
};
use crate::schema::{DeviceNum, EventNum, UserNum};
use crate::streams::Subject;

mod aggregate;
mod annotate;
mod gaps;
mod list;
mod members;
mod notify;
mod redact;
mod relate;
pub(super) use relate::{MOST_LEVELS, target_of_stored};
mod standing;
mod thread;

/// A batch of events for one room.
pub struct Append<'a> {
    pub(super) rooms: &'a Rooms,
    pub(super) working: &'a mut Working,
    pub(super) batch: &'a mut Batch,
    roots: Vec<NodeNum>,
    changed: bool,
    /// Whether the list is to tell something else of the room.
    retell: bool,
    /// Whether the room comes into the list, or goes out of it.
    listed: Option<bool>,
    /// Who came or went, or both.
    moved: BTreeSet<UserNum>,
}

/// The transaction that sends an event: its device, and the id that the client gave it.
pub type Transaction = (DeviceNum, String);

impl<'a> Append<'a> {
    /// Begins a batch for a room.
    pub const fn new(rooms: &'a Rooms, working: &'a mut Working, batch: &'a mut Batch) -> Self {
        Self {
            rooms,
            working,
            batch,
            roots: Vec::new(),
            changed: false,
            retell: false,
            listed: None,
            moved: BTreeSet::new(),
        }
    }

    /// Places an authorized event at the end of the room's stream. One that lay with the outliers keeps its number.
    ///
    /// # Errors
    /// The store cannot be read: then the batch must not be committed, since the working copy is half changed.
    pub async fn live(&mut self, built: Built, transaction: Option<Transaction>) -> Result<Position> {
        let redacted_by = self.lift(&built).await?;
        let Built { num, pdu, json, prev, auth, state_before, depth, received } = built;
        let position = self.batch.stamp();
        let arrival = Arrival::Live(position);
        let place = Place { room: self.working.num, arrival: Some(arrival) };
        let depth = depth.min(MAX_DEPTH);

        self.working.touched.arriving = Some((num, Arc::clone(&pdu)));
        let (state_key, state_after) = self.change_state(&pdu, num, state_before).await?;
        let end = Extremity { num, id: pdu.event_id.to_string(), depth, state: state_after };
        self.move_ends(end, &prev, received.as_ref()).await?;
        let changes = self.settle(state_key.map(|key| (key, num)), state_before, position).await?;

        let head = &mut self.working.head;
        head.depth = head.depth.max(depth);
        head.last = position;
        let room_depth = head.depth;

        let sender = self.rooms.ids.user(&pdu.sender).await?;
        let relation = self.relation(&pdu).await?;
        let class = self.count(&pdu, sender, relation.thread, position).await?;
        let header = EventHeader {
            num,
            digest: matron_matrix::digest::of_event_id(pdu.event_id.as_str()),
            standing: Standing::Live,
            redacted_by: None,
            thread: relation.thread,
            state_before,
            state_after,
            partial: self.working.row.partial,
            sender,
            state_key,
            kind: pdu.kind.to_string(),
            depth,
            room_depth,
            transaction,
            prev,
            auth,
            class,
            counts: self.working.head.counts.clone(),
        };
        self.time(&pdu, Arrival::Live(position));
        self.place(StoredEvent { header, json }, place, depth);
        self.relate(num, relation, Arrival::Live(position)).await?;
        self.batch.put(&STREAM, &position, &self.working.num);
        if state_key.is_some() {
            let as_of = self.working.snapshot.position();
            self.rooms.remember(num, (self.working.num, as_of), &pdu);
        }
        self.apply(&changes, position).await?;
        if pdu.kind == TimelineEventType::RoomRedaction {
            self.redact(&pdu, num, state_before).await?;
        }
        if let Some(received) = received {
            self.placed(&pdu, num, redacted_by).await?;
            self.open_gap(depth, arrival, &received.missing);
        }
        self.changed = true;
        Ok(position)
    }

    /// What an event of another server meets when it gets its place: a redaction that was faster, a gap that it fills.
    async fn placed(&mut self, pdu: &Pdu, num: EventNum, redacted_by: Option<EventNum>) -> Result<()> {
        let digest = matron_matrix::digest::of_event_id(pdu.event_id.as_str());
        if let Some(redaction) = redacted_by {
            self.prune(num, redaction).await?;
        }
        self.redact_early(num, digest).await?;
        self.fill_gaps(num, digest).await
    }

    /// The state after an event: another root if it is a state event.
    async fn change_state(
        &mut self,
        pdu: &Pdu,
        num: EventNum,
        before: NodeNum,
    ) -> Result<(Option<crate::schema::StateKeyNum>, NodeNum)> {
        // It may be a state that no event had after it: the resolution of some ends.
        if self.roots.last() != Some(&before) {
            self.roots.push(before);
        }
        let Some(key) = &pdu.state_key else { return Ok((None, before)) };
        let state_key = self.rooms.ids.state_key(&pdu.kind.to_string(), key).await?;
        let after = self.working.editor.set(before, state_key, num).await?;
        self.roots.push(after);
        Ok((Some(state_key), after))
    }

    /// The event is an end of the graph now, those before it are none any more.
    async fn move_ends(&mut self, end: Extremity, prev: &[EventNum], received: Option<&Received>) -> Result<()> {
        let mut passed = prev.to_vec();
        let mut followed = false;
        if let Some(received) = received {
            self.pass_set_aside(&mut passed).await?;
            let digest = matron_matrix::digest::of_event_id(&end.id);
            followed = !self.gaps_of(digest).await?.is_empty() || received.known && self.is_followed(end.num).await?;
        }
        let num = end.num;
        let ends = &mut self.working.head.extremities;
        ends.retain(|end| !passed.contains(&end.num));
        if !followed || ends.is_empty() {
            ends.push(end);
        }
        self.link(prev, num);
        Ok(())
    }

    /// Writes the edges to an event from those before it.
    fn link(&mut self, prev: &[EventNum], num: EventNum) {
        for prev in prev {
            self.batch.put(&EDGES, &(*prev, num), &());
        }
    }

    /// The room's resolved state after its ends moved, and what changed in it. `event` is the state event that moved them.
    async fn settle(
        &mut self,
        event: Option<(crate::schema::StateKeyNum, EventNum)>,
        before: NodeNum,
        position: Position,
    ) -> Result<Vec<Change>> {
        let old = self.working.head.state;
        let ends = self.working.head.extremities.clone();
        let new = if let [end] = ends.as_slice() {
            end.state
        } else {
            // The head still has the state of its former ends.
            self.working.head.state = super::tree::EMPTY;
            let resolved = super::resolve::state_after_all(self.rooms, self.working, &ends).await;
            self.working.head.state = old;
            resolved?
        };
        if new == old {
            return Ok(Vec::new());
        }
        self.roots.push(new);
        let changes = match (event, ends.as_slice()) {
            (Some((key, num)), [end]) if end.num == num && before == old => {
                let replaced = self.working.editor.reader().get(old, key).await?;
                vec![Change { key, old: replaced, new: Some(num) }]
            }
            _ => diff(self.working.editor.reader(), old, new).await?,
        };
        self.working.head.state = new;
        let extremities = ends.iter().map(|end| end.num).collect();
        self.batch.put(&STATES, &(self.working.num, position), &StateAt { state: new, extremities });
        self.batch.announce(Subject::State(self.working.num).into());
        Ok(changes)
    }

    /// Writes by when an event is found.
    fn time(&mut self, pdu: &Pdu, arrival: Arrival) {
        self.batch.put(&EVENT_TIMES, &(self.working.num, pdu.origin_server_ts.get().into(), arrival), &());
    }

    /// Writes the event's row and its indexes.
    fn place(&mut self, event: StoredEvent, place: Place, depth: u64) {
        let num = event.header.num;
        self.rooms.meters.place(event.header.standing);
        self.batch.put(&EVENT_NUMS, &event.header.digest, &num);
        self.batch.put(&PLACES, &num, &place);
        match place.arrival {
            Some(arrival) => {
                self.batch.put(&TIMELINE, &(place.room, arrival), &event);
                self.batch.put(&ROOM_ORDER, &(place.room, depth, arrival), &());
            }
            None => self.batch.put(&OUTLIERS, &num, &event),
        }
        self.working.touched.places.insert(num, place.arrival);
        self.working.fresh.insert(num, event);
    }

    /// Writes the row of an event whose header changed, where it lies.
    fn rewrite(&mut self, event: StoredEvent, place: Place) {
        let num = event.header.num;
        match place.arrival {
            Some(arrival) => self.batch.put(&TIMELINE, &(place.room, arrival), &event),
            None => self.batch.put(&OUTLIERS, &num, &event),
        }
        // What the batch does to it further starts from this.
        self.working.touched.places.insert(num, place.arrival);
        self.working.fresh.insert(num, event);
    }

    /// Writes what a new room begins with: its row, under which it is found.
    pub fn found(&mut self, create: EventNum) {
        self.working.row.create = create;
        self.batch.expect_absent(&ROOM_NUMS, &self.working.row.id);
        self.batch.put(&ROOM_NUMS, &self.working.row.id, &self.working.num);
        self.batch.put(&ROOMS, &self.working.num, &self.working.row);
    }

    /// Writes what all events of the batch share. Nothing is placed after this.
    ///
    /// # Errors
    /// The store cannot be read: then the batch must not be committed.
    pub async fn finish(mut self) -> Result<()> {
        self.tell_list().await?;
        self.working.editor.write(self.batch, &self.roots);
        if self.changed {
            self.batch.put(&HEADS, &self.working.num, &self.working.head);
            self.batch.announce(Subject::Room(self.working.num).into());
        }
        self.tell_members();
        Ok(())
    }

    /// A state event that changed, as the rules see it.
    async fn changed_event(&self, num: EventNum) -> Result<Arc<Pdu>> {
        self.working.pdu(self.rooms, num).await
    }
}
