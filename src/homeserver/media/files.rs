//! Files named by their SHA-256: in a folder, or in a bucket that speaks S3.
//!
//! What is kept is on disk before it is spoken of: a file is synced, then moved to its name, then its folder is synced. So a
//! name that is there always stands for the whole content, whenever the power fails.

mod bucket;
mod folder;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use matron_matrix::Error as MatrixError;
use matron_storage::{Error as StorageError, Store};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt as _};
use tempfile::TempDir;

use super::incoming::{Incoming, Whole, unavailable};
use super::owner::Owner;
use crate::config::MediaStorage;
use crate::error::{Error, Result};
use crate::remote::http::Client;
use crate::schema::Digest;
use crate::schema::media::Fit;
use bucket::Bucket;
use folder::Folder;

/// The folder where files are written aside.
const INCOMING: &str = "incoming";
/// How long a start waits for a place that does not answer.
const CLAIMED_WITHIN: Duration = Duration::from_secs(10);

/// A digest in hexadecimal.
pub(crate) fn hex(digest: &Digest) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |half: u8| DIGITS.get(usize::from(half)).copied().unwrap_or('0');
    digest.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// A digest from the beginning of its hexadecimal form; none where that is another text.
pub(crate) fn unhex(hex: &str) -> Option<Digest> {
    let mut digest = Digest::default();
    for (nth, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * nth..2 * nth + 2)?, 16).ok()?;
    }
    Some(digest)
}

/// A file's name: what it holds, or a thumbnail of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileName {
    /// The digest of the content.
    pub digest: Digest,
    /// Size and fit of the thumbnail; none for the content itself.
    pub thumbnail: Option<(u32, u32, Fit)>,
}

impl FileName {
    /// The file of some content.
    #[must_use]
    pub const fn content(digest: Digest) -> Self {
        Self { digest, thumbnail: None }
    }

    fn path(&self) -> Path {
        Path::from(self.to_string())
    }

    /// The digest in a file's path; none where the file is not one of ours.
    fn digest_of(path: &Path) -> Option<Digest> {
        let digest = unhex(path.filename()?)?;
        // Deeper lie others' files: those of a server whose prefix begins with ours.
        path.as_ref().starts_with(&Self::content(digest).to_string()).then_some(digest)
    }
}

/// `ab/abcd…`, with `-320x240-scale` for a thumbnail: 256 folders, so that none grows too long.
impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, ..] = self.digest;
        write!(f, "{first:02x}/{}", hex(&self.digest))?;
        let Some((width, height, fit)) = self.thumbnail else { return Ok(()) };
        let fit = match fit {
            Fit::Scale => "scale",
            Fit::Crop => "crop",
            Fit::ScaleAnimated => "scale-animated",
            Fit::CropAnimated => "crop-animated",
        };
        write!(f, "-{width}x{height}-{fit}")
    }
}

/// Bytes on their way out, piece by piece.
pub type Pieces = BoxStream<'static, io::Result<Bytes>>;

#[derive(Debug)]
enum Place {
    Folder(Folder),
    Bucket(Bucket),
}

/// For the log.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "{}", folder.root().display()),
            Self::Bucket(_) => f.write_str("the bucket"),
        }
    }
}

/// A file that was listed.
#[derive(Debug)]
pub struct ListedFile {
    /// The digest that it belongs to.
    pub digest: Digest,
    /// Whether it is the content itself, and no thumbnail.
    pub is_content: bool,
    /// Where it is.
    pub path: Path,
    /// How many bytes it has.
    pub bytes: u64,
    /// When it was written, in milliseconds since 1970.
    pub written: u64,
}

impl ListedFile {
    /// A file in a place of media; none where it is not one of ours.
    pub fn of(ObjectMeta { location: path, last_modified, size: bytes, .. }: ObjectMeta) -> Option<Self> {
        let digest = FileName::digest_of(&path)?;
        let is_content = path == FileName::content(digest).path();
        let written = u64::try_from(last_modified.timestamp_millis()).unwrap_or(0);
        Some(Self { digest, is_content, path, bytes, written })
    }
}

