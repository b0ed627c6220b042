//! What is shown with an event of those that relate to it, kept so that readers need not look at all of them.

use super::Append;
use crate::error::Result;
use crate::schema::relations::{AGGREGATES, Aggregate, RELATIONS, REPLACEMENTS};
use crate::schema::rooms::StoredEvent;
use crate::schema::{Digest, EventNum};

/// How many rows are looked at for a replacement: the room waits meanwhile.
const MOST_LOOKS: usize = 1000;

impl Append<'_> {
    /// What is shown with an event, as of the batch so far.
    pub(super) async fn aggregate(&self, target: Digest) -> Result<Aggregate> {
        match self.working.touched.aggregates.get(&target) {
            Some(aggregate) => Ok(aggregate.clone()),
            None => Ok(self.working.snapshot.get(&AGGREGATES, &(self.working.num, target)).await?.unwrap_or_default()),
        }
    }

    pub(super) fn put_aggregate(&mut self, target: Digest, aggregate: Aggregate) {
        let key = (self.working.num, target);
        if aggregate == Aggregate::default() {
            self.batch.delete(&AGGREGATES, &key);
        } else {
            self.batch.put(&AGGREGATES, &key, &aggregate);
        }
        self.working.touched.aggregates.insert(target, aggregate);
    }

    /// The latest of an event's replacements that are left.
    pub(super) async fn latest_replacement(&self, target: Digest) -> Result<Option<(EventNum, u64)>> {
        let touched = &self.working.touched;
        let mut latest: Option<(EventNum, u64)> = None;
        let under = REPLACEMENTS.under(&(self.working.num, target));
        let mut latest_first = self.working.snapshot.scan(&REPLACEMENTS, under).reverse();
        let mut looked = 0;
        while looked < MOST_LOOKS
            && let Some(((.., sent, event), ())) = latest_first.next().await?
        {
            looked += 1;
            if latest.is_some_and(|(_, at)| at > sent) {
                break;
            }
            if !touched.redacted.contains(&event) {
                latest = self.later(latest, (event, sent)).await?;
            }
        }
        for ((of, ..), row) in &touched.relations {
            if let Some(row) = row.as_ref().filter(|_| *of == target)
                && let Some(sent) = row.replaces
            {
                latest = self.later(latest, (row.event, sent)).await?;
            }
        }
        if latest.is_none() { self.latest_of_before(target).await } else { Ok(latest) }
    }

    /// As [`Self::latest_replacement`], of those that were sent before replacements had rows of their own.
    async fn latest_of_before(&self, target: Digest) -> Result<Option<(EventNum, u64)>> {
        let under = RELATIONS.under(&(self.working.num, target));
        let mut newest_first = self.working.snapshot.scan(&RELATIONS, under).reverse();
        let (mut latest, mut looked) = (None, 0);
        while looked < MOST_LOOKS
            && let Some(((_, _, depth, arrival), row)) = newest_first.next().await?
        {
            looked += 1;
            if let Some(sent) = row.replaces
                && !self.working.touched.relations.contains_key(&(target, depth, arrival))
            {
                latest = self.later(latest, (row.event, sent)).await?;
            }
        }
        Ok(latest)
    }

    /// The later of two replacements: by the time that their servers say, then by their ids.
    pub(super) async fn later(
        &self,
        known: Option<(EventNum, u64)>,
        (event, sent): (EventNum, u64),
    ) -> Result<Option<(EventNum, u64)>> {
        let new = Some((event, sent));
        let Some((old, at)) = known else { return Ok(new) };
        if at != sent {
            return Ok(if at > sent { known } else { new });
        }
        let of = |event: Option<(StoredEvent, _)>| event.map(|(event, _)| event.header.event_id());
        let (old, other) = (of(self.find(old).await?), of(self.find(event).await?));
        Ok(if old > other { known } else { new })
    }
}
