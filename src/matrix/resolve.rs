//! State resolution, by ruma: from several states of a room, one.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ruma::room_version_rules::RoomVersionRules;
use ruma::state_res::{self, StateMap};
use ruma::{EventId, OwnedEventId};

use crate::event::Pdu;
use crate::{Error, Result};

/// All that a resolution reads: it is synchronous, so everything is loaded before.
#[derive(Debug, Default)]
pub struct Material {
    /// The conflicted events and their auth chains.
    pub events: HashMap<OwnedEventId, Arc<Pdu>>,
}

impl Material {
    /// All events that authorize `ids`, directly or not; `ids` themselves are not in it.
    #[must_use]
    pub fn auth_chain<'a>(&self, ids: impl IntoIterator<Item = &'a EventId>) -> HashSet<OwnedEventId> {
        let mut chain = HashSet::new();
        let mut open: Vec<OwnedEventId> = ids.into_iter().map(ToOwned::to_owned).collect();
        while let Some(id) = open.pop() {
            let Some(event) = self.events.get(&id) else { continue };
            for auth in authority(event) {
                if chain.insert(auth.clone()) {
                    open.push(auth);
                }
            }
        }
        chain
    }

    /// The events on any path, along authority, from one conflicted event to another (state resolution v2.1).
    fn conflicted_subgraph(&self, conflicted: &HashSet<OwnedEventId>) -> HashSet<OwnedEventId> {
        let below = self.auth_chain(conflicted.iter().map(AsRef::as_ref));
        let candidates: HashSet<_> = below.union(conflicted).cloned().collect();
        candidates
            .into_iter()
            .filter(|id| {
                conflicted.contains(id)
                    || self.auth_chain([AsRef::<EventId>::as_ref(id)]).iter().any(|id| conflicted.contains(id))
            })
            .collect()
    }
}

/// The events that authorize an event. In room version 12 the create event is not named and is added by hand.
#[must_use]
pub fn authority(event: &Pdu) -> Vec<OwnedEventId> {
    let mut ids = event.auth_events.clone();
    let is_hash = !event.room_id.as_str().contains(':');
    if is_hash
        && event.kind != ruma::events::TimelineEventType::RoomCreate
        && let Ok(create) = EventId::parse(event.room_id.as_str().replacen('!', "$", 1))
    {
        ids.push(create);
    }
    ids
}

/// Resolves the states of a room's forks to one.
///
/// # Errors
/// `M_INVALID_ROOM_STATE` where the states cannot be resolved.
pub fn resolve(
    rules: &RoomVersionRules,
    forks: &[StateMap<OwnedEventId>],
    material: &Material,
) -> Result<StateMap<OwnedEventId>> {
    let state_res_rules = rules
        .state_res
        .v2_rules()
        .ok_or_else(|| Error::unsupported_room_version("its state resolution is not supported"))?;
    let chains =
        forks.iter().map(|fork| material.auth_chain(fork.values().map(AsRef::as_ref)).into_iter().collect()).collect();
    state_res::resolve(
        &rules.authorization,
        state_res_rules,
        forks,
        chains,
        |id| material.events.get(id).cloned(),
        |conflicted| {
            let ids = conflicted.values().flatten().cloned().collect();
            Some(material.conflicted_subgraph(&ids).into_iter().collect())
        },
    )
    .map_err(|error| Error::invalid_room_state(error.to_string()))
}
