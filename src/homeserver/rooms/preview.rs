//! Looking at a room from outside: client-server API, "Room previews" and "Spaces" (who may see which room).

use std::collections::HashSet;

use matron_matrix::Error as MatrixError;
use matron_matrix::event::rules;
use matron_storage::Snapshot;
use ruma::{OwnedRoomId, RoomId, RoomVersionId, UserId};

use super::Rooms;
use crate::accounts::Session;
use crate::error::{Error, Result};
use crate::schema::directory::Summary;
use crate::schema::rooms::{Membership, ROOMS};
use crate::schema::{RoomNum, UserNum};

/// The most rooms of a page of mutual ones.
const MOST_MUTUAL: usize = 1000;

/// A room as it is told to somebody.
#[derive(Debug)]
pub struct Preview {
    /// What is told of it.
    pub summary: Summary,
    /// The asker's membership; none where they are a stranger.
    pub membership: Option<Membership>,
}

/// Rooms that two users are joined to.
#[derive(Debug, Default)]
pub struct Mutual {
    /// How many there are, on all pages together.
    pub count: u32,
    /// The rooms of this page.
    pub rooms: Vec<OwnedRoomId>,
    /// Where the next page begins; none where there is nothing more.
    pub next: Option<String>,
}

fn missing() -> MatrixError {
    MatrixError::not_found("the room is not known, or you may not see it")
}

/// Whether anybody may come into a room by themselves, ask to be let in, or read it.
fn is_for_all(summary: &Summary) -> Result<bool> {
    let version = RoomVersionId::try_from(summary.version.as_str()).map_err(Error::internal)?;
    let rules = rules(&version)?.authorization;
    Ok(summary.world_readable
        || match summary.join_rule.as_str() {
            "public" => true,
            "knock" => rules.knocking,
            "knock_restricted" => rules.knock_restricted_join_rule,
            _ => false,
        })
}

impl Rooms {
    /// Whether somebody may see the summary of a room: who is in it or may come in, and everybody where all may.
    pub(super) async fn may_preview(
        &self,
        snapshot: &Snapshot,
        user: Option<UserNum>,
        room: RoomNum,
        summary: &Summary,
    ) -> Result<bool> {
        let Some(user) = user else { return is_for_all(summary) };
        let membership = self.membership(snapshot, room, user).await?;
        if matches!(membership, Some(Membership::Join | Membership::Invite)) {
            return Ok(true);
        }
        if membership == Some(Membership::Ban) {
            return Ok(summary.world_readable);
        }
        if is_for_all(summary)? {
            return Ok(true);
        }
        for allowed in &summary.allowed {
            if let Some(other) = self.ids.room(snapshot, allowed).await?
                && self.membership(snapshot, other, user).await? == Some(Membership::Join)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What is told of a room to somebody, who may be a stranger: client-server API, `GET /room_summary`.
    ///
    /// # Errors
    /// `M_NOT_FOUND` where there is no such room, or they may not see it.
    pub async fn preview(&self, session: Option<&Session>, room_id: &RoomId) -> Result<Preview> {
        let snapshot = self.store.snapshot();
        let room = self.ids.room(&snapshot, room_id.as_str()).await?.ok_or_else(missing)?;
        let summary = self.summary_of(&snapshot, room).await?;
        let user = session.map(|session| session.user);
        if !self.may_preview(&snapshot, user, room, &summary).await? {
            return Err(missing().into());
        }
        let membership = match user {
            Some(user) => Some(self.membership(&snapshot, room, user).await?.unwrap_or(Membership::Leave)),
            None => None,
        };
        Ok(Preview { summary, membership })
    }

    /// The rooms that the asker and another user are both joined to: client-server API, "Mutual Rooms".
    ///
    /// # Errors
    /// `M_INVALID_PARAM` where the other is the asker, or the page begins nowhere.
    pub async fn mutual_rooms(&self, session: &Session, other: &UserId, from: Option<&str>) -> Result<Mutual> {
        if *other == session.user_id {
            return Err(MatrixError::invalid_param("one shares all rooms with oneself").into());
        }
        let wrong = |_| MatrixError::invalid_param("the token is of no page of this list");
        let from = from.map(|from| from.parse().map(RoomNum).map_err(wrong)).transpose()?;
        let Some(other) = self.ids.find_user(other).await? else { return Ok(Mutual::default()) };
        let snapshot = self.store.snapshot();
        let theirs: HashSet<_> = self.joined_rooms(&snapshot, other).await?.iter().copied().collect();
        let mut mutual = Mutual::default();
        let mut last = None;
        for room in self.joined_rooms(&snapshot, session.user).await?.iter().copied() {
            if !theirs.contains(&room) {
                continue;
            }
            mutual.count += 1;
            if from.is_some_and(|from| room <= from) || mutual.next.is_some() {
                continue;
            }
            if mutual.rooms.len() == MOST_MUTUAL {
                mutual.next = last.take();
                continue;
            }
            last = Some(room.to_string());
            let row = snapshot.get(&ROOMS, &room).await?.ok_or_else(missing)?;
            mutual.rooms.push(RoomId::parse(&row.id).map_err(Error::internal)?);
        }
        Ok(mutual)
    }
}
