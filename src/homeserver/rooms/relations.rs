//! What relates to an event: client-server API, "Aggregating child events".

use matron_matrix::digest;
use matron_storage::Position;
use ruma::{EventId, RoomId};
use serde_json::value::RawValue;

use super::Rooms;
use crate::accounts::Session;
use crate::error::Result;
use crate::schema::rooms::{Arrival, RELATIONS, TIMELINE};
use crate::streams::Token;

/// The most events that one page may hold.
const MOST_EVENTS: usize = 1000;

/// Which relations a client asks for.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Only these: `m.annotation`, say.
    pub rel_type: Option<String>,
    /// Only events of this type.
    pub kind: Option<String>,
    /// Where the page begins.
    pub from: Option<Token>,
    /// Where it ends at the latest.
    pub to: Option<Token>,
    /// Oldest first.
    pub forward: bool,
    /// How many at most.
    pub limit: usize,
}

/// A page of relations.
#[derive(Debug)]
pub struct Relations {
    /// The events, in the direction of the walk.
    pub events: Vec<Box<RawValue>>,
    /// Where the next page begins; none where there is nothing more.
    pub next: Option<Token>,
}

/// Relations lie in the order of their arrival; a token names the last one that was told.
fn arrival_of(token: Option<Token>) -> Option<Arrival> {
    match token? {
        Token::Stream { position, .. } => Some(Arrival::Live(position)),
        Token::Room { arrival, .. } => Some(arrival),
    }
}

impl Rooms {
    /// The events that relate to an event, as far as the user may see them.
    ///
    /// # Errors
    /// `M_FORBIDDEN`; `M_NOT_FOUND` where there is no such event, or the user may not see it.
    pub async fn relations(
        &self,
        session: &Session,
        room_id: &RoomId,
        target: &EventId,
        asked: &Asked,
    ) -> Result<Relations> {
        use std::ops::Bound::{Excluded, Included};

        let snapshot = self.store.snapshot();
        let mut view = self.view(&snapshot, session, room_id).await?;
        view.find(target).await?;
        let digest = digest::of_event_id(target.as_str());
        let key = |arrival| (view.room, digest, arrival);
        let (first, last) = (Arrival::Backfilled(i64::MIN), Arrival::Live(Position::MAX));
        let (from, to) = (arrival_of(asked.from), arrival_of(asked.to));
        let mut scan = if asked.forward {
            let range = (Excluded(key(from.unwrap_or(first))), Included(key(to.unwrap_or(last))));
            snapshot.scan(&RELATIONS, RELATIONS.range(range))
        } else {
            let end = from.map_or(Included(key(last)), |from| Excluded(key(from)));
            let range = (Excluded(key(to.unwrap_or(first))), end);
            snapshot.scan(&RELATIONS, RELATIONS.range(range)).reverse()
        };
        let limit = asked.limit.clamp(1, MOST_EVENTS);
        let mut relations = Relations { events: Vec::new(), next: None };
        let mut told = None;
        while let Some(((_, _, arrival), relation)) = scan.next().await? {
            if asked.rel_type.as_ref().is_some_and(|wanted| *wanted != relation.rel_type)
                || asked.kind.as_ref().is_some_and(|wanted| *wanted != relation.kind)
            {
                continue;
            }
            if relations.events.len() == limit {
                relations.next = told;
                break;
            }
            let Some(event) = snapshot.get(&TIMELINE, &(view.room, arrival)).await? else { continue };
            if view.sees(&event, Some(arrival)).await? {
                told = Some(Token::Room { depth: event.header.depth, arrival, until: snapshot.position() });
                relations.events.push(view.show(event, true).await?);
            }
        }
        Ok(relations)
    }
}
