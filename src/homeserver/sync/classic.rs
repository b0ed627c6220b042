//! `GET /sync`: client-server API, "Syncing".

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use matron_matrix::splice::List;
use matron_storage::{Position, Snapshot};
use ruma::presence::PresenceState;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use self::tell::shown_data;
use super::Sync;
use super::answer::{Answer, DeviceLists, Events, Rooms, StateName};
use super::filter::SyncFilter;
use crate::accounts::{Piece, Session};
use crate::devices::{delete_up_to, key_counts, waiting};
use crate::error::{Error, Result};
use crate::schema::RoomNum;
use crate::schema::accounts::{USER_STREAM, UserChange};
use crate::schema::rooms::{HEADS, USER_ROOMS, UserRoom};
use crate::streams::Token;

mod tell;

/// The most to-device messages in one answer.
const MOST_TO_DEVICE: usize = 100;
/// The most changes that are looked at before it is cheaper to walk the user's rooms.
const MOST_CHANGES: usize = 2000;
/// Of how many rooms the heads are read at once.
const ROOMS_AT_ONCE: usize = 64;
/// The longest that a client may wait.
const LONGEST_WAIT: Duration = Duration::from_mins(2);

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
    /// Which state is told, by which name.
    pub state: StateName,
    /// How long it waits for news.
    pub timeout: Duration,
    /// How the user is while the client syncs.
    pub set_presence: PresenceState,
}

/// What a token says in classic sync.
#[derive(Debug, Clone, Copy)]
struct Since {
    position: Position,
    to_device: Position,
    typing: Option<u64>,
    presence: Option<u64>,
}

