//! How outcomes of the disk are told to the kernel.

use std::{
    collections::HashMap,
    ffi::OsString,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fuser::{
    Errno, FileAttr, FileHandle, FileType, FopenFlags, Generation, INodeNo, ReplyAttr, ReplyCreate, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyOpen,
};

use crate::{disk::Disk, locked};

/// The kernel may remember nothing, or it would answer in our place after a power cut.
const TTL: Duration = Duration::ZERO;
const GENERATION: Generation = Generation(0);
/// Files need no handles of their own.
const FILE: FileHandle = FileHandle(0);
/// Every write reaches the disk before it returns; and closing a file tells the disk nothing new.
const OPEN: FopenFlags = FopenFlags::FOPEN_DIRECT_IO.union(FopenFlags::FOPEN_NOFLUSH);

pub(crate) fn empty(reply: ReplyEmpty, outcome: Result<(), Errno>) {
    match outcome {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

pub(crate) fn entry(reply: ReplyEntry, outcome: Result<FileAttr, Errno>) {
    match outcome {
        Ok(attributes) => reply.entry(&TTL, &attributes, GENERATION),
        Err(error) => reply.error(error),
    }
}

pub(crate) fn attributes(reply: ReplyAttr, outcome: Result<FileAttr, Errno>) {
    match outcome {
        Ok(attributes) => reply.attr(&TTL, &attributes),
        Err(error) => reply.error(error),
    }
}

pub(crate) fn created(reply: ReplyCreate, outcome: Result<FileAttr, Errno>) {
    match outcome {
        Ok(attributes) => reply.created(&TTL, &attributes, GENERATION, FILE, OPEN),
        Err(error) => reply.error(error),
    }
}

pub(crate) fn opened(reply: ReplyOpen, outcome: Result<(), Errno>) {
    match outcome {
        Ok(()) => reply.opened(FILE, OPEN),
        Err(error) => reply.error(error),
    }
}

/// The directories being read, by handle.
///
/// Each is kept as it was when the reading began: entries removed meanwhile must not shift those
/// still to be read.
#[derive(Default)]
pub(crate) struct Listings {
    open: Mutex<HashMap<u64, Vec<Line>>>,
    last: AtomicU64,
}

/// One entry of a directory: inode, kind, and name.
type Line = (u64, FileType, OsString);

impl Listings {
    pub(crate) fn open(&self, reply: ReplyOpen) {
        let handle = self.last.fetch_add(1, Ordering::Relaxed);
        reply.opened(FileHandle(handle), FopenFlags::empty());
    }

    pub(crate) fn close(&self, handle: FileHandle) {
        locked(&self.open).remove(&handle.0);
    }

    pub(crate) fn read(&self, disk: &mut Disk, inode: u64, handle: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let mut open = locked(&self.open);
        let begun = if offset == 0 {
            lines(disk, inode).map(|lines| drop(open.insert(handle.0, lines)))
        } else {
            disk.powered()
        };
        if let Err(error) = begun {
            return reply.error(error);
        }
        let lines = open.get(&handle.0).into_iter().flatten();
        let read = usize::try_from(offset).unwrap_or(usize::MAX);
        for (next, (inode, kind, name)) in (1..).zip(lines).skip(read) {
            if reply.add(INodeNo(*inode), next, *kind, name) {
                break;
            }
        }
        reply.ok();
    }
}

fn lines(disk: &mut Disk, inode: u64) -> Result<Vec<Line>, Errno> {
    let entries = disk.directory(inode)?.live.clone();
    let lines = entries.into_iter().map(|(name, inode)| {
        let kind = disk.attributes(inode)?.kind;
        Ok((inode, kind, name))
    });
    lines.collect()
}
