//! The published list of rooms: client-server API, "Published room directory".

use std::sync::Arc;

use matron_matrix::Error as MatrixError;
use matron_matrix::text::fold;
use matron_storage::Snapshot;
use ruma::RoomId;
use ruma::events::StateEventType;

use super::Rooms;
use crate::accounts::Session;
use crate::config::Publication;
use crate::error::{Error, Result};
use crate::schema::RoomNum;
use crate::schema::directory::{LIST_ORDER, LISTED, Summary};

/// The most rooms that one page may hold.
const MOST_ROOMS: usize = 100;

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
    types: Vec<Option<String>>,
}

impl Wanted {
    fn matches(&self, summary: &Summary) -> bool {
        if !self.types.is_empty() && !self.types.contains(&summary.room_type) {
            return false;
        }
        let Some(term) = &self.term else { return true };
        let texts = [&summary.name, &summary.topic, &summary.canonical_alias];
        texts.into_iter().flatten().any(|text| fold(text).contains(term))
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
    /// `M_INVALID_PARAM` where the page begins nowhere.
    pub async fn published(&self, asked: Asked) -> Result<Page> {
        let since = asked.since.as_deref().map(|text| {
            Since::parse(text).ok_or_else(|| MatrixError::invalid_param("the token is of no page of this list"))
        });
        let since = since.transpose()?;
        let limit = asked.limit.unwrap_or(MOST_ROOMS).clamp(1, MOST_ROOMS);
        let term = asked.term.map(|term| fold(term.trim())).filter(|term| !term.is_empty());
        let wanted = Wanted { term, types: asked.types };
        let snapshot = self.store.snapshot();
        let mut found = self.walk_list(&snapshot, since, limit + 1, &wanted).await?;
        let more = found.len() > limit;
        found.truncate(limit);
        let backwards = matches!(since, Some(Since::Before(_)));
        if backwards {
            found.reverse();
        }
        let first = found.first().map(|(place, _)| Since::Before(*place).render());
        let last = found.last().map(|(place, _)| Since::After(*place).render());
        // Backwards there is always something after the page: where the walk came from.
        let next = last.filter(|_| more || backwards);
        let prev = first.filter(|_| if backwards { more } else { since.is_some() });
        let total = self.count_listed(&snapshot).await?;
        Ok(Page { rooms: found.into_iter().map(|(_, summary)| summary).collect(), next, prev, total })
    }

    /// Up to `most` rooms of the list from a place on, in the direction of the walk.
    async fn walk_list(
        &self,
        snapshot: &Snapshot,
        since: Option<Since>,
        most: usize,
        wanted: &Wanted,
    ) -> Result<Vec<(Place, Summary)>> {
        use std::ops::Bound::{Excluded, Unbounded};
        let mut scan = match since {
            None => snapshot.scan(&LIST_ORDER, LIST_ORDER.all()),
            Some(Since::After(place)) => snapshot.scan(&LIST_ORDER, LIST_ORDER.range((Excluded(place), Unbounded))),
            Some(Since::Before(place)) => snapshot.scan(&LIST_ORDER, LIST_ORDER.range(..place)).reverse(),
        };
        let mut found = Vec::new();
        while let Some((place, ())) = scan.next().await? {
            let summary = snapshot.get(&LISTED, &place.1).await?;
            let summary = summary.ok_or_else(|| Error::internal("the list's order names a room that is not in it"))?;
            if is_open(&summary) && wanted.matches(&summary) {
                found.push((place, summary));
            }
            if found.len() == most {
                break;
            }
        }
        Ok(found)
    }

    async fn count_listed(&self, snapshot: &Snapshot) -> Result<u64> {
        let mut scan = snapshot.scan(&LIST_ORDER, LIST_ORDER.all());
        let mut count = 0;
        while scan.next().await?.is_some() {
            count += 1;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Since;
    use crate::schema::RoomNum;

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
