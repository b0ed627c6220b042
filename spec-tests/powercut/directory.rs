//! One directory: the entries processes see, those the disk holds, and the changes between.

use std::{
    collections::{BTreeMap, VecDeque},
    ffi::{OsStr, OsString},
};

/// The entries of a directory, by name.
pub(crate) type Entries = BTreeMap<OsString, u64>;

/// One change of a directory, which a power cut keeps whole or not at all.
pub(crate) struct Change {
    /// The names this sets, or removes; a rename inside one directory does both at once.
    edits: Vec<(OsString, Option<u64>)>,
    /// The change of another directory (inode, number) without which this one never survives.
    pub(crate) after: Option<(u64, u64)>,
}

impl Change {
    /// The name now leads to the inode.
    pub(crate) fn set(name: &OsStr, inode: u64) -> Self {
        Self { edits: vec![(name.to_owned(), Some(inode))], after: None }
    }

    /// The name leads nowhere any more.
    pub(crate) fn remove(name: &OsStr) -> Self {
        Self { edits: vec![(name.to_owned(), None)], after: None }
    }

    /// Joins two changes into one.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.edits.extend(other.edits);
        self
    }

    fn apply(&self, entries: &mut Entries) {
        for (name, inode) in &self.edits {
            match inode {
                Some(inode) => entries.insert(name.clone(), *inode),
                None => entries.remove(name),
            };
        }
    }
}

/// A directory; its changes are numbered from its creation on.
#[derive(Default)]
pub(crate) struct Directory {
    pub(crate) live: Entries,
    pub(crate) durable: Entries,
    /// The changes not yet durable, oldest first.
    pub(crate) pending: VecDeque<Change>,
    /// How many changes are durable, thus the number of the first pending one.
    pub(crate) done: u64,
}

impl Directory {
    /// A directory as found when power comes back.
    pub(crate) fn found(entries: Entries) -> Self {
        Self { live: entries.clone(), durable: entries, ..Self::default() }
    }

    /// Carries out a change, for now only in the eyes of processes, and answers its number.
    pub(crate) fn change(&mut self, change: Change) -> u64 {
        change.apply(&mut self.live);
        self.pending.push_back(change);
        self.end() - 1
    }

    /// The number the next change will have.
    pub(crate) fn end(&self) -> u64 {
        self.done + self.pending.len() as u64
    }

    /// Makes the oldest pending change durable.
    pub(crate) fn settle(&mut self) {
        if let Some(change) = self.pending.pop_front() {
            change.apply(&mut self.durable);
            self.done += 1;
        }
    }

    /// Every inode that a process can reach through here, or that a power cut could bring back.
    pub(crate) fn mentions(&self) -> impl Iterator<Item = u64> {
        let named = self.live.values().chain(self.durable.values()).copied();
        let pending = self.pending.iter().flat_map(|change| &change.edits);
        named.chain(pending.filter_map(|(_, inode)| *inode))
    }
}