/// All files of a place of media that are its own by their names. Nobody else's folder is looked into: a disk may have
/// some that only root can read.
pub fn list(objects: &dyn ObjectStore) -> impl Stream<Item = object_store::Result<ListedFile>> {
    let folders = stream::iter(0..=u8::MAX);
    let files = folders.flat_map(|first| objects.list(Some(&Path::from(format!("{first:02x}")))));
    files.try_filter_map(|object| std::future::ready(Ok(ListedFile::of(object))))
}

/// All files of the media.
#[derive(Debug)]
pub struct Files {
    place: Place,
    objects: Arc<dyn ObjectStore>,
    incoming: PathBuf,
    owner: Owner,
    /// The owner's: it says which media there are.
    store: Arc<Store>,
    /// Whether the place was seen to be the owner's.
    ours: AtomicBool,
    _temporary: Option<TempDir>,
}

/// The place of media while no server runs: a backup is restored to it.
///
/// # Errors
/// As [`Files::open`].
pub fn objects(storage: &MediaStorage, client: &Client) -> Result<Arc<dyn ObjectStore>> {
    match storage {
        MediaStorage::Folder(folder) => {
            Folder::open(folder.clone())?;
            folder::objects(folder)
        }
        MediaStorage::Bucket { bucket, .. } => Ok(Bucket::open(bucket, client)?.objects()),
        MediaStorage::Temporary => Err(Error::internal("a folder of a running server")),
    }
}

impl Files {
    /// Opens the place, whosever it is. Blocks; called once at start.
    ///
    /// # Errors
    /// The folder cannot be made or written, or the bucket's settings are wrong.
    pub fn open(storage: &MediaStorage, client: &Client, owner: Owner, store: Arc<Store>) -> Result<Self> {
        let mut temporary = None;
        let (place, objects, folder): (_, Arc<dyn ObjectStore>, _) = match storage {
            MediaStorage::Folder(folder) => {
                let place = Folder::open(folder.clone())?;
                (Place::Folder(place), folder::objects(folder)?, folder.clone())
            }
            MediaStorage::Temporary => {
                let made = tempfile::tempdir().map_err(Error::internal)?;
                let folder = temporary.insert(made).path().to_owned();
                (Place::Folder(Folder::open(folder.clone())?), folder::objects(&folder)?, folder)
            }
            MediaStorage::Bucket { bucket, incoming } => {
                let bucket = Bucket::open(bucket, client)?;
                let objects = bucket.objects();
                (Place::Bucket(bucket), objects, incoming.clone())
            }
        };
        let incoming = folder.join(INCOMING);
        folder::present(&incoming)?;
        let ours = AtomicBool::new(false);
        Ok(Self { place, objects, incoming, owner, store, ours, _temporary: temporary })
    }

    /// Claims the place, and deletes what was half written when the server last stopped. A place that does not answer is
    /// claimed later: see [`Self::claim`].
    ///
    /// # Errors
    /// The place is another's, or not the one that has our media, or the disk does not let us.
    pub async fn begin(&self) -> Result<()> {
        let claimed = tokio::time::timeout(CLAIMED_WITHIN, self.claim()).await;
        match claimed.unwrap_or_else(|_| Err(unavailable(&"the place of media does not answer"))) {
            Err(error) if error.is_passing() => {
                tracing::warn!(%error, "whose the place of media is cannot be seen; nothing is kept there until it is");
            }
            done => done?,
        }
        let incoming = self.incoming.clone();
        tokio::task::spawn_blocking(move || folder::empty(&incoming)).await.map_err(Error::internal)?
    }

    /// Looks whose the place is, and makes it ours where it is nobody's. It may have become another's while this server
    /// ran, which was taken for lost.
    ///
    /// # Errors
    /// The place is another's, or not the one that has our media, or cannot be read or written.
    pub async fn claim(&self) -> Result<()> {
        let claimed = self.owner.claim(&*self.objects, &self.store).await;
        match &claimed {
            // One that cannot be asked is as it was.
            Err(error) if error.is_passing() => {}
            done => self.ours.store(done.is_ok(), Ordering::Release),
        }
        claimed
    }

    /// Whether the place was seen to be ours.
    pub fn are_ours(&self) -> bool {
        self.ours.load(Ordering::Acquire)
    }

