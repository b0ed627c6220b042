//! State resolution over the tree: only what differs between the forks is loaded and resolved.

use std::collections::{HashMap, HashSet};

use matron_matrix::resolve::{Material, authority, resolve};
use ruma::OwnedEventId;
use ruma::events::StateEventType;
use ruma::state_res::StateMap;

use super::Rooms;
use super::tree::{EMPTY, NodeNum, diff};
use super::working::Working;
use crate::error::{Error, Result};
use crate::schema::rooms::Extremity;
use crate::schema::{EventNum, StateKeyNum};

/// The state after all of these ends of the graph: their own where they agree, resolved where they do not.
///
/// # Errors
/// The store cannot be read; the states cannot be resolved.
pub async fn state_after_all(rooms: &Rooms, working: &mut Working, ends: &[Extremity]) -> Result<NodeNum> {
    let mut roots: Vec<NodeNum> = ends.iter().map(|end| end.state).collect();
    roots.sort_unstable();
    roots.dedup();
    match roots.as_slice() {
        [] => Ok(EMPTY),
        [root] => Ok(*root),
        [base, others @ ..] => {
            // The head's state is the resolution over all ends: nothing to do anew where these are all.
            let is_head = ends.len() == working.head.extremities.len()
                && ends.iter().all(|end| working.head.extremities.contains(end));
            if is_head && working.head.state != EMPTY {
                return Ok(working.head.state);
            }
            resolve_roots(rooms, working, *base, others).await
        }
    }
}

/// Resolves several states: everything is compared with `base`, shared branches are never read.
async fn resolve_roots(rooms: &Rooms, working: &mut Working, base: NodeNum, others: &[NodeNum]) -> Result<NodeNum> {
    let mut differing: HashSet<StateKeyNum> = HashSet::new();
    for other in others {
        differing.extend(diff(working.editor.reader(), base, *other).await?.iter().map(|change| change.key));
    }
    let mut names: HashMap<StateKeyNum, (StateEventType, String)> = HashMap::new();
    for key in &differing {
        let name = rooms.ids.state_key_name(*key).await?;
        let kind = rooms.ids.kind_name(name.kind).await?;
        names.insert(*key, (StateEventType::from(&*kind), name.key.clone()));
    }
    let mut material = Material::default();
    let mut forks: Vec<StateMap<OwnedEventId>> = Vec::new();
    let mut open: Vec<EventNum> = Vec::new();
    let mut nums: HashMap<OwnedEventId, EventNum> = HashMap::new();
    for root in std::iter::once(&base).chain(others) {
        let mut fork = StateMap::new();
        for (key, name) in &names {
            if let Some(num) = working.editor.reader().get(*root, *key).await? {
                let pdu = working.pdu(rooms, num).await?;
                nums.insert(pdu.event_id.clone(), num);
                fork.insert(name.clone(), pdu.event_id.clone());
                open.push(num);
            }
        }
        // The iterative checks look at create, power levels, join rules and members: unconflicted ones come along.
        for kind in [StateEventType::RoomCreate, StateEventType::RoomPowerLevels, StateEventType::RoomJoinRules] {
            let name = (kind.clone(), String::new());
            if let Some((num, pdu)) = working.state_event_at(rooms, *root, &kind, "").await? {
                nums.insert(pdu.event_id.clone(), num);
                fork.entry(name).or_insert_with(|| pdu.event_id.clone());
                open.push(num);
            }
        }
        forks.push(fork);
    }
    load_chains(rooms, working, open, &mut material, &mut nums).await?;
    add_unconflicted_members(rooms, working, base, &names, &mut forks, &mut material, &mut nums).await?;

    let rules = working.rules.clone();
    let resolved = tokio::task::spawn_blocking(move || resolve(&rules, &forks, &material).map(|state| (state, nums)))
        .await
        .map_err(Error::internal)?;
    let (resolved, nums) = resolved?;

    let mut root = base;
    for (key, name) in names {
        root = match resolved.get(&name) {
            Some(id) => {
                let num = match nums.get(id) {
                    Some(num) => *num,
                    None => working
                        .event_num(rooms, id.as_str())
                        .await?
                        .ok_or_else(|| Error::internal(format!("resolution named the unknown event {id}")))?,
                };
                working.editor.set(root, key, num).await?
            }
            None => working.editor.remove(root, key).await?,
        };
    }
    Ok(root)
}

/// Loads events and all that authorizes them.
async fn load_chains(
    rooms: &Rooms,
    working: &Working,
    mut open: Vec<EventNum>,
    material: &mut Material,
    nums: &mut HashMap<OwnedEventId, EventNum>,
) -> Result<()> {
    let mut seen: HashSet<EventNum> = open.iter().copied().collect();
    while let Some(num) = open.pop() {
        let pdu = working.pdu(rooms, num).await?;
        for id in authority(&pdu) {
            let num = match nums.get(&id) {
                Some(num) => Some(*num),
                None => working.event_num(rooms, id.as_str()).await?,
            };
            if let Some(num) = num {
                nums.insert(id, num);
                if seen.insert(num) {
                    open.push(num);
                }
            }
        }
        material.events.insert(pdu.event_id.clone(), pdu);
    }
    Ok(())
}

/// The members who sent a conflicted event, or are its target, decide whether it is allowed: where all forks agree on
/// them they are not in the difference, but the rules ask for them.
async fn add_unconflicted_members(
    rooms: &Rooms,
    working: &Working,
    base: NodeNum,
    names: &HashMap<StateKeyNum, (StateEventType, String)>,
    forks: &mut [StateMap<OwnedEventId>],
    material: &mut Material,
    nums: &mut HashMap<OwnedEventId, EventNum>,
) -> Result<()> {
    let conflicted: HashSet<&(StateEventType, String)> = names.values().collect();
    let mut users: HashSet<String> = HashSet::new();
    for event in material.events.values() {
        users.insert(event.sender.to_string());
        if event.kind == ruma::events::TimelineEventType::RoomMember {
            users.extend(event.state_key.clone());
        }
    }
    for user in users {
        let name = (StateEventType::RoomMember, user);
        if conflicted.contains(&name) {
            continue;
        }
        if let Some((num, pdu)) = working.state_event_at(rooms, base, &name.0, &name.1).await? {
            nums.insert(pdu.event_id.clone(), num);
            for fork in &mut *forks {
                fork.insert(name.clone(), pdu.event_id.clone());
            }
            load_chains(rooms, working, vec![num], material, nums).await?;
        }
    }
    Ok(())
}
