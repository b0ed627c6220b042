//! Takes a backup while the server runs: a copy of the store by links, then whatever of it the place does not have yet.

use std::collections::HashMap;
use std::path::Path as FilePath;
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _};
use matron_storage::Store;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload};

use super::copy::{Pace, hash_file, put_file, put_object};
use super::manifest::{Entry, Manifest};
use super::tidy::tidy;
use super::{Place, Progress, failed, manifest_path, object_path};
use crate::error::{Error, Result};

/// What is to be backed up, and how.
#[derive(Debug)]
pub struct Asked {
    /// Whose store it is.
    pub server_name: String,
    /// The store.
    pub store: Arc<Store>,
    /// Where the media lie, each file named by its SHA-256 in hexadecimal; none where there are none.
    pub media: Option<Arc<dyn ObjectStore>>,
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
}

/// Takes a backup.
///
/// # Errors
/// The place belongs to another server, or it or the store cannot be read or written. What was copied until then stays and
/// is not copied again next time.
pub async fn take(asked: Asked, place: &Place, progress: Progress<'_>) -> Result<Taken> {
    let before = previous(place, &asked.server_name).await?;
    let mut known = objects(place).await?;
    progress(format!("{} files are there from before", known.len()));

    let position = asked.store.snapshot().position().get();
    let mut manifest = Manifest::new(asked.server_name.clone(), asked.store.epoch(), position, asked.now);
    let store = Arc::clone(&asked.store);
    let checkpoint = tokio::task::spawn_blocking(move || store.checkpoint()).await.map_err(Error::internal)??;
    let mut run = Run { place, known: &mut known, pace: Pace::new(asked.bytes_per_second), copied: 0 };
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
    }
    let copied = run.copied;

    let name = name_of(asked.now);
    let json = serde_json::to_vec(&manifest).map_err(Error::internal)?;
    place.0.put(&manifest_path(&name), PutPayload::from(json)).await.map_err(failed)?;
    let removed = match asked.keep {
        Some(keep) => tidy(place, keep.max(1)).await?,
        None => 0,
    };
    Ok(Taken { name, files: manifest.files.len(), bytes: manifest.bytes(), copied, removed })
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
    let listed = place.0.list(Some(&Path::from("objects"))).map_err(failed);
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
    pace: Pace,
    copied: u64,
}

impl Run<'_> {
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
        let (bytes, sha256) = hash_file(file, &mut self.pace).await?;
        if self.is_new(&sha256, bytes) {
            put_file(&*self.place.0, &object_path(&sha256), file, &mut self.pace).await?;
        }
        Ok(Entry { path, bytes, sha256 })
    }

    /// Adds all media. They are named by their hash and never change; one that is deleted meanwhile is left out.
    async fn media(&mut self, media: &dyn ObjectStore, files: &mut Vec<Entry>, progress: Progress<'_>) -> Result<()> {
        let mut listed = media.list(None);
        let mut count = 0_usize;
        while let Some(object) = listed.next().await {
            let object = object.map_err(failed)?;
            let sha256 = object.location.filename().unwrap_or_default().to_owned();
            if sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                continue;
            }
            if self.is_new(&sha256, object.size) {
                let to = (&*self.place.0, &object_path(&sha256));
                match put_object((media, &object.location), to, &mut self.pace).await {
                    Ok(()) => {}
                    Err(_) if is_gone(media, &object.location).await => continue,
                    Err(error) => return Err(error),
                }
            }
            files.push(Entry { path: format!("media/{}", object.location), bytes: object.size, sha256 });
            count += 1;
            if count.is_multiple_of(10_000) {
                progress(format!("{count} media"));
            }
        }
        progress(format!("{count} media are copied"));
        Ok(())
    }

    /// Whether a file must be copied; it counts as there from now on.
    fn is_new(&mut self, sha256: &str, bytes: u64) -> bool {
        let is_new = self.known.insert(sha256.to_owned(), bytes) != Some(bytes);
        if is_new {
            self.copied += bytes;
        }
        is_new
    }
}

async fn is_gone(media: &dyn ObjectStore, path: &Path) -> bool {
    matches!(media.head(path).await, Err(object_store::Error::NotFound { .. }))
}
