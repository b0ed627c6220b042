//! Files in a folder of this machine.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use rustix::buffer::spare_capacity;

use super::{FileName, Pieces};
use crate::error::{Error, Result};
use crate::media::incoming::{Whole, unavailable};

/// How much is read at once: a few reads for a picture, and little memory for each that is on its way out.
const PIECE_BYTES: usize = 128 << 10;

/// A folder of files, with the 256 folders in it.
#[derive(Debug)]
pub struct Folder {
    root: Arc<PathBuf>,
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn make(folder: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Makes a folder. One that is there stays: a full disk has no room for another.
///
/// # Errors
/// The disk does not let us.
pub fn present(folder: &Path) -> Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| refused(folder, &error))
}

/// Deletes all that is in a folder.
///
/// # Errors
/// The disk does not let us.
pub fn empty(folder: &Path) -> Result<()> {
    let clear = || -> io::Result<()> {
        for left in fs::read_dir(folder)? {
            let left = left?;
            let remove = if left.file_type()?.is_dir() { fs::remove_dir_all::<PathBuf> } else { fs::remove_file };
            remove(left.path())?;
        }
        Ok(())
    };
    clear().map_err(|error| refused(folder, &error))
}

/// The folder as the sweeper and backups see it.
///
/// # Errors
/// The folder is not there.
pub fn objects(root: &Path) -> Result<Arc<dyn ObjectStore>> {
    let objects = LocalFileSystem::new_with_prefix(root).map_err(|error| refused(root, &error))?;
    Ok(Arc::new(objects.with_fsync(true)))
}

fn refused(folder: &Path, error: &impl std::fmt::Display) -> Error {
    matron_storage::Error::Refused(format!("the media folder {}: {error}", folder.display())).into()
}

impl Folder {
    /// Makes what is missing, synced up to the folder that was there, so that later only single files need it.
    ///
    /// # Errors
    /// The disk does not let us.
    pub fn open(root: PathBuf) -> Result<Self> {
        let prepare = || {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&root)?;
            for shard in 0..=u8::MAX {
                make(&root.join(format!("{shard:02x}")))?;
            }
            sync(&root)?;
            // A relative folder of one part lies in the current one.
            root.parent()
                .map_or(Ok(()), |parent| sync(if parent.as_os_str().is_empty() { Path::new(".") } else { parent }))
        };
        prepare().map_err(|error| refused(&root, &error))?;
        Ok(Self { root: Arc::new(root) })
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn path(&self, name: &FileName) -> PathBuf {
        self.root.join(name.to_string())
    }

    /// Syncs a whole file and moves it to its name. Where the name is there its content is, synced before it was named (a
    /// thumbnail that another version drew has another length); its folder is synced again, since whoever named it may not
    /// have come so far yet.
    pub async fn keep(&self, whole: Whole, name: &FileName) -> Result<()> {
        let path = self.path(name);
        let keep = move || {
            if there(fs::metadata(&path))?.is_none_or(|file| file.len() != whole.bytes) {
                whole.file.as_file().sync_all()?;
                whole.file.persist(&path)?;
            }
            path.parent().map_or(Ok(()), sync)
        };
        blocking(keep).await
    }

    /// Opens a file; none where it is not there.
    pub async fn file(&self, name: &FileName) -> Result<Option<File>> {
        let path = self.path(name);
        blocking(move || there(File::open(path))).await
    }

    /// The bytes of a file from `start` up to but without `end`; none where it is not there. The first piece is read with the
    /// opening.
    pub async fn read(&self, name: &FileName, start: u64, end: u64) -> Result<Option<Pieces>> {
        let path = self.path(name);
        let first = blocking(move || {
            let Some(file) = there(File::open(path))? else { return Ok(None) };
            let piece = piece(&file, start, end)?;
            Ok(Some((Arc::new(file), piece)))
        });
        let Some((file, first)) = first.await? else { return Ok(None) };
        let next = start + first.len() as u64;
        let rest = futures_util::stream::try_unfold(next, move |next| {
            let file = Arc::clone(&file);
            async move {
                if next >= end {
                    return Ok(None);
                }
                let read = tokio::task::spawn_blocking(move || piece(&file, next, end));
                let piece = read.await.map_err(io::Error::other)??;
                let next = next + piece.len() as u64;
                Ok(Some((piece, next)))
            }
        });
        Ok(Some(futures_util::stream::once(std::future::ready(Ok(first))).chain(rest).boxed()))
    }
}

/// What was found; none where nothing is there.
fn there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

/// The bytes from `start` on: as many as a piece has, and none past `end`.
fn piece(file: &File, start: u64, end: u64) -> io::Result<Bytes> {
    let length = usize::try_from(end.saturating_sub(start)).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
    let mut piece = Vec::with_capacity(length);
    while piece.len() < length {
        let at = start + piece.len() as u64;
        if rustix::io::pread(file, spare_capacity(&mut piece), at)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    // The allocation may be longer than was asked for.
    piece.truncate(length);
    Ok(piece.into())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await.map_err(Error::internal)?;
    done.map_err(|error| unavailable(&error))
}
