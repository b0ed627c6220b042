//! Room state as a copy-on-write tree: a state is the number of a root, two states share the branches that are equal.
//!
//! Entries go from [`StateKeyNum`] to [`EventNum`]. Their place is decided by a hash of the key: an inner node splits its
//! sixteen slots (four bits of the hash) in ranges, each with a child; a leaf holds the entries of one range, and halves
//! it when it grows over [`LEAF`] entries. A small room is one leaf. Root 0 is the empty state.
//!
//! Nodes are named by the room's own counter: a change writes the nodes on one path, a few hundred bytes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use matron_storage::{Batch, Snapshot};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::error::{Error, Result};
use crate::meters::Held;
use crate::schema::rooms::TREE;
use crate::schema::{EventNum, RoomNum, StateKeyNum};

mod diff;
mod node;
#[cfg(test)]
mod tests;

pub use diff::{Change, diff};
use node::{Child, LEAF, Node, SLOTS, hash, slot};

/// The number of a node in its room.
pub type NodeNum = u32;

/// What a node takes in memory as a rule.
const TYPICAL_BYTES: u64 = 512;

/// The empty state.
pub const EMPTY: NodeNum = 0;

/// Decoded nodes of recently used rooms. Nodes never change, so nothing here is ever stale; every change of a state leaves
/// some that hardly anybody asks for again.
#[derive(Debug)]
pub struct NodeCache(Cache<(RoomNum, NodeNum), Arc<Node>, Weigh>);

#[derive(Debug, Clone)]
struct Weigh;

impl Weighter<(RoomNum, NodeNum), Arc<Node>> for Weigh {
    fn weight(&self, _: &(RoomNum, NodeNum), node: &Arc<Node>) -> u64 {
        node.weight()
    }
}

impl NodeCache {
    /// A cache for so many bytes of nodes, about.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let nodes = usize::try_from(bytes / TYPICAL_BYTES).unwrap_or(usize::MAX);
        Self(Cache::with_weighter(nodes, bytes, Weigh))
    }

    pub(super) fn held(&self) -> Held {
        Held::of("state_nodes", &self.0)
    }
}

/// Reads a room's states in one snapshot.
#[derive(Debug, Clone)]
pub struct Reader {
    snapshot: Snapshot,
    cache: Arc<NodeCache>,
    room: RoomNum,
    /// Nodes that are not committed yet.
    fresh: HashMap<NodeNum, Arc<Node>>,
}

impl Reader {
    /// Reads the states of `room` that `snapshot` holds.
    #[must_use]
    pub fn new(snapshot: Snapshot, cache: Arc<NodeCache>, room: RoomNum) -> Self {
        Self { snapshot, cache, room, fresh: HashMap::new() }
    }

    async fn node(&self, num: NodeNum) -> Result<Arc<Node>> {
        if num == EMPTY {
            return Ok(Arc::new(Node::Leaf(Vec::new())));
        }
        if let Some(node) = self.fresh.get(&num) {
            return Ok(Arc::clone(node));
        }
        if let Some(node) = self.cache.0.get(&(self.room, num)) {
            return Ok(node);
        }
        let bytes = self.snapshot.get(&TREE, &(self.room, num)).await?;
        self.decode(num, bytes)
    }

    fn decode(&self, num: NodeNum, bytes: Option<Vec<u8>>) -> Result<Arc<Node>> {
        let bytes = bytes.ok_or_else(|| Error::internal(format!("room {} has no state node {num}", self.room)))?;
        let node = Node::decode(&bytes)
            .map_err(|error| Error::internal(format!("state node {num} of room {}: {error}", self.room)))?;
        let node = Arc::new(node);
        self.cache.0.insert((self.room, num), Arc::clone(&node));
        Ok(node)
    }

    /// The nodes with these numbers, those that must be read in one go.
    async fn nodes(&self, nums: &[NodeNum]) -> Result<Vec<Arc<Node>>> {
        let known =
            |num: &NodeNum| self.fresh.get(num).map(Arc::clone).or_else(|| self.cache.0.get(&(self.room, *num)));
        let mut nodes: Vec<Option<Arc<Node>>> = nums.iter().map(known).collect();
        let missing: Vec<_> =
            nums.iter().zip(&nodes).filter(|(_, node)| node.is_none()).map(|(num, _)| (self.room, *num)).collect();
        let mut read = self.snapshot.get_many(&TREE, &missing).await?.into_iter();
        for (num, node) in nums.iter().zip(&mut nodes) {
            if node.is_none() {
                *node = Some(self.decode(*num, read.next().flatten())?);
            }
        }
        Ok(nodes.into_iter().flatten().collect())
    }

