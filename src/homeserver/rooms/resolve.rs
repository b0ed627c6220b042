//! State resolution over the tree: only what differs between the forks is loaded and resolved.

use std::collections::{HashMap, HashSet};

use matron_matrix::authorize::auth_types_of;
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
    let mut whole = Whole { rooms, working, base, names: &names, forks, material, nums };
    whole.add_what_rules_ask_for().await?;
    whole.add_what_shares_authority().await?;
    let Whole { forks, material, nums, .. } = whole;

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
        if material.events.contains_key(&pdu.event_id) {
            continue;
        }
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

/// The forks as they are put together: what differs, and of what all agree on as much as the outcome depends on.
struct Whole<'a> {
    rooms: &'a Rooms,
    working: &'a Working,
    base: NodeNum,
    /// What differs.
    names: &'a HashMap<StateKeyNum, (StateEventType, String)>,
    forks: Vec<StateMap<OwnedEventId>>,
    material: Material,
    nums: HashMap<OwnedEventId, EventNum>,
}

impl Whole<'_> {
    /// The rules ask for the state of now: a member who was banned meanwhile, on whom all forks agree.
    async fn add_what_rules_ask_for(&mut self) -> Result<()> {
        let rules = &self.working.rules.authorization;
        let mut asked: HashSet<(StateEventType, String)> = HashSet::new();
        for event in self.material.events.values() {
            asked.extend(auth_types_of(event, rules).unwrap_or_default());
        }
        for name in asked {
            if !self.forks.iter().all(|fork| fork.contains_key(&name))
                && let Some((num, _)) = self.working.state_event_at(self.rooms, self.base, &name.0, &name.1).await?
            {
                self.add(name, num).await?;
            }
        }
        Ok(())
    }

    /// An event is in the auth difference only if some whole state does not rest on it. Where all agree on an event that
    /// rests on it, none does not. What rests on another event has the greater number, since authority is known first.
    async fn add_what_shares_authority(&mut self) -> Result<()> {
        let chains: Vec<_> =
            self.forks.iter().map(|fork| self.material.auth_chain(fork.values().map(AsRef::as_ref))).collect();
        let all: HashSet<_> = chains.iter().flatten().collect();
        let differs = |id: &&OwnedEventId| chains.iter().any(|chain| !chain.contains(*id));
        let Some(oldest) = all.into_iter().filter(differs).filter_map(|id| self.nums.get(id)).min().copied() else {
            return Ok(());
        };
        for (key, num) in self.working.editor.reader().entries(self.base).await? {
            if num > oldest && !self.names.contains_key(&key) {
                let name = self.rooms.ids.state_key_name(key).await?;
                let kind = StateEventType::from(&*self.rooms.ids.kind_name(name.kind).await?);
                self.add((kind, name.key.clone()), num).await?;
            }
        }
        Ok(())
    }

    /// Adds an event on which all forks agree, with all that authorizes it.
    async fn add(&mut self, name: (StateEventType, String), num: EventNum) -> Result<()> {
        if self.names.values().any(|differing| *differing == name) {
            return Ok(());
        }
        let id = self.working.pdu(self.rooms, num).await?.event_id.clone();
        self.nums.insert(id.clone(), num);
        for fork in &mut self.forks {
            fork.insert(name.clone(), id.clone());
        }
        load_chains(self.rooms, self.working, vec![num], &mut self.material, &mut self.nums).await
    }
}
