//! Takes a backup while the server runs: a copy of the store by links, then whatever of it the place does not have yet.

use std::collections::{HashMap, HashSet};
use std::path::Path as FilePath;
use std::sync::Arc;

use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt as _, TryStreamExt as _};
use matron_storage::Store;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use tokio::sync::Mutex;

use super::copy::{AT_ONCE, Pace, hash_file, put_bytes, put_file, put_object};
use super::manifest::{Entry, Manifest};
use super::tidy::tidy;
use super::{Place, Progress, failed, manifest_path, object_path};
use crate::error::{Error, Result};
use crate::media::{FileName, ListedFile, hex, list_files, unhex};
use crate::schema::Digest;
use crate::schema::media::FILE_MEDIA;

/// So many of the store's media are looked at with one snapshot.
const PAGE: usize = 512;
/// So many media that are missing are named: where a whole disk is, that is enough.
const MOST_MISSING: usize = 100;

/// Held by whoever takes a backup: tidying up would take from another one what that has only just copied, and has no
/// manifest yet. Whoever holds the store takes all its backups, so one process knows of all.
static TURN: Mutex<()> = Mutex::const_new(());

/// What is to be backed up, and how.
#[derive(Debug)]
pub struct Asked {
    /// Whose store it is.
    pub server_name: String,
    /// The store.
    pub store: Arc<Store>,
    /// Where the media lie, each file named by its SHA-256 in hexadecimal; none where there are none.
    pub media: Option<Arc<dyn ObjectStore>>,
    /// Whether the place has backups of this store: one that has none then is not what it was.
    pub has_backups: bool,
    /// Now, in milliseconds since 1970.
    pub now: u64,
    /// How many of the newest backups stay; all where it is not said.
    pub keep: Option<usize>,
    /// How many bytes a second may be read or written; as many as the disks give where it is not said.
    pub bytes_per_second: Option<u64>,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The backup's name: the time when it was begun.
    pub name: String,
    /// How many files it has.
    pub files: usize,
    /// How many bytes it has.
    pub bytes: u64,
    /// How many bytes of it were new.
    pub copied: u64,
    /// How many older backups went.
    pub removed: usize,
    /// The media that are missing or not what their names say, and why. They are left out.
    pub damaged: Vec<String>,
}

/// Takes a backup, once those that are being taken are done.
///
/// # Errors
/// The place belongs to another server, or has lost its backups, or it or the store cannot be read or written. What was copied
/// until then stays and is not copied again next time.
pub async fn take(asked: Asked, place: &Place, progress: Progress<'_>) -> Result<Taken> {
    let _turn = if let Ok(turn) = TURN.try_lock() {
        turn
    } else {
        progress("another backup is being taken: this one waits".to_owned());
        TURN.lock().await
    };
    let before = previous(place, &asked.server_name).await?;
    if asked.has_backups && before.is_none() {
        return Err(Error::backup(
            "the place had backups of this server and has none any more: is its disk mounted? If it is a new one, say --anew",
        ));
    }
    let mut known = objects(place).await?;
    progress(format!("{} files are there from before", known.len()));

    let position = asked.store.snapshot().position().get();
    let mut manifest = Manifest::new(asked.server_name.clone(), asked.store.epoch(), position, asked.now);
    let store = Arc::clone(&asked.store);
    let checkpoint = tokio::task::spawn_blocking(move || store.checkpoint()).await.map_err(Error::internal)??;
    let pace = Pace::new(asked.bytes_per_second);
    let mut run = Run::new(place, &mut known, &pace);
    // Sorted tables never change, and within an epoch no name is given twice.
    let unchanged: HashMap<_, _> = before
        .iter()
        .filter(|before| before.epoch == manifest.epoch)
        .flat_map(|before| &before.files)
        .filter(|entry| is_table(&entry.path))
        .map(|entry| (entry.path.as_str(), entry))
        .collect();
    for file in files(checkpoint.folder())? {
        let entry = run.store_file(&file, &unchanged).await?;
        manifest.files.push(entry);
    }
    drop(checkpoint);
    progress(format!("the store is copied: {} files", manifest.files.len()));
    if let Some(media) = &asked.media {
        run.media(&**media, &mut manifest.files, progress).await?;
        run.unlisted(&asked.store, &**media, &mut manifest.files).await?;
    }
    let (copied, damaged) = (run.copied, run.damaged);

    let name = name_of(asked.now);
    let json = serde_json::to_vec(&manifest).map_err(Error::internal)?;
    put_bytes(place.target(), &manifest_path(&name), json.into()).await?;
    let removed = match asked.keep {
        Some(keep) => tidy(place, keep, &name).await?,
        None => 0,
    };
    Ok(Taken { name, files: manifest.files.len(), bytes: manifest.bytes(), copied, removed, damaged })
}

