//! What a user was notified of, newest first: client-server API, "Listing Notifications".
//!
//! Nothing is kept for it: the events of the user's rooms are walked backwards, all rooms together in the order of the
//! stream, and each is judged by today's rules, as unread counts are.

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
use crate::schema::RoomNum;
use crate::schema::UserNum;
use crate::schema::rooms::{
    Arrival, HEADS, MARKS, Mark, Membership, ROOMS, StoredEvent, TIMELINE, USER_ROOMS, UserRoom,
};
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
        let (mut walks, mut order) = self.walks(&snapshot, session, &rules, before).await?;
        let mut reads: BTreeMap<RoomNum, ReadUpTo> = BTreeMap::new();
        let (mut page, mut looks) = (Page::default(), 0);
        while let Some((newest, nth)) = order.pop() {
            if page.notifications.len() == limit || looks >= LOOKS {
                page.next = Some(newest.next());
                break;
            }
            let Some(walk) = walks.get_mut(nth) else { continue };
            if let Some((position, event)) = walk.found.take() {
                let told = self.notification(&snapshot, session, &rules, (walk, position, event), &mut reads).await?;
                page.notifications.extend(told.filter(|told| !highlights || stands_out(&told.actions)));
            }
            if let Some(next) = self.walk_on(&snapshot, session, &rules, walk, highlights, (before, &mut looks)).await?
            {
                order.push((next, nth));
            }
        }
        Ok(page)
    }

    /// The user's rooms, and where the newest event of each lies.
    async fn walks(
        &self,
        snapshot: &Snapshot,
        session: &Session,
        rules: &Compiled,
        before: Position,
    ) -> Result<(Vec<Walk>, BinaryHeap<(Position, usize)>)> {
        let mut own = snapshot.scan(&USER_ROOMS, USER_ROOMS.under(&(session.user,))).collect().await?;
        own.retain(|(_, row)| row.membership == Membership::Join);
        let heads = snapshot.get_many(&HEADS, own.iter().map(|((_, room), _)| room)).await?;
        let names = snapshot.get_many(&ROOMS, own.iter().map(|((_, room), _)| room)).await?;
        let (mut walks, mut order) = (Vec::new(), BinaryHeap::new());
        for ((((_, room), own), head), name) in own.into_iter().zip(heads).zip(names) {
            let (Some(head), Some(name)) = (head, name) else { continue };
            let mask = rules.mask(&RoomId::parse(&name.id).map_err(Error::internal)?);
            order.push((head.last.min(before), walks.len()));
            walks.push(Walk { room, own, mask, events: None, marks: None, next_mark: None, found: None });
        }
        Ok((walks, order))
    }

    /// Goes back to the next event of a room that may notify, which is then found. Where it lies, or where the walk rests.
    async fn walk_on(
        &self,
        snapshot: &Snapshot,
        session: &Session,
        rules: &Compiled,
        walk: &mut Walk,
        highlights: bool,
        (before, looks): (Position, &mut usize),
    ) -> Result<Option<Position>> {
        let (room, since) = (walk.room, walk.own.since.next());
        if since >= before {
            return Ok(None);
        }
        let events = walk.events.get_or_insert_with(|| {
            let range = TIMELINE.range((room, Arrival::Live(since))..(room, Arrival::Live(before)));
            snapshot.scan(&TIMELINE, range).reverse()
        });
        let marks = if let Some(marks) = &mut walk.marks {
            marks
        } else {
            let range = MARKS.range((session.user, room, since)..(session.user, room, before));
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
            if event.header.sender != session.user && event.header.redacted_by.is_none() {
                let outcome = event.header.class.and_then(Class::from_number).map(|class| walk.mask.of(class));
                let by_class =
                    outcome.is_some_and(|outcome| if highlights { outcome.highlight } else { outcome.notify });
                let sender = self.ids.user_id(event.header.sender).await?;
                if by_class || walk.next_mark == Some(position) || rules.looks_deeper(&sender) {
                    walk.found = Some((position, event));
                    return Ok(Some(position));
                }
            }
            if *looks >= LOOKS {
                return Ok(Some(position));
            }
        }
        Ok(None)
    }

    /// An event as it is listed, if it does notify.
    async fn notification(
        &self,
        snapshot: &Snapshot,
        session: &Session,
        rules: &Compiled,
        (walk, position, event): (&Walk, Position, StoredEvent),
        reads: &mut BTreeMap<RoomNum, ReadUpTo>,
    ) -> Result<Option<Notification>> {
        let incoming = Incoming::of(self, snapshot, walk.room, position, event).await?;
        let Some(actions) = self.judge(snapshot, session, rules, &incoming).await? else { return Ok(None) };
        let event = incoming.event;
        let mut view: View<'_> = self.rooms.view_of(snapshot, session, walk.room).await?;
        if !view.sees(&event, Some(Arrival::Live(position))).await? {
            return Ok(None);
        }
        let read = match reads.entry(walk.room) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                place.insert(self.unread.read_up_to(snapshot, session.user, walk.room, &walk.own).await?)
            }
        };
        let read = read.of(event.header.thread) >= position;
        let at = serde_json::from_str::<Sent>(&event.json).map_or(0, |sent| sent.origin_server_ts);
        let event = view.show(event, false).await?;
        Ok(Some(Notification { position, room_id: view.room_id, actions, event, read, at }))
    }
}

/// Whether actions, as a JSON list, have an event stand out.
fn stands_out(actions: &str) -> bool {
    let actions: Vec<serde_json::Value> = serde_json::from_str(actions).unwrap_or_default();
    let mut tweaks = actions.into_iter().filter_map(|action| serde_json::from_value::<Highlight>(action).ok());
    tweaks.any(|tweak| tweak.set_tweak == "highlight" && tweak.value.unwrap_or(true))
}
