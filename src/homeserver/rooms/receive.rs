//! Events of other servers made ready for their place: what they name becomes numbers, and what is missing a gap.

use std::sync::Arc;

use matron_matrix::event::Pdu;

use super::Rooms;
use super::built::{Built, MAX_DEPTH, Received};
use super::tree::NodeNum;
use super::working::Working;
use crate::error::{Error, Result};
use crate::schema::rooms::Standing;

/// Makes an event ready that was checked: its signatures, its hash, its authority. `state_before` is the state that its
/// previous events lead to; an outlier has none. Nothing where the event has its place in the room already.
///
/// # Errors
/// The store cannot be read; an event that should authorize it is not known.
pub async fn received(
    rooms: &Rooms,
    working: &Working,
    pdu: Arc<Pdu>,
    json: Box<str>,
    state_before: NodeNum,
) -> Result<Option<Built>> {
    let known = working.event_num(rooms, pdu.event_id.as_str()).await?;
    if let Some(num) = known
        && working.found(num).await?.is_none_or(|found| found.place.arrival.is_some())
    {
        return Ok(None);
    }
    let (mut prev, mut missing) = (Vec::with_capacity(pdu.prev_events.len()), Vec::new());
    for id in &pdu.prev_events {
        let num = working.event_num(rooms, id.as_str()).await?;
        let found = match num {
            Some(num) => working.found(num).await?,
            None => None,
        };
        if found.as_ref().is_none_or(|found| found.event.header.standing == Standing::Outlier) {
            missing.push(id.clone());
        }
        prev.extend(found.map(|found| found.event.header.num));
    }
    let mut auth = Vec::with_capacity(pdu.auth_events.len());
    for id in &pdu.auth_events {
        let num = working.event_num(rooms, id.as_str()).await?;
        auth.push(num.ok_or_else(|| Error::internal(format!("the authority {id} is not known")))?);
    }
    let num = match known {
        Some(num) => num,
        None => rooms.ids.new_events(1).await?,
    };
    let received = Some(Received { known: known.is_some(), missing });
    Ok(Some(Built { num, depth: pdu.depth.min(MAX_DEPTH), pdu, json, prev, auth, state_before, received }))
}
