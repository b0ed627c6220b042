//! The kernel's side: FUSE requests, translated into operations of the disk.

use std::{
    ffi::OsStr,
    io,
    sync::{Arc, Mutex, MutexGuard},
    time::SystemTime,
};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, Filesystem, INodeNo, InitFlags, KernelConfig, LockOwner, OpenFlags,
    RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs,
    ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use nix::libc;

use crate::{
    answers::{Listings, attributes, created, empty, entry, opened},
    content::Content,
    directory::Directory,
    disk::{Disk, Kind, Node, Settings},
    locked,
};

/// The file system as the kernel calls it.
pub(crate) struct Layer {
    disk: Arc<Mutex<Disk>>,
    listings: Listings,
}

impl Layer {
    pub(crate) fn new(disk: Arc<Mutex<Disk>>) -> Self {
        Self { disk, listings: Listings::default() }
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        locked(&self.disk)
    }
}

impl Disk {
    fn make(
        &mut self,
        (parent, name): (INodeNo, &OsStr),
        request: &Request,
        kind: Kind,
        mode: u32,
    ) -> Result<FileAttr, Errno> {
        let node = Node::new(kind, mode, (request.uid(), request.gid()));
        let inode = self.create(parent.0, name, node)?;
        self.attributes(inode)
    }
}

impl Filesystem for Layer {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // Direct I/O alone forbids shared mappings; a kernel too old for this still maps privately.
        let _ = config.add_capabilities(InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let mut disk = self.disk();
        let found = disk.lookup(parent.0, name);
        entry(reply, found.and_then(|inode| disk.attributes(inode)));
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        attributes(reply, self.disk().attributes(inode.0));
    }

    fn setattr(
        &self,
        _: &Request,
        inode: INodeNo,
        mode: Option<u32>,
        user: Option<u32>,
        group: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        modified: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let modified = modified.map(|time| match time {
            TimeOrNow::SpecificTime(time) => time,
            TimeOrNow::Now => SystemTime::now(),
        });
        let settings = Settings { mode, user, group, size, modified };
        let mut disk = self.disk();
        let outcome = disk.set(inode.0, &settings);
        attributes(reply, outcome.and_then(|()| disk.attributes(inode.0)));
    }

    fn mkdir(&self, request: &Request, parent: INodeNo, name: &OsStr, mode: u32, _: u32, reply: ReplyEntry) {
        let kind = Kind::Directory(Directory::default());
        let outcome = self.disk().make((parent, name), request, kind, mode);
        entry(reply, outcome);
    }

    fn create(&self, request: &Request, parent: INodeNo, name: &OsStr, mode: u32, _: u32, _: i32, reply: ReplyCreate) {
        let mut disk = self.disk();
        let kind = Kind::File(Content::default());
        let file = disk.make((parent, name), request, kind, mode);
        let outcome = file.and_then(|new| disk.opened(new.ino.0).map(|()| new));
        created(reply, outcome);
    }

    fn open(&self, _: &Request, inode: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        opened(reply, self.disk().opened(inode.0));
    }

    fn release(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.disk().closed(inode.0);
        reply.ok();
    }

    fn read(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.disk().read(inode.0, offset, size) {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        flags: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let mut disk = self.disk();
        let mut outcome = disk.write(inode.0, offset, data);
        // The kernel leaves synchronous direct writes to us; O_SYNC contains this bit as well.
        if flags.0 & libc::O_DSYNC != 0 {
            outcome = outcome.and_then(|()| disk.sync_file(inode.0));
        }
        // A request is far smaller than 4 GiB.
        match outcome.and_then(|()| u32::try_from(data.len()).map_err(|_| Errno::EFBIG)) {
            Ok(written) => reply.written(written),
            Err(error) => reply.error(error),
        }
    }

    fn fsync(&self, _: &Request, inode: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        empty(reply, self.disk().sync_file(inode.0));
    }

    fn fsyncdir(&self, _: &Request, inode: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        empty(reply, self.disk().sync_directory(inode.0));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(reply, self.disk().remove(parent.0, name, false));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(reply, self.disk().remove(parent.0, name, true));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        to: INodeNo,
        to_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if !RenameFlags::RENAME_NOREPLACE.contains(flags) {
            return reply.error(Errno::EINVAL);
        }
        let (from, to) = ((parent.0, name), (to.0, to_name));
        empty(reply, self.disk().rename(from, to, flags.is_empty()));
    }

    fn link(&self, _: &Request, inode: INodeNo, to: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let mut disk = self.disk();
        let outcome = disk.link(inode.0, to.0, name);
        entry(reply, outcome.and_then(|()| disk.attributes(inode.0)));
    }

    fn opendir(&self, _: &Request, inode: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.disk().directory(inode.0) {
            Ok(_) => self.listings.open(reply),
            Err(error) => reply.error(error),
        }
    }

    fn readdir(&self, _: &Request, inode: INodeNo, handle: FileHandle, offset: u64, reply: ReplyDirectory) {
        let mut disk = self.disk();
        self.listings.read(&mut disk, inode.0, handle, offset, reply);
    }

    fn releasedir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.listings.close(handle);
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let disk = self.disk();
        // 1 TiB, empty or full: nothing may run out of room before the test says so.
        let (blocks, files) = (1 << 28, 1 << 20);
        let (free, free_files) = if disk.full { (0, 0) } else { (blocks, files) };
        match disk.powered() {
            Ok(()) => reply.statfs(blocks, free, free, files, free_files, 4096, 255, 4096),
            Err(error) => reply.error(error),
        }
    }

    fn fallocate(&self, _: &Request, _: INodeNo, _: FileHandle, _: u64, _: u64, _: i32, reply: ReplyEmpty) {
        let outcome = self.disk().powered();
        empty(reply, outcome.and(Err(Errno::EOPNOTSUPP)));
    }
}
