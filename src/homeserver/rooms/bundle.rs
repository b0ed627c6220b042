//! What is bundled with events when they are shown: client-server API, "Aggregations of child events".
//!
//! One batched read tells which events of a page have anything to bundle. Who may not see all of the room's events up to
//! now gets what the events that they see amount to (`bundle/part`).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use matron_matrix::digest;
use matron_matrix::splice::List;
use ruma::events::relation::RelationType;
use serde::Serialize;
use serde_json::value::RawValue;

use super::event::{by_nums, found_by_nums};
use super::view::View;
use crate::error::{Error, Result};
use crate::schema::relations::{AGGREGATES, Aggregate, RELATIONS, Relation, SPEAKERS};
use crate::schema::rooms::{EventHeader, StoredEvent, THREADS};
use crate::schema::{Digest, EventNum, UserNum};

mod part;
#[cfg(test)]
mod tests;

/// As many references are named with an event; /relations pages through all of them.
const MOST_REFERENCES: usize = 100;
/// How many relations of one event are looked at.
const MOST_LOOKS: usize = 1000;

#[derive(Debug, Serialize)]
struct Reference {
    event_id: String,
}

#[derive(Debug, Serialize)]
struct References {
    chunk: Vec<Reference>,
}

#[derive(Debug, Serialize)]
struct Thread {
    latest_event: Box<RawValue>,
    count: u64,
    current_user_participated: bool,
}

/// What is bundled with one event.
#[derive(Debug, Default, Serialize)]
pub(super) struct Bundle {
    #[serde(rename = "m.replace", skip_serializing_if = "Option::is_none")]
    replacement: Option<Box<RawValue>>,
    #[serde(rename = "m.reference", skip_serializing_if = "Option::is_none")]
    references: Option<References>,
    #[serde(rename = "m.thread", skip_serializing_if = "Option::is_none")]
    thread: Option<Thread>,
}

impl Bundle {
    /// Whether the reader sees a thread under the event.
    pub(super) const fn has_thread(&self) -> bool {
        self.thread.is_some()
    }

    fn is_empty(&self) -> bool {
        self.replacement.is_none() && self.references.is_none() && self.thread.is_none()
    }
}

/// Bundles by the numbers of their events.
pub(super) type Bundles = HashMap<EventNum, Bundle>;

/// What of an event's relations is to be shown with it.
#[derive(Debug, Default)]
struct Parts {
    replacement: Option<EventNum>,
    references: Vec<Digest>,
    /// The thread's latest event, and how many there are.
    thread: Option<(EventNum, u64)>,
}

/// What is bundled with an event, as JSON.
fn bundled(event: &StoredEvent, bundles: &mut Bundles) -> Result<Option<Box<RawValue>>> {
    let bundle = bundles.remove(&event.header.num).filter(|bundle| !bundle.is_empty());
    bundle.map(|bundle| serde_json::value::to_raw_value(&bundle)).transpose().map_err(Error::internal)
}

