//! Saying something in a room: messages, state, redactions. Client-server API, "Sending events to a room".

use std::collections::HashSet;
use std::sync::Arc;

use matron_matrix::Error as MatrixError;
use matron_matrix::event::Template;
use ruma::events::TimelineEventType;
use ruma::{CanonicalJsonObject, EventId, OwnedEventId, RoomAliasId, RoomId};

use super::Rooms;
use super::intent::{Intent, TransactionKey};
use super::membership::Move;
use crate::accounts::Session;
use crate::error::Result;
use crate::schema::RoomNum;
use crate::schema::rooms::ALIASES;

/// The aliases that a canonical alias event names; nothing in the place of what is no text.
pub(super) fn aliases_in(content: &CanonicalJsonObject) -> Vec<Option<&str>> {
    let main = content.get("alias").and_then(|alias| alias.as_str());
    let others = content.get("alt_aliases").and_then(|aliases| aliases.as_array()).into_iter().flatten();
    main.map(Some).into_iter().chain(others.map(|alias| alias.as_str())).collect()
}

impl Rooms {
    /// Sends a message-like event, once per transaction.
    ///
    /// # Errors
    /// `M_FORBIDDEN`, `M_TOO_LARGE`, `M_BAD_JSON`; `M_USER_SUSPENDED`, but for redactions of the user's own events.
    pub async fn send(
        self: &Arc<Self>,
        session: &Session,
        room_id: &RoomId,
        kind: TimelineEventType,
        mut content: CanonicalJsonObject,
        transaction: TransactionKey,
    ) -> Result<OwnedEventId> {
        if kind == TimelineEventType::RoomRedaction {
            // Where it stands in the event is for the room's version to say.
            let redacts = content.remove("redacts");
            let redacts = redacts.as_ref().and_then(|id| id.as_str()).and_then(|id| EventId::parse(id).ok());
            let redacts = redacts.ok_or_else(|| MatrixError::bad_json("a redaction names what it redacts"))?;
            return self.redact_with(session, room_id, &redacts, content, transaction).await;
        }
        session.may_act()?;
        // Whether they are joined is for the room's rules to say, which the room's writer knows by heart.
        let unknown = || MatrixError::forbidden("you are not joined to this room");
        let room = self.ids.room(&self.store.snapshot(), room_id.as_str()).await?.ok_or_else(unknown)?;
        let template = self.template(session, kind, None, content);
        let intent = Intent { transaction: Some(transaction), ..Intent::new(template) };
        Ok(self.submit(room, intent).await?.event_id)
    }

    /// Sends a state event. The same content again is no new event. A member event moves its member by the same doors as
    /// the endpoints of membership.
    ///
    /// # Errors
    /// `M_FORBIDDEN`, `M_TOO_LARGE`, `M_BAD_JSON`; `M_BAD_ALIAS` for aliases that do not lead here; what the move's endpoint
    /// answers.
    pub async fn send_state(
        self: &Arc<Self>,
        session: &Session,
        room_id: &RoomId,
        kind: TimelineEventType,
        key: String,
        content: CanonicalJsonObject,
    ) -> Result<OwnedEventId> {
        if kind == TimelineEventType::RoomMember {
            let content = content.into_iter().map(|(name, value)| (name, value.into())).collect();
            return self.send_member(session, room_id, Move::read(&key, content)?).await;
        }
        session.may_act()?;
        if kind == TimelineEventType::RoomRedaction {
            return Err(MatrixError::invalid_param("a redaction is no state").into());
        }
        let unknown = || MatrixError::forbidden("you are not in this room");
        let room = self.ids.room(&self.store.snapshot(), room_id.as_str()).await?.ok_or_else(unknown)?;
        if kind == TimelineEventType::RoomCanonicalAlias {
            self.check_aliases(room, &content).await?;
        }
        let is_about_guests = kind == TimelineEventType::RoomGuestAccess;
        let template = self.template(session, kind, Some(key), content);
        let intent = Intent { unless_same: true, ..Intent::new(template) };
        Ok(self.submit_minding_guests(room, intent, is_about_guests).await?.event_id)
    }

    /// Redacts an event.
    ///
    /// # Errors
    /// `M_FORBIDDEN` for others' events without the power; `M_NOT_FOUND` where there is no such event.
    pub async fn redact(
        self: &Arc<Self>,
        session: &Session,
        room_id: &RoomId,
        target: &EventId,
        reason: Option<&str>,
        transaction: TransactionKey,
    ) -> Result<OwnedEventId> {
        let mut content = CanonicalJsonObject::new();
        if let Some(reason) = reason {
            content.insert("reason".to_owned(), reason.to_owned().into());
        }
        self.redact_with(session, room_id, target, content, transaction).await
    }

    async fn redact_with(
        self: &Arc<Self>,
        session: &Session,
        room_id: &RoomId,
        target: &EventId,
        content: CanonicalJsonObject,
        transaction: TransactionKey,
    ) -> Result<OwnedEventId> {
        let snapshot = self.store.snapshot();
        let room = self.joined_room(&snapshot, session, room_id).await?;
        let missing = || MatrixError::not_found("the event is not known");
        let found = super::event::by_id(self, &snapshot, target).await?.ok_or_else(missing)?;
        if found.place.room != room {
            return Err(missing().into());
        }
        // Whether they have the power is for the room's writer to say, which knows the levels of then.
        if found.event.header.sender != session.user {
            session.may_act()?;
        }
        let mut template = self.template(session, TimelineEventType::RoomRedaction, None, content);
        template.redacts = Some(target.to_owned());
        let intent = Intent { transaction: Some(transaction), ..Intent::new(template) };
        // What a redaction leaves of guest access lets nobody in.
        let is_about_guests = found.event.header.kind == "m.room.guest_access";
        Ok(self.submit_minding_guests(room, intent, is_about_guests).await?.event_id)
    }

    fn template(
        &self,
        session: &Session,
        kind: TimelineEventType,
        state_key: Option<String>,
        content: CanonicalJsonObject,
    ) -> Template {
        let origin_server_ts = self.clock.now();
        Template { sender: session.user_id.clone(), kind, state_key, content, redacts: None, origin_server_ts }
    }

    /// Every alias that a canonical alias event newly names must lead to the room. Those that it names already may stay,
    /// though somebody took them away meanwhile.
    async fn check_aliases(&self, room: RoomNum, content: &CanonicalJsonObject) -> Result<()> {
        let snapshot = self.store.snapshot();
        let now: Option<CanonicalJsonObject> = self.current(&snapshot, room, "m.room.canonical_alias").await?;
        let known: HashSet<_> = now.iter().flat_map(aliases_in).flatten().collect();
        for alias in aliases_in(content) {
            let alias = alias.ok_or_else(|| MatrixError::invalid_param("alt_aliases is a list of aliases"))?;
            if known.contains(alias) {
                continue;
            }
            if RoomAliasId::parse(alias).is_err() {
                return Err(MatrixError::invalid_param("that is no alias").into());
            }
            let leads_to = snapshot.get(&ALIASES, &alias.to_owned()).await?.map(|alias| alias.room);
            if leads_to != Some(room) {
                return Err(MatrixError::bad_alias("the alias does not lead to this room").into());
            }
        }
        Ok(())
    }
}
