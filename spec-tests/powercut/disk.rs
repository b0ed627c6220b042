//! The disk: its inodes, its switches, and what a process can ask of an inode.

use std::{collections::BTreeMap, time::SystemTime};

use fuser::{Errno, FileAttr, FileType, INodeNo};

use crate::{
    Counts,
    content::{Content, PAGE},
    directory::Directory,
};

pub(crate) const ROOT: u64 = 1;

/// Whether there is power, and for how long.
#[derive(Clone, Copy)]
pub(crate) enum Power {
    On,
    /// This many more changes are carried out; the next one finds the power cut with the seed.
    Until {
        changes: u64,
        seed: u64,
    },
    Off,
}

pub(crate) enum Kind {
    File(Content),
    Directory(Directory),
}

pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) mode: u16,
    pub(crate) owner: (u32, u32),
    pub(crate) modified: SystemTime,
    pub(crate) links: u32,
    /// How often it is open; an open file outlives its last name.
    pub(crate) open: u64,
}

impl Node {
    pub(crate) fn new(kind: Kind, mode: u32, owner: (u32, u32)) -> Self {
        Self { kind, mode: permissions(mode), owner, modified: SystemTime::now(), links: 1, open: 0 }
    }

    /// What is left of the inode after a power cut: its attributes, open nowhere.
    pub(crate) fn surviving(&self, kind: Kind) -> Self {
        Self { kind, open: 0, ..*self }
    }
}

/// What a process asks to change of an inode's attributes.
#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) mode: Option<u32>,
    pub(crate) user: Option<u32>,
    pub(crate) group: Option<u32>,
    pub(crate) size: Option<u64>,
    pub(crate) modified: Option<SystemTime>,
}

pub(crate) struct Disk {
    pub(crate) nodes: BTreeMap<u64, Node>,
    /// Inode numbers are never used twice, so that what was open at a power cut stays dead.
    pub(crate) last: u64,
    pub(crate) power: Power,
    pub(crate) deaf: bool,
    pub(crate) full: bool,
    pub(crate) lenient: bool,
    pub(crate) counts: Counts,
}

impl Disk {
    pub(crate) fn new() -> Self {
        let root = Node::new(Kind::Directory(Directory::default()), 0o755, (0, 0));
        Self {
            nodes: BTreeMap::from([(ROOT, root)]),
            last: ROOT,
            power: Power::On,
            deaf: false,
            full: false,
            lenient: false,
            counts: Counts::default(),
        }
    }

    /// Every operation asks this first: nothing works without power.
    pub(crate) fn powered(&self) -> Result<(), Errno> {
        match self.power {
            Power::Off => Err(Errno::EIO),
            Power::On | Power::Until { .. } => Ok(()),
        }
    }

    /// Every operation that changes something asks this first.
    pub(crate) fn changing(&mut self) -> Result<(), Errno> {
        match &mut self.power {
            Power::Until { changes: 0, seed } => {
                let seed = *seed;
                self.cut(seed);
            }
            Power::Until { changes, .. } => *changes -= 1,
            Power::On | Power::Off => {}
        }
        self.powered()?;
        self.counts.changes += 1;
        Ok(())
    }

    pub(crate) fn room(&self) -> Result<(), Errno> {
        if self.full { Err(Errno::ENOSPC) } else { Ok(()) }
    }

    pub(crate) fn node(&mut self, inode: u64) -> Result<&mut Node, Errno> {
        self.powered()?;
        self.nodes.get_mut(&inode).ok_or(Errno::ESTALE)
    }

    pub(crate) fn content(&mut self, inode: u64) -> Result<&mut Content, Errno> {
        match &mut self.node(inode)?.kind {
            Kind::File(content) => Ok(content),
            Kind::Directory(_) => Err(Errno::EISDIR),
        }
    }

    pub(crate) fn directory(&mut self, inode: u64) -> Result<&mut Directory, Errno> {
        match &mut self.node(inode)?.kind {
            Kind::Directory(directory) => Ok(directory),
            Kind::File(_) => Err(Errno::ENOTDIR),
        }
    }

    pub(crate) fn attributes(&mut self, inode: u64) -> Result<FileAttr, Errno> {
        let node = self.node(inode)?;
        let (kind, size) = match &node.kind {
            Kind::File(content) => (FileType::RegularFile, content.size()),
            Kind::Directory(_) => (FileType::Directory, PAGE),
        };
        Ok(FileAttr {
            ino: INodeNo(inode),
            size,
            blocks: size.div_ceil(512),
            atime: node.modified,
            mtime: node.modified,
            ctime: node.modified,
            crtime: node.modified,
            kind,
            perm: node.mode,
            nlink: node.links,
            uid: node.owner.0,
            gid: node.owner.1,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }

    pub(crate) fn opened(&mut self, inode: u64) -> Result<(), Errno> {
        self.node(inode)?.open += 1;
        Ok(())
    }

    pub(crate) fn closed(&mut self, inode: u64) {
        // An inode from before a power cut is not there any more.
        if let Some(node) = self.nodes.get_mut(&inode) {
            node.open = node.open.saturating_sub(1);
            if node.open == 0 && node.links == 0 {
                self.sweep();
            }
        }
    }

    pub(crate) fn read(&mut self, inode: u64, offset: u64, size: u32) -> Result<Vec<u8>, Errno> {
        Ok(self.content(inode)?.read(offset, size))
    }

    pub(crate) fn write(&mut self, inode: u64, offset: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.changing()?;
        self.room()?;
        self.content(inode)?.write(offset, bytes);
        self.node(inode)?.modified = SystemTime::now();
        self.counts.writes += 1;
        Ok(())
    }

    pub(crate) fn set(&mut self, inode: u64, settings: &Settings) -> Result<(), Errno> {
        self.changing()?;
        if let Some(size) = settings.size {
            self.content(inode)?.resize(size);
        }
        let resized = settings.size.map(|_| SystemTime::now());
        let node = self.node(inode)?;
        node.mode = settings.mode.map_or(node.mode, permissions);
        node.owner.0 = settings.user.unwrap_or(node.owner.0);
        node.owner.1 = settings.group.unwrap_or(node.owner.1);
        node.modified = settings.modified.or(resized).unwrap_or(node.modified);
        Ok(())
    }
}

/// The permission bits of a mode, without the file type.
fn permissions(mode: u32) -> u16 {
    u16::try_from(mode & 0o7777).unwrap_or_default()
}
