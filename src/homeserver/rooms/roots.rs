//! Which state a room had when.

use matron_storage::{Position, Snapshot};

use super::tree::NodeNum;
use crate::error::Result;
use crate::schema::RoomNum;
use crate::schema::rooms::STATES;

/// The root of a room's resolved state as of a position; none before the room was.
///
/// # Errors
/// The store cannot be read.
pub async fn root_at(snapshot: &Snapshot, room: RoomNum, position: Position) -> Result<Option<NodeNum>> {
    let up_to = STATES.range((room, Position::ZERO)..=(room, position));
    let found = snapshot.scan(&STATES, up_to).reverse().first().await?;
    Ok(found.map(|(_, state)| state.state))
}
