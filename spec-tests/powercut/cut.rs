//! What a power cut leaves of the disk.

use std::collections::BTreeMap;

use crate::{
    Lost,
    chance::Chance,
    directory::{Directory, Entries},
    disk::{Disk, Kind, Power, ROOT},
};

impl Disk {
    /// All directories, each with the number its next change will have.
    pub(crate) fn ends(&self) -> BTreeMap<u64, u64> {
        let directories = self.nodes.iter().filter_map(|(inode, node)| match &node.kind {
            Kind::Directory(directory) => Some((*inode, directory.end())),
            Kind::File(_) => None,
        });
        directories.collect()
    }

    /// Cuts the power: what survives becomes all there is, and nothing works until it is restored.
    pub(crate) fn cut(&mut self, seed: u64) -> Lost {
        if self.powered().is_err() {
            return Lost::default();
        }
        let mut chance = Chance::new(seed);
        for (inode, end) in self.surviving_changes(&mut chance) {
            self.settle(inode, end);
        }
        let lost = self.rebuild(&mut chance);
        self.power = Power::Off;
        lost
    }

    /// Chooses for every directory the number before which its changes survive.
    fn surviving_changes(&mut self, chance: &mut Chance) -> BTreeMap<u64, u64> {
        let mut ends = self.ends();
        for (inode, end) in &mut ends {
            let done = self.directory(*inode).map_or(*end, |directory| directory.done);
            *end = if chance.nothing() { done } else { done + chance.below(*end - done + 1) };
        }
        // A change whose need did not survive is lost with all that followed it in its directory;
        // that may in turn take away what others need.
        while let Some((inode, end)) = self.first_unmet(&ends) {
            ends.insert(inode, end);
        }
        ends
    }

    /// Some directory that keeps a change without what it needs, and where it must end instead.
    fn first_unmet(&self, ends: &BTreeMap<u64, u64>) -> Option<(u64, u64)> {
        ends.iter().find_map(|(inode, end)| {
            let Kind::Directory(directory) = &self.nodes.get(inode)?.kind else {
                return None;
            };
            let kept = (directory.done..*end).zip(&directory.pending);
            let unmet = |(other, number)| ends.get(&other).is_some_and(|end| *end <= number);
            let mut unmet = kept.filter(|(_, change)| change.after.is_some_and(unmet));
            unmet.next().map(|(number, _)| (*inode, number))
        })
    }

    /// Replaces the live disk by what is durable and reachable, under new inode numbers.
    fn rebuild(&mut self, chance: &mut Chance) -> Lost {
        let mut lost = Lost::default();
        let old = std::mem::take(&mut self.nodes);
        let mut numbers = BTreeMap::from([(ROOT, ROOT)]);
        let mut todo = vec![(ROOT, ROOT)];
        while let Some((inode, number)) = todo.pop() {
            let Some(node) = old.get(&inode) else {
                continue;
            };
            let kind = match &node.kind {
                Kind::File(content) => {
                    let (survivor, pages) = content.survive(chance);
                    lost.pages += pages;
                    Kind::File(survivor)
                }
                Kind::Directory(directory) => {
                    lost.changes += directory.pending.len() as u64;
                    let mut entries = Entries::new();
                    for (name, child) in &directory.durable {
                        let child_kind = old.get(child).map(|node| &node.kind);
                        let known = numbers.get(child).copied();
                        // A directory that moved may be durable in both places; one must do.
                        if known.is_some() && matches!(child_kind, Some(Kind::Directory(_))) {
                            continue;
                        }
                        let number = known.unwrap_or_else(|| {
                            self.last += 1;
                            numbers.insert(*child, self.last);
                            todo.push((*child, self.last));
                            self.last
                        });
                        entries.insert(name.clone(), number);
                    }
                    Kind::Directory(Directory::found(entries))
                }
            };
            self.nodes.insert(number, node.surviving(kind));
        }
        self.count_links();
        lost
    }

    /// Counts how many names each file has.
    fn count_links(&mut self) {
        let mut links: BTreeMap<u64, u32> = BTreeMap::new();
        for node in self.nodes.values() {
            if let Kind::Directory(directory) = &node.kind {
                for inode in directory.live.values() {
                    *links.entry(*inode).or_default() += 1;
                }
            }
        }
        for (inode, node) in &mut self.nodes {
            node.links = links.get(inode).copied().unwrap_or(1);
        }
    }
}
