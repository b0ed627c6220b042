//! Reading a room's state: client-server API, "Getting events for a room".

use std::collections::HashSet;

use matron_matrix::Error as MatrixError;
use matron_matrix::client_event::{content, raw};
use matron_matrix::filter::Compiled;
use matron_matrix::splice::List;
use matron_storage::{Position, Snapshot};
use ruma::RoomId;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::Rooms;
use super::event::{by_nums, membership_of};
use super::history::{History, wanted};
use super::tree::{EMPTY, NodeNum};
use super::view::View;
use crate::accounts::Session;
use crate::error::Result;
use crate::schema::rooms::{Arrival, HEADS, Membership, STATES, StoredEvent, TIMELINE};
use crate::schema::{EventNum, RoomNum, UserNum};
use crate::streams::Token;

/// Among so many of a room's first states is one with a member: who makes a room joins it next.
const FIRST_STATES: usize = 8;

/// Which members a client asks for: all where it names no membership, those that either means where it names both.
#[derive(Debug, Clone, Copy, Default)]
pub struct MemberFilter {
    /// Those with this membership.
    pub with: Option<Membership>,
    /// Those with another membership than this.
    pub without: Option<Membership>,
}

impl MemberFilter {
    fn wants(self, membership: Membership) -> bool {
        let Self { with, without } = self;
        with.is_none() && without.is_none()
            || with == Some(membership)
            || without.is_some_and(|without| without != membership)
    }
}

impl Rooms {
    /// The content of a state event of a room now.
    pub(crate) async fn current<T: for<'a> Deserialize<'a>>(
        &self,
        snapshot: &Snapshot,
        room: RoomNum,
        kind: &str,
    ) -> Result<Option<T>> {
        let Some(head) = snapshot.get(&HEADS, &room).await? else { return Ok(None) };
        let Some(key) = self.ids.find_state_key(kind, "").await? else { return Ok(None) };
        let Some(num) = self.states(snapshot, room).get(head.state, key).await? else { return Ok(None) };
        Ok(self.authority(snapshot, num).await?.content_as().ok())
    }

    /// All state events that a user may see of a room.
    ///
    /// # Errors
    /// `M_FORBIDDEN`.
    pub async fn full_state(&self, session: &Session, room_id: &RoomId) -> Result<Vec<Box<RawValue>>> {
        let snapshot = self.store.snapshot();
        let mut view = self.view(&snapshot, session, room_id).await?;
        let root = view.state().await?;
        let nums: Vec<_> = view.states().entries(root).await?.into_iter().map(|(_, num)| num).collect();
        let mut shown = Vec::with_capacity(nums.len());
        for event in self.state_events(&snapshot, view.room, &nums).await? {
            shown.push(view.show_state(&event, true).await?);
        }
        Ok(shown)
    }

    /// One state event: its content, or the whole event.
    ///
    /// # Errors
    /// `M_FORBIDDEN`; `M_NOT_FOUND` where the room has no such state.
    pub async fn state_event(
        &self,
        session: &Session,
        room_id: &RoomId,
        kind: &str,
        key: &str,
        whole: bool,
    ) -> Result<Box<RawValue>> {
        let snapshot = self.store.snapshot();
        let mut view = self.view(&snapshot, session, room_id).await?;
        let root = view.state().await?;
        let missing = || MatrixError::not_found("the room has no such state event");
        let num = view.state_event(root, kind, key).await?.ok_or_else(missing)?;
        let event = super::event::by_num(&snapshot, num).await?.event;
        if whole {
            return view.show_state(&event, true).await;
        }
        Ok(raw(content(&view.readable(event).await?)?.to_owned())?)
    }

    /// The member events of a room, as of a place in its history where one is named.
    ///
    /// # Errors
    /// `M_FORBIDDEN`.
    pub async fn members(
        &self,
        session: &Session,
        room_id: &RoomId,
        at: Option<Token>,
        filter: MemberFilter,
    ) -> Result<Vec<Box<RawValue>>> {
        let snapshot = self.store.snapshot();
        let mut view = self.view(&snapshot, session, room_id).await?;
        let mut root = view.state().await?;
        if let Some(at) = at {
            root = self.root_seen(&mut view, at).await?;
        }
        let mut shown = Vec::new();
        for event in members_in(&view, root).await? {
            if filter.wants(membership_of_event(&event)?) {
                shown.push(view.show_state(&event, true).await?);
            }
        }
        Ok(shown)
    }

    /// The root of the state at a token, if the user may see what came last before it. Before a room's first event nobody
    /// was in it, nor was it a room: a token from there, which clients get with a timeline that begins with the room, means
    /// the room as it begins, with its first member.
    async fn root_seen(&self, view: &mut View<'_>, at: Token) -> Result<NodeNum> {
        let position = match at {
            Token::Stream { position, .. } | Token::Room { arrival: Arrival::Live(position), .. } => position,
            Token::Room { arrival: Arrival::Backfilled(_), .. } => Position::ZERO,
        };
        let position = view.reach().await?.map_or(position, |until| until.min(position));
        let up_to = TIMELINE.range((view.room, Arrival::Live(Position::ZERO))..=(view.room, Arrival::Live(position)));
        let last = view.snapshot.scan(&TIMELINE, up_to).reverse().first().await?;
        if let Some(((_, arrival), event)) = last
            && !view.may_see(&event, Some(arrival)).await?
        {
            return Err(not_then().into());
        }
        match super::roots::root_at(&view.snapshot, view.room, position).await? {
            Some(root) => Ok(root),
            None => self.first_root(view).await,
        }
    }

