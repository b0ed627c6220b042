//! `GET /sync`: client-server API, "Syncing".

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use matron_matrix::client_event::strip;
use matron_matrix::filter::Candidate;
use matron_storage::{Position, Snapshot};
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use super::Sync;
use super::answer::{Answer, DeviceLists, Events, Invited, Joined, Knocked, Left, Rooms};
use super::device_lists::Sharing;
use super::ephemeral::Known;
use super::filter::SyncFilter;
use super::room::{Span, named_state, news};
use super::summary::summary;
use crate::accounts::{Piece, Session};
use crate::devices::{delete_up_to, key_counts, waiting};
use crate::error::{Error, Result};
use crate::rooms::event::{by_num, by_nums, readable};
use crate::rooms::view::View;
use crate::schema::RoomNum;
use crate::schema::accounts::{USER_STREAM, UserChange};
use crate::schema::rooms::{Membership, USER_ROOMS, UserRoom};
use crate::streams::Token;

/// The most to-device messages in one answer.
const MOST_TO_DEVICE: usize = 100;
/// The most changes that are looked at before it is cheaper to walk the user's rooms.
const MOST_CHANGES: usize = 2000;
/// The longest that a client may wait.
const LONGEST_WAIT: Duration = Duration::from_mins(2);

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

/// What a client asks for.
#[derive(Debug)]
pub struct Request {
    /// What it knows already.
    pub since: Option<Token>,
    /// Whether its token was of another store: it begins anew, and must mend what it remembers.
    pub mends: bool,
    /// What it wants to know.
    pub filter: SyncFilter,
    /// Whether it wants all state anew.
    pub full_state: bool,
    /// Whether state is told as of the timeline's end.
    pub state_after: bool,
    /// How long it waits for news.
    pub timeout: Duration,
}

/// What a token says in classic sync.
#[derive(Debug, Clone, Copy)]
struct Since {
    position: Position,
    to_device: Position,
    typing: Option<u64>,
}

impl Sync {
    /// What is new for a session; waits for news where there are none.
    ///
    /// # Errors
    /// `M_UNKNOWN_TOKEN` where the session is revoked while it waits; `M_INVALID_PARAM` for pagination tokens.
    pub async fn classic(
        self: &Arc<Self>,
        session: &Session,
        request: &Request,
        stop: &CancellationToken,
    ) -> Result<Answer> {
        let since = self.since(request)?;
        if let Some(since) = since {
            delete_up_to(&self.store, session.device, since.to_device).await?;
        }
        let snapshot = self.store.snapshot();
        let mut answer = self.answer(session, request, since, &snapshot).await?;
        if since.is_none() || request.full_state || !answer.is_empty() || request.timeout.is_zero() {
            return Ok(answer);
        }
        drop(snapshot);
        let deadline = tokio::time::Instant::now() + request.timeout.min(LONGEST_WAIT);
        let ticket = self.streams.park(session.user);
        loop {
            let woken = ticket.woken();
            let snapshot = self.store.snapshot();
            answer = self.answer(session, request, since, &snapshot).await?;
            if !answer.is_empty() {
                return Ok(answer);
            }
            drop(snapshot);
            tokio::select! {
                () = woken => self.accounts.still_valid(session).await?,
                () = tokio::time::sleep_until(deadline) => return Ok(answer),
                () = stop.cancelled() => return Ok(answer),
            }
        }
    }

    fn since(&self, request: &Request) -> Result<Option<Since>> {
        match request.since {
            None => Ok(None),
            Some(Token::Stream { position, to_device, boot, typing }) => {
                let typing = (boot == self.streams.boot()).then_some(typing);
                Ok(Some(Since { position, to_device, typing }))
            }
            Some(Token::Room { .. }) => {
                Err(matron_matrix::Error::invalid_param("that is a token for pagination, not for sync").into())
            }
        }
    }

