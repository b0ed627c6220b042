//! The power levels of a room while it is written.

use matron_matrix::power::levels;
use ruma::events::StateEventType;
use ruma::events::room::power_levels::RoomPowerLevels;

use super::Rooms;
use super::working::Working;
use crate::error::{Error, Result};

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
