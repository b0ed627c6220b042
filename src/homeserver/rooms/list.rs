//! The published list of rooms: client-server API, "Published room directory".

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use matron_matrix::Error as MatrixError;
use matron_matrix::filter::bounded;
use matron_matrix::text::fold;
use matron_storage::Snapshot;
use ruma::RoomId;
use ruma::events::StateEventType;

use super::Rooms;
use crate::accounts::Session;
use crate::config::Publication;
use crate::error::{Error, Result};
use crate::locks::lock;
use crate::schema::RoomNum;
use crate::schema::directory::{LIST_ORDER, LISTED, Summary};

/// The most rooms that one page may hold.
const MOST_ROOMS: usize = 100;
/// How many rooms are looked at for one page, where few are such as are looked for; and how many at once.
const MOST_LOOKS: usize = 2000;
const CHUNK: usize = 64;
/// Bytes of texts after which a page ends before it is full: a room may have a name and a topic of 64 kilobytes each.
const MOST_BYTES: usize = 8 << 20;
/// A count is remembered that was made so long after the list last changed, in milliseconds: what changed it is on disk by then.
const SETTLED_AFTER: u64 = 10_000;

/// Which rooms a client asks for.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// How many at most; as many as a page may hold where the client does not say.
    pub limit: Option<usize>,
    /// Where the page begins: `next` or `prev` of another one.
    pub since: Option<String>,
    /// Only rooms whose name, topic or alias has this in it.
    pub term: Option<String>,
    /// Only rooms of these types; none is the type of rooms without one. Empty: all.
    pub types: Vec<Option<String>>,
}

/// A page of the list.
#[derive(Debug)]
pub struct Page {
    /// The rooms, those with most members first.
    pub rooms: Vec<Summary>,
    /// Where the next page begins; none where there is nothing more.
    pub next: Option<String>,
    /// Where the page before begins; none at the front of the list.
    pub prev: Option<String>,
    /// How many rooms are in the list.
    pub total: u64,
}

/// A place in the list.
type Place = (u64, RoomNum);

/// How many rooms are in the list, as was counted last.
#[derive(Debug, Default)]
pub(super) struct Published {
    /// When a room came into the list or went from it, in milliseconds since 1970.
    changed: AtomicU64,
    /// When it was counted, and how many there were.
    counted: Mutex<(u64, u64)>,
}

impl Published {
    /// A room comes or goes.
    pub fn change(&self, now: u64) {
        self.changed.fetch_max(now, Ordering::Relaxed);
    }

    /// The count, if it is true still.
    fn count(&self) -> Option<u64> {
        let (at, count) = *lock(&self.counted);
        (at >= self.changed.load(Ordering::Relaxed).saturating_add(SETTLED_AFTER)).then_some(count)
    }
}

/// What a walk along the list found, in its direction.
#[derive(Debug, Default)]
struct Walked {
    rooms: Vec<(Place, Summary)>,
    /// Where it stopped, if it did before it found enough or the list ended.
    stopped: Option<Place>,
}

/// A page's beginning: the rooms after a place, or the last ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    After(Place),
    Before(Place),
}

impl Since {
    fn render(self) -> String {
        match self {
            Self::After((order, room)) => format!("n{order}_{room}"),
            Self::Before((order, room)) => format!("p{order}_{room}"),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (order, room) = text.get(1..)?.split_once('_')?;
        let place = (order.parse().ok()?, RoomNum(room.parse().ok()?));
        match text.get(..1)? {
            "n" => Some(Self::After(place)),
            "p" => Some(Self::Before(place)),
            _ => None,
        }
    }
}

/// Whether a room is for others to find: who finds it must be able to do something with it.
fn is_open(summary: &Summary) -> bool {
    let is_closed = matches!(summary.join_rule.as_str(), "invite" | "private");
    summary.joined > 0 && (summary.world_readable || !is_closed)
}

/// What a client looks for, made ready.
struct Wanted {
    term: Option<String>,
    types: HashSet<Option<String>>,
}

/// The texts of a room that somebody may look for.
fn texts(summary: &Summary) -> impl Iterator<Item = &String> {
    [&summary.name, &summary.topic, &summary.canonical_alias].into_iter().flatten()
}

impl Wanted {
    fn matches(&self, summary: &Summary) -> bool {
        if !self.types.is_empty() && !self.types.contains(&summary.room_type) {
            return false;
        }
        let Some(term) = &self.term else { return true };
        texts(summary).any(|text| fold(text).contains(term))
    }
}

impl Rooms {
    /// Whether a user may put rooms into the list, by configuration.
    pub(super) fn may_publish(&self, session: &Session) -> Result<()> {
        if self.config.finding.publication == Publication::Administrators && !session.admin {
            return Err(MatrixError::forbidden("only administrators publish rooms here").into());
        }
        Ok(())
    }

