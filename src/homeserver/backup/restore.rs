//! The way back: an empty data folder becomes the server of a backup, every file verified.
//!
//! It is built beside its place and put there last: what a crash leaves is never taken for a store.

use std::path::{Path as FilePath, PathBuf};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use matron_storage::{Options, Store};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use tokio::io::AsyncWriteExt as _;

use super::copy::{AT_ONCE, Pace, Reading, put_object};
use super::last::forget_places;
use super::writing::{Target, sync, unwritable};
use super::{Entry, Manifest, Place, Progress, failed, object_path};
use crate::devices;
use crate::error::{Error, Result};
use crate::media::Owner;

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The backup's name.
    pub name: String,
    /// The media that are damaged in the backup or missing there, and why. They are left out.
    pub damaged: Vec<String>,
}

/// Brings a backup back (the newest, where none is named): the store to `store`, which must not exist, the media to an
/// object store, which becomes the restored server's. One that is another's is taken from it only where `takes_media` says
/// so: a server that lives on would lose what came after the backup.
///
/// The store becomes another one than the lost: it has a new epoch, so that every client's token is answered whole; no
/// position is given again; and all one-time keys are gone, since some were handed out after the backup.
///
/// # Errors
/// There is a store already; the media's place is another's; a file of the backup's store is missing or damaged; something
/// cannot be written. Then nothing is restored, though media that were copied stay.
pub async fn restore(
    place: &Place,
    name: Option<&str>,
    (server_name, store): (&str, &FilePath),
    (media, takes_media): (&dyn ObjectStore, bool),
    progress: Progress<'_>,
) -> Result<Restored> {
    let (name, manifest) = place.manifest(name).await?;
    if manifest.server_name != server_name {
        let owner = &manifest.server_name;
        return Err(Error::backup(format!("that is a backup of {owner}, and server_name is {server_name}")));
    }
    if store.exists() {
        return Err(Error::backup(format!("{} is there already", store.display())));
    }
    if !takes_media && let Some(owner) = Owner::of(media).await? {
        return Err(Error::backup(format!(
            "the place of media belongs to {owner}. If that server is lost for good, restore with --take-media; if it lives, \
             name another place for media (media.storage = \"folder\", say)"
        )));
    }
    progress(format!("backup {name}: {} files, {} bytes", manifest.files.len(), manifest.bytes()));
    let building = store.with_extension("restoring");
    let damaged = files(place, &manifest, &building, media).await?;
    progress("all files are there".to_owned());
    let epoch = renew(&building).await?;
    // Before the store is there, which would not be served without its media. Where a crash comes between, this can be done
    // again by whoever says that the place may be taken: it is that of the store which was not put in place.
    Owner::new(server_name, epoch).take(media).await?;
    let (from, to) = (building, store.to_owned());
    tokio::task::spawn_blocking(move || put_in_place(&from, &to)).await.map_err(Error::internal)??;
    Ok(Restored { name, damaged })
}

/// Brings all files back, and answers which media cannot be. Without one of its own files the store would be another; without
/// a picture it is as it was.
async fn files(
    place: &Place,
    manifest: &Manifest,
    building: &FilePath,
    media: &dyn ObjectStore,
) -> Result<Vec<String>> {
    match tokio::fs::remove_dir_all(building).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(unwritable(building)(error)),
        _ => {}
    }
    tokio::fs::create_dir_all(building).await.map_err(unwritable(building))?;
    let restored = stream::iter(&manifest.files).map(async |entry| {
        let restored = match entry.path.split_once('/') {
            Some(("store", file)) => to_file(place, entry, &building.join(file)).await.map(Ok),
            Some(("media", path)) => to_object(place, entry, media, &Path::from(path)).await,
            _ => Err(Error::backup("it is neither of the store nor of the media")),
        };
        let restored = restored.map_err(|error| Error::backup(format!("{}: {error}", entry.path)))?;
        let object = object_path(&entry.sha256);
        Ok(restored.err().map(|why| format!("{}: {why} ({object})", entry.path)))
    });
    restored.buffer_unordered(AT_ONCE).try_filter_map(|damaged| std::future::ready(Ok(damaged))).try_collect().await
}

async fn to_file(place: &Place, entry: &Entry, to: &FilePath) -> Result<()> {
    let mut file = tokio::fs::File::create_new(to).await.map_err(unwritable(to))?;
    let mut reading = Reading::new(place.store.get(&object_path(&entry.sha256)).await.map_err(failed)?);
    while let Some(piece) = reading.next().await? {
        file.write_all(&piece).await.map_err(unwritable(to))?;
    }
    entry.compare(&reading.end()).map_err(Error::backup)?;
    file.sync_all().await.map_err(unwritable(to))
}

/// A damaged file does not become a medium: why, then.
async fn to_object(place: &Place, entry: &Entry, media: &dyn ObjectStore, to: &Path) -> Result<Result<(), String>> {
    let object = object_path(&entry.sha256);
    match place.store.head(&object).await {
        Err(object_store::Error::NotFound { .. }) => return Ok(Err("it is not there".to_owned())),
        found => found.map_err(failed)?,
    };
    put_object((&*place.store, &object), (Target::Store(media), to), entry, &Pace::new(None)).await
}

/// Makes the store another one than the lost, and answers its epoch.
async fn renew(store: &FilePath) -> Result<u64> {
    let options = Options::rocks(store.to_owned(), 32 << 20);
    let opened = tokio::task::spawn_blocking(move || {
        Store::renew(&options)?;
        Store::open(&options, matron_storage::nobody())
    });
    let store = opened.await.map_err(Error::internal)??;
    devices::forget_one_time_keys(&store).await?;
    forget_places(&store).await?;
    let epoch = store.epoch();
    // Closing it blocks.
    tokio::task::spawn_blocking(move || drop(store)).await.map_err(Error::internal)?;
    Ok(epoch)
}

fn put_in_place(from: &FilePath, to: &FilePath) -> Result<()> {
    let parent = match to.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let put = || {
        sync(from)?;
        std::fs::rename(from, to)?;
        sync(&parent)
    };
    put().map_err(unwritable(to))
}
