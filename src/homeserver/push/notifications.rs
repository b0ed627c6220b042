//! What a user was notified of, newest first: client-server API, "Listing Notifications".
//!
//! Nothing is kept for it: the events of the user's rooms are walked backwards, all rooms together in the order of the
//! stream, and each is judged by today's rules, as unread counts are. Of rooms that the user is invited to there is the
//! invite.

use std::collections::BinaryHeap;
use std::collections::btree_map::{BTreeMap, Entry};
use std::sync::Arc;

use matron_matrix::push::{Class, Mask};
use matron_storage::{Position, Scan, Snapshot};
use ruma::RoomId;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Push;
use super::audience::Compiled;
use super::judge::Incoming;
use crate::accounts::Session;
use crate::error::{Error, Result};
use crate::rooms::view::View;
use crate::schema::rooms::{
    Arrival, HEADS, MARKS, Mark, Membership, ROOMS, StoredEvent, TIMELINE, USER_ROOMS, UserRoom,
};
use crate::schema::{EventNum, RoomNum, UserNum};
use crate::unread::ReadUpTo;

/// How many events one request looks at. A page may be short for it, and says where to go on.
const LOOKS: usize = 4000;

/// Something that a user was notified of.
#[derive(Debug)]
pub struct Notification {
    /// The event's place in the stream: a page goes on before it.
    pub position: Position,
    /// The room's id.
    pub room_id: String,
    /// The actions of the rule that the event came by, as a JSON list.
    pub actions: Arc<str>,
    /// The event, as the user's client gets it.
    pub event: Box<RawValue>,
    /// Whether the user has read it.
    pub read: bool,
    /// When it was sent, in milliseconds since 1970.
    pub at: u64,
}

/// A page of them.
#[derive(Debug, Default)]
pub struct Page {
    /// Newest first.
    pub notifications: Vec<Notification>,
    /// From where the next page goes on; none where there is nothing more.
    pub next: Option<Position>,
}

/// What is asked for.
struct Asked<'a> {
    snapshot: &'a Snapshot,
    session: &'a Session,
    rules: &'a Compiled,
    /// Only what lies before this.
    before: Position,
    /// At most so many.
    limit: usize,
    /// Only what stands out.
    highlights: bool,
    /// How many events are looked at for it.
    looks: usize,
}

/// One room, walked backwards.
struct Walk {
    room: RoomNum,
    own: UserRoom,
    mask: Mask,
    /// Opened when the room's turn comes: most never is.
    events: Option<Scan<(RoomNum, Arrival), StoredEvent>>,
    marks: Option<Scan<(UserNum, RoomNum, Position), Mark>>,
    next_mark: Option<Position>,
    /// What was found and is not the newest of all rooms yet.
    found: Option<(Position, StoredEvent)>,
}

impl Walk {
    /// Whether the user is invited to the room: then there is nothing in it for them but the invite.
    fn is_invite(&self) -> bool {
        self.own.membership == Membership::Invite
    }

    /// Between which positions it walks: from the first up to but without the second.
    fn reach(&self, before: Position) -> (Position, Position) {
        if self.is_invite() {
            (self.own.news, before.min(self.own.news.next()))
        } else {
            (self.own.since.next(), before)
        }
    }
}

#[derive(Deserialize)]
struct Sent {
    origin_server_ts: u64,
}

#[derive(Deserialize)]
struct Highlight {
    set_tweak: String,
    value: Option<bool>,
}

