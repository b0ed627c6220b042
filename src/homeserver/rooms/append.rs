//! The one door by which events enter a room: everything that an event brings is written in one batch.
//!
//! An append works on the room's [`Working`] copy, which only the room's writer has. Its verbs are what can happen to an
//! event: [`Append::live`] places one that was received as it happened; [`Append::outlier`] keeps one without a place;
//! [`Append::backfilled`] places one before those that are there; [`Append::restand`] changes how one stands.

use std::sync::Arc;

use matron_matrix::event::Pdu;
use matron_storage::{Batch, Position};
use ruma::events::TimelineEventType;

use super::Rooms;
use super::build::Built;
use super::tree::{Change, NodeNum, diff};
use super::working::Working;
use crate::error::Result;
use crate::schema::ids::{EVENT_NUMS, ROOM_NUMS};
use crate::schema::rooms::{
    Arrival, EDGES, EventHeader, Extremity, HEADS, OUTLIERS, PLACES, Place, ROOM_ORDER, ROOMS, STATES, STREAM,
    Standing, StateAt, StoredEvent, TIMELINE,
};
use crate::schema::{DeviceNum, EventNum};
use crate::streams::Subject;

mod aggregate;
mod annotate;
mod members;
pub(crate) use members::membership_of;
mod notify;
mod redact;
mod relate;
pub(crate) use relate::MOST_LEVELS;
mod standing;
mod thread;

/// The greatest depth that canonical JSON can hold.
const MAX_DEPTH: u64 = (1 << 53) - 1;

/// A batch of events for one room.
pub struct Append<'a> {
    pub(super) rooms: &'a Rooms,
    pub(super) working: &'a mut Working,
    pub(super) batch: &'a mut Batch,
    roots: Vec<NodeNum>,
    changed: bool,
}

/// The transaction that sends an event: its device, and the id that the client gave it.
pub type Transaction = (DeviceNum, String);

impl<'a> Append<'a> {
    /// Begins a batch for a room.
    pub const fn new(rooms: &'a Rooms, working: &'a mut Working, batch: &'a mut Batch) -> Self {
        Self { rooms, working, batch, roots: Vec::new(), changed: false }
    }

    /// Places an authorized event at the end of the room's stream.
    ///
    /// # Errors
    /// The store cannot be read: then the batch must not be committed, since the working copy is half changed.
    pub async fn live(&mut self, built: Built, transaction: Option<Transaction>) -> Result<Position> {
        let Built { num, pdu, json, prev, auth, state_before, depth } = built;
        let position = self.batch.stamp();
        let place = Place { room: self.working.num, arrival: Some(Arrival::Live(position)) };
        let depth = depth.min(MAX_DEPTH);

        let (state_key, state_after) = self.change_state(&pdu, num, state_before).await?;
        self.move_ends(&pdu, num, depth, &prev, state_after);
        let changes = self.settle(num, state_key, state_before, state_after, position).await?;

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
        self.place(StoredEvent { header, json }, place, depth);
        self.relate(num, relation, Arrival::Live(position)).await?;
        self.batch.put(&STREAM, &position, &self.working.num);
        if state_key.is_some() {
            self.rooms.remember(num, &pdu);
        }
        self.apply(&changes, position).await?;
        if pdu.kind == TimelineEventType::RoomRedaction {
            self.redact(&pdu, num).await?;
        }
        self.changed = true;
        Ok(position)
    }

    /// The state after an event: another root if it is a state event.
    async fn change_state(
        &mut self,
        pdu: &Pdu,
        num: EventNum,
        before: NodeNum,
    ) -> Result<(Option<crate::schema::StateKeyNum>, NodeNum)> {
        let Some(key) = &pdu.state_key else { return Ok((None, before)) };
        let state_key = self.rooms.ids.state_key(&pdu.kind.to_string(), key).await?;
        let after = self.working.editor.set(before, state_key, num).await?;
        self.roots.push(after);
        Ok((Some(state_key), after))
    }

    /// The event is an end of the graph now, those before it are none any more.
    fn move_ends(&mut self, pdu: &Pdu, num: EventNum, depth: u64, prev: &[EventNum], state: NodeNum) {
        let ends = &mut self.working.head.extremities;
        ends.retain(|end| !prev.contains(&end.num));
        ends.push(Extremity { num, id: pdu.event_id.to_string(), depth, state });
        for prev in prev {
            self.batch.put(&EDGES, &(*prev, num), &());
        }
    }

    /// The room's resolved state after its ends moved, and what changed in it.
    async fn settle(
        &mut self,
        num: EventNum,
        state_key: Option<crate::schema::StateKeyNum>,
        before: NodeNum,
        after: NodeNum,
        position: Position,
    ) -> Result<Vec<Change>> {
        let old = self.working.head.state;
        let linear = self.working.head.extremities.len() == 1 && before == old;
        let new = if self.working.head.extremities.len() == 1 {
            after
        } else {
            let ends = self.working.head.extremities.clone();
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
        let changes = match state_key {
            Some(key) if linear => {
                let replaced = self.working.editor.reader().get(old, key).await?;
                vec![Change { key, old: replaced, new: Some(num) }]
            }
            _ => diff(self.working.editor.reader(), old, new).await?,
        };
        self.working.head.state = new;
        let extremities = self.working.head.extremities.iter().map(|end| end.num).collect();
        self.batch.put(&STATES, &(self.working.num, position), &StateAt { state: new, extremities });
        Ok(changes)
    }

    /// Writes the event's row and its indexes.
    fn place(&mut self, event: StoredEvent, place: Place, depth: u64) {
        let num = event.header.num;
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

    /// Writes what a new room begins with: its row, under which it is found.
    pub fn found(&mut self, create: EventNum) {
        self.working.row.create = create;
        self.batch.expect_absent(&ROOM_NUMS, &self.working.row.id);
        self.batch.put(&ROOM_NUMS, &self.working.row.id, &self.working.num);
        self.batch.put(&ROOMS, &self.working.num, &self.working.row);
    }

    /// Writes what all events of the batch share. Nothing is placed after this.
    pub fn finish(self) {
        self.working.editor.write(self.batch, &self.roots);
        if self.changed {
            self.batch.put(&HEADS, &self.working.num, &self.working.head);
            self.batch.announce(Subject::Room(self.working.num).into());
        }
    }

    /// A state event that changed, as the rules see it.
    async fn changed_event(&self, num: EventNum) -> Result<Arc<Pdu>> {
        self.working.pdu(self.rooms, num).await
    }
}