    async fn known_room(&self, snapshot: &Snapshot, room_id: &RoomId) -> Result<RoomNum> {
        let room = self.ids.room(snapshot, room_id.as_str()).await?;
        Ok(room.ok_or_else(|| MatrixError::not_found("the room is not known"))?)
    }

    /// Whether a room is in the list.
    ///
    /// # Errors
    /// `M_NOT_FOUND`.
    pub async fn is_listed(&self, room_id: &RoomId) -> Result<bool> {
        let snapshot = self.store.snapshot();
        let room = self.known_room(&snapshot, room_id).await?;
        Ok(snapshot.get(&LISTED, &room).await?.is_some())
    }

    /// Puts a room into the list, or takes it out: administrators may, and members who may change the canonical alias.
    ///
    /// # Errors
    /// `M_NOT_FOUND`, `M_FORBIDDEN`.
    pub async fn set_listed(self: &Arc<Self>, session: &Session, room_id: &RoomId, listed: bool) -> Result<()> {
        session.may_act()?;
        let snapshot = self.store.snapshot();
        let room = self.known_room(&snapshot, room_id).await?;
        if !session.admin {
            self.joined_room(&snapshot, session, room_id).await?;
            let levels = self.power_levels(&snapshot, room).await?;
            if !levels.user_can_send_state(&session.user_id, StateEventType::RoomCanonicalAlias) {
                return Err(MatrixError::forbidden("you may not change the list").into());
            }
        }
        if listed {
            self.may_publish(session)?;
        }
        self.list(room, listed).await
    }

    /// A page of the list.
    ///
    /// # Errors
    /// `M_INVALID_PARAM` where the page begins nowhere, or too many types are asked for.
    pub async fn published(&self, asked: Asked) -> Result<Page> {
        let since = asked.since.as_deref().map(|text| {
            Since::parse(text).ok_or_else(|| MatrixError::invalid_param("the token is of no page of this list"))
        });
        let since = since.transpose()?;
        let limit = asked.limit.unwrap_or(MOST_ROOMS).clamp(1, MOST_ROOMS);
        let term = asked.term.map(|term| fold(term.trim())).filter(|term| !term.is_empty());
        bounded(&asked.types)?;
        let wanted = Wanted { term, types: asked.types.into_iter().collect() };
        let snapshot = self.store.snapshot();
        let Walked { rooms: mut found, stopped } = self.walk_list(&snapshot, since, limit + 1, &wanted).await?;
        let is_more = found.len() > limit;
        found.truncate(limit);
        let nearest = found.first().map(|(place, _)| *place);
        let onward = if is_more { found.last().map(|(place, _)| *place) } else { stopped };
        let (next, prev) = match since {
            // There is always something after the page: where the walk came from.
            Some(Since::Before(_)) => (nearest.map(Since::After), onward.map(Since::Before)),
            Some(Since::After(_)) => (onward.map(Since::After), nearest.map(Since::Before)),
            None => (onward.map(Since::After), None),
        };
        if matches!(since, Some(Since::Before(_))) {
            found.reverse();
        }
        let total = self.count_listed(&snapshot).await?;
        let rooms = found.into_iter().map(|(_, summary)| summary).collect();
        Ok(Page { rooms, next: next.map(Since::render), prev: prev.map(Since::render), total })
    }

    /// Up to `most` rooms of the list from a place on, in the direction of the walk.
    async fn walk_list(
        &self,
        snapshot: &Snapshot,
        since: Option<Since>,
        most: usize,
        wanted: &Wanted,
    ) -> Result<Walked> {
        use std::ops::Bound::{Excluded, Unbounded};
        let mut scan = match since {
            None => snapshot.scan(&LIST_ORDER, LIST_ORDER.all()),
            Some(Since::After(place)) => snapshot.scan(&LIST_ORDER, LIST_ORDER.range((Excluded(place), Unbounded))),
            Some(Since::Before(place)) => snapshot.scan(&LIST_ORDER, LIST_ORDER.range(..place)).reverse(),
        };
        let (mut walked, mut looked, mut bytes) = (Walked::default(), 0, 0);
        loop {
            let mut places: Vec<Place> = Vec::with_capacity(CHUNK);
            while places.len() < most.min(CHUNK)
                && let Some((place, ())) = scan.next().await?
            {
                places.push(place);
            }
            if places.is_empty() {
                return Ok(walked);
            }
            let summaries = snapshot.get_many(&LISTED, places.iter().map(|(_, room)| room)).await?;
            for (place, summary) in places.into_iter().zip(summaries) {
                let summary =
                    summary.ok_or_else(|| Error::internal("the list's order names a room that is not in it"))?;
                looked += 1;
                bytes += texts(&summary).map(String::len).sum::<usize>();
                if is_open(&summary) && wanted.matches(&summary) {
                    walked.rooms.push((place, summary));
                }
                if walked.rooms.len() == most {
                    return Ok(walked);
                }
                if looked == MOST_LOOKS || bytes >= MOST_BYTES {
                    walked.stopped = Some(place);
                    return Ok(walked);
                }
            }
        }
    }