impl Push {
    /// What a user was notified of before a place in the stream: at most `limit`; with `highlights` only what stood out.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn notifications(
        &self,
        session: &Session,
        before: Option<Position>,
        limit: usize,
        highlights: bool,
    ) -> Result<Page> {
        let snapshot = self.store.snapshot();
        let rules = Compiled::new(self.accounts.ruleset(&snapshot, session.user).await?, &session.user_id);
        let before = before.unwrap_or(Position::MAX);
        self.page(&Asked { snapshot: &snapshot, session, rules: &rules, before, limit, highlights, looks: LOOKS }).await
    }

    async fn page(&self, asked: &Asked<'_>) -> Result<Page> {
        let (mut walks, mut order) = self.walks(asked).await?;
        let mut reads: BTreeMap<RoomNum, ReadUpTo> = BTreeMap::new();
        let (mut page, mut looks) = (Page::default(), 0);
        while let Some((newest, nth)) = order.pop() {
            // Each page goes further back than the one before it, so that there is a last one.
            let is_enough = looks >= asked.looks && newest.next() < asked.before;
            if page.notifications.len() == asked.limit || is_enough {
                page.next = Some(newest.next());
                break;
            }
            let Some(walk) = walks.get_mut(nth) else { continue };
            if let Some((position, event)) = walk.found.take() {
                let told = self.notification(asked, (walk, position, event), &mut reads).await?;
                page.notifications.extend(told.filter(|told| !asked.highlights || stands_out(&told.actions)));
            }
            let other = order.peek().map_or(Position::ZERO, |(position, _)| *position);
            if let Some(next) = self.walk_on(asked, walk, other, &mut looks).await? {
                order.push((next, nth));
            }
        }
        Ok(page)
    }

    /// The user's rooms, and where the newest event of each lies.
    async fn walks(&self, asked: &Asked<'_>) -> Result<(Vec<Walk>, BinaryHeap<(Position, usize)>)> {
        let snapshot = asked.snapshot;
        let mut own = snapshot.scan(&USER_ROOMS, USER_ROOMS.under(&(asked.session.user,))).collect().await?;
        own.retain(|(_, row)| matches!(row.membership, Membership::Join | Membership::Invite));
        let heads = snapshot.get_many(&HEADS, own.iter().map(|((_, room), _)| room)).await?;
        let names = snapshot.get_many(&ROOMS, own.iter().map(|((_, room), _)| room)).await?;
        let (mut walks, mut order) = (Vec::new(), BinaryHeap::new());
        for ((((_, room), own), head), name) in own.into_iter().zip(heads).zip(names) {
            let (Some(head), Some(name)) = (head, name) else { continue };
            let mask = asked.rules.mask(&RoomId::parse(&name.id).map_err(Error::internal)?);
            let walk = Walk { room, own, mask, events: None, marks: None, next_mark: None, found: None };
            let newest = if walk.is_invite() { walk.own.news } else { head.last };
            order.push((newest.min(asked.before), walks.len()));
            walks.push(walk);
        }
        Ok((walks, order))
    }

    /// Goes back to the next event of a room that may notify, which is then found; no further than past `other`, where
    /// another room has something newer. Where it lies, or where the walk rests.
    async fn walk_on(
        &self,
        asked: &Asked<'_>,
        walk: &mut Walk,
        other: Position,
        looks: &mut usize,
    ) -> Result<Option<Position>> {
        let (room, is_invite, (since, end)) = (walk.room, walk.is_invite(), walk.reach(asked.before));
        if since >= end {
            return Ok(None);
        }
        let (snapshot, user) = (asked.snapshot, asked.session.user);
        let events = walk.events.get_or_insert_with(|| {
            let range = TIMELINE.range((room, Arrival::Live(since))..(room, Arrival::Live(end)));
            snapshot.scan(&TIMELINE, range).reverse()
        });
        let marks = if let Some(marks) = &mut walk.marks {
            marks
        } else {
            let range = MARKS.range((user, room, since)..(user, room, end));
            let marks = walk.marks.insert(snapshot.scan(&MARKS, range).reverse());
            walk.next_mark = marks.next().await?.map(|((.., position), _)| position);
            marks
        };
        while let Some(((_, arrival), event)) = events.next().await? {
            let Arrival::Live(position) = arrival else { break };
            *looks += 1;
            while walk.next_mark.is_some_and(|mark| mark > position) {
                walk.next_mark = marks.next().await?.map(|((.., position), _)| position);
            }
            if event.header.sender != user && event.header.redacted_by.is_none() {
                let outcome = event.header.class.and_then(Class::from_number).map(|class| walk.mask.of(class));
                let by_class =
                    outcome.is_some_and(|outcome| if asked.highlights { outcome.highlight } else { outcome.notify });
                let sender = self.ids.user_id(event.header.sender).await?;
                let is_marked = walk.next_mark == Some(position);
                if is_invite || by_class || is_marked || asked.rules.looks_deeper(&sender) {
                    walk.found = Some((position, event));
                    return Ok(Some(position));
                }
            }
            if *looks >= asked.looks || position < other {
                return Ok(Some(position));
            }
        }
        Ok(None)
    }

    /// An event as it is listed, if it does notify.
    async fn notification(
        &self,
        asked: &Asked<'_>,
        (walk, position, event): (&Walk, Position, StoredEvent),
        reads: &mut BTreeMap<RoomNum, ReadUpTo>,
    ) -> Result<Option<Notification>> {
        let (snapshot, session) = (asked.snapshot, asked.session);
        let incoming = Incoming::of(self, snapshot, walk.room, position, event).await?;
        let actions = if walk.is_invite() {
            self.judge_invite(snapshot, session, asked.rules, &incoming).await?
        } else {
            self.judge(snapshot, session, asked.rules, &incoming).await?
        };
        let Some(actions) = actions else { return Ok(None) };
        let event = incoming.event;
        let mut view: View<'_> = self.rooms.view_of(snapshot, session, walk.room).await?;
        if !view.sees(&event, Some(Arrival::Live(position))).await? {
            return Ok(None);
        }
        let read = self.is_read(asked, (walk, position, event.header.thread), reads).await?;
        let at = serde_json::from_str::<Sent>(&event.json).map_or(0, |sent| sent.origin_server_ts);
        let event = view.show(event, false).await?;
        Ok(Some(Notification { position, room_id: view.room_id, actions, event, read, at }))
    }

    /// Whether the user has read an event. Nobody reads in a room that they are invited to.
    async fn is_read(
        &self,
        asked: &Asked<'_>,
        (walk, position, thread): (&Walk, Position, Option<EventNum>),
        reads: &mut BTreeMap<RoomNum, ReadUpTo>,
    ) -> Result<bool> {
        if walk.is_invite() {
            return Ok(false);
        }
        let read = match reads.entry(walk.room) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let user = asked.session.user;
                place.insert(self.unread.read_up_to(asked.snapshot, user, walk.room, &walk.own).await?)
            }
        };
        Ok(read.of(thread) >= position)
    }
}

/// Whether actions, as a JSON list, have an event stand out.
fn stands_out(actions: &str) -> bool {
    let actions: Vec<serde_json::Value> = serde_json::from_str(actions).unwrap_or_default();
    let mut tweaks = actions.into_iter().filter_map(|action| serde_json::from_value::<Highlight>(action).ok());
    tweaks.any(|tweak| tweak.set_tweak == "highlight" && tweak.value.unwrap_or(true))
}

#[cfg(test)]
mod tests;
