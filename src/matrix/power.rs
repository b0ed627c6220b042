//! Power levels: who may do what, for the questions that the authorization rules leave to servers.

use ruma::events::room::power_levels::{RoomPowerLevels, RoomPowerLevelsEventContent, RoomPowerLevelsSource};
use ruma::room_version_rules::AuthorizationRules;
use ruma::state_res::events::RoomCreateEvent;

use crate::event::Pdu;
use crate::{Error, Result};

/// The levels of a room, by its create event and its power levels, if it has any.
///
/// # Errors
/// `M_INVALID_ROOM_STATE` where one of them cannot be read.
pub fn levels(create: &Pdu, power_levels: Option<&Pdu>, rules: &AuthorizationRules) -> Result<RoomPowerLevels> {
    let creators = RoomCreateEvent::new(create).creators(rules).map_err(Error::invalid_room_state)?;
    let source = match power_levels {
        Some(pdu) => RoomPowerLevelsSource::Original(
            pdu.content_as::<RoomPowerLevelsEventContent>()
                .map_err(|error| Error::invalid_room_state(error.message))?,
        ),
        None => RoomPowerLevelsSource::None,
    };
    Ok(RoomPowerLevels::new(source, rules, creators))
}
