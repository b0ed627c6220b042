//! Relations and threads: rows that lead from an event to those that refer to it.

use matron_matrix::digest;
use matron_matrix::event::Pdu;
use matron_storage::Position;
use serde::Deserialize;

use super::Append;
use crate::error::Result;
use crate::rooms::event::by_num;
use crate::schema::rooms::{Arrival, EventHeader, RELATIONS, Relation, THREAD_ORDER, THREADS, Thread};
use crate::schema::{Digest, EventNum};

/// The longest annotation key and relation type that is kept: longer ones relate to nothing.
const MAX_KEY_BYTES: usize = 255;

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

/// What an event relates to.
#[derive(Debug, Default)]
pub(super) struct Related {
    /// The target's digest, and how it relates.
    target: Option<(Digest, String, Option<String>)>,
    /// The root of the thread that it is in.
    pub thread: Option<EventNum>,
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

impl Append<'_> {
    /// What the event relates to. It is in a thread by its own relation, or by that of what it relates to.
    pub(super) async fn relation(&self, pdu: &Pdu) -> Result<Related> {
        if pdu.state_key.is_some() {
            return Ok(Related::default());
        }
        let Some((event_id, rel_type, key)) = target_of(pdu.content.get()) else { return Ok(Related::default()) };
        let target = digest::of_event_id(&event_id);
        let num = self.working.event_num(self.rooms, &event_id).await?;
        let thread = match num {
            Some(num) => match self.header(num).await? {
                Some(header) if rel_type == "m.thread" && header.thread.is_none() => Some(num),
                Some(header) => header.thread,
                None => None,
            },
            None => None,
        };
        Ok(Related { target: Some((target, rel_type, key)), thread })
    }

    /// The header of an event of this room.
    async fn header(&self, num: EventNum) -> Result<Option<EventHeader>> {
        if let Some(event) = self.working.fresh.get(&num) {
            return Ok(Some(event.header.clone()));
        }
        let found = by_num(&self.working.snapshot, num).await?;
        Ok((found.place.room == self.working.num).then_some(found.event.header))
    }

    /// Writes the rows of an event's relation.
    pub(super) async fn relate(&mut self, header: &EventHeader, related: Related, position: Position) -> Result<()> {
        let Some((target, rel_type, key)) = related.target else { return Ok(()) };
        let threads = rel_type == "m.thread";
        let row = Relation { event: header.num, rel_type, kind: header.kind.clone(), sender: header.sender, key };
        self.batch.put(&RELATIONS, &(self.working.num, target, Arrival::Live(position)), &row);
        if let Some(root) = related.thread.filter(|_| threads) {
            let before = self.thread(root).await?;
            if let Some(before) = &before {
                self.batch.delete(&THREAD_ORDER, &(self.working.num, before.position));
            }
            let thread = Thread {
                events: before.as_ref().map_or(0, |before| before.events) + 1,
                latest: header.num,
                position,
                counts: before
                    .map(|before| before.counts)
                    .or_else(|| self.working.touched.first_counts.remove(&root))
                    .unwrap_or_default(),
            };
            self.put_thread(root, thread);
        }
        Ok(())
    }

    /// A thread as of the batch so far.
    pub(super) async fn thread(&self, root: EventNum) -> Result<Option<Thread>> {
        match self.working.touched.threads.get(&root) {
            Some(thread) => Ok(Some(thread.clone())),
            None => Ok(self.working.snapshot.get(&THREADS, &(self.working.num, root)).await?),
        }
    }

    pub(super) fn put_thread(&mut self, root: EventNum, thread: Thread) {
        self.batch.put(&THREADS, &(self.working.num, root), &thread);
        self.batch.put(&THREAD_ORDER, &(self.working.num, thread.position), &root);
        self.working.touched.threads.insert(root, thread);
    }
}
