//! What a room's writer looked up of the current state, within bounds: what is forgotten is read again.

use std::collections::HashMap;

use ruma::events::StateEventType;

use super::StateEvent;
use crate::rooms::event::weight;

/// How many events of the state are remembered, and how many bytes of them. A room of many members is read anew now and
/// then.
pub(super) const MOST_EVENTS: usize = 1024;
const MOST_BYTES: u64 = 2 << 20;

/// An event's type and state key.
type Name = (StateEventType, String);

/// What is known of the state.
#[derive(Debug, Default)]
pub(in crate::rooms) struct KnownState {
    events: HashMap<Name, Option<StateEvent>>,
    bytes: u64,
}

/// What it costs to remember an event, about.
fn cost((_, key): &Name, event: Option<&StateEvent>) -> u64 {
    128 + key.len() as u64 + event.map_or(0, |(_, pdu)| weight(pdu))
}

impl KnownState {
    pub fn get(&self, name: &Name) -> Option<&Option<StateEvent>> {
        self.events.get(name)
    }

    pub fn insert(&mut self, name: Name, event: Option<StateEvent>) {
        if self.events.len() >= MOST_EVENTS || self.bytes >= MOST_BYTES {
            self.clear();
        }
        self.remove(&name);
        self.bytes += cost(&name, event.as_ref());
        self.events.insert(name, event);
    }

    pub fn remove(&mut self, name: &Name) {
        if let Some(old) = self.events.remove(name) {
            self.bytes -= cost(name, old.as_ref());
        }
    }

    pub fn clear(&mut self) {
        self.events.clear();
        self.bytes = 0;
    }

    /// Bytes that it takes, about.
    pub const fn weight(&self) -> u64 {
        self.bytes
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.events.len()
    }
}
