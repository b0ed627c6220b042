//! The power levels of a room: while it is written, and for who reads it.

use matron_matrix::power::levels;
use matron_storage::Snapshot;
use ruma::events::StateEventType;
use ruma::events::room::power_levels::RoomPowerLevels;

use super::Rooms;
use super::tree::NodeNum;
use super::working::Working;
use crate::error::{Error, Result};
use crate::schema::RoomNum;

/// The levels in any of the room's states.
///
/// # Errors
/// The store cannot be read; that state cannot be.
pub(super) async fn at(rooms: &Rooms, working: &Working, root: NodeNum) -> Result<RoomPowerLevels> {
    let create = working.state_event_at(rooms, root, &StateEventType::RoomCreate, "").await?;
    let (_, create) = create.ok_or_else(|| Error::internal("a state has no create event"))?;
    let power_levels = working.state_event_at(rooms, root, &StateEventType::RoomPowerLevels, "").await?;
    let power_levels = power_levels.as_ref().map(|(_, pdu)| &**pdu);
    Ok(levels(&create, power_levels, &working.rules.authorization)?)
}

/// The levels as of the working copy's current state.
///
/// # Errors
/// The store cannot be read; the room's state cannot be.
pub(super) async fn current(rooms: &Rooms, working: &mut Working) -> Result<RoomPowerLevels> {
    let create = working.state_event(rooms, &StateEventType::RoomCreate, "").await?;
    let (_, create) = create.ok_or_else(|| Error::internal("a room has no create event"))?;
    let power_levels = working.state_event(rooms, &StateEventType::RoomPowerLevels, "").await?;
    let power_levels = power_levels.as_ref().map(|(_, pdu)| &**pdu);
    Ok(levels(&create, power_levels, &working.rules.authorization)?)
}

impl Rooms {
    /// The power levels of a room now.
    ///
    /// # Errors
    /// The store cannot be read; the room's state cannot be.
    pub async fn power_levels(&self, snapshot: &Snapshot, room: RoomNum) -> Result<RoomPowerLevels> {
        let mut working = Working::load(self, snapshot.clone(), room).await?;
        current(self, &mut working).await
    }
}
