//! What a process can ask of the names on the disk: find, create, link, remove, rename.

use std::{ffi::OsStr, time::SystemTime};

use fuser::Errno;

use crate::{
    directory::Change,
    disk::{Disk, Kind, Node},
};

impl Disk {
    pub(crate) fn lookup(&mut self, parent: u64, name: &OsStr) -> Result<u64, Errno> {
        let entries = &self.directory(parent)?.live;
        entries.get(name).copied().ok_or(Errno::ENOENT)
    }

    /// Carries out a change of a directory and answers its number.
    pub(crate) fn edit(&mut self, parent: u64, change: Change) -> Result<u64, Errno> {
        let number = self.directory(parent)?.change(change);
        self.node(parent)?.modified = SystemTime::now();
        Ok(number)
    }

    pub(crate) fn create(&mut self, parent: u64, name: &OsStr, node: Node) -> Result<u64, Errno> {
        self.changing()?;
        self.room()?;
        if self.directory(parent)?.live.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        self.last += 1;
        self.nodes.insert(self.last, node);
        self.edit(parent, Change::set(name, self.last))?;
        Ok(self.last)
    }

    pub(crate) fn link(&mut self, inode: u64, parent: u64, name: &OsStr) -> Result<(), Errno> {
        self.changing()?;
        self.room()?;
        if self.directory(parent)?.live.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        self.content(inode).map_err(|_| Errno::EPERM)?;
        self.edit(parent, Change::set(name, inode))?;
        self.node(inode)?.links += 1;
        Ok(())
    }

    /// Fails unless the inode may lose its name; `directory` tells rmdir from unlink.
    pub(crate) fn removable(&mut self, inode: u64, directory: bool) -> Result<(), Errno> {
        match &self.node(inode)?.kind {
            Kind::Directory(_) if !directory => Err(Errno::EISDIR),
            Kind::Directory(entries) if !entries.live.is_empty() => Err(Errno::ENOTEMPTY),
            Kind::File(_) if directory => Err(Errno::ENOTDIR),
            Kind::File(_) | Kind::Directory(_) => Ok(()),
        }
    }

    pub(crate) fn remove(&mut self, parent: u64, name: &OsStr, directory: bool) -> Result<(), Errno> {
        self.changing()?;
        let inode = self.lookup(parent, name)?;
        self.removable(inode, directory)?;
        self.edit(parent, Change::remove(name))?;
        self.unlinked(inode)
    }

    /// Notes that the inode lost a name.
    fn unlinked(&mut self, inode: u64) -> Result<(), Errno> {
        let node = self.node(inode)?;
        node.links = node.links.saturating_sub(1);
        Ok(())
    }

    /// Moves a name, replacing what stood at the target.
    pub(crate) fn rename(&mut self, from: (u64, &OsStr), to: (u64, &OsStr), replace: bool) -> Result<(), Errno> {
        self.changing()?;
        let inode = self.lookup(from.0, from.1)?;
        let replaced = self.directory(to.0)?.live.get(to.1).copied();
        if replaced == Some(inode) {
            return Ok(());
        }
        if let Some(replaced) = replaced {
            if !replace {
                return Err(Errno::EEXIST);
            }
            let directory = matches!(self.node(inode)?.kind, Kind::Directory(_));
            self.removable(replaced, directory)?;
            self.unlinked(replaced)?;
        }
        let (set, mut remove) = (Change::set(to.1, inode), Change::remove(from.1));
        if from.0 == to.0 {
            self.edit(to.0, set.and(remove))?;
        } else {
            // Each directory wants its own sync, yet the file must never be in neither.
            remove.after = Some((to.0, self.edit(to.0, set)?));
            self.edit(from.0, remove)?;
        }
        Ok(())
    }
}
