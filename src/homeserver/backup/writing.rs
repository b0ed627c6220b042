//! A file on its way to where it is put: it is there whole or not at all.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path as FilePath, PathBuf};

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload, WriteMultipart};
use tempfile::{Builder, NamedTempFile};

use super::failed;
use crate::error::{Error, Result};

/// What is written at once in a folder, and synced at once where that is done steadily: about a millisecond of a good disk.
const STEP_BYTES: usize = 512 << 10;
/// The parts in which a file is sent to an object store; S3 takes none below 5 MiB.
const PART_BYTES: usize = 8 << 20;
/// How many parts of a file are on their way at once.
const PARTS_AT_ONCE: usize = 2;
/// S3 takes no more parts of a file.
const MOST_PARTS: u64 = 10_000;

/// Where a file is put.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// Under a folder of this machine.
    Folder(&'a FilePath),
    /// Into an object store.
    Store(&'a dyn ObjectStore),
}

/// A file that is being put. What is neither finished nor given up leaves nothing in a folder, and may leave parts in a bucket.
pub enum Writing<'a> {
    /// Into a folder.
    Folder(Aside),
    /// Into an object store.
    Store(Parts<'a>),
}

impl<'a> Writing<'a> {
    /// Begins a file of about so many bytes. One that is written `steadily` goes to the disk as it comes: synced all at once, it
    /// would keep the disk from everybody else meanwhile.
    pub async fn new(target: Target<'a>, path: &'a Path, bytes: u64, steadily: bool) -> Result<Self> {
        match target {
            Target::Folder(folder) => Aside::new(folder, path, steadily).await.map(Self::Folder),
            Target::Store(store) => Ok(Self::Store(Parts::new(store, path, bytes))),
        }
    }

    /// Takes the next bytes.
    pub async fn write(&mut self, piece: Bytes) -> Result<()> {
        match self {
            Self::Folder(file) => file.write(piece).await,
            Self::Store(parts) => parts.write(piece).await,
        }
    }

    /// Puts the whole file in its place, for good.
    pub async fn finish(self) -> Result<()> {
        match self {
            Self::Folder(file) => file.finish().await,
            Self::Store(parts) => parts.finish().await,
        }
    }

    /// What was sent must not lie there for ever.
    pub async fn give_up(self) {
        if let Self::Store(Parts { upload: Some(upload), .. }) = self {
            // That it cannot be taken back changes nothing in why.
            let _ = upload.abort().await;
        }
    }
}

/// Pieces that are not handed on yet: each time takes a thread or a request.
#[derive(Default)]
struct Gathered {
    pieces: Vec<Bytes>,
    bytes: usize,
}

impl Gathered {
    fn push(&mut self, piece: Bytes) {
        self.bytes += piece.len();
        self.pieces.push(piece);
    }
}

/// A file that is written beside its place in a folder, as an `ObjectStore` of that folder would write it: to its name with
/// `#` and a number, which is never listed.
pub struct Aside {
    to: PathBuf,
    file: Option<NamedTempFile>,
    steadily: bool,
    gathered: Gathered,
}

impl Aside {
    async fn new(root: &FilePath, path: &Path, steadily: bool) -> Result<Self> {
        let (root, to) = (root.to_owned(), root.join(path.as_ref()));
        let create = move || {
            let file = create(&root, &to).map_err(unwritable(&to))?;
            Ok(Self { to, file: Some(file), steadily, gathered: Gathered::default() })
        };
        tokio::task::spawn_blocking(create).await.map_err(Error::internal)?
    }

    async fn write(&mut self, piece: Bytes) -> Result<()> {
        self.gathered.push(piece);
        if self.gathered.bytes < STEP_BYTES {
            return Ok(());
        }
        let (gathered, steadily) = (std::mem::take(&mut self.gathered), self.steadily);
        let mut file = self.file.take().ok_or_else(unwritten)?;
        let write = move || {
            gathered.pieces.iter().try_for_each(|piece| file.write_all(piece))?;
            if steadily {
                file.as_file().sync_data()?;
            }
            Ok(file)
        };
        let written = tokio::task::spawn_blocking(write).await.map_err(Error::internal)?;
        self.file = Some(written.map_err(unwritable(&self.to))?);
        Ok(())
    }

    async fn finish(self) -> Result<()> {
        let Self { to, file, gathered, .. } = self;
        let mut file = file.ok_or_else(unwritten)?;
        let finish = move || {
            let put = || {
                gathered.pieces.iter().try_for_each(|piece| file.write_all(piece))?;
                file.as_file().sync_all()?;
                file.persist(&to)?;
                to.parent().map_or(Ok(()), sync)
            };
            put().map_err(unwritable(&to))
        };
        tokio::task::spawn_blocking(finish).await.map_err(Error::internal)?
    }
}

/// Creates a file beside its place, and the folders down to it. What a crash left there stays for the sweeper.
fn create(root: &FilePath, to: &FilePath) -> io::Result<NamedTempFile> {
    let (Some(folder), Some(name)) = (to.parent(), to.file_name().and_then(|name| name.to_str())) else {
        return Err(ErrorKind::InvalidInput.into());
    };
    let (mut number, mut is_there) = (1_u32, true);
    loop {
        // Who else may read it is the folder's and the umask's to say.
        let create = Builder::new()
            .prefix(&format!("{name}#{number}"))
            .rand_bytes(0)
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder);
        match create {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(error) if error.kind() == ErrorKind::NotFound && is_there => {
                is_there = false;
                fs::create_dir_all(folder)?;
                folder.ancestors().skip(1).take_while(|above| above.starts_with(root)).try_for_each(sync)?;
            }
            created => return created,
        }
    }
}