    /// The event that a state has for a key.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn get(&self, root: NodeNum, key: StateKeyNum) -> Result<Option<EventNum>> {
        let hash = hash(key);
        let mut node = self.node(root).await?;
        let mut level = 0;
        loop {
            let next = match &*node {
                Node::Leaf(entries) => {
                    let found = entries.binary_search_by_key(&key, |(key, _)| *key);
                    return Ok(found.ok().and_then(|at| entries.get(at)).map(|(_, event)| *event));
                }
                Node::Inner(children) => child_at(children, slot(hash, level))?.node,
            };
            node = self.node(next).await?;
            level += 1;
        }
    }

    /// All entries of a state, in no useful order.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn entries(&self, root: NodeNum) -> Result<Vec<(StateKeyNum, EventNum)>> {
        self.entries_under(vec![root]).await
    }

    async fn entries_under(&self, roots: Vec<NodeNum>) -> Result<Vec<(StateKeyNum, EventNum)>> {
        let mut entries = Vec::new();
        let mut open: Vec<_> = roots.into_iter().filter(|root| *root != EMPTY).collect();
        while !open.is_empty() {
            let nodes = self.nodes(&open).await?;
            open.clear();
            for node in nodes {
                match &*node {
                    Node::Leaf(own) => entries.extend_from_slice(own),
                    Node::Inner(children) => open.extend(children.iter().map(|child| child.node)),
                }
            }
        }
        Ok(entries)
    }
}

fn child_at(children: &[Child], slot: u8) -> Result<&Child> {
    children
        .iter()
        .find(|child| slot < child.end)
        .ok_or_else(|| Error::internal("an inner state node does not cover all slots"))
}

/// Changes a room's states. New nodes stay in memory until [`Self::write`].
#[derive(Debug)]
pub struct Editor {
    reader: Reader,
    next: NodeNum,
    /// The root that each new root was made from.
    parents: BTreeMap<NodeNum, NodeNum>,
    /// The new nodes that the batch writes.
    written: HashSet<NodeNum>,
}

impl Editor {
    /// Goes on where the room's numbering stands: after `last`, the greatest number in use.
    #[must_use]
    pub fn new(reader: Reader, last: NodeNum) -> Self {
        Self { reader, next: last + 1, parents: BTreeMap::new(), written: HashSet::new() }
    }

