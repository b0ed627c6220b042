//! `GET /sync`: client-server API, "Syncing".

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use matron_matrix::splice::List;
use matron_storage::{Error as StorageError, Position, Snapshot};
use ruma::presence::PresenceState;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use self::tell::shown_data;
use super::Sync;
use super::answer::{Answer, DeviceLists, Events, Rooms, StateName};
use super::filter::SyncFilter;
use super::sent::{Asker, Brought};
use crate::accounts::{Piece, Session};
use crate::devices::{KeyCounts, delete_up_to, key_counts, waiting};
use crate::error::{Error, Result};
use crate::rooms::roots::root_at;
use crate::schema::RoomNum;
use crate::schema::accounts::{USER_STREAM, UserChange};
use crate::schema::rooms::{HEADS, USER_ROOMS, UserRoom};
use crate::streams::Token;

mod tell;

/// The most to-device messages in one answer.
const MOST_TO_DEVICE: usize = 100;
/// Of how many rooms the heads are read at once.
const ROOMS_AT_ONCE: usize = 64;
/// The longest that a client may wait.
const LONGEST_WAIT: Duration = Duration::from_mins(2);

/// What a client asks for.
#[derive(Debug, Clone)]
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
    /// Whether anything that concerns the user alone may be new.
    own_news: bool,
    /// The device, where members that it knows are not told again.
    asker: Option<Asker>,
}

/// An answer, and what the client knows by it.
struct Told {
    answer: Answer,
    next: Since,
    brought: Brought,
}

