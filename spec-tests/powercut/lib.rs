//! A file system for tests whose power can be cut, keeping only what was synced for certain.
//!
//! It lives in memory and is strict where real file systems are lenient: of a file it holds for
//! certain what the last fsync or fdatasync of that file made durable, and of a directory what the
//! last fsync of that directory did. What was not synced survives a cut by seeded chance.
//! Not counted as syncs, because they promise less: `sync_file_range`, `syncfs`, and `sync`.
//!
//! A directory whose own entry was never synced is lost with all that is in it, be it synced.
//! There are no symbolic links, extended attributes, or exchanging renames. Writes through a
//! shared mapping reach the disk at msync. A test process that is killed leaves a dead mount.

mod answers;
mod chance;
mod content;
mod cut;
mod directory;
mod disk;
mod layer;
mod names;
mod sync;
#[cfg(test)]
mod tests;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use fuser::{BackgroundSession, Config, MountOption, SessionACL};
use nix::{
    libc,
    mount::{MntFlags, umount2},
};

use crate::{
    disk::{Disk, Power},
    layer::Layer,
};

/// What processes did to the disk since it was mounted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Everything that can change the disk: writes, syncs, creations, renames, removals, settings.
    pub changes: u64,
    /// Writes to files.
    pub writes: u64,
    /// Calls of fsync and fdatasync on files, and writes that are synchronous by themselves.
    pub file_syncs: u64,
    /// Calls of fsync and fdatasync on directories.
    pub directory_syncs: u64,
}

/// What a power cut took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Pages of surviving files that were changed and not synced, and are not as they were last.
    pub pages: u64,
    /// Changes of surviving directories: creations, renames, removals.
    pub changes: u64,
}

/// A mounted file system; dropping it unmounts it, and with it all that it held is gone.
pub struct PowerCut {
    disk: Arc<Mutex<Disk>>,
    session: Option<BackgroundSession>,
    mountpoint: PathBuf,
}

impl PowerCut {
    /// Mounts a new and empty file system on an existing directory; this needs root.
    ///
    /// # Errors
    /// When the kernel refuses the mount.
    pub fn mount(mountpoint: &Path) -> io::Result<Self> {
        let mountpoint = mountpoint.canonicalize()?;
        let disk = Arc::new(Mutex::new(Disk::new()));
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("powercut".into())];
        // A server under test may run as another user.
        config.acl = SessionACL::All;
        let layer = Layer::new(Arc::clone(&disk));
        let session = fuser::spawn_mount(layer, &mountpoint, &config)?;
        Ok(Self { disk, session: Some(session), mountpoint })
    }

    /// Where it is mounted.
    #[must_use]
    pub fn mountpoint(&self) -> &Path {
        &self.mountpoint
    }

    /// Cuts the power: from now on every operation answers EIO, and only what survived is left.
    ///
    /// Seed 0 leaves nothing that was not synced. Any other seed chooses what else survives: of
    /// each directory some first part of its changes; of each file any whole pages of 4 KiB, with
    /// the old ones or zeros in place of the others, and the old size, the new one, or one between.
    ///
    /// What was open stays dead even after [`restore`](Self::restore).
    #[expect(clippy::must_use_candidate, reason = "cutting is the point, not the losses")]
    pub fn cut(&self, seed: u64) -> Lost {
        locked(&self.disk).cut(seed)
    }

    /// Lets that many more changes happen (see [`Counts::changes`]) and cuts the power at the next.
    ///
    /// The change that finds the power cut answers EIO and has no effect. With 0, 1, 2, ... a test
    /// reaches every moment of its workload. If the power is off, it is back until then.
    pub fn cut_after(&self, changes: u64, seed: u64) {
        locked(&self.disk).power = Power::Until { changes, seed };
    }

    /// Whether the power is off.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        matches!(locked(&self.disk).power, Power::Off)
    }

    /// Brings the power back; a cut that has not yet happened is called off.
    ///
    /// Stop what ran before the cut first: it could still open files by path and change them.
    pub fn restore(&self) {
        locked(&self.disk).power = Power::On;
    }

    /// While on, syncs answer that all is well, and make nothing durable.
    pub fn deaf(&self, on: bool) {
        locked(&self.disk).deaf = on;
    }

    /// While on, every write, creation, and hard link answers ENOSPC.
    pub fn full(&self, on: bool) {
        locked(&self.disk).full = on;
    }

    /// While on, the sync of any file makes all changes of all directories durable, too.
    ///
    /// So does ext4, whose journal commits as a whole; POSIX promises no such thing.
    pub fn lenient(&self, on: bool) {
        locked(&self.disk).lenient = on;
    }

    /// What has been done to the disk so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        locked(&self.disk).counts
    }
}

impl Drop for PowerCut {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else {
            return;
        };
        // A killed process may hold files open a little longer: then the mount leaves its place
        // now and ends with the last of them.
        if let Err(error) = session.umount_and_join()
            && error.raw_os_error() == Some(libc::EBUSY)
        {
            let _ = umount2(&self.mountpoint, MntFlags::MNT_DETACH);
        }
    }
}

/// Takes a lock; a panic elsewhere must not turn every later operation into another one.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