    /// The greatest node number of a room in the store.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn last_number(snapshot: &Snapshot, room: RoomNum) -> Result<NodeNum> {
        let last = snapshot.scan(&TREE, TREE.under(&(room,))).reverse().first().await?;
        Ok(last.map_or(0, |((_, num), _)| num))
    }

    /// Reads, new nodes included.
    #[must_use]
    pub const fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The greatest number given.
    #[must_use]
    pub const fn last(&self) -> NodeNum {
        self.next - 1
    }

    /// A root like `root`, but with `event` for `key`; `root` itself if that is so already.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn set(&mut self, root: NodeNum, key: StateKeyNum, event: EventNum) -> Result<NodeNum> {
        self.change(root, key, Some(event)).await
    }

    /// A root like `root`, but without `key`.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn remove(&mut self, root: NodeNum, key: StateKeyNum) -> Result<NodeNum> {
        self.change(root, key, None).await
    }

    async fn change(&mut self, root: NodeNum, key: StateKeyNum, event: Option<EventNum>) -> Result<NodeNum> {
        let hash = hash(key);
        let mut path: Vec<(Arc<Node>, u8)> = Vec::new();
        let mut node = self.reader.node(root).await?;
        while let Node::Inner(children) = &*node {
            let slot = slot(hash, path.len());
            let next = self.reader.node(child_at(children, slot)?.node).await?;
            path.push((node, slot));
            node = next;
        }
        let Node::Leaf(entries) = &*node else { return Err(Error::internal("a walk ended on an inner node")) };
        // Room for one more, not for as many again: the node may be kept for long.
        let mut copy = Vec::with_capacity(entries.len() + 1);
        copy.extend_from_slice(entries);
        let mut entries = copy;
        match (entries.binary_search_by_key(&key, |(key, _)| *key), event) {
            (Ok(at), Some(event)) => match entries.get_mut(at) {
                Some(entry) if entry.1 != event => entry.1 = event,
                _ => return Ok(root),
            },
            (Ok(at), None) => {
                entries.remove(at);
            }
            (Err(at), Some(event)) => entries.insert(at, (key, event)),
            (Err(_), None) => return Ok(root),
        }
        let changed = self.rebuild(path, entries)?;
        self.parents.insert(changed, root);
        Ok(changed)
    }

    /// Makes the nodes of a changed path anew, from the leaf up.
    fn rebuild(&mut self, path: Vec<(Arc<Node>, u8)>, entries: Vec<(StateKeyNum, EventNum)>) -> Result<NodeNum> {
        let Some(level) = path.len().checked_sub(1) else {
            return Ok(if entries.len() <= LEAF {
                if entries.is_empty() { EMPTY } else { self.add(Node::Leaf(entries)) }
            } else {
                self.split_to_inner(0, entries)
            });
        };
        let mut nodes = path.into_iter().rev();
        let Some((parent, slot)) = nodes.next() else { return Err(Error::internal("an empty path")) };
        let mut num = self.replace(&parent, slot, |this, start, end| this.leaves(level, start, end, entries))?;
        for (parent, slot) in nodes {
            num = self.replace(&parent, slot, |_, _, end| vec![Child { end, node: num }])?;
        }
        Ok(num)
    }

    /// A copy of `parent` in which the child of `slot` is replaced by what `make` gives for that child's range of slots.
    fn replace(
        &mut self,
        parent: &Node,
        slot: u8,
        make: impl FnOnce(&mut Self, u8, u8) -> Vec<Child>,
    ) -> Result<NodeNum> {
        let Node::Inner(children) = parent else { return Err(Error::internal("a leaf has no children")) };
        let mut copy = Vec::with_capacity(children.len() + 1);
        let mut start = 0;
        let mut make = Some(make);
        for child in children {
            if (start..child.end).contains(&slot)
                && let Some(make) = make.take()
            {
                copy.extend(make(self, start, child.end));
            } else {
                copy.push(*child);
            }
            start = child.end;
        }
        Ok(self.add(Node::Inner(copy)))
    }

    /// The children for the entries of a range of slots: one leaf, or two halves, or a new level below a single slot.
    fn leaves(&mut self, level: usize, start: u8, end: u8, entries: Vec<(StateKeyNum, EventNum)>) -> Vec<Child> {
        if entries.len() <= LEAF {
            let node = self.add(Node::Leaf(entries));
            return vec![Child { end, node }];
        }
        if end - start == 1 {
            let node = self.split_to_inner(level + 1, entries);
            return vec![Child { end, node }];
        }
        let middle = u8::midpoint(start, end);
        let (low, high): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(key, _)| slot(hash(*key), level) < middle);
        let mut children = self.leaves(level, start, middle, low);
        children.extend(self.leaves(level, middle, end, high));
        children
    }

    fn split_to_inner(&mut self, level: usize, entries: Vec<(StateKeyNum, EventNum)>) -> NodeNum {
        let children = self.leaves(level, 0, SLOTS, entries);
        self.add(Node::Inner(children))
    }

    fn add(&mut self, node: Node) -> NodeNum {
        let num = self.next;
        self.next += 1;
        self.reader.fresh.insert(num, Arc::new(node));
        num
    }

    /// Writes the new nodes that the kept roots reach, each root with the one that it was made from.
    pub fn write(&mut self, batch: &mut Batch, kept: &[NodeNum]) {
        let mut open: Vec<NodeNum> = kept.to_vec();
        while let Some(num) = open.pop() {
            let Some(node) = self.reader.fresh.get(&num) else { continue };
            if !self.written.insert(num) {
                continue;
            }
            if let Node::Inner(children) = &**node {
                open.extend(children.iter().map(|child| child.node));
            }
            let parent = kept.contains(&num).then(|| self.parents.get(&num).copied()).flatten();
            batch.put(&TREE, &(self.reader.room, num), &node.encode(parent));
        }
    }

    /// Reads from this snapshot from now on.
    pub fn see(&mut self, snapshot: Snapshot) {
        self.reader.snapshot = snapshot;
    }

    /// The batch is committed: what it wrote is found in the cache from now on. The other new nodes are gone: their numbers
    /// may be given again when the room is loaded anew.
    pub fn committed(&mut self) {
        for (num, node) in self.reader.fresh.drain() {
            if self.written.remove(&num) {
                self.reader.cache.0.insert((self.reader.room, num), node);
            }
        }
        self.parents.clear();
    }
}
