//! Presence in an answer: of everybody who shares a room with the reader. Client-server API, "Presence".

use std::collections::{HashMap, HashSet};

use matron_matrix::filter::Candidate;
use matron_storage::Snapshot;
use ruma::OwnedMxcUri;
use serde::Serialize;

use super::Sync;
use super::answer::Events;
use super::filter::SyncFilter;
use crate::accounts::{Profile, Session};
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
    #[serde(skip_serializing_if = "Option::is_none")]
    displayname: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar_url: Option<&'a OwnedMxcUri>,
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
        let presences = self.ephemeral.presences(users);
        let profiles = self.new_profiles(&presences, known).await?;
        for (user, Presence { presence, last_active_ago, currently_active, status_msg, .. }) in presences {
            let sender = self.ids.user_id(user).await?;
            if !filter.presence.wants(&Candidate { kind: KIND, sender: sender.as_str(), room_id: "", json: None }) {
                continue;
            }
            let status_msg = status_msg.as_deref();
            let profile = profiles.get(&user);
            let displayname = profile.and_then(|profile| profile.displayname.as_deref());
            let avatar_url = profile.and_then(|profile| profile.avatar_url.as_ref());
            let content = Content { presence, last_active_ago, currently_active, status_msg, displayname, avatar_url };
            let event = Event { kind: KIND, sender: sender.as_str(), content };
            events.events.push(&serde_json::to_string(&event).map_err(Error::internal)?);
        }
        Ok(events)
    }

    /// The names and pictures of those who changed them after the number that the client knows. Client-server API, "Events on
    /// Change of Profile Information". They are read as they are by now: the change may be later than the answer's snapshot.
    async fn new_profiles(
        &self,
        told: &[(UserNum, Presence)],
        known: Option<u64>,
    ) -> Result<HashMap<UserNum, Profile>> {
        let is_new = |shown: &Presence| shown.renamed > known.unwrap_or(0);
        let renamed: Vec<_> = told.iter().filter(|(_, shown)| is_new(shown)).map(|(user, _)| *user).collect();
        if renamed.is_empty() {
            return Ok(HashMap::new());
        }
        let profiles = self.accounts.profiles(&self.store.snapshot(), &renamed).await?;
        Ok(renamed.into_iter().zip(profiles).collect())
    }
}

/// The type of the events that tell of presence.
const KIND: &str = "m.presence";