    /// What is new as of a snapshot.
    async fn answer(
        &self,
        session: &Session,
        request: &Request,
        since: Option<Since>,
        snapshot: &Snapshot,
    ) -> Result<Answer> {
        let now = snapshot.position();
        let typing = self.typing_counter();
        let (to_device, to_device_at) = self.to_device(session, since, snapshot).await?;
        let mut sharing = Sharing::default();
        let mut rooms = Rooms::default();
        let data = self.account_data(session, since, snapshot).await?;
        for (room, own) in self.rooms_to_tell(session, request, since, snapshot, &data).await? {
            self.tell_room(session, request, since, snapshot, (room, own), &data, (&mut rooms, &mut sharing)).await?;
        }
        let device_lists = match since {
            Some(since) => self.device_lists(snapshot, session, since.position, sharing).await?,
            None if request.mends => {
                let changed = self.everybody_who_shares(snapshot, session).await?;
                DeviceLists { changed, left: Vec::new() }
            }
            None => DeviceLists::default(),
        };
        let keys = key_counts(snapshot, session.device).await?;
        let counts = keys.one_time.iter().map(|(algorithm, count)| (algorithm.to_string(), u64::from(*count)));
        let global = data.iter().filter(|piece| piece.room.is_none());
        let account_data = shown_data(global, &request.filter.account_data, "")?;
        let token = Token::Stream { position: now, to_device: to_device_at, boot: self.streams.boot(), typing };
        Ok(Answer {
            next_batch: token.render(self.store.epoch()),
            rooms,
            account_data,
            to_device,
            device_lists,
            device_one_time_keys_count: counts.collect::<BTreeMap<_, _>>(),
            device_unused_fallback_key_types: keys.unused_fallback.clone(),
            unstable_unused_fallback_key_types: keys.unused_fallback,
        })
    }

    async fn to_device(
        &self,
        session: &Session,
        since: Option<Since>,
        snapshot: &Snapshot,
    ) -> Result<(Events, Position)> {
        let after = since.map_or(Position::ZERO, |since| since.to_device);
        let messages = waiting(snapshot, session.device, after, MOST_TO_DEVICE).await?;
        let at = match messages.last() {
            Some((last, _)) if messages.len() == MOST_TO_DEVICE => *last,
            _ => snapshot.position(),
        };
        let events = messages.into_iter().map(|(_, json)| RawValue::from_string(json).map_err(Error::internal));
        Ok((Events { events: events.collect::<Result<_>>()? }, at))
    }

    async fn account_data(&self, session: &Session, since: Option<Since>, snapshot: &Snapshot) -> Result<Vec<Piece>> {
        match since {
            None => self.accounts.all_account_data(snapshot, session.user).await,
            Some(since) if self.streams.user_changed(session.user, since.position) => {
                self.accounts.account_data_since(snapshot, session.user, since.position).await
            }
            Some(_) => Ok(Vec::new()),
        }
    }

