//! What one user may see of a room: which state, which events, up to when.
//!
//! Client-server API, "Room history visibility". Every reading endpoint goes through a [`View`]; what passes is written by
//! `view/show.rs`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use matron_matrix::Error as MatrixError;
use matron_matrix::event::rules;
use matron_matrix::visibility::View as Visibility;
use matron_storage::{Position, Snapshot};
use ruma::events::room::history_visibility::HistoryVisibility;
use ruma::events::room::member::MembershipState;
use ruma::room_version_rules::RoomVersionRules;
use ruma::{RoomId, RoomVersionId, UserId};
use serde::Deserialize;

use super::Rooms;
use super::event::{Found, by_id, membership_of};
use super::roots::root_at;
use super::tree::{EMPTY, NodeNum, Reader};
use crate::accounts::Session;
use crate::error::{Error, Result};
use crate::schema::rooms::{Arrival, HEADS, MEMBERS, Membership, ROOMS, RoomHead, StoredEvent, USER_ROOMS, UserRoom};
use crate::schema::{EventNum, RoomNum, StateKeyNum, UserNum};

mod show;
pub use show::membership_name;

/// A room before anybody's eyes.
#[derive(Debug)]
pub struct View<'a> {
    pub(crate) rooms: &'a Rooms,
    pub(crate) snapshot: Snapshot,
    session: &'a Session,
    /// The room.
    pub room: RoomNum,
    /// Its id.
    pub room_id: String,
    /// Its rules.
    pub rules: RoomVersionRules,
    /// The room now.
    pub head: RoomHead,
    /// The user's own row.
    pub own: Option<UserRoom>,
    states: Reader,
    /// The keys of the visibility and of the user's membership.
    keys: (Option<StateKeyNum>, Option<StateKeyNum>),
    /// What was found out for a pair of states: messages between two state events share them.
    seen: Option<Seen>,
    /// Whether events are shown as servers send them to each other.
    pub(crate) whole_events: bool,
    /// Whom the user ignores, once it was asked for.
    ignored: Option<Arc<HashSet<UserNum>>>,
    /// Those of them who are or were in the room, once it was asked for.
    ignored_here: Option<Arc<[UserNum]>>,
    /// Whose account was closed with all that they said, and when.
    erased: Arc<HashMap<UserNum, Position>>,
    /// Whether the user was joined when somebody was erased.
    joined_at: HashMap<Position, bool>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    before: NodeNum,
    after: NodeNum,
    standing: At,
}

/// How the user stands at an event.
#[derive(Debug, Clone, Copy)]
struct At {
    /// Whether they see it while they are joined now.
    if_joined_since: bool,
    /// Whether they see it though they are not.
    anyway: bool,
    /// Whether it moves themselves, which is theirs to know wherever they are.
    is_own: bool,
    membership: Option<Membership>,
}

/// What never changes of a room.
#[derive(Debug)]
pub(super) struct Constants {
    id: String,
    pub(super) rules: RoomVersionRules,
}

#[derive(Deserialize)]
struct VisibilityContent {
    history_visibility: HistoryVisibility,
}

impl Rooms {
    /// A room before a user's eyes. Whether they may see anything of it is asked of the view.
    ///
    /// # Errors
    /// `M_FORBIDDEN` where the room is not known: nobody learns which rooms exist.
    pub async fn view<'a>(&'a self, snapshot: &Snapshot, session: &'a Session, room_id: &RoomId) -> Result<View<'a>> {
        let room = self.ids.room(snapshot, room_id.as_str()).await?.ok_or_else(not_in_room)?;
        self.view_of(snapshot, session, room).await
    }

