//! Events without a place in the stream, and how events change their standing.

use std::sync::Arc;

use matron_matrix::digest;
use matron_matrix::event::Pdu;

use super::{Append, MAX_DEPTH};
use crate::error::{Error, Result};
use crate::rooms::build::Built;
use crate::rooms::event::by_num;
use crate::schema::EventNum;
use crate::schema::rooms::{Arrival, EventHeader, GAPS, OUTLIERS, Place, Standing, StoredEvent};

impl Append<'_> {
    /// Keeps an event without a place: state of another time, or one that was rejected or soft-failed.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn outlier(&mut self, pdu: &Arc<Pdu>, json: Box<str>, standing: Standing) -> Result<EventNum> {
        let num = self.rooms.ids.new_events(1).await?;
        let header = self.bare_header(pdu, num, standing).await?;
        let depth = header.depth;
        self.place(StoredEvent { header, json }, Place { room: self.working.num, arrival: None }, depth);
        Ok(num)
    }

    /// Places an event from the past before all that are there. `missing` are those of its previous events that are not
    /// known: a gap at which pagination stops and asks other servers.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn backfilled(&mut self, built: Built, missing: &[String]) -> Result<()> {
        let arrival = Arrival::Backfilled(self.working.head.next_backfilled);
        self.working.head.next_backfilled -= 1;
        let mut header = self.bare_header(&built.pdu, built.num, Standing::Backfilled).await?;
        header.prev = built.prev;
        header.auth = built.auth;
        let (_, after) = self.change_state(&built.pdu, built.num, built.state_before).await?;
        header.state_before = built.state_before;
        header.state_after = after;
        let depth = header.depth;
        for prev in &header.prev {
            self.batch.put(&crate::schema::rooms::EDGES, &(*prev, built.num), &());
        }
        if !missing.is_empty() {
            let ids = serde_json::to_vec(missing).map_err(Error::internal)?;
            self.batch.put(&GAPS, &(self.working.num, depth, arrival), &ids);
        }
        let relation = self.relation(&built.pdu).await?;
        header.thread = relation.thread;
        let place = Place { room: self.working.num, arrival: Some(arrival) };
        self.place(StoredEvent { header, json: built.json }, place, depth);
        self.relate(built.num, relation, arrival).await?;
        self.changed = true;
        Ok(())
    }

    /// Gives an event that lies with the outliers another standing there. (Placing it is [`Append::live`]'s matter: its
    /// number stays.)
    ///
    /// # Errors
    /// The store cannot be read, or the event has a place.
    pub async fn restand(&mut self, num: EventNum, standing: Standing) -> Result<()> {
        let mut found = by_num(&self.working.snapshot, num).await?;
        if found.place.arrival.is_some() {
            return Err(Error::internal(format!("event {num} has a place and keeps its standing")));
        }
        found.event.header.standing = standing;
        self.batch.put(&OUTLIERS, &num, &found.event);
        Ok(())
    }

    async fn bare_header(&self, pdu: &Pdu, num: EventNum, standing: Standing) -> Result<EventHeader> {
        let state_key = match &pdu.state_key {
            Some(key) => Some(self.rooms.ids.state_key(&pdu.kind.to_string(), key).await?),
            None => None,
        };
        Ok(EventHeader {
            num,
            digest: digest::of_event_id(pdu.event_id.as_str()),
            standing,
            redacted_by: None,
            thread: None,
            state_before: 0,
            state_after: 0,
            partial: true,
            sender: self.rooms.ids.user(&pdu.sender).await?,
            state_key,
            kind: pdu.kind.to_string(),
            depth: pdu.depth.min(MAX_DEPTH),
            room_depth: self.working.head.depth,
            transaction: None,
            prev: Vec::new(),
            auth: Vec::new(),
            class: None,
            counts: Vec::new(),
        })
    }
}
