//! Reads a backup as a whole and says whether every file is as it was.

use futures_util::{StreamExt as _, stream};
use object_store::ObjectStoreExt as _;

use super::copy::{AT_ONCE, Reading};
use super::{Entry, Place, Progress, object_path};
use crate::error::Result;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The backup's name.
    pub name: String,
    /// How many files were read.
    pub files: usize,
    /// How many bytes were read.
    pub bytes: u64,
    /// What is wrong: the file, why, and the object that it lies in.
    pub wrong: Vec<String>,
}

/// Reads every file of a backup (the newest, where none is named) and compares its hash.
///
/// # Errors
/// There is no such backup, or its manifest cannot be read.
pub async fn verify(place: &Place, name: Option<&str>, progress: Progress<'_>) -> Result<Verified> {
    let (name, manifest) = place.manifest(name).await?;
    progress(format!("backup {name}: {} files, {} bytes", manifest.files.len(), manifest.bytes()));
    let (mut count, mut wrong) = (0_usize, Vec::new());
    let checks = stream::iter(&manifest.files).map(async |entry| (entry, check(place, entry).await));
    let mut checks = std::pin::pin!(checks.buffered(AT_ONCE));
    while let Some((entry, checked)) = checks.next().await {
        if let Err(why) = checked {
            wrong.push(format!("{}: {why} ({})", entry.path, object_path(&entry.sha256)));
        }
        count += 1;
        if count.is_multiple_of(1000) {
            progress(format!("{count} files"));
        }
    }
    Ok(Verified { name, files: manifest.files.len(), bytes: manifest.bytes(), wrong })
}

async fn check(place: &Place, entry: &Entry) -> Result<(), String> {
    let found = place.store.get(&object_path(&entry.sha256)).await.map_err(|error| match error {
        object_store::Error::NotFound { .. } => "it is not there".to_owned(),
        error => error.to_string(),
    })?;
    let mut reading = Reading::new(found);
    while reading.next().await.map_err(|error| error.to_string())?.is_some() {}
    entry.compare(&reading.end())
}
