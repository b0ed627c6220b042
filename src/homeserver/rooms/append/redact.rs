//! Redactions: what they do to the event that they name.
//!
//! Room version 3 and later, "Handling redactions": a redaction takes effect if its sender has the power to redact, or is
//! of the same server as the event's sender.

use matron_matrix::digest;
use matron_matrix::event::Pdu;

use super::Append;
use super::relate::target_of;
use crate::error::Result;
use crate::rooms::event::by_num;
use crate::rooms::power;
use crate::schema::EventNum;
use crate::schema::rooms::{
    Arrival, EARLY_REDACTIONS, EventHeader, Mark, OUTLIERS, Place, RELATIONS, StoredEvent, THREAD_ORDER, TIMELINE,
    VOIDED,
};

impl Append<'_> {
    /// Marks the event that a redaction names. One that is not known yet is marked when it comes.
    pub(super) async fn redact(&mut self, redaction: &Pdu, num: EventNum) -> Result<()> {
        let Some(target) = &redaction.redacts else { return Ok(()) };
        let Some(target_num) = self.working.event_num(self.rooms, target.as_str()).await? else {
            let digest = digest::of_event_id(target.as_str());
            self.batch.put(&EARLY_REDACTIONS, &(self.working.num, digest), &num);
            return Ok(());
        };
        let Some((mut event, place)) = self.find(target_num).await? else { return Ok(()) };
        if event.header.redacted_by.is_some() || event.header.kind == "m.room.create" {
            return Ok(());
        }
        let sender = self.rooms.ids.user_id(event.header.sender).await?;
        let same_server = sender.server_name() == redaction.sender.server_name();
        if !same_server
            && !power::current(self.rooms, self.working).await?.user_can_redact_event_of_other(&redaction.sender)
        {
            return Ok(());
        }
        if let Some(Arrival::Live(position)) = place.arrival {
            if let Some(class) = event.header.class {
                let mark = Mark { thread: event.header.thread, class: Some(class) };
                self.batch.put(&VOIDED, &(self.working.num, position), &mark);
            }
            self.unrelate(&event, Arrival::Live(position)).await?;
        }
        event.header.redacted_by = Some(num);
        match place.arrival {
            Some(arrival) => self.batch.put(&TIMELINE, &(place.room, arrival), &event),
            None => self.batch.put(&OUTLIERS, &target_num, &event),
        }
        if self.working.fresh.contains_key(&target_num) {
            self.working.fresh.insert(target_num, event);
        }
        Ok(())
    }

    /// An event of this room and its place, also one that is not committed yet.
    async fn find(&self, num: EventNum) -> Result<Option<(StoredEvent, Place)>> {
        if let Some(event) = self.working.fresh.get(&num) {
            let arrival = self.working.touched.places.get(&num).copied().flatten();
            return Ok(Some((event.clone(), Place { room: self.working.num, arrival })));
        }
        let found = by_num(&self.working.snapshot, num).await?;
        Ok((found.place.room == self.working.num).then_some((found.event, found.place)))
    }

    /// A redacted event relates to nothing any more.
    async fn unrelate(&mut self, event: &StoredEvent, arrival: Arrival) -> Result<()> {
        let Some((target, rel_type, _)) = content_of(&event.json).as_deref().and_then(target_of) else { return Ok(()) };
        let target = digest::of_event_id(&target);
        self.batch.delete(&RELATIONS, &(self.working.num, target, arrival));
        if rel_type == "m.thread"
            && let Some(root) = event.header.thread
        {
            self.leave_thread(root, &event.header, target).await?;
        }
        Ok(())
    }

    /// A thread without one of its events: another one may be its latest now.
    async fn leave_thread(&mut self, root: EventNum, gone: &EventHeader, target: [u8; 32]) -> Result<()> {
        let Some(mut thread) = self.thread(root).await? else { return Ok(()) };
        thread.events = thread.events.saturating_sub(1);
        if thread.latest == gone.num {
            let under = RELATIONS.under(&(self.working.num, target));
            let mut relations = self.working.snapshot.scan(&RELATIONS, under).reverse();
            let latest = loop {
                match relations.next().await? {
                    Some(((_, _, Arrival::Live(position)), relation))
                        if relation.rel_type == "m.thread" && relation.event != gone.num =>
                    {
                        break Some((relation.event, position));
                    }
                    Some(_) => {}
                    None => break None,
                }
            };
            // Without any event left it is no thread to be listed, but its counters go on: the room's hold its events too.
            if let Some((latest, position)) = latest {
                self.batch.delete(&THREAD_ORDER, &(self.working.num, thread.position));
                thread.latest = latest;
                thread.position = position;
            }
        }
        self.put_thread(root, thread);
        Ok(())
    }
}

/// The content of a stored event, as text.
fn content_of(json: &str) -> Option<String> {
    matron_matrix::client_event::content(json).ok().map(|content| content.get().to_owned())
}
