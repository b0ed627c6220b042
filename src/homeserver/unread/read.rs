//! How far a user has read a room: by receipts, by having spoken, by having come in.

use std::collections::BTreeMap;

use matron_storage::{Position, Snapshot};

use super::Counter;
use crate::error::Result;
use crate::schema::ephemeral::RECEIPTS;
use crate::schema::rooms::{SPOKEN, UserRoom};
use crate::schema::{EventNum, RoomNum, UserNum};

/// How far a user has read a room.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadUpTo {
    /// Everything up to here, whatever thread.
    pub all: Position,
    /// The main timeline.
    pub(super) main: Position,
    threads: BTreeMap<EventNum, Position>,
}

impl ReadUpTo {
    /// Whether it is of the user's present stay in the room.
    pub(super) fn is_still(&self, own: &UserRoom) -> bool {
        own.since <= self.all
    }

    /// Up to where they have read a thread, or what is in none.
    #[must_use]
    pub fn of(&self, thread: Option<EventNum>) -> Position {
        match thread {
            None => self.main,
            Some(root) => self.threads.get(&root).copied().unwrap_or_default().max(self.all),
        }
    }
}

impl Counter {
    /// How far a user has read a room that they are joined to.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn read_up_to(
        &self,
        snapshot: &Snapshot,
        user: UserNum,
        room: RoomNum,
        own: &UserRoom,
    ) -> Result<ReadUpTo> {
        let mut all = own.since;
        let mut main = Position::ZERO;
        let mut threads: BTreeMap<EventNum, Position> = BTreeMap::new();
        // Public and private ones.
        for ((.., thread), receipt) in snapshot.scan(&RECEIPTS, RECEIPTS.under(&(room, user))).collect().await? {
            let Some(read) = receipt.read else { continue };
            match thread.as_str() {
                "" => all = all.max(read),
                "main" => main = main.max(read),
                root => {
                    let digest = matron_matrix::digest::of_event_id(root);
                    if let Some(root) = self.ids.event(snapshot, &digest).await? {
                        let entry = threads.entry(root).or_default();
                        *entry = (*entry).max(read);
                    }
                }
            }
        }
        for ((_, _, thread), spoken) in snapshot.scan(&SPOKEN, SPOKEN.under(&(room, user))).collect().await? {
            if thread.0 == 0 {
                main = main.max(spoken);
            } else {
                let entry = threads.entry(thread).or_default();
                *entry = (*entry).max(spoken);
            }
        }
        Ok(ReadUpTo { all, main: main.max(all), threads })
    }
}
