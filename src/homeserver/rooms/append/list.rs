//! What a room tells outside: its row in the published list, and a space's children, in the batch that changes them.

use super::Append;
use crate::error::Result;
use crate::rooms::summary;
use crate::schema::directory::{LIST_ORDER, LISTED, SPACE_CHILDREN, Summary};
use crate::schema::{EventNum, RoomNum};

/// Where a room stands in the list.
const fn order(room: RoomNum, summary: &Summary) -> (u64, RoomNum) {
    (u64::MAX - summary.joined, room)
}

impl Append<'_> {
    /// Puts the room into the published list, or takes it out.
    pub const fn list(&mut self, listed: bool) {
        self.listed = Some(listed);
    }

    /// Writes the room's row, if it is listed and something changed that the list tells.
    pub(super) async fn tell_list(&mut self) -> Result<()> {
        if !self.retell && self.listed.is_none() {
            return Ok(());
        }
        let room = self.working.num;
        // Only the room's writer changes the row, so what the last batch left is what is there.
        let old = self.working.snapshot.get(&LISTED, &room).await?;
        let new = if self.listed.unwrap_or(old.is_some()) { Some(self.summary().await?) } else { None };
        if old == new {
            return Ok(());
        }
        if old.is_some() != new.is_some() {
            self.rooms.published.change(self.rooms.clock.millis());
        }
        if let Some(old) = &old {
            self.batch.delete(&LIST_ORDER, &order(room, old));
        }
        match &new {
            Some(new) => {
                self.batch.put(&LISTED, &room, new);
                self.batch.put(&LIST_ORDER, &order(room, new), &());
            }
            None => self.batch.delete(&LISTED, &room),
        }
        Ok(())
    }

    /// A space has another child, or another event that says so.
    pub(super) fn move_child(&mut self, child: &str, event: Option<EventNum>) {
        let row = (self.working.num, child.to_owned());
        match event {
            Some(event) => self.batch.put(&SPACE_CHILDREN, &row, &event),
            None => self.batch.delete(&SPACE_CHILDREN, &row),
        }
    }

    async fn summary(&self) -> Result<Summary> {
        let (working, head) = (&*self.working, &self.working.head);
        let (states, fresh) = (working.editor.reader(), &working.fresh);
        summary::read(self.rooms, &working.row, head.joined, (states, head.state), (&working.snapshot, fresh)).await
    }
}
