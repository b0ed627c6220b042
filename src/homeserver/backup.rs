//! Backups: the store and the media of one moment, by content, in a folder or a bucket; and the way back.
//!
//! A place holds `objects/<first two digits>/<SHA-256>`, each file once however many backups have it, and
//! `backups/<time>.json`, a manifest per backup, written last: what has a manifest is whole.

mod copy;
mod last;
mod manifest;
mod restore;
mod take;
#[cfg(test)]
mod tests;
mod tidy;
mod verify;
mod writing;

use std::collections::HashMap;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};

pub use last::Last;
pub use manifest::{Entry, Manifest};
pub use restore::{Restored, restore};
pub use take::{Asked, Taken, take};
pub use verify::{Verified, verify};

use crate::error::{Error, Result};
use copy::AT_ONCE;
use writing::Target;

/// As much of a manifest as says how far its store was.
const HEAD_BYTES: u64 = 1024;

/// Where backups lie: a tree that belongs to the backups of one server.
#[derive(Debug, Clone)]
pub struct Place {
    store: Arc<dyn ObjectStore>,
    /// Where it is a folder of this machine.
    folder: Option<PathBuf>,
}

/// What is told while a long piece of work goes on: a line for people.
pub type Progress<'a> = &'a (dyn Fn(String) + Send + Sync);

impl Place {
    /// A folder of this machine, which is made where it does not exist.
    ///
    /// # Errors
    /// The disk does not let us.
    pub fn folder(folder: &FilePath) -> Result<Self> {
        let refused = |error: &dyn std::fmt::Display| Error::backup(format!("{}: {error}", folder.display()));
        std::fs::create_dir_all(folder).map_err(|error| refused(&error))?;
        let store = LocalFileSystem::new_with_prefix(folder).map_err(|error| refused(&error))?;
        Ok(Self { store: Arc::new(store), folder: Some(folder.to_owned()) })
    }

    /// An object store, such as a bucket.
    #[must_use]
    pub fn store(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, folder: None }
    }

    /// Where files are put.
    fn target(&self) -> Target<'_> {
        self.folder.as_deref().map_or(Target::Store(&*self.store), Target::Folder)
    }

    /// The names of the backups that are there, oldest first.
    ///
    /// # Errors
    /// The place cannot be read.
    pub async fn names(&self) -> Result<Vec<String>> {
        let listed = self.store.list_with_delimiter(Some(&Path::from("backups"))).await.map_err(failed)?;
        let name = |file: &str| file.strip_suffix(".json").map(str::to_owned);
        let names: Vec<_> =
            listed.objects.iter().filter_map(|object| object.location.filename().and_then(name)).collect();
        let placed = stream::iter(names).map(|name| self.placed(name)).buffered(AT_ONCE);
        let placed: Vec<_> = placed.try_collect().await?;
        Ok(in_order(placed.into_iter().flatten().collect()))
    }

    /// A backup's name, and how far its store was; nothing where it has gone meanwhile.
    async fn placed(&self, name: String) -> Result<Option<Placed>> {
        let head = match self.store.get_range(&manifest_path(&name), 0..HEAD_BYTES).await {
            Ok(head) => head,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(Error::backup(format!("backup {name}: {error}"))),
        };
        let (epoch, position) = match Manifest::moment_in(&head) {
            Some(moment) => moment,
            None => {
                let manifest = self.read(&name).await?;
                (manifest.epoch, manifest.position)
            }
        };
        Ok(Some(Placed { epoch, position, name }))
    }

    /// A backup by its name, or the newest.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub async fn manifest(&self, name: Option<&str>) -> Result<(String, Manifest)> {
        let name = match name {
            Some(name) => name.to_owned(),
            None => self.names().await?.pop().ok_or_else(|| Error::backup("there is no backup"))?,
        };
        let manifest = self.read(&name).await?;
        Ok((name, manifest))
    }

    async fn read(&self, name: &str) -> Result<Manifest> {
        let found = self.store.get(&manifest_path(name)).await;
        let found = found.map_err(|error| Error::backup(format!("backup {name}: {error}")))?;
        Manifest::parse(&found.bytes().await.map_err(failed)?)
    }
}

/// A backup among others.
#[derive(Debug)]
struct Placed {
    epoch: u64,
    position: u64,
    name: String,
}

/// The names, oldest first. Within one life of a store by how far it was, since a name is what the clock said, and that may
/// have been wrong. Of several lives, of a store that was brought back or founded anew, positions say nothing: the last is
/// the one that has the latest name.
fn in_order(mut placed: Vec<Placed>) -> Vec<String> {
    let mut latest: HashMap<u64, String> = HashMap::new();
    for Placed { epoch, name, .. } in &placed {
        let latest = latest.entry(*epoch).or_default();
        if *latest < *name {
            latest.clone_from(name);
        }
    }
    placed.sort_by(|one, other| {
        let key = |placed: &Placed| (latest.get(&placed.epoch), placed.epoch, placed.position);
        key(one).cmp(&key(other)).then_with(|| one.name.cmp(&other.name))
    });
    placed.into_iter().map(|placed| placed.name).collect()
}

fn manifest_path(name: &str) -> Path {
    Path::from(format!("backups/{name}.json"))
}

fn object_path(sha256: &str) -> Path {
    let start = sha256.get(..2).unwrap_or_default();
    Path::from(format!("objects/{start}/{sha256}"))
}

fn failed(error: object_store::Error) -> Error {
    Error::backup(error)
}
