//! Relations: rows that lead from an event to those that refer to it.

use matron_matrix::digest;
use matron_matrix::event::Pdu;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Append;
use super::annotate::annotation;
use crate::error::Result;
use crate::schema::relations::{ANNOTATIONS, INDIRECT, RELATIONS, REPLACEMENTS, Relation};
use crate::schema::rooms::{Arrival, StoredEvent};
use crate::schema::{Digest, EventNum, UserNum};

/// The longest annotation key and relation type that is kept: longer ones relate to nothing.
const MAX_KEY_BYTES: usize = 255;

/// How many relations in a row are followed: a reaction to an edit of a reply is found from the thread's root.
pub(crate) const MOST_LEVELS: usize = 3;

#[derive(Deserialize)]
struct Content {
    #[serde(rename = "m.relates_to")]
    relates_to: Option<RelatesTo>,
}

#[derive(Deserialize)]
struct RelatesTo {
    rel_type: Option<String>,
    event_id: Option<String>,
    key: Option<String>,
}

#[derive(Deserialize)]
struct Replacing<'a> {
    #[serde(borrow, rename = "m.new_content")]
    new_content: Option<&'a RawValue>,
}

/// What an event relates to.
#[derive(Debug, Default)]
pub(super) struct Related {
    target: Option<Target>,
    /// The root of the thread that it is in.
    pub thread: Option<EventNum>,
}

/// The event that another one relates to.
#[derive(Debug)]
struct Target {
    digest: Digest,
    /// Its number, if it is an event of the room that is known.
    num: Option<EventNum>,
    rel_type: String,
    key: Option<String>,
    /// What it relates to itself, the nearest first.
    above: Vec<Digest>,
    /// When the relating event was sent, if that is a valid replacement of it.
    replaces: Option<u64>,
}

impl Target {
    /// Whether the relating event is one that the thread of this root counts.
    fn is_root_of(&self, thread: Option<EventNum>) -> bool {
        self.rel_type == "m.thread" && self.num.is_some() && self.num == thread
    }
}

/// What a content says that it relates to: the target's id, the relation's type, an annotation's key.
pub(super) fn target_of(content: &str) -> Option<(String, String, Option<String>)> {
    if !content.contains("m.relates_to") {
        return None;
    }
    let relates_to = serde_json::from_str::<Content>(content).ok()?.relates_to?;
    let (rel_type, event_id) = (relates_to.rel_type?, relates_to.event_id?);
    if rel_type.len() > MAX_KEY_BYTES || relates_to.key.as_ref().is_some_and(|key| key.len() > MAX_KEY_BYTES) {
        return None;
    }
    Some((event_id, rel_type, relates_to.key))
}

/// What a stored event relates to: nothing if it is a state event, or was redacted.
pub(in crate::rooms) fn target_of_stored(event: &StoredEvent) -> Option<(String, String, Option<String>)> {
    if event.header.state_key.is_some() || event.header.redacted_by.is_some() || !event.json.contains("m.relates_to") {
        return None;
    }
    let content = matron_matrix::client_event::content(&event.json).ok()?;
    target_of(content)
}

/// Whether an event may replace another one: client-server API, "Validity of replacement events". What of it was
/// encrypted is for clients to check.
fn may_replace(pdu: &Pdu, original: &StoredEvent, sender: UserNum) -> bool {
    let kind = pdu.kind.to_string();
    let has_content = kind == "m.room.encrypted"
        || serde_json::from_str::<Replacing<'_>>(pdu.content.get()).is_ok_and(|content| content.new_content.is_some());
    let header = &original.header;
    has_content
        && header.state_key.is_none()
        && header.sender == sender
        && header.kind == kind
        && target_of_stored(original).is_none_or(|(_, rel_type, _)| rel_type != "m.replace")
}