    /// The first state of a room with a member in it, if the user may see what made it.
    async fn first_root(&self, view: &mut View<'_>) -> Result<NodeNum> {
        let first = view.snapshot.scan(&STATES, STATES.under(&(view.room,))).take(FIRST_STATES).await?;
        for ((_, position), state) in first {
            if members_in(view, state.state).await?.is_empty() {
                continue;
            }
            let arrival = Arrival::Live(position);
            let event = view.snapshot.get(&TIMELINE, &(view.room, arrival)).await?;
            return match event {
                Some(event) if view.may_see(&event, Some(arrival)).await? => Ok(state.state),
                _ => Err(not_then().into()),
            };
        }
        Ok(EMPTY)
    }

    /// Who is joined, with the names that they have in the room: (user id, display name, avatar).
    ///
    /// # Errors
    /// `M_FORBIDDEN` for all who are not joined themselves.
    pub async fn joined_members(
        &self,
        session: &Session,
        room_id: &RoomId,
    ) -> Result<Vec<(String, Option<String>, Option<String>)>> {
        let snapshot = self.store.snapshot();
        let mut view = self.view(&snapshot, session, room_id).await?;
        if !view.is_joined() {
            return Err(MatrixError::forbidden("you are not joined to this room").into());
        }
        let mut joined = Vec::new();
        for event in members_in(&view, view.head.state).await? {
            if membership_of_event(&event)? != Membership::Join {
                continue;
            }
            let member = super::event::parse(&event)?.state_key.unwrap_or_default();
            let json = view.readable(event).await?;
            let (name, avatar) = names_in(content(&json)?);
            joined.push((member, name, avatar));
        }
        Ok(joined)
    }
}

fn not_then() -> MatrixError {
    MatrixError::forbidden("you may not see the room as it was then")
}

/// The display name and the avatar that a member event's content gives. What is no text is none: any member may send it.
#[must_use]
pub fn names_in(content: &str) -> (Option<String>, Option<String>) {
    let content: serde_json::Map<String, Value> = serde_json::from_str(content).unwrap_or_default();
    let text = |name: &str| content.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
    (text("displayname"), text("avatar_url"))
}

fn membership_of_event(event: &StoredEvent) -> Result<Membership> {
    Ok(membership_of(content(&event.json)?))
}

/// The member events of a state.
pub(crate) async fn members_in(view: &View<'_>, root: u32) -> Result<Vec<StoredEvent>> {
    let kind = view.rooms.ids.kind("m.room.member").await?;
    let mut nums = Vec::new();
    for (key, num) in view.states().entries(root).await? {
        if view.rooms.ids.state_key_name(key).await?.kind == kind {
            nums.push(num);
        }
    }
    by_nums(&view.snapshot, &nums).await
}

/// The events of a state that a filter wants; with `members`, of all member events only theirs ("lazy-loading").
///
/// # Errors
/// The store cannot be read.
pub async fn state_of(view: &mut View<'_>, root: u32, members: Option<&[UserNum]>, filter: &Compiled) -> Result<List> {
    let kind = view.rooms.ids.kind("m.room.member").await?;
    let mut nums = Vec::new();
    for (key, num) in view.states().entries(root).await? {
        if let Some(members) = members {
            let name = view.rooms.ids.state_key_name(key).await?;
            if name.kind == kind {
                let user = ruma::UserId::parse(&name.key).ok();
                let num = match user {
                    Some(user) => view.rooms.ids.find_user(&user).await?,
                    None => None,
                };
                if !num.is_some_and(|num| members.contains(&num)) {
                    continue;
                }
            }
        }
        nums.push(num);
    }
    shown(view, &nums, filter).await
}

/// The member events of some users in a state.
///
/// # Errors
/// The store cannot be read.
pub async fn members_of(view: &mut View<'_>, root: u32, users: &[UserNum]) -> Result<List> {
    let mut nums = Vec::new();
    for user in users {
        let id = view.rooms.ids.user_id(*user).await?;
        if let Some(num) = view.state_event(root, "m.room.member", id.as_str()).await? {
            nums.push(num);
        }
    }
    shown(view, &nums, &Compiled::default()).await
}

/// The member events of who sent the events of a page, each as it was when the first of theirs was sent, in the order of the
/// walk: what changes of them further on is in the page itself. So those who left since have their names in it.
///
/// # Errors
/// The store cannot be read.
pub(super) async fn senders_of(view: &mut View<'_>, page: &History) -> Result<List> {
    let (mut known, mut nums) = (HashSet::new(), Vec::new());
    for (sender, states) in page.senders.iter().zip(&page.states) {
        if known.insert(*sender) {
            nums.extend(sender_at(view, *sender, *states).await?);
        }
    }
    shown(view, &nums, &Compiled::default()).await
}

/// A sender's member event at an event of theirs: the one that let them send it, and where that is their own coming, this.
async fn sender_at(view: &View<'_>, sender: UserNum, (before, after): (NodeNum, NodeNum)) -> Result<Option<EventNum>> {
    let ids = &view.rooms.ids;
    let key = ids.find_state_key("m.room.member", ids.user_id(sender).await?.as_str()).await?;
    let Some(key) = key else { return Ok(None) };
    let old = view.states().get(before, key).await?;
    let new = if after == before { old } else { view.states().get(after, key).await? };
    match old {
        Some(num) if new != old => {
            let pdu = view.rooms.authority(&view.snapshot, num).await?;
            Ok(if membership_of(pdu.content.get()) == Membership::Join { old } else { new })
        }
        _ => Ok(new),
    }
}

/// Events of a state, as far as a filter wants them.
async fn shown(view: &mut View<'_>, nums: &[EventNum], filter: &Compiled) -> Result<List> {
    let mut shown = List::default();
    for event in view.rooms.state_events(&view.snapshot, view.room, nums).await? {
        if wanted(view, filter, &event).await? {
            view.write_state(&event, true, shown.element()).await?;
        }
    }
    Ok(shown)
}
