//! A node of the state tree and its bytes. The hash and the bytes are part of the format on disk.

use matron_storage::{Corrupt, Encoder, Reader, Varint};
use xxhash_rust::xxh3::xxh3_64;

use super::NodeNum;
use crate::schema::{EventNum, StateKeyNum};

/// A leaf with more entries is halved.
pub(super) const LEAF: usize = 48;

/// How many slots an inner node splits in ranges.
pub(super) const SLOTS: u8 = 16;

/// What decides where a key lies.
pub(super) fn hash(key: StateKeyNum) -> u64 {
    xxh3_64(&key.0.to_be_bytes())
}

/// The slot of a hash at a level: four bits from the top down. Below the sixteenth level all keys would be one, and no
/// two keys have one hash: the hash of eight bytes is a bijection in practice, and a leaf holds dozens.
pub(super) fn slot(hash: u64, level: usize) -> u8 {
    let shift = 60_usize.saturating_sub(4 * level);
    ((hash >> shift) & 0xf) as u8
}

/// A child of an inner node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Child {
    /// The first slot that is not its own any more; its range begins where the one before ends.
    pub end: u8,
    /// The node.
    pub node: NodeNum,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// Entries, sorted by key.
    Leaf(Vec<(StateKeyNum, EventNum)>),
    /// Children, by their ranges of slots; together they cover all.
    Inner(Vec<Child>),
}

const LEAF_TAG: u8 = 0;
const INNER_TAG: u8 = 1;
const WITH_PARENT: u8 = 2;

impl Node {
    /// Bytes of memory that it takes where it is kept, about.
    pub(super) const fn weight(&self) -> u64 {
        let own = match self {
            Self::Leaf(entries) => size_of_val(entries.as_slice()),
            Self::Inner(children) => size_of_val(children.as_slice()),
        };
        128 + own as u64
    }

    /// The bytes: a tag, the parent's number where it is a root, then the entries (keys as differences) or children.
    pub fn encode(&self, parent: Option<NodeNum>) -> Vec<u8> {
        let mut out = Encoder::default();
        let tag = match self {
            Self::Leaf(_) => LEAF_TAG,
            Self::Inner(_) => INNER_TAG,
        };
        out.push(&[tag | if parent.is_some() { WITH_PARENT } else { 0 }]);
        if let Some(parent) = parent {
            Varint::put(parent.into(), &mut out);
        }
        match self {
            Self::Leaf(entries) => {
                let mut last = 0;
                for (key, event) in entries {
                    Varint::put(key.0 - last, &mut out);
                    Varint::put(event.0, &mut out);
                    last = key.0;
                }
            }
            Self::Inner(children) => {
                for child in children {
                    Varint::put(child.end.into(), &mut out);
                    Varint::put(child.node.into(), &mut out);
                }
            }
        }
        out.bytes().to_vec()
    }

    /// Reads a node's bytes.
    ///
    /// # Errors
    /// They are no node.
    pub fn decode(bytes: &[u8]) -> Result<Self, Corrupt> {
        let mut input = Reader::new(bytes);
        let [tag] = input.array()?;
        if tag & WITH_PARENT != 0 {
            Varint::get(&mut input)?;
        }
        match tag & !WITH_PARENT {
            LEAF_TAG => {
                let mut entries = Vec::new();
                let mut last = 0_u64;
                while !input.is_empty() {
                    last = last.checked_add(Varint::get(&mut input)?).ok_or(Corrupt("a state key is too great"))?;
                    entries.push((StateKeyNum(last), EventNum(Varint::get(&mut input)?)));
                }
                // It may be kept for long.
                entries.shrink_to_fit();
                Ok(Self::Leaf(entries))
            }
            INNER_TAG => {
                let mut children = Vec::new();
                let mut start = 0;
                while !input.is_empty() {
                    let end = u8::try_from(Varint::get(&mut input)?).map_err(|_| Corrupt("a slot is too great"))?;
                    let node =
                        NodeNum::try_from(Varint::get(&mut input)?).map_err(|_| Corrupt("a node is too great"))?;
                    if end <= start || end > SLOTS {
                        return Err(Corrupt("the slots are out of order"));
                    }
                    start = end;
                    children.push(Child { end, node });
                }
                children.shrink_to_fit();
                if start == SLOTS { Ok(Self::Inner(children)) } else { Err(Corrupt("slots are missing")) }
            }
            _ => Err(Corrupt("its tag is unknown")),
        }
    }
}
