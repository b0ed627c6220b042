//! Redactions: what they do to the event that they name.
//!
//! Room version 3 and later, "Handling redactions": a redaction takes effect if its sender has the power to redact, or is
//! of the same server as the event's sender.

use matron_matrix::event::Pdu;
use matron_matrix::{Error as MatrixError, digest};
use ruma::events::StateEventType;

use super::Append;
use super::annotate::annotation;
use super::relate::{MOST_LEVELS, target_of_stored};
use crate::error::Result;
use crate::rooms::event::Found;
use crate::rooms::tree::NodeNum;
use crate::rooms::working::Policy;
use crate::rooms::{power, summary};
use crate::schema::relations::{ANNOTATIONS, INDIRECT, RELATIONS, REPLACEMENTS};
use crate::schema::rooms::{Arrival, EARLY_REDACTIONS, Mark, Place, REDACTED, StoredEvent, VOIDED};
use crate::schema::{Digest, EventNum, StateKeyNum};
use crate::streams::Subject;

/// How much of what relates to a redacted event is cut off from what is above it: a bound for one batch.
const MOST_CUT_OFF: usize = 5000;

/// How many redactions that came before one event are looked at when it comes: more are never honest.
const MOST_EARLY_REDACTIONS: usize = 100;

impl Append<'_> {
    /// Whether a redaction of this server may be sent, as the room is now: who redacts what others said has the power to.
    /// Other servers let the redactions of one server's users pass, since they leave it to that server.
    ///
    /// # Errors
    /// `M_FORBIDDEN`; `M_NOT_FOUND` where the room has no such event.
    pub async fn check_redaction(&mut self, redaction: &Pdu) -> Result<()> {
        let Some(target) = &redaction.redacts else { return Ok(()) };
        let missing = || MatrixError::not_found("the event is not known");
        let target = self.working.event_num(self.rooms, target.as_str()).await?.ok_or_else(missing)?;
        let found = self.working.found(target).await?.ok_or_else(missing)?;
        if self.rooms.ids.user_id(found.event.header.sender).await? == redaction.sender {
            return Ok(());
        }
        let levels = power::current(self.rooms, self.working).await?;
        if !levels.user_can_redact_event_of_other(&redaction.sender) {
            return Err(MatrixError::forbidden("you may not redact what others sent").into());
        }
        Ok(())
    }

    /// Marks the event that a redaction names. One that is not known yet is marked when it comes. A state event redacts
    /// nothing, whatever it is called.
    pub(super) async fn redact(&mut self, redaction: &Pdu, num: EventNum, state_before: NodeNum) -> Result<()> {
        let Some(target) = redaction.redacts.as_ref().filter(|_| redaction.state_key.is_none()) else {
            return Ok(());
        };
        let Some(target_num) = self.working.event_num(self.rooms, target.as_str()).await? else {
            let digest = digest::of_event_id(target.as_str());
            self.batch.put(&EARLY_REDACTIONS, &(self.working.num, digest, num), &());
            self.working.touched.early_redactions.entry(digest).or_default().push(num);
            return Ok(());
        };
        if self.may_redact(redaction, target_num, state_before).await? {
            self.prune(target_num, num).await?;
        }
        Ok(())
    }

    /// Redactions that came before the event that they name take effect now, or never.
    pub(super) async fn redact_early(&mut self, target: EventNum, digest: Digest) -> Result<()> {
        let room = self.working.num;
        let under = EARLY_REDACTIONS.under(&(room, digest));
        let rows = self.working.snapshot.scan(&EARLY_REDACTIONS, under).take(MOST_EARLY_REDACTIONS).await?;
        let mut early: Vec<_> = rows.into_iter().map(|((_, _, num), ())| num).collect();
        early.extend(self.working.touched.early_redactions.remove(&digest).unwrap_or_default());
        for num in early {
            self.batch.delete(&EARLY_REDACTIONS, &(room, digest, num));
            let Some(found) = self.working.found(num).await? else { continue };
            let redaction = crate::rooms::event::parse(&found.event)?;
            if self.may_redact(&redaction, target, found.event.header.state_before).await? {
                self.prune(target, num).await?;
            }
        }
        Ok(())
    }

    /// Whether a redaction takes effect, by the state before it.
    async fn may_redact(&self, redaction: &Pdu, target: EventNum, state_before: NodeNum) -> Result<bool> {
        let Some(found) = self.working.found(target).await? else { return Ok(false) };
        if found.event.header.kind == "m.room.create" {
            return Ok(false);
        }
        let sender = self.rooms.ids.user_id(found.event.header.sender).await?;
        if sender.server_name() == redaction.sender.server_name() {
            return Ok(true);
        }
        let levels = power::at(self.rooms, self.working, state_before).await?;
        Ok(levels.user_can_redact_event_of_other(&redaction.sender))
    }

    /// Marks an event as redacted, once: what it counted for and related to goes with it.
    pub(super) async fn prune(&mut self, target: EventNum, redaction: EventNum) -> Result<()> {
        let Some(Found { mut event, place }) = self.working.found(target).await? else { return Ok(()) };
        if event.header.redacted_by.is_some() {
            return Ok(());
        }
        if let Some(Arrival::Live(position)) = place.arrival
            && let Some(class) = event.header.class
        {
            let mark = Mark { thread: event.header.thread, class: Some(class), ignored: false };
            self.batch.put(&VOIDED, &(self.working.num, position), &mark);
        }
        if let Some(arrival) = place.arrival {
            self.unrelate(&event, arrival).await?;
        }
        if let Some(key) = event.header.state_key.filter(|_| event.header.kind == "m.room.guest_access")
            && self.working.editor.reader().get(self.working.head.state, key).await? == Some(target)
        {
            self.let_guests_leave();
        }
        self.retell |= event.header.state_key.is_some() && summary::tells(&event.header.kind.as_str().into());
        event.header.redacted_by = Some(redaction);
        self.batch.put(&REDACTED, &(self.rooms.clock.millis(), target), &());
        self.batch.announce(Subject::Redactions(self.working.num).into());
        let state_key = event.header.state_key;
        self.rewrite(event, place);
        self.forget_content(target, state_key).await
    }

    /// What is remembered of a redacted event is read anew: the rules see no more of it than everybody.
    async fn forget_content(&mut self, num: EventNum, state_key: Option<StateKeyNum>) -> Result<()> {
        self.rooms.forget_authority(num);
        let working = &mut *self.working;
        working.touched.restood.push(num);
        working.touched.arriving.take_if(|(arriving, _)| *arriving == num);
        let Some(key) = state_key else { return Ok(()) };
        let name = self.rooms.ids.state_key_name(key).await?;
        let kind = StateEventType::from(&*self.rooms.ids.kind_name(name.kind).await?);
        if kind == StateEventType::RoomPolicy {
            working.policy = Policy::Unknown;
        }
        working.state.remove(&(kind, name.key.clone()));
        Ok(())
    }

    /// Whether an event of this room was redacted.
    pub(in crate::rooms) async fn is_redacted(&self, num: EventNum) -> Result<bool> {
        Ok(self.working.found(num).await?.is_some_and(|found| found.event.header.redacted_by.is_some()))
    }

    /// An event of this room and its place, also one that is not committed yet.
    pub(super) async fn find(&self, num: EventNum) -> Result<Option<(StoredEvent, Place)>> {
        Ok(self.working.found(num).await?.map(|found| (found.event, found.place)))
    }

    /// A redacted event relates to nothing any more, nor does what relates to it relate to more than it.
    async fn unrelate(&mut self, event: &StoredEvent, arrival: Arrival) -> Result<()> {
        let Some((target, rel_type, key)) = target_of_stored(event) else { return Ok(()) };
        let (room, header) = (self.working.num, &event.header);
        let above = self.above(event, MOST_LEVELS).await?;
        let target_num = self.working.event_num(self.rooms, &target).await?;
        let target = digest::of_event_id(&target);
        if rel_type == "m.replace" {
            self.unlist_replacement(target, header.num, (header.depth, arrival)).await?;
        }
        self.batch.delete(&RELATIONS, &(room, target, header.depth, arrival));
        for above in above.iter().skip(1) {
            self.batch.delete(&INDIRECT, &(room, *above, header.depth, arrival));
        }
        self.cut_off(header.digest, &above).await?;
        self.working.touched.relations.insert((target, header.depth, arrival), None);
        self.working.touched.redacted.insert(header.num);
        let mut aggregate = self.aggregate(target).await?;
        match &*rel_type {
            "m.annotation" => {
                let annotation = annotation(&header.kind, key.as_deref());
                self.batch.delete(&ANNOTATIONS, &(room, target, header.sender, annotation));
            }
            "m.reference" => {
                aggregate.references = aggregate.references.saturating_sub(1);
                self.put_aggregate(target, aggregate);
            }
            "m.replace" if aggregate.replacement.is_some_and(|(latest, _)| latest == header.num) => {
                aggregate.replacement = self.latest_replacement(target).await?;
                self.put_aggregate(target, aggregate);
            }
            "m.thread" => {
                if let Some(root) = target_num.filter(|root| header.thread == Some(*root)) {
                    self.leave_thread(root, target, header).await?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A redacted event replaces nothing any more.
    async fn unlist_replacement(&mut self, target: Digest, num: EventNum, place: (u64, Arrival)) -> Result<()> {
        let (depth, arrival) = place;
        let row = match self.working.touched.relations.get(&(target, depth, arrival)) {
            Some(row) => row.clone(),
            None => self.working.snapshot.get(&RELATIONS, &(self.working.num, target, depth, arrival)).await?,
        };
        if let Some(sent) = row.and_then(|row| row.replaces) {
            self.batch.delete(&REPLACEMENTS, &(self.working.num, target, sent, num));
        }
        Ok(())
    }

    /// What relates to an event leads to nothing above it any more.
    async fn cut_off(&mut self, event: Digest, above: &[Digest]) -> Result<()> {
        let under = (self.working.num, event);
        for space in [&RELATIONS, &INDIRECT] {
            let rows = self.working.snapshot.scan(space, space.under(&under)).take(MOST_CUT_OFF).await?;
            for ((room, _, depth, arrival), _) in rows {
                for above in above {
                    self.batch.delete(&INDIRECT, &(room, *above, depth, arrival));
                }
            }
        }
        Ok(())
    }
}
