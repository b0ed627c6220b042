//! What one room adds to an answer: joined, invited, knocked on or left.

use std::collections::BTreeMap;

use matron_matrix::client_event::write_stripped;
use matron_matrix::filter::{Candidate, Compiled};
use matron_matrix::splice::{List, Object};
use matron_storage::{Position, Snapshot};
use serde_json::value::RawValue;

use super::Asking;
use crate::accounts::{Invites, Piece, Session};
use crate::error::{Error, Result};
use crate::rooms::event::{by_num, by_nums};
use crate::rooms::view::View;
use crate::schema::rooms::{Membership, UserRoom};
use crate::sync::Sync;
use crate::sync::answer::{Events, Invited, Joined, Knocked, Left, Rooms};
use crate::sync::ephemeral::Known;
use crate::sync::room::{Span, news};
use crate::sync::sent::Brought;

/// What invited users may know of a room: client-server API, "Stripped state".
const STRIPPED: [&str; 8] = [
    "m.room.create",
    "m.room.name",
    "m.room.avatar",
    "m.room.topic",
    "m.room.join_rules",
    "m.room.canonical_alias",
    "m.room.encryption",
    "m.room.history_visibility",
];

impl Sync {
    /// Adds a room to an answer, if there is anything to tell of it.
    pub(super) async fn tell_room(
        &self,
        asking: &Asking<'_>,
        mut view: View<'_>,
        own: &UserRoom,
        data: &[&Piece],
        (rooms, brought): (&mut Rooms, &mut Brought),
    ) -> Result<()> {
        let Asking { session, request, since, snapshot, .. } = *asking;
        let is_new = since.is_none_or(|since| own.news > since.position);
        view.whole_events = request.filter.whole_events;
        if !request.filter.rooms.wants_room(&view.room_id) {
            return Ok(());
        }
        let room_id = view.room_id.clone();
        let account_data = shown_data(data.iter().copied(), &request.filter.room_account_data, &room_id);
        match own.membership {
            Membership::Join => {
                let joined = self.joined(asking, &mut view, own, account_data, (rooms.spare(), brought)).await?;
                if let Some(joined) = joined {
                    rooms.add_joined(room_id, joined);
                }
            }
            Membership::Invite if is_new && !self.is_from_ignored(snapshot, session, own).await? => {
                let invite_state = Events { events: stripped(&mut view, own).await? };
                rooms.invite.insert(room_id, Invited { invite_state });
            }
            Membership::Knock if is_new => {
                let knock_state = Events { events: stripped(&mut view, own).await? };
                rooms.knock.insert(room_id, Knocked { knock_state });
            }
            Membership::Leave | Membership::Ban if is_new => {
                let shown = match since {
                    Some(_) => true,
                    None => !own.forgotten && (request.filter.include_leave || request.mends),
                };
                if shown {
                    let left = self.left(asking, &mut view, own, account_data, (rooms.spare(), brought)).await?;
                    rooms.add_left(room_id, left);
                }
            }
            _ => {}
        }
        Ok(())
    }

    async fn joined(
        &self,
        asking: &Asking<'_>,
        view: &mut View<'_>,
        own: &UserRoom,
        account_data: Events,
        (bytes, brought): (usize, &mut Brought),
    ) -> Result<Option<Joined>> {
        let Asking { session, request, since, snapshot, asker, .. } = *asking;
        // Who joined after the token knows nothing of the room.
        let known = since.filter(|since| own.since <= since.position);
        let span = Span {
            since: known.map(|since| since.position),
            until: snapshot.position(),
            state_until: snapshot.position(),
            bytes,
            filter: &request.filter,
            state_after: request.state.is_after(),
            full_state: request.full_state,
            asker,
            summarized: true,
        };
        let news = news(view, &span, &self.sent).await?;
        let passing_known = known.map(|known| Known { position: known.position, typing: known.typing });
        let passing = self.passing(session, &request.filter, passing_known, view).await?;
        // The summary tells of members, also where the filter hides their events; who is told the whole room has one.
        let quiet = news.summary.is_none()
            && news.timeline.events.is_empty()
            && news.state.is_empty()
            && !news.timeline.limited
            && passing.events.is_empty()
            && !passing.own_moved
            && account_data.is_empty();
        if quiet {
            return Ok(None);
        }
        if !news.brought.is_empty() {
            brought.push((view.room, news.brought));
        }
        let counts = self.unread.unread(view, session, own).await?;
        let (main, threads) =
            if request.filter.threads { (counts.main, counts.threads) } else { (counts.whole(), BTreeMap::new()) };
        Ok(Some(Joined {
            summary: news.summary.unwrap_or_default(),
            state: Events { events: news.state },
            timeline: news.timeline,
            ephemeral: passing.events,
            account_data,
            unread_notifications: Some(main),
            unread_thread_notifications: threads,
        }))
    }

