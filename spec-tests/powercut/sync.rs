//! What a sync makes durable, and what may be forgotten after it.

use std::collections::BTreeSet;

use fuser::Errno;

use crate::disk::{Disk, Kind, ROOT};

impl Disk {
    pub(crate) fn sync_file(&mut self, inode: u64) -> Result<(), Errno> {
        self.changing()?;
        self.counts.file_syncs += 1;
        if self.deaf {
            return Ok(());
        }
        self.content(inode)?.sync();
        if self.lenient {
            self.settle_all();
        }
        Ok(())
    }

    pub(crate) fn sync_directory(&mut self, inode: u64) -> Result<(), Errno> {
        self.changing()?;
        self.counts.directory_syncs += 1;
        if self.deaf {
            return Ok(());
        }
        let end = self.directory(inode)?.end();
        self.settle(inode, end);
        self.sweep();
        Ok(())
    }

    /// Forgets the inodes that nothing can bring back.
    pub(crate) fn sweep(&mut self) {
        let open = self.nodes.iter().filter(|(_, node)| node.open > 0);
        let mut todo: Vec<u64> = open.map(|(inode, _)| *inode).chain([ROOT]).collect();
        let mut reached: BTreeSet<u64> = todo.iter().copied().collect();
        while let Some(inode) = todo.pop() {
            if let Some(Kind::Directory(directory)) = self.nodes.get(&inode).map(|node| &node.kind) {
                todo.extend(directory.mentions().filter(|inode| reached.insert(*inode)));
            }
        }
        self.nodes.retain(|inode, _| reached.contains(inode));
    }

    /// Makes the changes of a directory below the number `end` durable, with what they need.
    pub(crate) fn settle(&mut self, inode: u64, end: u64) {
        while let Some((done, after)) = self.next_change(inode)
            && done < end
        {
            // The other directory's change is never younger than this one, so this ends.
            if let Some((other, number)) = after {
                self.settle(other, number + 1);
            }
            if let Ok(directory) = self.directory(inode) {
                directory.settle();
            }
        }
    }

    /// The number of the oldest pending change of a directory, and the change it needs.
    fn next_change(&mut self, inode: u64) -> Option<(u64, Option<(u64, u64)>)> {
        let directory = self.directory(inode).ok()?;
        Some((directory.done, directory.pending.front()?.after))
    }

    /// Makes every change of every directory durable.
    pub(crate) fn settle_all(&mut self) {
        for (inode, end) in self.ends() {
            self.settle(inode, end);
        }
    }
}
