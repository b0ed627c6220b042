//! Finding: the matches of all rooms that somebody may search, newest first, each judged by whether they may see it.

use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet};
use std::sync::Arc;

use matron_matrix::filter::Compiled;
use matron_storage::{Position, Snapshot};
use ruma::api::client::filter::RoomEventFilter;
use serde::Deserialize;

use super::Search;
use super::index::searched;
use super::postings::{Came, Matches};
use super::query::{Asked, Key, Of, Order, Page, Sought};
use crate::accounts::Session;
use crate::error::{Error, Result};
use crate::rooms::history::wanted;
use crate::rooms::view::View;
use crate::schema::rooms::{Arrival, EventHeader, Membership, TIMELINE, USER_ROOMS};
use crate::schema::{Digest, RoomNum, UserNum};

/// How many matches are looked at for one page, and how many leaps find them. What lies beyond is reached by paging through
/// results by time; results by rank are the best of the newest.
const MOST_LOOKS: usize = 1000;
const MOST_LEAPS: usize = 20_000;
/// How many upgrades of a room are followed back.
const MOST_UPGRADES: usize = 16;

/// An event that matches and may be seen: what results are ordered and put into groups by.
pub(super) struct Match {
    pub position: Position,
    pub room: RoomNum,
    pub digest: Digest,
    pub sender: UserNum,
    /// How well it matches, where results are ordered by that.
    pub rank: Option<f64>,
}

/// What was found for a page.
pub(super) struct Found<'a> {
    /// The matches, in the order that was asked for, and the rooms that they are in.
    pub matches: Vec<Match>,
    pub views: HashMap<RoomNum, View<'a>>,
    /// How many matches there are in all, as far as was looked.
    pub count: usize,
    /// Where the look ended, if there may be more beyond.
    pub looked_to: Option<Position>,
}

/// By what a match is judged.
struct Judge<'a> {
    filter: Compiled,
    kinds: Option<HashSet<&'static str>>,
    ignored: Arc<HashSet<UserNum>>,
    /// What it is ranked by, where that is the order.
    sought: Option<&'a Sought>,
}

#[derive(Deserialize)]
struct Create {
    predecessor: Option<Predecessor>,
}

#[derive(Deserialize)]
struct Predecessor {
    room_id: String,
}

impl Judge<'_> {
    async fn judge(&self, view: &mut View<'_>, position: Position) -> Result<Option<Match>> {
        let arrival = Arrival::Live(position);
        // The index may be behind: what it names may be redacted meanwhile.
        let Some(event) = view.snapshot.get(&TIMELINE, &(view.room, arrival)).await? else { return Ok(None) };
        let Some(text) = searched(&event) else { return Ok(None) };
        if self.kinds.as_ref().is_some_and(|kinds| !kinds.contains(event.header.kind.as_str()))
            || self.ignored.contains(&event.header.sender)
            || !wanted(view, &self.filter, &event).await?
            || !view.sees(&event, Some(arrival)).await?
            // It would be shown without its words: that it has them is not to be told either.
            || view.is_erased(&event).await?
        {
            return Ok(None);
        }
        let rank = self.sought.map(|sought| sought.rank(&text));
        let EventHeader { digest, sender, .. } = event.header;
        Ok(Some(Match { position, room: view.room, digest, sender, rank }))
    }
}

impl Match {
    pub fn is_of(&self, of: Of) -> bool {
        match of {
            Of::Room(room) => self.room == room,
            Of::Sender(user) => self.sender == user,
        }
    }
}