impl Sync {
    /// What is new for a session; waits for news where there are none.
    ///
    /// # Errors
    /// `M_UNKNOWN_TOKEN` where the session is revoked while it waits; `M_INVALID_PARAM` for pagination tokens; a stop while
    /// it waits to be told everything.
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
        let tells_once = request.filter.lazy == Some(false);
        let asker = tells_once.then(|| self.sent.ask(session.device, since.map(|since| since.position)));
        let is_whole = since.is_none() || request.full_state;
        if is_whole || request.timeout.is_zero() {
            let turn = if is_whole { self.turn(session, stop).await? } else { None };
            let snapshot = self.store.snapshot();
            let told = Box::pin(self.answer(session, request, (since, asker), &snapshot)).await?;
            return Ok(Answer { _turn: turn, ..self.hand_out(told, asker) });
        }
        let mut since = since;
        let deadline = tokio::time::Instant::now() + request.timeout.min(LONGEST_WAIT);
        // Before anything is looked at: what becomes readable meanwhile wakes it.
        let ticket = self.streams.park(session.user);
        let mut of_crowd = false;
        loop {
            let woken = ticket.woken();
            let told = if of_crowd {
                self.aside(session, request, (since, asker)).await.map_err(Error::internal)??
            } else {
                // On the heap, as above, and gone with its snapshot before the wait: who waits holds no room for answering.
                Box::pin(self.look(session, request, (since, asker))).await?
            };
            if !told.answer.is_empty() {
                return Ok(self.hand_out(told, asker));
            }
            // It goes on as a client does that was told this: what is known to be no news is not looked at again.
            since = Some(told.next);
            let answer = told.answer;
            tokio::select! {
                () = woken => of_crowd = ticket.is_of_crowd(),
                () = tokio::time::sleep_until(deadline) => {
                    self.meters.timed_out.add(1);
                    return Ok(answer);
                }
                () = stop.cancelled() => return Ok(answer),
            }
        }
    }

    /// The answer as it goes out: with its token, the members that it brings will have arrived.
    fn hand_out(&self, told: Told, asker: Option<Asker>) -> Answer {
        if let Some(asker) = asker {
            self.sent.answered(asker, told.next.position, told.brought);
        }
        told.answer
    }

    /// Waits for a turn to tell a client everything. Whoever asks many times at once waits behind themselves, and nobody else
    /// does behind all that.
    async fn turn(&self, session: &Session, stop: &CancellationToken) -> Result<Option<OwnedSemaphorePermit>> {
        if let Ok(turn) = Arc::clone(&self.whole).try_acquire_owned() {
            return Ok(Some(turn));
        }
        let turn = async {
            let _first = self.user_turns.take(&session.user).await;
            Arc::clone(&self.whole).acquire_owned().await.ok()
        };
        let turn = tokio::select! {
            turn = turn => turn,
            () = stop.cancelled() => return Err(StorageError::Unavailable("the server stops".to_owned()).into()),
        };
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

    /// What is new by now, found out on the threads for crowds: whoever asks for something else meanwhile goes first, and whoever
    /// hangs up is answered no more.
    fn aside(
        self: &Arc<Self>,
        session: &Session,
        request: &Request,
        from: (Option<Since>, Option<Asker>),
    ) -> AbortOnDropHandle<Result<Told>> {
        let (sync, session, request) = (Arc::clone(self), session.clone(), request.clone());
        // On the heap when its turn comes: of a large crowd most wait for theirs.
        let look = async move { Box::pin(sync.look(&session, &request, from)).await };
        AbortOnDropHandle::new(self.crowds.spawn(look.in_current_span()))
    }

    /// What is new by now, if the session stands by now: a wake-up may have been that it does not, and a crowd's turn comes late.
    async fn look(&self, session: &Session, request: &Request, from: (Option<Since>, Option<Asker>)) -> Result<Told> {
        self.accounts.still_valid(session).await?;
        let snapshot = self.store.snapshot();
        self.answer(session, request, from, &snapshot).await
    }

    /// What is new as of a snapshot.
    async fn answer(
        &self,
        session: &Session,
        request: &Request,
        (since, asker): (Option<Since>, Option<Asker>),
        snapshot: &Snapshot,
    ) -> Result<Told> {
        let _timed = self.meters.answers.time();
        let now = snapshot.position();
        let typing = self.typing_counter();
        let presence = self.presence_counter();
        let (to_device, to_device_at) = self.to_device(session, since, snapshot).await?;
        let (mut rooms, mut brought) = (Rooms::default(), Brought::new());
        let own_news = since.is_none_or(|since| self.streams.user_changed(session.user, since.position));
        let asking = Asking { session, request, since, snapshot, own_news, asker };
        let data = self.account_data(&asking).await?;
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
                self.tell_room(&asking, view, own, data, (&mut rooms, &mut brought)).await?;
            }
        }
        let (device_lists, came) = match since {
            Some(since) => self.device_lists(snapshot, session, since.position).await?,
            None if request.mends => (self.all_device_lists(snapshot, session).await?, HashSet::new()),
            None => (DeviceLists::default(), HashSet::new()),
        };
        let known = since.and_then(|since| since.presence);
        let presence_events = self.presence(session, &request.filter, known, &came, snapshot).await?;
        let keys = self.key_counts(session, snapshot).await?;
        let global = data.iter().filter(|piece| piece.room.is_none());
        let account_data = shown_data(global, &request.filter.account_data, "");
        let boot = self.streams.boot();
        let token = Token::Stream { position: now, to_device: to_device_at, boot, typing, presence };
        let (typing, presence) = (Some(typing), Some(presence));
        let next = Since { position: now, to_device: to_device_at, typing, presence };
        let answer = Answer {
            next_batch: token.render(self.store.epoch()),
            rooms,
            account_data,
            presence: presence_events,
            to_device,
            device_lists,
            keys,
            _turn: None,
        };
        Ok(Told { answer, next, brought })
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

    /// How many keys the device has left, from memory as long as none was claimed or uploaded.
    async fn key_counts(&self, session: &Session, snapshot: &Snapshot) -> Result<Arc<KeyCounts>> {
        if let Some((as_of, counts)) = self.keys.get(&session.device)
            && as_of >= self.streams.claimable_changed_at(session.user)
        {
            return Ok(counts);
        }
        let counts = Arc::new(key_counts(snapshot, session.device).await?);
        self.keys.insert(session.device, (snapshot.position(), Arc::clone(&counts)));
        Ok(counts)
    }

    async fn account_data(&self, asking: &Asking<'_>) -> Result<Vec<Piece>> {
        let Asking { session, since, snapshot, own_news, .. } = *asking;
        match since {
            None => self.accounts.all_account_data(snapshot, session.user).await,
            Some(since) if own_news => self.accounts.account_data_since(snapshot, session.user, since.position).await,
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
        let mut rooms: BTreeSet<RoomNum> = data.iter().filter_map(|piece| piece.room).collect();
        if asking.own_news {
            let range = USER_STREAM.range((session.user, since.position.next())..=(session.user, snapshot.position()));
            for (_, news) in snapshot.scan(&USER_STREAM, range).collect().await? {
                if news.change == UserChange::Membership {
                    rooms.extend(news.room);
                }
            }
        }
        let joined = self.streams.rooms_of(snapshot, session.user).await?;
        rooms.extend(self.changed_rooms(snapshot, &joined, since.position).await?);
        let typing = self.rooms_typing_since(since.typing);
        rooms.extend(typing.into_iter().filter(|room| joined.binary_search(room).is_ok()));
        let keys: Vec<_> = rooms.into_iter().map(|room| (session.user, room)).collect();
        let own = snapshot.get_many(&USER_ROOMS, &keys).await?;
        Ok(keys.into_iter().zip(own).filter_map(|((_, room), own)| Some((room, own?))).collect())
    }

    /// Those of the user's rooms that changed after `since`: by memory, or where that does not reach back so far, by what
    /// the rooms themselves say.
    async fn changed_rooms(&self, snapshot: &Snapshot, joined: &[RoomNum], since: Position) -> Result<Vec<RoomNum>> {
        if let Some(mut changed) = self.streams.changed_of(joined, since) {
            if self.streams.is_before(since) {
                for room in joined {
                    if self.streams.receipts_moved(snapshot, *room, since).await? {
                        changed.push(*room);
                    }
                }
            }
            return Ok(changed);
        }
        let mut changed = Vec::new();
        for rooms in joined.chunks(ROOMS_AT_ONCE) {
            for (room, head) in rooms.iter().zip(snapshot.get_many(&HEADS, rooms).await?) {
                let Some(head) = head else { continue };
                if head.last > since
                    || root_at(snapshot, *room, since).await? != Some(head.state)
                    || self.streams.receipts_moved(snapshot, *room, since).await?
                {
                    changed.push(*room);
                }
            }
        }
        Ok(changed)
    }
}
