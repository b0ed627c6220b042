//! Whether one event notifies one user, and how: by its class where that says all, else by the user's rules themselves.

use std::collections::HashSet;
use std::sync::Arc;

use matron_matrix::event::rules;
use matron_matrix::push::{Class, Outcome, actions, actions_of, mentioned};
use matron_storage::{Position, Snapshot};
use ruma::push::Action;
use ruma::{OwnedRoomId, OwnedUserId, RoomId, RoomVersionId};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Push;
use super::audience::Compiled;
use super::told::Told;
use crate::accounts::{Invites, Session};
use crate::error::{Error, Result};
use crate::rooms::event::readable;
use crate::schema::rooms::{Membership, ROOMS, StoredEvent, USER_ROOMS};
use crate::schema::{RoomNum, UserNum};

/// An event that may notify some.
#[derive(Debug)]
pub(super) struct Incoming {
    pub room: RoomNum,
    pub room_id: OwnedRoomId,
    pub position: Position,
    pub event: StoredEvent,
    /// Whom it names.
    mentioned: HashSet<OwnedUserId>,
    class: Option<Class>,
    /// Its sender.
    sender: OwnedUserId,
    told: Option<Arc<Told>>,
}

#[derive(Deserialize)]
struct WithContent<'a> {
    #[serde(borrow)]
    content: &'a RawValue,
}

impl Incoming {
    /// Reads what everybody's rules ask for.
    pub async fn of(
        push: &Push,
        snapshot: &Snapshot,
        room: RoomNum,
        position: Position,
        event: StoredEvent,
    ) -> Result<Self> {
        let row = snapshot.get(&ROOMS, &room).await?.ok_or_else(|| Error::internal("a room of an event is missing"))?;
        let content: WithContent<'_> = serde_json::from_str(&event.json).map_err(Error::internal)?;
        Ok(Self {
            room,
            room_id: RoomId::parse(&row.id).map_err(Error::internal)?,
            position,
            mentioned: mentioned(content.content).into_iter().collect(),
            class: event.header.class.and_then(Class::from_number),
            sender: push.ids.user_id(event.header.sender).await?,
            event,
            told: None,
        })
    }

    /// What gateways are told of it: made when the first is.
    pub async fn told(&mut self, push: &Push, snapshot: &Snapshot) -> Result<Arc<Told>> {
        if let Some(told) = &self.told {
            return Ok(Arc::clone(told));
        }
        let told = Arc::new(push.told(snapshot, self.room, self.event.clone()).await?);
        self.told = Some(Arc::clone(&told));
        Ok(told)
    }
}

impl Push {
    /// The actions by which an event notifies a user who is in its room, as a JSON list; none where it does not.
    pub(super) async fn judge(
        &self,
        snapshot: &Snapshot,
        session: &Session,
        rules: &Compiled,
        incoming: &Incoming,
    ) -> Result<Option<Arc<str>>> {
        if incoming.mentioned.contains(&session.user_id) || rules.looks_deeper(&incoming.sender) {
            return self.judge_alone(snapshot, session, rules, incoming).await;
        }
        let class = incoming.class.filter(|class| rules.mask(&incoming.room_id).of(*class).notify);
        let Some(class) = class else { return Ok(None) };
        let actions = written(actions_of(&rules.ruleset, &incoming.room_id, class))?;
        self.unless_ignored(snapshot, session, incoming, actions).await
    }

    /// As [`Self::judge`], of an invite for the user that it invites: what their settings ignore they are not told, as /sync
    /// does not show it.
    pub(super) async fn judge_invite(
        &self,
        snapshot: &Snapshot,
        session: &Session,
        rules: &Compiled,
        incoming: &Incoming,
    ) -> Result<Option<Arc<str>>> {
        if self.accounts.invites(snapshot, session.user, &incoming.sender).await? != Invites::Allowed {
            return Ok(None);
        }
        self.judge_alone(snapshot, session, rules, incoming).await
    }

    /// By the rules themselves: for who is named in the event, invited by it, or has rules that ask for more than classes.
    async fn judge_alone(
        &self,
        snapshot: &Snapshot,
        session: &Session,
        compiled: &Compiled,
        incoming: &Incoming,
    ) -> Result<Option<Arc<str>>> {
        let view = self.rooms.view_of(snapshot, session, incoming.room).await?;
        let context = self.unread.context(&view, session, &compiled.ruleset, incoming.class).await?;
        let version = snapshot.get(&ROOMS, &incoming.room).await?.map(|row| row.version).unwrap_or_default();
        let version = RoomVersionId::try_from(version).map_err(Error::internal)?;
        let json = readable(incoming.event.clone(), &rules(&version)?)?;
        let id = incoming.event.header.event_id();
        let mut shown = String::new();
        matron_matrix::client_event::write(&mut shown, &json, &id, Some(incoming.room_id.as_str()), None)?;
        let actions = actions(&compiled.ruleset, &shown, &context);
        if !Outcome::of(actions).notify {
            return Ok(None);
        }
        self.unless_ignored(snapshot, session, incoming, written(actions)?).await
    }

    async fn unless_ignored(
        &self,
        snapshot: &Snapshot,
        session: &Session,
        incoming: &Incoming,
        actions: Arc<str>,
    ) -> Result<Option<Arc<str>>> {
        let ignored = self.accounts.ignored(snapshot, session.user).await?;
        Ok((!ignored.contains(&incoming.event.header.sender)).then_some(actions))
    }

    /// Whether a user is in the room since before the event.
    pub(super) async fn was_there(&self, snapshot: &Snapshot, user: UserNum, incoming: &Incoming) -> Result<bool> {
        let own = snapshot.get(&USER_ROOMS, &(user, incoming.room)).await?;
        Ok(own.is_some_and(|own| own.membership == Membership::Join && own.since < incoming.position))
    }
}

fn written(actions: &[Action]) -> Result<Arc<str>> {
    Ok(serde_json::to_string(actions).map_err(Error::internal)?.into())
}