    /// As [`Self::view`], for who asks for one event.
    ///
    /// # Errors
    /// `M_NOT_FOUND` where the room is not known, as where there is no such event: nobody learns which rooms exist.
    pub async fn view_for_event<'a>(
        &'a self,
        snapshot: &Snapshot,
        session: &'a Session,
        room_id: &RoomId,
    ) -> Result<View<'a>> {
        match self.view(snapshot, session, room_id).await {
            Err(Error::Matrix(_)) => Err(not_seen().into()),
            view => view,
        }
    }

    /// As [`Self::view`], by the room's number.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn view_of<'a>(&'a self, snapshot: &Snapshot, session: &'a Session, room: RoomNum) -> Result<View<'a>> {
        let own = snapshot.get(&USER_ROOMS, &(session.user, room)).await?;
        let head = snapshot.get(&HEADS, &room).await?.ok_or_else(not_in_room)?;
        self.view_from(snapshot, session, room, head, own).await
    }

    /// As [`Self::view_of`], by rows that were read before.
    pub(crate) async fn view_from<'a>(
        &'a self,
        snapshot: &Snapshot,
        session: &'a Session,
        room: RoomNum,
        head: RoomHead,
        own: Option<UserRoom>,
    ) -> Result<View<'a>> {
        let constants = self.constants(snapshot, room).await?;
        let keys = (
            self.ids.find_state_key("m.room.history_visibility", "").await?,
            self.ids.find_state_key("m.room.member", session.user_id.as_str()).await?,
        );
        Ok(View {
            rooms: self,
            snapshot: snapshot.clone(),
            session,
            room,
            room_id: constants.id.clone(),
            rules: constants.rules.clone(),
            head,
            own,
            states: self.states(snapshot, room),
            keys,
            seen: None,
            whole_events: false,
            ignored: None,
            ignored_here: None,
            erased: self.streams.erased(),
            joined_at: HashMap::new(),
        })
    }

    pub(super) async fn constants(&self, snapshot: &Snapshot, room: RoomNum) -> Result<Arc<Constants>> {
        if let Some(constants) = self.constants.get(&room) {
            return Ok(constants);
        }
        let row = snapshot.get(&ROOMS, &room).await?.ok_or_else(not_in_room)?;
        let version = RoomVersionId::try_from(row.version.as_str()).map_err(Error::internal)?;
        let constants = Arc::new(Constants { id: row.id, rules: rules(&version)? });
        self.constants.insert(room, Arc::clone(&constants));
        Ok(constants)
    }
}

fn not_in_room() -> MatrixError {
    MatrixError::forbidden("you are not in this room")
}

fn not_seen() -> MatrixError {
    MatrixError::not_found("the event is not known, or you may not see it")
}

fn membership_state(membership: Option<Membership>) -> MembershipState {
    match membership {
        Some(Membership::Join) => MembershipState::Join,
        Some(Membership::Invite) => MembershipState::Invite,
        Some(Membership::Knock) => MembershipState::Knock,
        Some(Membership::Ban) => MembershipState::Ban,
        Some(Membership::Leave) | None => MembershipState::Leave,
    }
}

