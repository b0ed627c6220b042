//! What differs between two states: shared branches are skipped, so it costs what changed.

use std::collections::BTreeMap;

use super::node::{Child, Node};
use super::{EMPTY, NodeNum, Reader};
use crate::error::Result;
use crate::schema::{EventNum, StateKeyNum};

/// A key whose event differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: StateKeyNum,
    /// Its event in the first state.
    pub old: Option<EventNum>,
    /// Its event in the second state.
    pub new: Option<EventNum>,
}

/// The keys whose events differ between two states of a room, by key.
///
/// # Errors
/// The store cannot be read.
pub async fn diff(reader: &Reader, old: NodeNum, new: NodeNum) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    if old == new {
        return Ok(changes);
    }
    // Pairs of sets of nodes that cover the same range of hashes.
    let mut open = vec![(vec![old], vec![new])];
    while let Some((old, new)) = open.pop() {
        if old == new {
            continue;
        }
        if let ([old], [new]) = (old.as_slice(), new.as_slice())
            && *old != EMPTY
            && *new != EMPTY
        {
            let nodes = (reader.node(*old).await?, reader.node(*new).await?);
            if let (Node::Inner(old), Node::Inner(new)) = (&*nodes.0, &*nodes.1) {
                align(old, new, &mut open);
                continue;
            }
            if let (Node::Leaf(old), Node::Leaf(new)) = (&*nodes.0, &*nodes.1) {
                compare(old, new, &mut changes);
                continue;
            }
        }
        let old = reader.entries_under(old).await?;
        let new = reader.entries_under(new).await?;
        compare(&old, &new, &mut changes);
    }
    changes.sort_by_key(|change| change.key);
    Ok(changes)
}

/// Splits two inner nodes into the smallest groups of children that cover the same slots.
fn align(old: &[Child], new: &[Child], open: &mut Vec<(Vec<NodeNum>, Vec<NodeNum>)>) {
    let (mut old, mut new) = (old.iter(), new.iter());
    let mut group = (Vec::new(), Vec::new());
    let mut ends = (0, 0);
    loop {
        let next = if ends.0 <= ends.1 { old.next() } else { new.next() };
        let Some(child) = next else { break };
        if ends.0 <= ends.1 {
            group.0.push(child.node);
            ends.0 = child.end;
        } else {
            group.1.push(child.node);
            ends.1 = child.end;
        }
        if ends.0 == ends.1 {
            open.push(std::mem::take(&mut group));
        }
    }
}

fn compare(old: &[(StateKeyNum, EventNum)], new: &[(StateKeyNum, EventNum)], changes: &mut Vec<Change>) {
    let mut keys: BTreeMap<StateKeyNum, (Option<EventNum>, Option<EventNum>)> = BTreeMap::new();
    for (key, event) in old {
        keys.entry(*key).or_default().0 = Some(*event);
    }
    for (key, event) in new {
        keys.entry(*key).or_default().1 = Some(*event);
    }
    let differing = keys.into_iter().filter(|(_, (old, new))| old != new);
    changes.extend(differing.map(|(key, (old, new))| Change { key, old, new }));
}