    async fn left(
        &self,
        asking: &Asking<'_>,
        view: &mut View<'_>,
        own: &UserRoom,
        account_data: Events,
        (bytes, brought): (usize, &mut Brought),
    ) -> Result<Left> {
        let Asking { request, since, asker, .. } = *asking;
        // Their membership may change again while they are out, and of what the others do meanwhile they learn nothing; who
        // never was in the room, or forgot it, learns nothing of it at all.
        let left = own.left.filter(|_| !own.forgotten).unwrap_or(Position::ZERO);
        let span = Span {
            since: since.map(|since| since.position),
            until: own.news,
            state_until: left.min(own.news),
            bytes,
            filter: &request.filter,
            state_after: request.state.is_after(),
            full_state: request.full_state,
            asker,
            summarized: false,
        };
        let news = news(view, &span, &self.sent).await?;
        if !news.brought.is_empty() {
            brought.push((view.room, news.brought));
        }
        Ok(Left { state: Events { events: news.state }, timeline: news.timeline, account_data })
    }

    /// Whether an invite comes from somebody whom the user ignores, or takes no invites from.
    async fn is_from_ignored(&self, snapshot: &Snapshot, session: &Session, own: &UserRoom) -> Result<bool> {
        let ignored = self.accounts.ignored(snapshot, session.user).await?;
        let inviter = by_num(snapshot, own.event).await?.event.header.sender;
        if ignored.contains(&inviter) {
            return Ok(true);
        }
        let inviter = self.ids.user_id(inviter).await?;
        Ok(self.accounts.invites(snapshot, session.user, &inviter).await? != Invites::Allowed)
    }
}

/// Account data as events, as far as a filter wants them.
pub(super) fn shown_data<'a>(pieces: impl Iterator<Item = &'a Piece>, filter: &Compiled, room_id: &str) -> Events {
    let mut events = List::default();
    for piece in pieces {
        if !filter.wants(&Candidate { kind: &piece.kind, sender: "", room_id, json: None }) {
            continue;
        }
        let mut event = Object::begin(events.element());
        event.raw("content", &piece.content);
        event.text("type", &piece.kind);
        event.end();
    }
    Events { events }
}

/// What an invited or knocking user may know of a room: its stripped state, and the member events that concern them.
async fn stripped(view: &mut View<'_>, own: &UserRoom) -> Result<List> {
    if let Some(stripped) = &own.stripped {
        let mut events = List::default();
        for event in serde_json::from_str::<Vec<&RawValue>>(stripped).map_err(Error::internal)? {
            events.push(event.get());
        }
        return Ok(events);
    }
    let member = by_num(&view.snapshot, own.event).await?.event;
    let root = member.header.state_after;
    let mut nums = Vec::new();
    for kind in STRIPPED {
        nums.extend(view.state_event(root, kind, "").await?);
    }
    let sender = view.rooms.ids.user_id(member.header.sender).await?;
    if sender != view.user_id() {
        nums.extend(view.state_event(root, "m.room.member", sender.as_str()).await?);
    }
    nums.push(own.event);
    let mut events = List::default();
    for event in by_nums(&view.snapshot, &nums).await? {
        write_stripped(events.element(), &view.readable(event).await?)?;
    }
    Ok(events)
}
