//! Gaps: where a room's history is known to miss events, until they come. Pagination stops at one and asks other servers.

use matron_matrix::digest;
use ruma::OwnedEventId;

use super::Append;
use crate::error::Result;
use crate::schema::rooms::{Arrival, GAPS, Gap, MISSING, Place, TIMELINE};
use crate::schema::{Digest, EventNum};

impl Append<'_> {
    /// Notes what is missing before an event.
    pub(super) fn open_gap(&mut self, depth: u64, arrival: Arrival, missing: &[OwnedEventId]) {
        if missing.is_empty() {
            return;
        }
        let room = self.working.num;
        for id in missing {
            let digest = digest::of_event_id(id.as_str());
            self.batch.put(&MISSING, &(room, digest, depth, arrival), &());
            self.working.touched.missing.entry(digest).or_default().push((depth, arrival));
        }
        let gap = Gap { missing: missing.iter().map(ToString::to_string).collect() };
        self.batch.put(&GAPS, &(room, depth, arrival), &gap);
        self.working.touched.gaps.insert((depth, arrival), gap);
    }

    /// Where an event is missing.
    pub(super) async fn gaps_of(&self, digest: Digest) -> Result<Vec<(u64, Arrival)>> {
        let mut gaps = self.working.touched.missing.get(&digest).cloned().unwrap_or_default();
        let under = MISSING.under(&(self.working.num, digest));
        let rows = self.working.snapshot.scan(&MISSING, under).collect().await?;
        gaps.extend(rows.into_iter().map(|((_, _, depth, arrival), ())| (depth, arrival)));
        Ok(gaps)
    }

    /// An event has its place: it is missing nowhere any more.
    pub(super) async fn fill_gaps(&mut self, num: EventNum, digest: Digest) -> Result<()> {
        let room = self.working.num;
        for (depth, arrival) in self.gaps_of(digest).await? {
            self.follow(num, arrival).await?;
            self.batch.delete(&MISSING, &(room, digest, depth, arrival));
            let key = (room, depth, arrival);
            let gap = match self.working.touched.gaps.get(&(depth, arrival)) {
                Some(gap) => Some(gap.clone()),
                None => self.working.snapshot.get(&GAPS, &key).await?,
            };
            let Some(mut gap) = gap else { continue };
            gap.missing.retain(|id| digest::of_event_id(id) != digest);
            if gap.missing.is_empty() {
                self.batch.delete(&GAPS, &key);
            } else {
                self.batch.put(&GAPS, &key, &gap);
            }
            self.working.touched.gaps.insert((depth, arrival), gap);
        }
        self.working.touched.missing.remove(&digest);
        Ok(())
    }

    /// The event that lies at a place named one that had no number then.
    async fn follow(&mut self, num: EventNum, arrival: Arrival) -> Result<()> {
        let room = self.working.num;
        let places = &self.working.touched.places;
        let fresh = places.iter().find(|(_, place)| **place == Some(arrival));
        let event = match fresh.and_then(|(num, _)| self.working.fresh.get(num)) {
            Some(event) => Some(event.clone()),
            None => self.working.snapshot.get(&TIMELINE, &(room, arrival)).await?,
        };
        let Some(mut event) = event.filter(|event| !event.header.prev.contains(&num)) else { return Ok(()) };
        event.header.prev.push(num);
        self.link(&[num], event.header.num);
        self.rewrite(event, Place { room, arrival: Some(arrival) });
        Ok(())
    }
}