    /// What stands before all writing and deleting.
    ///
    /// # Errors
    /// As [`Self::claim`].
    pub async fn must_be_ours(&self) -> Result<()> {
        if self.are_ours() { Ok(()) } else { self.claim().await }
    }

    /// What whoever asks for a file is told that is not there: it is gone, unless the place is not the one that it was put in, or
    /// is away. That is looked at now.
    async fn missing(&self, name: &FileName) -> Error {
        if self.claim().await.is_err() {
            tracing::warn!(file = %name, place = %self.place, "a file of the media cannot be read: the place is not ours");
            return unavailable(&"the place of media is not the one that was known");
        }
        tracing::warn!(file = %name, place = %self.place, "a file of the media is not there");
        MatrixError::not_found("the bytes of this medium are gone").into()
    }

    /// The place as backups see it.
    pub(super) fn objects(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.objects)
    }

    /// A file to write into.
    pub(super) fn incoming(&self) -> Incoming {
        Incoming::new(self.incoming.clone())
    }

    /// Says in the log why a file cannot be had or kept: whoever asked is told no more than to come again.
    fn noted<T>(&self, done: Result<T>, name: &FileName, what: &'static str) -> Result<T> {
        if let Err(Error::Storage(StorageError::Unavailable(error))) = &done {
            tracing::warn!(%error, file = %name, place = %self.place, "a file of the media cannot be {what}");
        }
        done
    }

    /// Moves a whole file to its name; on disk (or in the bucket) when this answers. What is there already stays.
    pub(super) async fn keep(&self, whole: Whole, name: FileName) -> Result<()> {
        let keep = async {
            self.must_be_ours().await?;
            match &self.place {
                Place::Folder(folder) => folder.keep(whole, &name).await,
                Place::Bucket(bucket) => bucket.keep(whole, &name.path()).await,
            }
        };
        self.noted(keep.await, &name, "kept")
    }

    /// The bytes of a file from `start` up to but without `end`.
    pub(super) async fn read(&self, name: FileName, start: u64, end: u64) -> Result<Pieces> {
        let pieces = match &self.place {
            Place::Folder(folder) => folder.read(&name, start, end).await,
            Place::Bucket(bucket) => bucket.read(&name.path(), start, end).await,
        };
        let Some(pieces) = self.noted(pieces, &name, "read")? else { return Err(self.missing(&name).await) };
        let broken = move |error: &io::Error| {
            tracing::warn!(%error, file = %name, "a file of the media cannot be read to its end");
        };
        Ok(pieces.inspect_err(broken).boxed())
    }

    /// Whether there is such a file.
    pub(super) async fn has(&self, name: FileName) -> Result<bool> {
        let there = match self.objects.head(&name.path()).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(unavailable(&error)),
        };
        self.noted(there, &name, "looked for")
    }

    /// A whole file to read from by threads that may wait for the disk.
    pub(super) async fn local(&self, name: FileName, bytes: u64) -> Result<std::fs::File> {
        if let Place::Folder(folder) = &self.place {
            return match self.noted(folder.file(&name).await, &name, "read")? {
                Some(file) => Ok(file),
                None => Err(self.missing(&name).await),
            };
        }
        let mut pieces = self.read(name, 0, bytes).await?;
        let mut copy = self.incoming();
        while let Some(piece) = pieces.next().await {
            copy.write(piece.map_err(|error| unavailable(&error))?).await?;
        }
        let copy = copy.finish().await?.file.reopen();
        self.noted(copy.map_err(|error| unavailable(&error)), &name, "read")
    }

    /// Deletes a file, if it is there.
    pub(super) async fn delete(&self, name: FileName) -> Result<()> {
        self.delete_path(&name.path()).await
    }

    /// All files that are ours by their names.
    pub(super) fn all(&self) -> BoxStream<'_, Result<ListedFile>> {
        list(&*self.objects).map_err(|error| unavailable(&error)).boxed()
    }

    /// Deletes a file that was listed, if it is still there.
    pub(super) async fn delete_path(&self, path: &Path) -> Result<()> {
        self.must_be_ours().await?;
        match self.objects.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(unavailable(&error)),
        }
    }
}

#[cfg(test)]
mod tests;
