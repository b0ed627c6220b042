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

use std::sync::Arc;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};

pub use last::Last;
pub use manifest::{Entry, Manifest};
pub use restore::restore;
pub use take::{Asked, Taken, take};
pub use verify::{Verified, verify};

use crate::error::{Error, Result};

/// Where backups lie.
#[derive(Debug, Clone)]
pub struct Place(Arc<dyn ObjectStore>);

/// What is told while a long piece of work goes on: a line for people.
pub type Progress<'a> = &'a (dyn Fn(String) + Send + Sync);

impl Place {
    /// A place in an object store: its whole tree belongs to the backups of one server.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self(store)
    }

    /// The names of the backups that are there, oldest first.
    ///
    /// # Errors
    /// The place cannot be read.
    pub async fn names(&self) -> Result<Vec<String>> {
        let listed = self.0.list_with_delimiter(Some(&Path::from("backups"))).await.map_err(failed)?;
        let name = |file: &str| file.strip_suffix(".json").map(str::to_owned);
        let mut names: Vec<_> =
            listed.objects.iter().filter_map(|object| object.location.filename().and_then(name)).collect();
        names.sort_unstable();
        Ok(names)
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
        let path = manifest_path(&name);
        let found = self.0.get(&path).await.map_err(|error| Error::backup(format!("backup {name}: {error}")))?;
        let manifest = Manifest::parse(&found.bytes().await.map_err(failed)?)?;
        Ok((name, manifest))
    }
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
