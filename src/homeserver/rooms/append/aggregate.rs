//! What is shown with an event of those that relate to it, kept so that readers need not look at all of them.

use super::Append;
use crate::error::Result;
use crate::schema::relations::{AGGREGATES, Aggregate, RELATIONS, Relation};
use crate::schema::rooms::StoredEvent;
use crate::schema::{Digest, EventNum};

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
        let mut latest = None;
        let mut scan = self.working.snapshot.scan(&RELATIONS, RELATIONS.under(&(self.working.num, target)));
        while let Some(((_, _, depth, arrival), row)) = scan.next().await? {
            if !self.working.touched.relations.contains_key(&(target, depth, arrival)) {
                latest = self.later(latest, &row).await?;
            }
        }
        for ((of, ..), row) in &self.working.touched.relations {
            if let Some(row) = row.as_ref().filter(|_| *of == target) {
                latest = self.later(latest, row).await?;
            }
        }
        Ok(latest)
    }

    /// The later of two replacements: by the time that their servers say, then by their ids.
    pub(super) async fn later(
        &self,
        known: Option<(EventNum, u64)>,
        row: &Relation,
    ) -> Result<Option<(EventNum, u64)>> {
        let Some(sent) = row.replaces else { return Ok(known) };
        let new = Some((row.event, sent));
        let Some((old, at)) = known else { return Ok(new) };
        if at != sent {
            return Ok(if at > sent { known } else { new });
        }
        let of = |event: Option<(StoredEvent, _)>| event.map(|(event, _)| event.header.event_id());
        let (old, other) = (of(self.find(old).await?), of(self.find(row.event).await?));
        Ok(if old > other { known } else { new })
    }
}
