//! An event that is ready for its place in a room, whether it was made here or came from another server.

use std::sync::Arc;

use matron_matrix::event::Pdu;
use ruma::OwnedEventId;

use crate::schema::EventNum;

/// The greatest depth that canonical JSON can hold: whoever sends it must not end the room.
pub(super) const MAX_DEPTH: u64 = (1 << 53) - 1;

/// An event that may be placed.
#[derive(Debug, Clone)]
pub struct Built {
    /// Its number.
    pub num: EventNum,
    /// The event.
    pub pdu: Arc<Pdu>,
    /// Its signed JSON.
    pub json: Box<str>,
    /// The events before it.
    pub prev: Vec<EventNum>,
    /// The events that authorize it.
    pub auth: Vec<EventNum>,
    /// The root of the state before it.
    pub state_before: u32,
    /// Its depth.
    pub depth: u64,
    /// What is known of it as an event of another server; nothing where it was made here.
    pub received: Option<Received>,
}

/// What is known of an event that came from another server.
#[derive(Debug, Clone, Default)]
pub struct Received {
    /// Whether it lies with the outliers already: then it keeps its number.
    pub known: bool,
    /// Those of its previous events that have no place in the room: history has a gap before it.
    pub missing: Vec<OwnedEventId>,
}