/// The newest backup that is there; the place must be this server's.
async fn previous(place: &Place, server_name: &str) -> Result<Option<Manifest>> {
    let Some(name) = place.names().await?.pop() else { return Ok(None) };
    let (_, before) = place.manifest(Some(&name)).await?;
    if before.server_name != server_name {
        let owner = before.server_name;
        return Err(Error::backup(format!("these are the backups of {owner}; take another place for {server_name}")));
    }
    Ok(Some(before))
}

/// Every object that is there, by its hash, with its size.
async fn objects(place: &Place) -> Result<HashMap<String, u64>> {
    let listed = place.store.list(Some(&Path::from("objects"))).map_err(failed);
    let named =
        listed.try_filter_map(async |object| Ok(object.location.filename().map(|name| (name.to_owned(), object.size))));
    named.try_collect().await
}

pub(super) fn is_table(path: &str) -> bool {
    FilePath::new(path).extension().is_some_and(|extension| extension == "sst")
}

/// The files of a folder without folders.
fn files(folder: &FilePath) -> Result<Vec<std::path::PathBuf>> {
    let read = || {
        let mut files = std::fs::read_dir(folder)?.map(|file| Ok(file?.path())).collect::<std::io::Result<Vec<_>>>()?;
        files.sort();
        Ok(files)
    };
    read().map_err(|error: std::io::Error| Error::backup(format!("{}: {error}", folder.display())))
}

/// The time as a name that sorts: `20261126T110659.123Z`.
fn name_of(millis: u64) -> String {
    let time = i64::try_from(millis).ok().and_then(chrono::DateTime::from_timestamp_millis).unwrap_or_default();
    time.format("%Y%m%dT%H%M%S%.3fZ").to_string()
}

/// A backup that is being taken.
struct Run<'a> {
    place: &'a Place,
    known: &'a mut HashMap<String, u64>,
    pace: &'a Pace,
    copied: u64,
    damaged: Vec<String>,
    /// The media that were listed.
    listed: HashSet<Digest>,
}

/// What became of a medium.
enum Medium {
    /// It is in the place.
    Copied(Entry),
    /// It was no longer there when it was to be copied.
    Gone(Entry),
    /// It is not what its name says.
    Damaged(String),
}

impl<'a> Run<'a> {
    fn new(place: &'a Place, known: &'a mut HashMap<String, u64>, pace: &'a Pace) -> Self {
        Self { place, known, pace, copied: 0, damaged: Vec::new(), listed: HashSet::new() }
    }

    async fn store_file(&mut self, file: &FilePath, unchanged: &HashMap<&str, &Entry>) -> Result<Entry> {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let path = format!("store/{name}");
        let bytes = tokio::fs::metadata(file).await.map_err(Error::backup)?.len();
        if let Some(entry) = unchanged.get(path.as_str())
            && entry.bytes == bytes
            && self.known.get(&entry.sha256) == Some(&bytes)
        {
            return Ok(Entry::clone(entry));
        }
        let (bytes, sha256) = hash_file(file, self.pace).await?;
        let entry = Entry { path, bytes, sha256 };
        if self.is_new(&entry.sha256, bytes) {
            let to = (self.place.target(), &object_path(&entry.sha256));
            // The disk gave one thing and then another.
            put_file(file, to, &entry, self.pace)
                .await?
                .map_err(|why| Error::backup(format!("{}: {why}", entry.path)))?;
            self.copied += bytes;
        }
        Ok(entry)
    }

    /// Adds all media, some at once. They are named by their hash and never change; one that is deleted meanwhile is left
    /// out.
    async fn media(&mut self, media: &dyn ObjectStore, files: &mut Vec<Entry>, progress: Progress<'_>) -> Result<()> {
        let mut listed = std::pin::pin!(list_files(media));
        let (place, pace) = (self.place, self.pace);
        let (mut copying, mut count) = (FuturesUnordered::new(), 0_usize);
        while let Some(file) = listed.next().await {
            let file = file.map_err(failed)?;
            let digest = file.digest;
            let Some((entry, location)) = entry_of(file) else { continue };
            self.listed.insert(digest);
            if self.is_new(&entry.sha256, entry.bytes) {
                if copying.len() == AT_ONCE
                    && let Some(copied) = copying.next().await
                {
                    self.copied(copied?, files);
                }
                copying.push(copy(place, pace, (media, location), entry));
            } else {
                files.push(entry);
            }
            count += 1;
            if count.is_multiple_of(10_000) {
                progress(format!("{count} media"));
            }
        }
        while let Some(copied) = copying.next().await {
            self.copied(copied?, files);
        }
        progress(format!("{count} media are copied"));
        Ok(())
    }