impl View<'_> {
    /// Reads the room's states.
    #[must_use]
    pub const fn states(&self) -> &Reader {
        &self.states
    }

    /// Whether the user is joined now.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        self.own.as_ref().is_some_and(|own| own.membership == Membership::Join)
    }

    /// Whether the user forgot the room: then they read of it what strangers read.
    fn has_forgotten(&self) -> bool {
        self.own.as_ref().is_some_and(|own| own.forgotten)
    }

    /// The state that the user may see: the room's own while they are joined or everybody may, else that of when they
    /// left.
    ///
    /// # Errors
    /// `M_FORBIDDEN` where they may see none.
    pub async fn state(&mut self) -> Result<NodeNum> {
        if self.is_joined() || self.everybody_may_read().await? {
            return Ok(self.head.state);
        }
        match &self.own {
            Some(UserRoom { left: Some(left), forgotten: false, .. }) => self.state_at(*left).await,
            _ => Err(not_in_room().into()),
        }
    }

    /// The room's resolved state as of a position.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn state_at(&self, position: Position) -> Result<NodeNum> {
        Ok(root_at(&self.snapshot, self.room, position).await?.unwrap_or(EMPTY))
    }

    /// The last position of which the user may see events: none where there is no such limit.
    #[must_use]
    pub fn until(&self) -> Option<Position> {
        self.own.as_ref().and_then(|own| own.left)
    }

    /// As [`Self::until`], but without limit where everybody may read the room now.
    pub(crate) async fn reach(&self) -> Result<Option<Position>> {
        match self.until() {
            Some(_) if self.everybody_may_read().await? => Ok(None),
            until => Ok(until),
        }
    }

    /// Whether everybody may read the room now.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn everybody_may_read(&self) -> Result<bool> {
        Ok(self.visibility(self.head.state).await? == HistoryVisibility::WorldReadable)
    }

    async fn visibility(&self, root: NodeNum) -> Result<HistoryVisibility> {
        let Some(key) = self.keys.0 else { return Ok(HistoryVisibility::Shared) };
        let Some(num) = self.states.get(root, key).await? else { return Ok(HistoryVisibility::Shared) };
        let pdu = self.rooms.authority(&self.snapshot, num).await?;
        Ok(pdu
            .content_as::<VisibilityContent>()
            .map_or(HistoryVisibility::Shared, |content| content.history_visibility))
    }

    async fn membership(&self, root: NodeNum) -> Result<Option<Membership>> {
        let Some(key) = self.keys.1 else { return Ok(None) };
        let Some(num) = self.states.get(root, key).await? else { return Ok(None) };
        let pdu = self.rooms.authority(&self.snapshot, num).await?;
        Ok(Some(membership_of(pdu.content.get())))
    }

    async fn standing(&mut self, event: &StoredEvent) -> Result<At> {
        let (before, after) = (event.header.state_before, event.header.state_after);
        if let Some(seen) = self.seen
            && seen.before == before
            && seen.after == after
        {
            return Ok(seen.standing);
        }
        let mut at = self.standing_at(before).await?;
        if after != before {
            let later = self.standing_at(after).await?;
            // A change of visibility is seen if before or after allows it, and so is a change of the reader's membership.
            // What moves the reader is theirs to know in any case: a turned-down invite is gone from their clients by it.
            at.is_own = event.header.state_key.is_some() && event.header.state_key == self.keys.1;
            if at.is_own || event.header.kind == "m.room.history_visibility" {
                at.if_joined_since |= later.if_joined_since;
                at.anyway |= later.anyway;
            }
            at.membership = later.membership;
        }
        self.seen = Some(Seen { before, after, standing: at });
        Ok(at)
    }

    async fn standing_at(&self, root: NodeNum) -> Result<At> {
        let (visibility, membership) = (self.visibility(root).await?, self.membership(root).await?);
        let state = membership_state(membership.filter(|_| !self.has_forgotten()));
        let allows = |joined_since| Visibility { visibility: &visibility, membership: &state, joined_since }.allows();
        Ok(At { if_joined_since: allows(true), anyway: allows(false), is_own: false, membership })
    }

    /// Whether the user may see an event that lies at `arrival`, and does not ignore its sender.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn sees(&mut self, event: &StoredEvent, arrival: Option<Arrival>) -> Result<bool> {
        Ok(!self.turns_away_from(event).await? && self.may_see(event, arrival).await?)
    }

    /// As [`Self::sees`], also of those whom the user ignores.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn may_see(&mut self, event: &StoredEvent, arrival: Option<Arrival>) -> Result<bool> {
        Ok(self.standing(event).await?.is_own || self.may_see_room_at(event, arrival).await?)
    }

    /// Whether the user may see the room as it was at an event. They may see events that move themselves where they may not
    /// see the room: their ban after they left, or another invite.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) async fn may_see_room_at(&mut self, event: &StoredEvent, arrival: Option<Arrival>) -> Result<bool> {
        let at = self.standing(event).await?;
        if at.anyway {
            return Ok(true);
        }
        let joined_since = match (&self.own, arrival) {
            (Some(own), _) if own.membership == Membership::Join => true,
            _ if self.has_forgotten() => false,
            (Some(own), Some(Arrival::Live(position))) => own.left.is_some_and(|left| position <= left),
            (Some(own), _) => own.left.is_some(),
            (None, _) => false,
        };
        Ok(joined_since && at.if_joined_since)
    }

    /// Whether the user does not want to see an event. What ignored users do to the state is seen all the same: the room
    /// would be another one without it.
    async fn turns_away_from(&mut self, event: &StoredEvent) -> Result<bool> {
        Ok(event.header.state_key.is_none() && self.ignores(event.header.sender).await?)
    }

    /// Whether the user ignores somebody. Client-server API, "Ignoring Users".
    async fn ignores(&mut self, sender: UserNum) -> Result<bool> {
        Ok(self.ignored().await?.contains(&sender))
    }

    /// Whom the user ignores.
    async fn ignored(&mut self) -> Result<&Arc<HashSet<UserNum>>> {
        if self.ignored.is_none() {
            self.ignored = Some(self.rooms.accounts.ignored(&self.snapshot, self.session.user).await?);
        }
        Ok(&*self.ignored.get_or_insert_default())
    }

    /// Those whom the user ignores who are or were in the room: a user may ignore a thousand, of whom hardly any spoke here.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) async fn ignored_here(&mut self) -> Result<Arc<[UserNum]>> {
        if let Some(here) = &self.ignored_here {
            return Ok(Arc::clone(here));
        }
        let room = self.room;
        let keys: Vec<_> = self.ignored().await?.iter().map(|user| (room, *user)).collect();
        let rows = self.snapshot.get_many(&MEMBERS, &keys).await?;
        let here = keys.iter().zip(rows).filter_map(|((_, user), row)| row.map(|_| *user));
        let here: Arc<[UserNum]> = here.collect();
        self.ignored_here = Some(Arc::clone(&here));
        Ok(here)
    }

    /// Whether an event is to be hidden from this user since its sender's account was erased. Who was joined when it was
    /// sent, or when the account was erased, goes on seeing it, as does who left before; what the sender did to the room's
    /// state, apart from their own membership, stays, since the room needs it.
    ///
    /// Client-server API, `POST /account/deactivate`, `erase`.
    pub(crate) async fn is_erased(&mut self, event: &StoredEvent) -> Result<bool> {
        let header = &event.header;
        let Some(erased) = self.erased.get(&header.sender).copied() else { return Ok(false) };
        if header.state_key.is_some() && header.kind != "m.room.member" {
            return Ok(false);
        }
        if self.standing(event).await?.membership == Some(Membership::Join) {
            return Ok(false);
        }
        if self.own.as_ref().and_then(|own| own.left).is_some_and(|left| left <= erased) {
            return Ok(false);
        }
        if let Some(joined) = self.joined_at.get(&erased) {
            return Ok(!joined);
        }
        let root = self.state_at(erased).await?;
        let joined = self.membership(root).await? == Some(Membership::Join);
        self.joined_at.insert(erased, joined);
        Ok(!joined)
    }

    /// An event of the room that the user may see, and whose sender they do not ignore.
    ///
    /// # Errors
    /// `M_NOT_FOUND` where there is none, or they may not.
    pub async fn find(&mut self, event_id: &ruma::EventId) -> Result<Found> {
        let found = self.find_of_anybody(event_id).await?;
        if self.turns_away_from(&found.event).await? {
            return Err(not_seen().into());
        }
        Ok(found)
    }

    /// As [`Self::find`], also of those whom the user ignores.
    ///
    /// # Errors
    /// `M_NOT_FOUND` where there is none, or they may not see it.
    pub async fn find_of_anybody(&mut self, event_id: &ruma::EventId) -> Result<Found> {
        let found = by_id(self.rooms, &self.snapshot, event_id).await?.ok_or_else(not_seen)?;
        if found.place.room != self.room
            || found.place.arrival.is_none()
            || !self.may_see(&found.event, found.place.arrival).await?
        {
            return Err(not_seen().into());
        }
        Ok(found)
    }

    /// A state event of a state by type and key.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn state_event(&self, root: NodeNum, kind: &str, key: &str) -> Result<Option<EventNum>> {
        match self.rooms.ids.find_state_key(kind, key).await? {
            Some(key) => self.states.get(root, key).await,
            None => Ok(None),
        }
    }

    /// The number of who looks.
    #[must_use]
    pub const fn user(&self) -> UserNum {
        self.session.user
    }

    /// Who looks.
    #[must_use]
    pub fn user_id(&self) -> &UserId {
        &self.session.user_id
    }
}
