//! What the relations of an event amount to for a reader who does not see all of them.

use std::collections::HashSet;

use super::{MOST_REFERENCES, Parts};
use crate::error::Result;
use crate::rooms::event::by_nums;
use crate::rooms::view::View;
use crate::schema::rooms::EventHeader;
use crate::schema::{EventNum, UserNum};

/// A replacement, and what tells which is the latest: its time, then its id.
type Latest = (u64, String, EventNum);

impl View<'_> {
    /// What the reader sees of an event's relations, among the newest of them.
    pub(super) async fn parts_seen(&mut self, header: &EventHeader, ignored: &HashSet<UserNum>) -> Result<Parts> {
        let rows: Vec<_> = self.newest_relations(header).await?;
        let rows: Vec<_> = rows.into_iter().filter(|(_, row)| !ignored.contains(&row.sender)).collect();
        let nums: Vec<_> = rows.iter().map(|(_, row)| row.event).collect();
        let mut parts = Parts::default();
        let mut latest: Option<Latest> = None;
        for ((arrival, row), event) in rows.into_iter().zip(by_nums(&self.snapshot, &nums).await?) {
            if !self.sees(&event, Some(arrival)).await? {
                continue;
            }
            match &*row.rel_type {
                "m.thread" => {
                    let (_, count) = parts.thread.get_or_insert((row.event, 0));
                    *count += 1;
                }
                "m.reference" if parts.references.len() < MOST_REFERENCES => {
                    parts.references.push(event.header.digest);
                }
                "m.replace" => {
                    if let Some(sent) = row.replaces {
                        latest = latest.max(Some((sent, event.header.event_id(), row.event)));
                    }
                }
                _ => {}
            }
        }
        parts.references.reverse();
        parts.replacement = latest.map(|(.., num)| num).filter(|_| header.redacted_by.is_none());
        Ok(parts)
    }
}