    /// The rooms that there may be something to tell of, with the user's own rows.
    async fn rooms_to_tell(
        &self,
        session: &Session,
        request: &Request,
        since: Option<Since>,
        snapshot: &Snapshot,
        data: &[Piece],
    ) -> Result<Vec<(RoomNum, UserRoom)>> {
        let Some(since) = since.filter(|_| !request.full_state) else {
            let all = snapshot.scan(&USER_ROOMS, USER_ROOMS.under(&(session.user,))).collect().await?;
            return Ok(all.into_iter().map(|((_, room), own)| (room, own)).collect());
        };
        let mut candidates: BTreeSet<RoomNum> = data.iter().filter_map(|piece| piece.room).collect();
        if self.streams.user_changed(session.user, since.position) {
            let range = USER_STREAM.range((session.user, since.position.next())..=(session.user, snapshot.position()));
            for (_, news) in snapshot.scan(&USER_STREAM, range).collect().await? {
                if news.change == UserChange::Membership {
                    candidates.extend(news.room);
                }
            }
        }
        let changed = self.streams.rooms_since(since.position, MOST_CHANGES);
        let typing = self.rooms_typing_since(since.typing);
        match changed {
            Some(changed) => {
                candidates.extend(changed);
                candidates.extend(typing);
                let mut rooms = Vec::new();
                for room in candidates {
                    if let Some(own) = snapshot.get(&USER_ROOMS, &(session.user, room)).await? {
                        rooms.push((room, own));
                    }
                }
                Ok(rooms)
            }
            None => {
                let typing: BTreeSet<_> = typing.into_iter().collect();
                let all = snapshot.scan(&USER_ROOMS, USER_ROOMS.under(&(session.user,))).collect().await?;
                let all = all.into_iter().map(|((_, room), own)| (room, own));
                Ok(all
                    .filter(|(room, _)| {
                        candidates.contains(room)
                            || typing.contains(room)
                            || self.streams.room_changed(*room, since.position)
                    })
                    .collect())
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what one room's part is made of")]
    async fn tell_room(
        &self,
        session: &Session,
        request: &Request,
        since: Option<Since>,
        snapshot: &Snapshot,
        (room, own): (RoomNum, UserRoom),
        data: &[Piece],
        (rooms, sharing): (&mut Rooms, &mut Sharing),
    ) -> Result<()> {
        let is_new = since.is_none_or(|since| own.news > since.position);
        let mut view = self.rooms.view_of(snapshot, session, room).await?;
        if !request.filter.rooms.wants(&view.room_id) {
            return Ok(());
        }
        let room_id = view.room_id.clone();
        let data = data.iter().filter(|piece| piece.room == Some(room));
        let account_data = shown_data(data, &request.filter.room_account_data, &room_id)?;
        match own.membership {
            Membership::Join => {
                let joined = self.joined(session, request, since, &mut view, &own, account_data, sharing).await?;
                if let Some(joined) = joined {
                    rooms.join.insert(room_id, joined);
                }
            }
            Membership::Invite if is_new && !self.is_from_ignored(snapshot, session, &own).await? => {
                let invite_state = Events { events: stripped(&view, &own).await? };
                rooms.invite.insert(room_id, Invited { invite_state });
            }
            Membership::Knock if is_new => {
                let knock_state = Events { events: stripped(&view, &own).await? };
                rooms.knock.insert(room_id, Knocked { knock_state });
            }
            Membership::Leave | Membership::Ban if is_new => {
                let shown = match since {
                    Some(_) => true,
                    None => !own.forgotten && (request.filter.include_leave || request.mends),
                };
                if shown {
                    let left = self.left(request, since, &mut view, session, &own, account_data, sharing).await?;
                    rooms.leave.insert(room_id, left);
                }
            }
            _ => {}
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "what one room's part is made of")]
    async fn joined(
        &self,
        session: &Session,
        request: &Request,
        since: Option<Since>,
        view: &mut View<'_>,
        own: &UserRoom,
        account_data: Events,
        sharing: &mut Sharing,
    ) -> Result<Option<Joined>> {
        let snapshot = view.snapshot.clone();
        // Who joined after the token knows nothing of the room.
        let known = since.filter(|since| own.since <= since.position);
        if since.is_some() && known.is_none() {
            sharing.came.extend(self.everybody(&snapshot, view.room).await?);
        }
        let (summary, heroes) = summary(view).await?;
        let span = Span {
            since: known.map(|since| since.position),
            until: snapshot.position(),
            filter: &request.filter,
            state_after: request.state_after,
            full_state: request.full_state,
            device: session.device,
            heroes: if known.is_none() { heroes } else { Vec::new() },
        };
        let news = news(view, &span, &self.sent).await?;
        if since.is_some() && known.is_some() && !request.full_state {
            self.note_members(&snapshot, view.room, &news.changes, sharing).await?;
        }
        let passing_known = known.map(|known| Known { position: known.position, typing: known.typing });
        let passing = self.passing(session, &request.filter, passing_known, view).await?;
        let members_changed = known.is_none() || request.full_state || self.touches_members(&news.changes).await?;
        let quiet = news.timeline.events.is_empty()
            && news.state.is_empty()
            && !news.timeline.limited
            && passing.events.is_empty()
            && !passing.own_moved
            && account_data.is_empty();
        if quiet && known.is_some() && !request.full_state {
            return Ok(None);
        }
        let counts = self.unread(view, session, own).await?;
        let (state, state_after) = named_state(&span, news.state);
        let mut joined = Joined {
            summary: if members_changed { summary } else { super::answer::Summary::default() },
            state,
            unstable_state_after: None,
            state_after,
            timeline: news.timeline,
            ephemeral: passing.events,
            account_data,
            unread_notifications: None,
            unread_thread_notifications: BTreeMap::new(),
        };
        if request.filter.threads {
            joined.unread_notifications = Some(counts.main);
            joined.unread_thread_notifications = counts.threads;
        } else {
            joined.unread_notifications = Some(counts.whole());
        }
        rename_state_after(&mut joined.state_after, &mut joined.unstable_state_after);
        Ok(Some(joined))
    }

    async fn touches_members(&self, changes: &[crate::rooms::tree::Change]) -> Result<bool> {
        let kind = self.ids.kind("m.room.member").await?;
        for change in changes {
            if self.ids.state_key_name(change.key).await?.kind == kind {
                return Ok(true);
            }
        }
        Ok(false)
    }

    #[expect(clippy::too_many_arguments, reason = "what one room's part is made of")]
    async fn left(
        &self,
        request: &Request,
        since: Option<Since>,
        view: &mut View<'_>,
        session: &Session,
        own: &UserRoom,
        account_data: Events,
        sharing: &mut Sharing,
    ) -> Result<Left> {
        let snapshot = view.snapshot.clone();
        if since.is_some() {
            sharing.went.extend(self.everybody(&snapshot, view.room).await?);
        }
        let span = Span {
            since: since.map(|since| since.position),
            until: own.news,
            filter: &request.filter,
            state_after: request.state_after,
            full_state: request.full_state,
            device: session.device,
            heroes: Vec::new(),
        };
        let news = news(view, &span, &self.sent).await?;
        // Who never was in the room sees that their invite is gone, and nothing of its state.
        let state = if own.left.is_some() { news.state } else { Vec::new() };
        let (state, mut state_after) = named_state(&span, state);
        let mut unstable_state_after = None;
        rename_state_after(&mut state_after, &mut unstable_state_after);
        Ok(Left { state, state_after, unstable_state_after, timeline: news.timeline, account_data })
    }

    /// Whether an invite comes from somebody whom the user ignores.
    async fn is_from_ignored(&self, snapshot: &Snapshot, session: &Session, own: &UserRoom) -> Result<bool> {
        let ignored = self.accounts.ignored(snapshot, session.user).await?;
        if ignored.is_empty() {
            return Ok(false);
        }
        let invite = by_num(snapshot, own.event).await?.event;
        Ok(ignored.contains(&invite.header.sender))
    }

    async fn everybody_who_shares(&self, snapshot: &Snapshot, session: &Session) -> Result<Vec<String>> {
        let mut users = BTreeSet::new();
        for room in self.rooms.joined_rooms(snapshot, session.user).await? {
            users.extend(self.everybody(snapshot, room).await?);
        }
        let mut ids = Vec::with_capacity(users.len());
        for user in users {
            ids.push(self.ids.user_id(user).await?.to_string());
        }
        Ok(ids)
    }
}

/// Clients that asked under the old name get the state under it too.
fn rename_state_after(state_after: &mut Option<Events>, unstable: &mut Option<Events>) {
    if let Some(events) = state_after {
        *unstable = Some(Events { events: events.events.clone() });
    }
}

#[derive(serde::Serialize)]
struct Data<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    content: &'a RawValue,
}

/// Account data as events, as far as a filter wants them.
fn shown_data<'a>(
    pieces: impl Iterator<Item = &'a Piece>,
    filter: &matron_matrix::filter::Compiled,
    room_id: &str,
) -> Result<Events> {
    let mut events = Vec::new();
    for piece in pieces {
        if !filter.wants(&Candidate { kind: &piece.kind, sender: "", room_id, json: None }) {
            continue;
        }
        let content: &RawValue = serde_json::from_str(&piece.content).map_err(Error::internal)?;
        let data = Data { kind: &piece.kind, content };
        events.push(serde_json::value::to_raw_value(&data).map_err(Error::internal)?);
    }
    Ok(Events { events })
}

/// What an invited or knocking user may know of a room: its stripped state, and the member events that concern them.
async fn stripped(view: &View<'_>, own: &UserRoom) -> Result<Vec<Box<RawValue>>> {
    if let Some(stripped) = &own.stripped {
        return serde_json::from_str(stripped).map_err(Error::internal);
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
    let mut events = Vec::with_capacity(nums.len());
    for event in by_nums(&view.snapshot, &nums).await? {
        events.push(strip(&readable(event, &view.rules)?)?);
    }
    Ok(events)
}