impl View<'_> {
    /// Events as this user's client gets them, each with what is bundled with it.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn show_all(&mut self, events: Vec<StoredEvent>, with_room: bool) -> Result<Vec<Box<RawValue>>> {
        let bundles = self.bundles(&events, with_room).await?;
        self.show_with_bundles(events, bundles, with_room).await
    }

    /// Events as this user's client gets them, with nothing bundled.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn show_each(&mut self, events: Vec<StoredEvent>, with_room: bool) -> Result<Vec<Box<RawValue>>> {
        self.show_with_bundles(events, Bundles::new(), with_room).await
    }

    /// One event, with what is bundled with it.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn show_bundled(&mut self, event: StoredEvent, with_room: bool) -> Result<Box<RawValue>> {
        let shown = self.show_all(vec![event], with_room).await?;
        shown.into_iter().next().ok_or_else(|| Error::internal("an event was lost while it was shown"))
    }

    pub(super) async fn show_with_bundles(
        &mut self,
        events: Vec<StoredEvent>,
        mut bundles: Bundles,
        with_room: bool,
    ) -> Result<Vec<Box<RawValue>>> {
        let mut shown = Vec::with_capacity(events.len());
        for event in events {
            let relations = bundled(&event, &mut bundles)?;
            shown.push(self.show_with(event, with_room, relations).await?);
        }
        Ok(shown)
    }

    /// As [`Self::show_all`], appended to a list.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn write_all(&mut self, events: Vec<StoredEvent>, with_room: bool, list: &mut List) -> Result<()> {
        let mut bundles = self.bundles(&events, with_room).await?;
        for event in events {
            let relations = bundled(&event, &mut bundles)?;
            self.write(event, with_room, relations, list.element()).await?;
        }
        Ok(())
    }

    /// As [`Self::show_each`], appended to a list.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn write_each(&mut self, events: Vec<StoredEvent>, with_room: bool, list: &mut List) -> Result<()> {
        for event in events {
            self.write(event, with_room, None, list.element()).await?;
        }
        Ok(())
    }

    /// What is bundled with events. A thread's latest event has its own bundle within.
    pub(super) async fn bundles(&mut self, events: &[StoredEvent], with_room: bool) -> Result<Bundles> {
        let aggregates = self.aggregates(events).await?;
        if aggregates.is_empty() {
            return Ok(Bundles::new());
        }
        let ignored = self.rooms.accounts.ignored(&self.snapshot, self.user()).await?;
        let parts = self.parts(&aggregates, &ignored, true).await?;
        let latest: Vec<_> = parts.values().filter_map(|parts| parts.thread.map(|(latest, _)| latest)).collect();
        let latest = by_nums(&self.snapshot, &latest).await?;
        let inner = self.aggregates(&latest).await?;
        let inner = self.parts(&inner, &ignored, false).await?;
        let inner = self.assemble(inner, HashMap::new(), with_room).await?;
        let nums: Vec<_> = latest.iter().map(|event| event.header.num).collect();
        let shown = self.show_with_bundles(latest, inner, with_room).await?;
        let roots = aggregates.iter().filter(|(header, _)| parts.get(&header.num).is_some_and(|p| p.thread.is_some()));
        let participated = self.participated(roots.map(|(header, _)| *header)).await?;
        let mut latest: HashMap<_, _> = nums.into_iter().zip(shown).collect();
        let mut threads = HashMap::new();
        for (root, parts) in &parts {
            if let Some((num, count)) = parts.thread
                && let Some(latest_event) = latest.remove(&num)
            {
                let current_user_participated = participated.contains(root);
                threads.insert(*root, Thread { latest_event, count, current_user_participated });
            }
        }
        self.assemble(parts, threads, with_room).await
    }

    /// Which of the events have anything to bundle.
    async fn aggregates<'e>(&self, events: &'e [StoredEvent]) -> Result<Vec<(&'e EventHeader, Aggregate)>> {
        let headers: Vec<_> = events.iter().map(|e| &e.header).filter(|header| header.state_key.is_none()).collect();
        let keys: Vec<_> = headers.iter().map(|header| (self.room, header.digest)).collect();
        let rows = self.snapshot.get_many(&AGGREGATES, &keys).await?;
        Ok(headers.into_iter().zip(rows).filter_map(|(header, row)| Some((header, row?))).collect())
    }

    /// What is to be shown with events that have something.
    async fn parts(
        &mut self,
        aggregates: &[(&EventHeader, Aggregate)],
        ignored: &Arc<HashSet<UserNum>>,
        threads: bool,
    ) -> Result<HashMap<EventNum, Parts>> {
        let mut all = HashMap::new();
        if self.reach().await?.is_some() {
            for (header, aggregate) in aggregates {
                let mut parts = self.parts_seen(header, ignored).await?;
                parts.thread = parts.thread.filter(|_| threads && aggregate.thread);
                all.insert(header.num, parts);
            }
            return Ok(all);
        }
        for (header, aggregate) in aggregates {
            let replacement = aggregate.replacement.map(|(num, _)| num);
            // A redacted event shows no content, so no newer content either.
            let replacement = replacement.filter(|_| header.redacted_by.is_none() && !ignored.contains(&header.sender));
            let references = match aggregate.references {
                0 => Vec::new(),
                _ => self.references(header, ignored).await?,
            };
            all.insert(header.num, Parts { replacement, references, thread: None });
        }
        if threads {
            let roots: Vec<_> = aggregates.iter().filter(|(_, row)| row.thread).map(|(header, _)| *header).collect();
            self.add_threads(&roots, &mut all).await?;
        }
        self.hide_unseen(aggregates, ignored, &mut all).await?;
        Ok(all)
    }

    /// The threads of events, without what users sent whom the reader ignores.
    async fn add_threads(&mut self, roots: &[&EventHeader], all: &mut HashMap<EventNum, Parts>) -> Result<()> {
        if roots.is_empty() {
            return Ok(());
        }
        let keys: Vec<_> = roots.iter().map(|root| (self.room, root.num)).collect();
        let rows = self.snapshot.get_many(&THREADS, &keys).await?;
        let (room, ignored) = (self.room, self.ignored_here().await?);
        let speakers = roots.iter().flat_map(|root| ignored.iter().map(|user| (room, root.num, *user)));
        let speakers: Vec<_> = speakers.collect();
        let mut silenced: HashMap<EventNum, u64> = HashMap::new();
        for ((_, root, _), count) in speakers.iter().zip(self.snapshot.get_many(&SPEAKERS, &speakers).await?) {
            *silenced.entry(*root).or_default() += count.unwrap_or(0);
        }
        for (root, row) in roots.iter().zip(rows) {
            let Some(row) = row else { continue };
            let count = row.events.saturating_sub(silenced.get(&root.num).copied().unwrap_or(0));
            if count > 0
                && let Some(parts) = all.get_mut(&root.num)
            {
                parts.thread = Some((row.latest, count));
            }
        }
        Ok(())
    }

    /// A reader who came late, or ignores somebody, may not see the latest of all: then the latest that they do see.
    async fn hide_unseen(
        &mut self,
        aggregates: &[(&EventHeader, Aggregate)],
        ignored: &Arc<HashSet<UserNum>>,
        all: &mut HashMap<EventNum, Parts>,
    ) -> Result<()> {
        let named = |parts: &Parts| parts.replacement.into_iter().chain(parts.thread.map(|(latest, _)| latest));
        let nums: Vec<_> = all.values().flat_map(named).collect();
        let mut unseen = HashSet::new();
        for found in found_by_nums(&self.snapshot, &nums).await? {
            if ignored.contains(&found.event.header.sender) || !self.sees(&found.event, found.place.arrival).await? {
                unseen.insert(found.event.header.num);
            }
        }
        if unseen.is_empty() {
            return Ok(());
        }
        for (header, _) in aggregates {
            let Some(parts) = all.get_mut(&header.num).filter(|parts| named(parts).any(|num| unseen.contains(&num)))
            else {
                continue;
            };
            let seen = self.parts_seen(header, ignored).await?;
            if parts.replacement.is_some_and(|num| unseen.contains(&num)) {
                parts.replacement = seen.replacement;
            }
            if let Some((latest, count)) = parts.thread
                && unseen.contains(&latest)
            {
                parts.thread = seen.thread.map(|(latest, _)| (latest, count));
            }
        }
        Ok(())
    }

    /// The events that refer to an event, the newest of them.
    async fn references(&self, header: &EventHeader, ignored: &HashSet<UserNum>) -> Result<Vec<Digest>> {
        let mut nums = Vec::new();
        for (_, row) in self.newest_relations(header).await? {
            if row.rel_type == RelationType::Reference.as_str()
                && !ignored.contains(&row.sender)
                && nums.len() < MOST_REFERENCES
            {
                nums.push(row.event);
            }
        }
        nums.reverse();
        Ok(by_nums(&self.snapshot, &nums).await?.into_iter().map(|event| event.header.digest).collect())
    }

    /// The newest events that relate to an event, newest first, and where they lie.
    async fn newest_relations(&self, header: &EventHeader) -> Result<Vec<(crate::schema::rooms::Arrival, Relation)>> {
        let under = RELATIONS.under(&(self.room, header.digest));
        let rows = self.snapshot.scan(&RELATIONS, under).reverse().take(MOST_LOOKS).await?;
        Ok(rows.into_iter().map(|((.., arrival), row)| (arrival, row)).collect())
    }

    /// Of these roots, those in whose thread the reader took part, or whose thread they began.
    pub(super) async fn participated(&self, roots: impl Iterator<Item = &EventHeader>) -> Result<HashSet<EventNum>> {
        let (own, others): (Vec<_>, Vec<_>) = roots.partition(|root| root.sender == self.user());
        let keys: Vec<_> = others.iter().map(|root| (self.room, root.num, self.user())).collect();
        let spoken = keys.iter().zip(self.snapshot.get_many(&SPEAKERS, &keys).await?);
        let spoken = spoken.filter_map(|((_, root, _), count)| count.map(|_| *root));
        Ok(own.into_iter().map(|root| root.num).chain(spoken).collect())
    }

    /// Bundles of their parts: what they name is read at once.
    async fn assemble(
        &mut self,
        parts: HashMap<EventNum, Parts>,
        mut threads: HashMap<EventNum, Thread>,
        with_room: bool,
    ) -> Result<Bundles> {
        let replaced: Vec<_> = parts.iter().filter_map(|(num, parts)| Some((*num, parts.replacement?))).collect();
        let nums: Vec<_> = replaced.iter().map(|(_, replacement)| *replacement).collect();
        let shown = by_nums(&self.snapshot, &nums).await?;
        let shown = self.show_each(shown, with_room).await?;
        let mut replacements: HashMap<_, _> = replaced.into_iter().map(|(num, _)| num).zip(shown).collect();
        let bundles = parts.into_iter().map(|(num, parts)| {
            let chunk = parts.references.iter().map(|digest| Reference { event_id: digest::to_event_id(digest) });
            let references = (!parts.references.is_empty()).then(|| References { chunk: chunk.collect() });
            let bundle = Bundle { replacement: replacements.remove(&num), references, thread: threads.remove(&num) };
            (num, bundle)
        });
        Ok(bundles.collect())
    }
}
