//! Where backups and media lie, by the configuration and the command line.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use matron_homeserver::backup::Place;
use matron_homeserver::remote::{addresses::Addresses, http::Client, trust};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;

use crate::config::Config;
use crate::failure::{Failure, Result};

/// The folder of backups, whole: the server that may be asked stands elsewhere.
pub fn absolute(config: &Config, named: Option<String>) -> Result<PathBuf> {
    let missing = || Failure::new("which folder? Name it, or set backup.place in the configuration");
    let place = named.map(PathBuf::from).or_else(|| config.backup_place.clone()).ok_or_else(missing)?;
    std::path::absolute(&place).map_err(|error| Failure::because(place.display(), &error))
}

/// The backups in a folder, which is made where it does not exist.
pub fn open(folder: &Path) -> Result<Place> {
    Ok(Place::new(folder_store(folder)?))
}

/// Where the media lie.
pub fn media(config: &Config) -> Result<Arc<dyn ObjectStore>> {
    let domain = &config.domain;
    let client = Client::new(&trust::client(&domain.outgoing.authorities)?, Addresses::all().into());
    Ok(matron_homeserver::media::objects(&domain.media.storage, &client)?)
}

fn folder_store(folder: &Path) -> Result<Arc<dyn ObjectStore>> {
    let failed = |error: &dyn std::fmt::Display| Failure::because(folder.display(), error);
    std::fs::create_dir_all(folder).map_err(|error| failed(&error))?;
    let store = LocalFileSystem::new_with_prefix(folder).map_err(|error| failed(&error))?;
    Ok(Arc::new(store.with_fsync(true)))
}
