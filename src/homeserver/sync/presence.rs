//! Presence in an answer: of everybody who shares a room with the reader. Client-server API, "Presence".

use std::collections::HashSet;

use matron_matrix::filter::Candidate;
use matron_storage::Snapshot;
use serde::Serialize;

use super::Sync;
use super::answer::Events;
use super::filter::SyncFilter;
use crate::accounts::Session;
use crate::ephemeral::Presence;
use crate::error::{Error, Result};
use crate::schema::UserNum;

#[derive(Serialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    sender: &'a str,
    content: Content<'a>,
}

#[derive(Serialize)]
struct Content<'a> {
    presence: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_active_ago: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    currently_active: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_msg: Option<&'a str>,
}

impl Sync {
    /// The number of the last change of anybody's presence.
    pub(super) fn presence_counter(&self) -> u64 {
        self.ephemeral.presence_counter()
    }

    /// What is new to the client of who is there: what changed since the number that it knows, and how those are who came
    /// into its rooms.
    pub(super) async fn presence(
        &self,
        session: &Session,
        filter: &SyncFilter,
        known: Option<u64>,
        came: &HashSet<UserNum>,
        snapshot: &Snapshot,
    ) -> Result<Events> {
        let mut events = Events::default();
        if !self.ephemeral.tells_presence() || filter.presence.is_closed() {
            return Ok(events);
        }
        let changed = self.ephemeral.presence_changed(known);
        if changed.is_empty() && came.is_empty() {
            return Ok(events);
        }
        let mut users = self.rooms.who_of_these_shares(snapshot, session.user, changed).await?;
        users.extend(came);
        let ignored = self.accounts.ignored(snapshot, session.user).await?;
        users.retain(|user| !ignored.contains(user));
        for (user, Presence { presence, last_active_ago, currently_active, status_msg }) in
            self.ephemeral.presences(users)
        {
            let sender = self.ids.user_id(user).await?;
            if !filter.presence.wants(&Candidate { kind: KIND, sender: sender.as_str(), room_id: "", json: None }) {
                continue;
            }
            let status_msg = status_msg.as_deref();
            let content = Content { presence, last_active_ago, currently_active, status_msg };
            let event = Event { kind: KIND, sender: sender.as_str(), content };
            events.events.push(&serde_json::to_string(&event).map_err(Error::internal)?);
        }
        Ok(events)
    }
}

/// The type of the events that tell of presence.
const KIND: &str = "m.presence";