    /// Looks for what the store knows and the listing did not have: what came meanwhile is taken too, and what is not there is
    /// told. A folder whose disk is not mounted, or a bucket that was emptied, is listed like one without media.
    async fn unlisted(&mut self, store: &Store, media: &dyn ObjectStore, files: &mut Vec<Entry>) -> Result<()> {
        let (mut from, mut missing) = ((Digest::default(), String::new()), 0_usize);
        loop {
            let mut rows = store.snapshot().scan(&FILE_MEDIA, FILE_MEDIA.range(from..)).take(PAGE).await?;
            let is_last = rows.len() < PAGE;
            for ((file, _), ()) in &rows {
                // Each once, however many media it holds.
                if !self.listed.insert(*file) || self.unlisted_one(store, media, *file, files).await? {
                    continue;
                }
                missing += 1;
                if missing == MOST_MISSING {
                    self.damaged.push("and others: no more of them are looked for".to_owned());
                    return Ok(());
                }
            }
            match rows.pop() {
                Some((last, ())) if !is_last => from = last,
                _ => return Ok(()),
            }
        }
    }

    /// Takes a file that was not listed; answers whether nothing is missing.
    async fn unlisted_one(
        &mut self,
        store: &Store,
        media: &dyn ObjectStore,
        file: Digest,
        files: &mut Vec<Entry>,
    ) -> Result<bool> {
        let path = Path::from(FileName::content(file).to_string());
        match media.head(&path).await {
            Ok(object) => {
                let Some((entry, location)) = ListedFile::of(object).and_then(entry_of) else { return Ok(true) };
                if self.is_new(&entry.sha256, entry.bytes) {
                    let medium = copy(self.place, self.pace, (media, location), entry).await?;
                    self.copied(medium, files);
                } else {
                    files.push(entry);
                }
                Ok(true)
            }
            Err(object_store::Error::NotFound { .. }) => {
                // Who deletes a medium deletes its row first.
                let held = store.snapshot().scan(&FILE_MEDIA, FILE_MEDIA.under(&(file,))).first().await?;
                if let Some(((_, name), ())) = &held {
                    self.damaged.push(format!("media/{path}: it is not there (mxc://{name})"));
                }
                Ok(held.is_none())
            }
            Err(error) => Err(failed(error)),
        }
    }

    fn copied(&mut self, medium: Medium, files: &mut Vec<Entry>) {
        match medium {
            Medium::Copied(entry) => {
                self.copied += entry.bytes;
                files.push(entry);
            }
            // Whether it was deleted is seen when all are looked through. It may be there again by then.
            Medium::Gone(entry) => {
                self.known.remove(&entry.sha256);
                if let Some(file) = unhex(&entry.sha256) {
                    self.listed.remove(&file);
                }
            }
            Medium::Damaged(why) => self.damaged.push(why),
        }
    }

    /// Whether a file must be copied; it counts as there from now on.
    fn is_new(&mut self, sha256: &str, bytes: u64) -> bool {
        self.known.insert(sha256.to_owned(), bytes) != Some(bytes)
    }
}

/// A medium, and where it lies; nothing for what is none, such as thumbnails, which can be made again.
fn entry_of(file: ListedFile) -> Option<(Entry, Path)> {
    let entry = Entry { path: format!("media/{}", file.path), bytes: file.bytes, sha256: hex(&file.digest) };
    file.is_content.then_some((entry, file.path))
}

async fn copy(place: &Place, pace: &Pace, (media, location): (&dyn ObjectStore, Path), entry: Entry) -> Result<Medium> {
    let to = (place.target(), &object_path(&entry.sha256));
    match put_object((media, &location), to, &entry, pace).await {
        Ok(Ok(())) => Ok(Medium::Copied(entry)),
        Ok(Err(why)) => Ok(Medium::Damaged(format!("{}: {why}", entry.path))),
        Err(_) if is_gone(media, &location).await => Ok(Medium::Gone(entry)),
        Err(error) => Err(error),
    }
}

async fn is_gone(media: &dyn ObjectStore, path: &Path) -> bool {
    matches!(media.head(path).await, Err(object_store::Error::NotFound { .. }))
}
