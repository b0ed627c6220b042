//! How an event is shown to one user: pruned of what they may not read, with what concerns them beside it.

use std::borrow::Cow;

use matron_matrix::client_event::{self, Unsigned, content};
use matron_matrix::event::redacted;
use serde_json::value::RawValue;

use super::View;
use crate::error::Result;
use crate::rooms::event::by_num;
use crate::schema::rooms::{Membership, StoredEvent};

/// A membership in the spec's word.
#[must_use]
pub const fn membership_name(membership: Membership) -> &'static str {
    match membership {
        Membership::Join => "join",
        Membership::Invite => "invite",
        Membership::Knock => "knock",
        Membership::Ban => "ban",
        Membership::Leave => "leave",
    }
}

impl View<'_> {
    /// The JSON that this user may be shown: pruned where the event was redacted, or where its sender's account was
    /// erased before the user could see it.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn readable(&mut self, event: StoredEvent) -> Result<Box<str>> {
        match self.read(&event).await? {
            Cow::Owned(pruned) => Ok(pruned.into()),
            Cow::Borrowed(_) => Ok(event.json),
        }
    }

    /// As [`Self::readable`], of an event that others read too.
    async fn read<'e>(&mut self, event: &'e StoredEvent) -> Result<Cow<'e, str>> {
        if event.header.redacted_by.is_some() || self.is_erased(event).await? {
            return Ok(Cow::Owned(redacted(&event.json, &self.rules)?.into()));
        }
        Ok(Cow::Borrowed(&event.json))
    }

    /// An event as this user's client gets it: pruned where it was redacted, with what concerns this reader.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn show(&mut self, event: StoredEvent, with_room: bool) -> Result<Box<RawValue>> {
        self.show_with(event, with_room, None).await
    }

    /// As [`Self::show`], with what of its relations is bundled with it (see `bundle`).
    ///
    /// # Errors
    /// The store cannot be read.
    pub(in crate::rooms) async fn show_with(
        &mut self,
        event: StoredEvent,
        with_room: bool,
        relations: Option<Box<RawValue>>,
    ) -> Result<Box<RawValue>> {
        let mut out = String::new();
        self.write(event, with_room, relations, &mut out).await?;
        Ok(client_event::raw(out)?)
    }

    /// As [`Self::show_with`], appended to what is written already.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn write(
        &mut self,
        event: StoredEvent,
        with_room: bool,
        relations: Option<Box<RawValue>>,
        out: &mut String,
    ) -> Result<()> {
        let membership = self.standing(&event).await?.membership;
        let mut unsigned = Unsigned {
            membership: Some(membership_name(membership.unwrap_or(Membership::Leave))),
            relations,
            ..Unsigned::default()
        };
        let header = &event.header;
        if let Some((device, id)) = &header.transaction
            && *device == self.session.device
        {
            unsigned.transaction_id = Some(id.clone());
        }
        if let Some(key) = header.state_key
            && header.state_after != header.state_before
            && let Some(replaced) = self.states.get(header.state_before, key).await?
        {
            let replaced = by_num(&self.snapshot, replaced).await?.event;
            unsigned.replaces_state = Some(replaced.header.event_id());
            unsigned.prev_sender = Some(self.rooms.ids.user_id(replaced.header.sender).await?.to_string());
            unsigned.prev_content = Some(content(&self.readable(replaced).await?)?.into());
        }
        self.write_with(&event, with_room, unsigned, out).await
    }

    /// An event of a state, appended to what is written already: what the room is like, not how it came to be so. So it
    /// says nothing of what was before, nor of the reader, which would cost more than all else of it.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn write_state(&mut self, event: &StoredEvent, with_room: bool, out: &mut String) -> Result<()> {
        self.write_with(event, with_room, Unsigned::default(), out).await
    }

    /// As [`Self::write_state`], for who writes with serde.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn show_state(&mut self, event: &StoredEvent, with_room: bool) -> Result<Box<RawValue>> {
        let mut out = String::new();
        self.write_state(event, with_room, &mut out).await?;
        Ok(client_event::raw(out)?)
    }

    async fn write_with(
        &mut self,
        event: &StoredEvent,
        with_room: bool,
        mut unsigned: Unsigned,
        out: &mut String,
    ) -> Result<()> {
        unsigned.now = Some(self.rooms.clock.millis());
        let header = &event.header;
        if let Some(redaction) = header.redacted_by {
            let redaction = by_num(&self.snapshot, redaction).await?.event;
            let id = redaction.header.event_id();
            let redaction = self.readable(redaction).await?;
            let mut because = String::new();
            client_event::write(&mut because, &redaction, &id, Some(&self.room_id), None)?;
            unsigned.redacted_because = Some(because);
        }
        let id = header.event_id();
        let json = self.read(event).await?;
        if self.whole_events {
            return Ok(client_event::write_whole(out, &json, &id, &unsigned)?);
        }
        Ok(client_event::write(out, &json, &id, with_room.then_some(self.room_id.as_str()), Some(&unsigned))?)
    }
}
