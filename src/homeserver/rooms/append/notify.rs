//! What an event means for unread counts: its class, the running counts, the marks of those for whom it may differ.

use matron_matrix::event::Pdu;
use matron_storage::Position;

use super::Append;
use crate::error::Result;
use crate::schema::{EventNum, UserNum};

impl Append<'_> {
    /// Counts an event in its class, if plain members are notified by it.
    pub(super) async fn count(
        &mut self,
        _pdu: &Pdu,
        _sender: UserNum,
        _thread: Option<EventNum>,
        _position: Position,
    ) -> Result<Option<u8>> {
        Ok(None)
    }
}