impl Append<'_> {
    /// What the event relates to. It is in a thread by its own relation, or by that of what it relates to.
    pub(super) async fn relation(&self, pdu: &Pdu) -> Result<Related> {
        if pdu.state_key.is_some() {
            return Ok(Related::default());
        }
        let Some((event_id, rel_type, key)) = target_of(pdu.content.get()) else { return Ok(Related::default()) };
        let digest = digest::of_event_id(&event_id);
        let mut target = Target { digest, num: None, rel_type, key, above: Vec::new(), replaces: None };
        let Some(original) = self.known(&event_id).await? else {
            return Ok(Related { target: Some(target), thread: None });
        };
        target.num = Some(original.header.num);
        target.above = self.above(&original, MOST_LEVELS - 1).await?;
        if target.rel_type == "m.replace" {
            let sender = self.rooms.ids.user(&pdu.sender).await?;
            let valid = may_replace(pdu, &original, sender);
            target.replaces = valid.then(|| pdu.origin_server_ts.get().into());
        }
        let thread = match original.header.thread {
            None if target.rel_type == "m.thread" => target.num,
            thread => thread,
        };
        Ok(Related { target: Some(target), thread })
    }

    /// An event of this room by its id, also one that is not committed yet.
    async fn known(&self, event_id: &str) -> Result<Option<StoredEvent>> {
        match self.working.event_num(self.rooms, event_id).await? {
            Some(num) => Ok(self.find(num).await?.map(|(event, _)| event)),
            None => Ok(None),
        }
    }

    /// What an event relates to, and what that relates to, so many of them at most.
    pub(super) async fn above(&self, event: &StoredEvent, most: usize) -> Result<Vec<Digest>> {
        let mut above = Vec::new();
        let mut next = target_of_stored(event);
        while let Some((event_id, ..)) = next.take() {
            above.push(digest::of_event_id(&event_id));
            if above.len() < most
                && let Some(event) = self.known(&event_id).await?
            {
                next = target_of_stored(&event);
            }
        }
        Ok(above)
    }

    /// Refuses what a client should not relate: client-server API, "Avoiding duplicate annotations" and "Validation of
    /// `m.thread` relationships".
    ///
    /// # Errors
    /// `M_DUPLICATE_ANNOTATION`, `M_UNKNOWN`.
    pub async fn check_relation(&self, pdu: &Pdu) -> Result<()> {
        let Related { target: Some(target), thread } = self.relation(pdu).await? else { return Ok(()) };
        match &*target.rel_type {
            "m.thread" if !target.above.is_empty() || thread != target.num => {
                Err(matron_matrix::Error::unknown("a thread cannot begin with what relates to another event").into())
            }
            "m.annotation" => {
                let sender = self.rooms.ids.user(&pdu.sender).await?;
                self.check_annotation(target.digest, sender, &pdu.kind.to_string(), target.key.as_deref()).await
            }
            _ => Ok(()),
        }
    }

    /// Writes the rows of the relation of an event that was placed.
    pub(super) async fn relate(&mut self, num: EventNum, related: Related, arrival: Arrival) -> Result<()> {
        let Some(target) = related.target else { return Ok(()) };
        let Some((StoredEvent { header, .. }, _)) = self.find(num).await? else { return Ok(()) };
        let counts_in_thread = target.is_root_of(related.thread);
        let row = Relation {
            event: header.num,
            rel_type: target.rel_type,
            kind: header.kind.clone(),
            sender: header.sender,
            key: target.key,
            replaces: target.replaces,
        };
        let room = self.working.num;
        self.batch.put(&RELATIONS, &(room, target.digest, header.depth, arrival), &row);
        for above in target.above {
            self.batch.put(&INDIRECT, &(room, above, header.depth, arrival), &row);
        }
        if let Some(sent) = row.replaces {
            self.batch.put(&REPLACEMENTS, &(room, target.digest, sent, header.num), &());
            let mut aggregate = self.aggregate(target.digest).await?;
            aggregate.replacement = self.later(aggregate.replacement, (header.num, sent)).await?;
            self.put_aggregate(target.digest, aggregate);
        }
        match &*row.rel_type {
            "m.annotation" => {
                let annotation = annotation(&row.kind, row.key.as_deref());
                self.batch.put(&ANNOTATIONS, &(room, target.digest, header.sender, annotation), &header.num);
            }
            "m.reference" => {
                let mut aggregate = self.aggregate(target.digest).await?;
                aggregate.references += 1;
                self.put_aggregate(target.digest, aggregate);
            }
            _ => {}
        }
        if let Some(root) = related.thread.filter(|_| counts_in_thread) {
            self.enter_thread(root, target.digest, &header, arrival).await?;
        }
        self.working.touched.relations.insert((target.digest, header.depth, arrival), Some(row));
        Ok(())
    }
}