/// Has a folder remember what is new in it.
pub fn sync(folder: &FilePath) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// A file that is sent to an object store: in one request where it is small, else in parts.
pub struct Parts<'a> {
    store: &'a dyn ObjectStore,
    path: &'a Path,
    part_bytes: usize,
    gathered: Gathered,
    upload: Option<WriteMultipart>,
}

impl<'a> Parts<'a> {
    fn new(store: &'a dyn ObjectStore, path: &'a Path, bytes: u64) -> Self {
        let part_bytes = usize::try_from(bytes / MOST_PARTS + 1).unwrap_or(usize::MAX).max(PART_BYTES);
        Self { store, path, part_bytes, gathered: Gathered::default(), upload: None }
    }

    async fn write(&mut self, piece: Bytes) -> Result<()> {
        if let Some(upload) = &mut self.upload {
            upload.wait_for_capacity(PARTS_AT_ONCE).await.map_err(failed)?;
            upload.put(piece);
            return Ok(());
        }
        self.gathered.push(piece);
        if self.gathered.bytes >= self.part_bytes {
            let begun = self.store.put_multipart(self.path).await.map_err(failed)?;
            let mut upload = WriteMultipart::new_with_chunk_size(begun, self.part_bytes);
            std::mem::take(&mut self.gathered).pieces.into_iter().for_each(|piece| upload.put(piece));
            self.upload = Some(upload);
        }
        Ok(())
    }

    async fn finish(self) -> Result<()> {
        match self.upload {
            Some(upload) => upload.finish().await.map(drop).map_err(failed),
            // One request, where an upload in parts takes three.
            None => {
                self.store.put(self.path, PutPayload::from_iter(self.gathered.pieces)).await.map(drop).map_err(failed)
            }
        }
    }
}

fn unwritten() -> Error {
    Error::internal("a file that could not be written was written on")
}

/// The disk does not take a file.
pub fn unwritable(file: &FilePath) -> impl Fn(io::Error) -> Error {
    move |error| Error::backup(format!("{}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    fn pieces(bytes: usize) -> impl Iterator<Item = Bytes> {
        let whole: Bytes = (0..bytes).map(|at| u8::try_from(at % 251).unwrap()).collect();
        (0..bytes).step_by(100_000).map(move |from| whole.slice(from..bytes.min(from + 100_000)))
    }

    fn names(folder: &FilePath) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn a_file_is_whole_wherever_it_is_put() {
        let (folder, store) = (tempfile::tempdir().unwrap(), InMemory::new());
        for bytes in [0, 1, STEP_BYTES, 3 * STEP_BYTES + 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES + 77] {
            let expected: Vec<u8> = pieces(bytes).flatten().collect();
            let path = Path::from(format!("objects/ab/{bytes}"));
            for (target, steadily) in [
                (Target::Folder(folder.path()), false),
                (Target::Folder(folder.path()), true),
                (Target::Store(&store), true),
            ] {
                let mut writing = Writing::new(target, &path, bytes as u64, steadily).await.unwrap();
                for piece in pieces(bytes) {
                    writing.write(piece).await.unwrap();
                }
                writing.finish().await.unwrap();
                if matches!(target, Target::Folder(_)) {
                    assert_eq!(fs::read(folder.path().join(path.as_ref())).unwrap(), expected);
                }
            }
            assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), expected);
        }
        assert!(names(&folder.path().join("objects/ab")).iter().all(|name| !name.contains('#')));
    }

    #[tokio::test]
    async fn a_file_that_is_not_finished_leaves_nothing_and_is_never_under_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let shard = folder.path().join("objects/ab");
        let path = Path::from("objects/ab/cd");
        fs::create_dir_all(&shard).unwrap();
        fs::write(shard.join("cd#1"), "left by a crash").unwrap();
        let mut writing = Writing::new(Target::Folder(folder.path()), &path, 1 << 20, true).await.unwrap();
        for piece in pieces(1 << 20) {
            writing.write(piece).await.unwrap();
        }
        assert_eq!(names(&shard), ["cd#1", "cd#2"]);
        writing.give_up().await;
        assert_eq!(names(&shard), ["cd#1"]);
    }

    #[tokio::test]
    async fn what_stands_in_the_way_is_told() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("objects"), "no folder").unwrap();
        let path = Path::from("objects/ab/cd");
        let Err(error) = Writing::new(Target::Folder(folder.path()), &path, 1, false).await else {
            panic!("there is no such folder")
        };
        assert!(error.to_string().contains("objects/ab/cd"), "{error}");
    }
}
