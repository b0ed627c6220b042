//! Typing and receipts in an answer.

use matron_storage::Position;

use super::Sync;
use super::answer::Events;
use super::classic::Request;
use crate::accounts::Session;
use crate::error::Result;
use crate::rooms::view::View;
use crate::schema::RoomNum;

impl Sync {
    pub(super) const fn typing_counter(&self) -> u64 {
        0
    }

    pub(super) fn rooms_typing_since(&self, _since: Option<u64>) -> Vec<RoomNum> {
        Vec::new()
    }

    pub(super) async fn ephemeral_of(
        &self,
        _session: &Session,
        _request: &Request,
        _since: Option<(Position, Option<u64>)>,
        _view: &View<'_>,
    ) -> Result<Events> {
        Ok(Events::default())
    }

    pub(super) async fn own_receipts_moved(
        &self,
        _view: &View<'_>,
        _session: &Session,
        _since: Option<Position>,
    ) -> Result<bool> {
        Ok(false)
    }
}