/// One asking: who, for what, knowing what, as of when.
struct Asking<'a> {
    session: &'a Session,
    request: &'a Request,
    since: Option<Since>,
    snapshot: &'a Snapshot,
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
        self.meters.ask(since.is_some());
        let _syncing = self.ephemeral.begin_sync(session, &request.set_presence)?;
        if let Some(since) = since {
            self.take(session, since.to_device).await?;
        }
        if since.is_none() || request.full_state {
            let turn = self.turn(session).await?;
            let answer = self.answer(session, request, since, &self.store.snapshot()).await?;
            return Ok(Answer { turn, ..answer });
        }
        if request.timeout.is_zero() {
            return self.answer(session, request, since, &self.store.snapshot()).await;
        }
        let deadline = tokio::time::Instant::now() + request.timeout.min(LONGEST_WAIT);
        // Before anything is looked at: what becomes readable meanwhile wakes it.
        let ticket = self.streams.park(session.user);
        loop {
            let woken = ticket.woken();
            let snapshot = self.store.snapshot();
            // On the heap, and gone with its snapshot before the wait: who waits holds no room for answering.
            let answer = Box::pin(self.answer(session, request, since, &snapshot)).await?;
            drop(snapshot);
            if !answer.is_empty() {
                return Ok(answer);
            }
            tokio::select! {
                () = woken => self.accounts.still_valid(session).await?,
                () = tokio::time::sleep_until(deadline) => {
                    self.meters.timed_out.add(1);
                    return Ok(answer);
                }
                () = stop.cancelled() => return Ok(answer),
            }
        }
    }

    /// Waits for a turn to tell a client everything.
    async fn turn(&self, session: &Session) -> Result<Option<OwnedSemaphorePermit>> {
        if let Ok(turn) = Arc::clone(&self.whole).try_acquire_owned() {
            return Ok(Some(turn));
        }
        let turn = Arc::clone(&self.whole).acquire_owned().await.ok();
        // That may have taken a while.
        self.accounts.still_valid(session).await?;
        Ok(turn)
    }

    fn since(&self, request: &Request) -> Result<Option<Since>> {
        match request.since {
            None => Ok(None),
            Some(Token::Stream { position, to_device, boot, typing, presence }) => {
                let is_of_this_run = boot == self.streams.boot();
                let typing = is_of_this_run.then_some(typing);
                let presence = is_of_this_run.then_some(presence);
                Ok(Some(Since { position, to_device, typing, presence }))
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
        let _timed = self.meters.answers.time();
        let now = snapshot.position();
        let typing = self.typing_counter();
        let presence = self.presence_counter();
        let (to_device, to_device_at) = self.to_device(session, since, snapshot).await?;
        let mut rooms = Rooms::default();
        let data = self.account_data(session, since, snapshot).await?;
        let asking = Asking { session, request, since, snapshot };
        let mut data_of: HashMap<RoomNum, Vec<&Piece>> = HashMap::new();
        for piece in &data {
            if let Some(room) = piece.room {
                data_of.entry(room).or_default().push(piece);
            }
        }
        let told = self.rooms_to_tell(&asking, &data).await?;
        for chunk in told.chunks(ROOMS_AT_ONCE) {
            let heads = snapshot.get_many(&HEADS, chunk.iter().map(|(room, _)| room)).await?;
            for ((room, own), head) in chunk.iter().zip(heads) {
                let head = head.ok_or_else(|| Error::internal(format!("room {room} has no head")))?;
                let view = self.rooms.view_from(snapshot, session, *room, head, Some(own.clone())).await?;
                let data = data_of.get(room).map(Vec::as_slice).unwrap_or_default();
                self.tell_room(&asking, view, own, data, &mut rooms).await?;
            }
        }
        let (device_lists, came) = match since {
            Some(since) => self.device_lists(snapshot, session, since.position).await?,
            None if request.mends => (self.all_device_lists(snapshot, session).await?, HashSet::new()),
            None => (DeviceLists::default(), HashSet::new()),
        };
        let known = since.and_then(|since| since.presence);
        let presence_events = self.presence(session, &request.filter, known, &came, snapshot).await?;
        let keys = key_counts(snapshot, session.device).await?;
        let counts = keys.one_time.iter().map(|(algorithm, count)| (algorithm.to_string(), u64::from(*count)));
        let global = data.iter().filter(|piece| piece.room.is_none());
        let account_data = shown_data(global, &request.filter.account_data, "");
        let boot = self.streams.boot();
        let token = Token::Stream { position: now, to_device: to_device_at, boot, typing, presence };
        Ok(Answer {
            next_batch: token.render(self.store.epoch()),
            rooms,
            account_data,
            presence: presence_events,
            to_device,
            device_lists,
            device_one_time_keys_count: counts.collect::<BTreeMap<_, _>>(),
            device_unused_fallback_key_types: keys.unused_fallback,
            turn: None,
        })
    }

    /// Deletes the to-device messages that a device has taken. Where none waits, as mostly, memory knows.
    async fn take(&self, session: &Session, up_to: Position) -> Result<()> {
        let known = self.emptied.get(&session.device).is_some_and(|emptied| emptied >= up_to);
        if !known && delete_up_to(&self.store, session.device, up_to).await? {
            self.emptied.insert(session.device, up_to);
        }
        Ok(())
    }

    async fn to_device(
        &self,
        session: &Session,
        since: Option<Since>,
        snapshot: &Snapshot,
    ) -> Result<(Events, Position)> {
        let now = snapshot.position();
        let after = since.map_or(Position::ZERO, |since| since.to_device);
        let emptied = self.emptied.get(&session.device).unwrap_or_default();
        if emptied > Position::ZERO && emptied <= now && !self.streams.user_changed(session.user, emptied) {
            self.emptied.insert(session.device, now);
            return Ok((Events::default(), now));
        }
        let messages = waiting(snapshot, session.device, after, MOST_TO_DEVICE).await?;
        if messages.is_empty() && emptied >= after {
            self.emptied.insert(session.device, now);
        }
        let at = match messages.last() {
            Some((last, _)) if messages.len() == MOST_TO_DEVICE => *last,
            _ => now,
        };
        let mut events = List::default();
        for (_, json) in &messages {
            events.push(json);
        }
        Ok((Events { events }, at))
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
    async fn rooms_to_tell(&self, asking: &Asking<'_>, data: &[Piece]) -> Result<Vec<(RoomNum, UserRoom)>> {
        let (session, snapshot) = (asking.session, asking.snapshot);
        let Some(since) = asking.since.filter(|_| !asking.request.full_state) else {
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
                let keys: Vec<_> = candidates.into_iter().map(|room| (session.user, room)).collect();
                let own = snapshot.get_many(&USER_ROOMS, &keys).await?;
                Ok(keys.into_iter().zip(own).filter_map(|((_, room), own)| Some((room, own?))).collect())
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
}