impl Search {
    /// All matches that a page needs.
    pub(super) async fn find<'a>(
        &'a self,
        snapshot: &Snapshot,
        session: &'a Session,
        (asked, sought): (&Asked, &Sought),
        page: &Page,
        limit: usize,
    ) -> Result<Found<'a>> {
        let judge = self.judge(snapshot, session, asked, sought).await?;
        let mut views = HashMap::new();
        // The newest place of each walk; whether it is only as far as that walk came.
        let (mut walks, mut newest) = (Vec::new(), BinaryHeap::new());
        for room in self.searched_rooms(snapshot, session, &asked.filter).await? {
            if matches!(page.of, Some(Of::Room(only)) if only != room) {
                continue;
            }
            newest.push((page.until, true, walks.len()));
            walks.push(Matches::new(snapshot, room, &sought.words, page.until));
        }
        // Pages after the first one of results by time know the count already.
        let enough = page.count.filter(|_| asked.order == Order::Recent).map(|_| limit);
        let mut found = Found { matches: Vec::new(), views: HashMap::new(), count: 0, looked_to: None };
        let (mut looks, mut leaps) = (0, 0);
        while enough != Some(found.matches.len())
            && let Some((position, is_open, nth)) = newest.pop()
        {
            // Every walk is begun, so that a page comes further than the one before.
            if (looks == MOST_LOOKS || leaps >= MOST_LEAPS) && position < page.until {
                found.looked_to = Some(position);
                break;
            }
            let walk = walks.get_mut(nth).ok_or_else(|| Error::internal("a walk is missing"))?;
            match walk.go_on(&mut leaps).await? {
                Came::To(next) => newest.push((next, false, nth)),
                Came::AsFarAs(place) => newest.push((place, true, nth)),
                Came::ToItsEnd => {}
            }
            if is_open {
                continue;
            }
            looks += 1;
            let view = match views.entry(walk.room) {
                std::collections::hash_map::Entry::Occupied(view) => view.into_mut(),
                std::collections::hash_map::Entry::Vacant(place) => {
                    place.insert(self.rooms.view_of(snapshot, session, walk.room).await?)
                }
            };
            if let Some(found_one) = judge.judge(view, position).await? {
                found.count += 1;
                if page.of.is_none_or(|of| found_one.is_of(of)) {
                    found.matches.push(found_one);
                }
            }
        }
        found.views = views;
        if asked.order == Order::Rank {
            let newer = |one: &Match, other: &Match| other.position.cmp(&one.position);
            let rank = |found: &Match| found.rank.unwrap_or_default();
            found.matches.sort_by(|one, other| rank(other).total_cmp(&rank(one)).then_with(|| newer(one, other)));
        }
        Ok(found)
    }

    async fn judge<'a>(
        &self,
        snapshot: &Snapshot,
        session: &Session,
        asked: &Asked,
        sought: &'a Sought,
    ) -> Result<Judge<'a>> {
        Ok(Judge {
            // Which rooms are searched is decided apart: those before an upgrade are not named by the client.
            filter: Compiled::of_room_events(&asked.filter)?.in_any_room(),
            kinds: (!asked.keys.is_empty()).then(|| asked.keys.iter().map(|key: &Key| key.kind()).collect()),
            ignored: self.accounts.ignored(snapshot, session.user).await?,
            sought: (asked.order == Order::Rank).then_some(sought),
        })
    }

    /// The rooms that the user is or was in and that the filter names, with those that they replace.
    async fn searched_rooms(
        &self,
        snapshot: &Snapshot,
        session: &Session,
        filter: &RoomEventFilter,
    ) -> Result<BTreeSet<RoomNum>> {
        let rows = snapshot.scan(&USER_ROOMS, USER_ROOMS.under(&(session.user,))).collect().await?;
        let was_in = rows
            .into_iter()
            .filter(|(_, own)| own.membership == Membership::Join || (own.left.is_some() && !own.forgotten));
        let mut rooms: BTreeSet<_> = was_in.map(|((_, room), _)| room).collect();
        if let Some(named) = &filter.rooms {
            let mut wanted = BTreeSet::new();
            for id in named {
                let room = self.ids.room(snapshot, id.as_str()).await?.filter(|room| rooms.contains(room));
                if let Some(room) = room {
                    wanted.insert(room);
                    self.add_replaced(snapshot, room, &rooms, &mut wanted).await?;
                }
            }
            rooms = wanted;
        }
        for id in &filter.not_rooms {
            if let Some(room) = self.ids.room(snapshot, id.as_str()).await? {
                rooms.remove(&room);
            }
        }
        Ok(rooms)
    }

    /// Adds the rooms that a room replaces, as far as the user was in them.
    async fn add_replaced(
        &self,
        snapshot: &Snapshot,
        mut room: RoomNum,
        known: &BTreeSet<RoomNum>,
        into: &mut BTreeSet<RoomNum>,
    ) -> Result<()> {
        for _ in 0..MOST_UPGRADES {
            let create: Option<Create> = self.rooms.current(snapshot, room, "m.room.create").await?;
            let Some(predecessor) = create.and_then(|create| create.predecessor) else { return Ok(()) };
            let Some(older) = self.ids.room(snapshot, &predecessor.room_id).await? else { return Ok(()) };
            if !known.contains(&older) || !into.insert(older) {
                return Ok(());
            }
            room = older;
        }
        Ok(())
    }
}
