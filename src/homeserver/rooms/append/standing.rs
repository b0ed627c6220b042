//! Events without a place in the stream, and how events change their standing.

use super::Append;
use crate::error::{Error, Result};
use crate::rooms::built::{Built, MAX_DEPTH};
use crate::rooms::tree::{EMPTY, NodeNum};
use crate::schema::rooms::{Arrival, EDGES, EventHeader, OUTLIERS, Place, ROOMS, Standing, StoredEvent};
use crate::schema::{EventNum, StateKeyNum};

/// How far back those that were set aside are passed over, for the ends of the graph that lie before them.
const MOST_PASSED: usize = 1000;

impl Append<'_> {
    /// Keeps an event without a place: one of another time (`Outlier`: the state before it is not known), or one that
    /// failed authorization (`Rejected`) or the room's own state (`SoftFailed`). One that is there already stays as it is.
    ///
    /// # Errors
    /// The store cannot be read; the standing asks for a place.
    pub async fn outlier(&mut self, built: Built, standing: Standing) -> Result<()> {
        must_be_placeless(standing)?;
        if built.received.as_ref().is_some_and(|received| received.known) {
            return Ok(());
        }
        let mut header = self.header_of(&built, standing).await?;
        header.partial |= standing == Standing::Outlier;
        if standing != Standing::Outlier {
            self.give_state(&mut header, built.state_before).await?;
        }
        self.link(&header.prev, header.num);
        let (num, digest, depth) = (header.num, header.digest, header.depth);
        let place = Place { room: self.working.num, arrival: None };
        self.place(StoredEvent { header, json: built.json }, place, depth);
        self.redact_early(num, digest).await
    }

    /// Places an event from the past before all that are there. Where previous ones are missing, there is a gap.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn backfilled(&mut self, built: Built) -> Result<()> {
        let redacted_by = self.lift(&built).await?;
        let arrival = Arrival::Backfilled(self.working.head.next_backfilled);
        self.working.head.next_backfilled -= 1;
        let mut header = self.header_of(&built, Standing::Backfilled).await?;
        self.give_state(&mut header, built.state_before).await?;
        self.link(&header.prev, header.num);
        let relation = self.relation(&built.pdu).await?;
        header.thread = relation.thread;
        let (num, depth) = (header.num, header.depth);
        self.working.head.depth = self.working.head.depth.max(depth);
        self.time(&built.pdu, arrival);
        let place = Place { room: self.working.num, arrival: Some(arrival) };
        self.place(StoredEvent { header, json: built.json }, place, depth);
        self.relate(num, relation, arrival).await?;
        if built.pdu.kind == ruma::events::TimelineEventType::RoomRedaction {
            self.redact(&built.pdu, num, built.state_before).await?;
        }
        self.placed(&built.pdu, num, redacted_by).await?;
        if let Some(received) = &built.received {
            self.open_gap(depth, arrival, &received.missing);
        }
        self.changed = true;
        Ok(())
    }

    /// Gives an event that lies with the outliers another standing there: rejected → accepted, say. (Placing it is the
    /// matter of [`Append::live`] and [`Append::backfilled`]: its number stays.)
    ///
    /// # Errors
    /// The store cannot be read, the event has a place, or the standing asks for one.
    pub async fn restand(&mut self, num: EventNum, standing: Standing) -> Result<()> {
        must_be_placeless(standing)?;
        let (mut event, place) = self.own(num).await?;
        if place.arrival.is_some() {
            return Err(Error::internal(format!("event {num} has a place and keeps its standing")));
        }
        event.header.standing = standing;
        if !event.header.partial {
            let before = event.header.state_before;
            self.give_state(&mut event.header, before).await?;
        }
        self.rewrite(event, place);
        self.rooms.forget_authority(num);
        self.working.touched.restood.push(num);
        Ok(())
    }

    /// The whole state before an event is known, of which it had a part: partial → full. Answers the state after it, which
    /// those that follow go on from. To be called for events before those that name them as previous.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn complete(&mut self, num: EventNum, state_before: NodeNum) -> Result<NodeNum> {
        let (mut event, place) = self.own(num).await?;
        if !event.header.partial {
            return Ok(event.header.state_after);
        }
        event.header.partial = false;
        self.give_state(&mut event.header, state_before).await?;
        let after = event.header.state_after;
        for end in self.working.head.extremities.iter_mut().filter(|end| end.num == num) {
            end.state = after;
        }
        self.rewrite(event, place);
        self.changed = true;
        Ok(after)
    }

    /// All events of a room have their whole state, and so has the room: it is resolved anew, at a position of its own.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn whole(&mut self) -> Result<()> {
        let position = self.batch.stamp();
        self.working.row.partial = false;
        self.batch.put(&ROOMS, &self.working.num, &self.working.row);
        let changes = self.settle(None, EMPTY, position).await?;
        self.apply(&changes, position).await?;
        self.changed = true;
        Ok(())
    }

    /// Takes an event from the outliers, where it lay; answers what redacted it there.
    pub(super) async fn lift(&mut self, built: &Built) -> Result<Option<EventNum>> {
        if !built.received.as_ref().is_some_and(|received| received.known) {
            return Ok(None);
        }
        let num = built.num;
        let (event, place) = self.own(num).await?;
        if place.arrival.is_some() {
            return Err(Error::internal(format!("event {num} has its place already")));
        }
        self.batch.delete(&OUTLIERS, &num);
        self.rooms.forget_authority(num);
        self.working.touched.restood.push(num);
        Ok(event.header.redacted_by)
    }

    /// What was rejected or soft-failed is no end of the graph; whoever goes on from it passes what it went on from.
    pub(super) async fn pass_set_aside(&self, passed: &mut Vec<EventNum>) -> Result<()> {
        let mut at = 0;
        while let Some(num) = passed.get(at).copied().filter(|_| at < MOST_PASSED) {
            at += 1;
            if let Some(found) = self.working.found(num).await?
                && matches!(found.event.header.standing, Standing::Rejected | Standing::SoftFailed)
            {
                passed.extend(found.event.header.prev);
            }
        }
        Ok(())
    }

    /// Whether an event with a place goes on from this one.
    pub(super) async fn is_followed(&self, num: EventNum) -> Result<bool> {
        let mut next: Vec<EventNum> = self
            .working
            .fresh
            .values()
            .filter(|event| event.header.prev.contains(&num))
            .map(|e| e.header.num)
            .collect();
        let edges = self.working.snapshot.scan(&EDGES, EDGES.under(&(num,))).collect().await?;
        next.extend(edges.into_iter().map(|((_, next), ())| next));
        for next in next {
            if self.working.found(next).await?.is_some_and(|found| found.place.arrival.is_some()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn own(&self, num: EventNum) -> Result<(StoredEvent, Place)> {
        let found = self.working.found(num).await?;
        let found = found.ok_or_else(|| Error::internal(format!("event {num} is another room's")))?;
        Ok((found.event, found.place))
    }

    /// The states before and after an event, as it stands.
    async fn give_state(&mut self, header: &mut EventHeader, before: NodeNum) -> Result<()> {
        self.roots.push(before);
        header.state_before = before;
        header.state_after = before;
        if let Some(key) = header.state_key.filter(|_| header.standing != Standing::Rejected) {
            header.state_after = self.working.editor.set(before, key, header.num).await?;
            self.roots.push(header.state_after);
        }
        Ok(())
    }

    async fn header_of(&self, built: &Built, standing: Standing) -> Result<EventHeader> {
        let pdu = &built.pdu;
        let kind = pdu.kind.to_string();
        let state_key: Option<StateKeyNum> = match &pdu.state_key {
            Some(key) => Some(self.rooms.ids.state_key(&kind, key).await?),
            None => None,
        };
        Ok(EventHeader {
            num: built.num,
            digest: matron_matrix::digest::of_event_id(pdu.event_id.as_str()),
            standing,
            redacted_by: None,
            thread: None,
            state_before: EMPTY,
            state_after: EMPTY,
            partial: self.working.row.partial,
            sender: self.rooms.ids.user(&pdu.sender).await?,
            state_key,
            kind,
            depth: built.depth.min(MAX_DEPTH),
            room_depth: self.working.head.depth,
            transaction: None,
            prev: built.prev.clone(),
            auth: built.auth.clone(),
            class: None,
            counts: Vec::new(),
        })
    }
}

fn must_be_placeless(standing: Standing) -> Result<()> {
    match standing {
        Standing::Outlier | Standing::Rejected | Standing::SoftFailed => Ok(()),
        Standing::Live | Standing::Backfilled => Err(Error::internal("an event gets its place by its own verb")),
    }
}