    /// How many rooms are in the list: counted anew only after some came or went.
    async fn count_listed(&self, snapshot: &Snapshot) -> Result<u64> {
        if let Some(count) = self.published.count() {
            return Ok(count);
        }
        let now = self.clock.millis();
        let mut scan = snapshot.scan(&LIST_ORDER, LIST_ORDER.all());
        let mut count = 0;
        while scan.next().await?.is_some() {
            count += 1;
        }
        *lock(&self.published.counted) = (now, count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use matron_storage::Batch;
    use proptest::prelude::*;

    use super::{Asked, MOST_BYTES, MOST_LOOKS, Published, SETTLED_AFTER, Since};
    use crate::fixture::house;
    use crate::schema::RoomNum;
    use crate::schema::directory::{LIST_ORDER, LISTED, Summary};

    fn summary(name: &str) -> Summary {
        Summary {
            room_id: format!("!{name}:localhost"),
            version: "12".to_owned(),
            joined: 1,
            name: Some(name.to_owned()),
            topic: None,
            canonical_alias: None,
            avatar_url: None,
            room_type: None,
            join_rule: "public".to_owned(),
            allowed: Vec::new(),
            guest_can_join: false,
            world_readable: false,
            encryption: None,
        }
    }

    #[tokio::test]
    async fn a_page_looks_at_so_many_rooms_and_the_next_one_goes_on() {
        let server = house().await;
        let mut batch = Batch::new();
        let last = MOST_LOOKS as u64 + 9;
        for nth in 0..=last {
            let room = RoomNum(1_000_000 + nth);
            batch.put(&LISTED, &room, &summary(if nth == last { "needle" } else { "hay" }));
            batch.put(&LIST_ORDER, &(u64::MAX - 1, room), &());
        }
        server.store.commit(batch).await.unwrap();
        let asked = |since: Option<String>| Asked { term: Some("needle".to_owned()), since, ..Asked::default() };
        let first = server.rooms.published(asked(None)).await.unwrap();
        assert!(first.rooms.is_empty() && first.prev.is_none());
        assert_eq!(first.total, last + 1);
        let second = server.rooms.published(asked(first.next)).await.unwrap();
        assert_eq!(second.rooms, [summary("needle")]);
        assert!(second.next.is_none());
        let before = server.rooms.published(asked(second.prev)).await.unwrap();
        assert!(before.rooms.is_empty() && before.prev.is_some(), "nor backwards all of them");
        server.stop().await;
    }

    #[tokio::test]
    async fn a_page_of_large_texts_ends_before_it_is_full() {
        let server = house().await;
        let last = 2 * (MOST_BYTES / 60_000 + 1) as u64 - 1;
        let mut batch = Batch::new();
        for nth in 0..=last {
            let large = Summary { topic: Some("hay".repeat(20_000)), ..summary("large") };
            let room = RoomNum(1_000_000 + nth);
            batch.put(&LISTED, &room, &if nth == last { summary("needle") } else { large });
            batch.put(&LIST_ORDER, &(u64::MAX - 1, room), &());
        }
        server.store.commit(batch).await.unwrap();
        let mut asked = Asked { term: Some("needle".to_owned()), ..Asked::default() };
        let first = server.rooms.published(asked.clone()).await.unwrap();
        assert!(first.rooms.is_empty() && first.next.is_some(), "there may be more");
        asked.since = first.next;
        let second = server.rooms.published(asked).await.unwrap();
        assert_eq!(second.rooms, [summary("needle")]);
        server.stop().await;
    }

    #[test]
    fn a_count_is_remembered_once_the_list_is_at_rest() {
        let published = Published::default();
        assert_eq!(published.count(), None);
        *published.counted.lock().unwrap() = (SETTLED_AFTER, 7);
        assert_eq!(published.count(), Some(7));
        published.change(1);
        assert_eq!(published.count(), None);
        *published.counted.lock().unwrap() = (SETTLED_AFTER + 1, 8);
        assert_eq!(published.count(), Some(8));
    }

    proptest! {
        #[test]
        fn tokens_read_back(order: u64, room: u64) {
            let place = (order, RoomNum(room));
            for since in [Since::After(place), Since::Before(place)] {
                prop_assert_eq!(Since::parse(&since.render()), Some(since));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = Since::parse(&text);
        }
    }
}
