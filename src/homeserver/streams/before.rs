//! What happened before this run of the program, as far as the tables learn of it.

use std::sync::Arc;

use matron_storage::{Position, Snapshot};

use super::{RECENT, Streams};
use crate::error::Result;
use crate::locks::{read, write};
use crate::schema::accounts::ERASED;
use crate::schema::devices::DEVICE_LISTS;
use crate::schema::ephemeral::RECEIPT_STREAM;
use crate::schema::rooms::STREAM;
use crate::schema::{RoomNum, UserNum};

impl Streams {
    /// Says at which position this run begins: the store's at start. What changed in rooms before it is read back as far as
    /// memory goes, so that those who come back look into those rooms alone; and when a device list changed last, and who
    /// was erased.
    ///
    /// Receipts have no order over all rooms to be read by: see [`Self::receipts_moved`]. Nor has what concerns users alone,
    /// and reading it all would take longer the more users there are: each is taken for changed until they have asked once.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn begin(&self, snapshot: &Snapshot) -> Result<()> {
        let now = snapshot.position();
        let erased = snapshot.scan(&ERASED, ERASED.all()).collect().await?;
        let mut changes = snapshot.scan(&STREAM, STREAM.all()).reverse().take(RECENT).await?;
        changes.reverse();
        let oldest = changes.first().filter(|_| changes.len() == RECENT);
        let floor = oldest.map_or(Position::ZERO, |(position, _)| *position);
        let device_lists = snapshot.scan(&DEVICE_LISTS, DEVICE_LISTS.all()).reverse().first().await?;

        self.members.begin(now);
        let mut tables = write(&self.tables);
        tables.began = now;
        tables.device_lists = device_lists.map_or(Position::ZERO, |(position, _)| position);
        tables.erased = Arc::new(erased.into_iter().collect());
        tables.rooms = changes.iter().map(|(position, room)| (*room, *position)).collect();
        tables.recent.begin(floor, changes);
        tables.recent_users.begin(now, []);
        tables.rules.begin(now, []);
        Ok(())
    }

    /// Looks up who of `users` was erased: a write that failed may have said so, or not.
    pub(super) async fn look_up_erased(&self, snapshot: &Snapshot, users: &[UserNum]) -> Result<()> {
        let rows = snapshot.get_many(&ERASED, users).await?;
        let mut tables = write(&self.tables);
        for (user, position) in users.iter().zip(rows) {
            if let Some(position) = position.filter(|position| tables.erased.get(user) != Some(position)) {
                Arc::make_mut(&mut tables.erased).insert(*user, position);
            }
        }
        Ok(())
    }

    /// Whether a position lies before this run, of whose time the tables know of events alone.
    #[must_use]
    pub fn is_before(&self, position: Position) -> bool {
        position < read(&self.tables).began
    }

    /// Whether anybody's receipt in a room moved after `since`. Where none moved in this run, the store is asked, once for
    /// all.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn receipts_moved(&self, snapshot: &Snapshot, room: RoomNum, since: Position) -> Result<bool> {
        if let Some(moved) = self.receipts_known_to_move(room, since) {
            return Ok(moved);
        }
        let last = snapshot.scan(&RECEIPT_STREAM, RECEIPT_STREAM.under(&(room,))).reverse().first().await?;
        let last = last.map_or(Position::ZERO, |((_, position), _)| position);
        // One that moved meanwhile is later.
        write(&self.tables).receipts.entry(room).or_insert(last);
        Ok(last > since)
    }

    fn receipts_known_to_move(&self, room: RoomNum, since: Position) -> Option<bool> {
        let tables = read(&self.tables);
        match tables.receipts.get(&room) {
            Some(last) => Some(*last > since),
            None => (since >= tables.began).then_some(false),
        }
    }
}
