//! Who is in rooms that everybody may join or read: followed by what changes in rooms' states.

use std::collections::BTreeSet;

use matron_storage::{Position, Snapshot};
use ruma::UserId;

use super::Directory;
use crate::error::Result;
use crate::follow::{Chunk, Follow, Output};
use crate::rooms::roots::root_at;
use crate::rooms::tree::{EMPTY, NodeNum, diff};
use crate::schema::directory::{OPEN_MEMBERS, OPEN_ROOMS};
use crate::schema::rooms::{MEMBERS, Membership, STATES};
use crate::schema::{RoomNum, UserNum};

impl Follow for &Directory {
    async fn begin(&mut self, _: &mut Output<'_>) -> Result<Position> {
        self.accounts.index_names().await?;
        Ok(Position::ZERO)
    }

    async fn digest(&mut self, chunk: &Chunk, output: &mut Output<'_>) -> Result<()> {
        let rooms: BTreeSet<_> = chunk.events.iter().map(|(_, room)| *room).collect();
        for room in rooms {
            if let Some(new) = changed_state(&chunk.snapshot, room, chunk.after, chunk.to).await? {
                let old = root_at(&chunk.snapshot, room, chunk.after).await?.unwrap_or(EMPTY);
                self.move_room(&chunk.snapshot, room, (old, new), output).await?;
            }
            output.relieve().await?;
        }
        Ok(())
    }
}

/// The root of a room's state at `to`, if it changed after `after`.
async fn changed_state(snapshot: &Snapshot, room: RoomNum, after: Position, to: Position) -> Result<Option<NodeNum>> {
    use std::ops::Bound::{Excluded, Included};
    let range = STATES.range((Excluded((room, after)), Included((room, to))));
    Ok(snapshot.scan(&STATES, range).reverse().first().await?.map(|(_, state)| state.state))
}

impl Directory {
    /// A room's state became another one. Members are written as they are now: what comes later is told again later.
    async fn move_room(
        &self,
        snapshot: &Snapshot,
        room: RoomNum,
        (old, new): (NodeNum, NodeNum),
        output: &mut Output<'_>,
    ) -> Result<()> {
        let was_open = snapshot.get(&OPEN_ROOMS, &room).await?.is_some();
        let is_open = self.rooms.is_open(snapshot, room, new).await?;
        if was_open != is_open {
            let mut members = snapshot.scan(&MEMBERS, MEMBERS.under(&(room,)));
            while let Some(((_, user), member)) = members.next().await? {
                put(output, user, room, is_open && member.membership == Membership::Join);
                output.relieve().await?;
            }
            // Last: where it is cut off before this, all of it is done again.
            if is_open {
                output.batch().put(&OPEN_ROOMS, &room, &());
            } else {
                output.batch().delete(&OPEN_ROOMS, &room);
            }
            return Ok(());
        }
        if !is_open {
            return Ok(());
        }
        let kind = self.ids.kind("m.room.member").await?;
        for change in diff(&self.rooms.states(snapshot, room), old, new).await? {
            let name = self.ids.state_key_name(change.key).await?;
            if name.kind != kind {
                continue;
            }
            let Ok(user_id) = UserId::parse(&name.key) else { continue };
            let Some(user) = self.ids.find_user(&user_id).await? else { continue };
            let membership = self.rooms.membership(snapshot, room, user).await?;
            put(output, user, room, membership == Some(Membership::Join));
            output.relieve().await?;
        }
        Ok(())
    }
}

fn put(output: &mut Output<'_>, user: UserNum, room: RoomNum, joined: bool) {
    if joined {
        output.batch().put(&OPEN_MEMBERS, &(user, room), &());
    } else {
        output.batch().delete(&OPEN_MEMBERS, &(user, room));
    }
}
