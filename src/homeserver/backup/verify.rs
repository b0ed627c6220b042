//! Reads a backup as a whole and says whether every file is as it was.

use object_store::ObjectStoreExt as _;

use super::copy::hash_stream;
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
    /// What is wrong: the file, and why.
    pub wrong: Vec<String>,
}

/// Reads every file of a backup (the newest, where none is named) and compares its hash.
///
/// # Errors
/// There is no such backup, or its manifest cannot be read.
pub async fn verify(place: &Place, name: Option<&str>, progress: Progress<'_>) -> Result<Verified> {
    let (name, manifest) = place.manifest(name).await?;
    progress(format!("backup {name}: {} files, {} bytes", manifest.files.len(), manifest.bytes()));
    let mut wrong = Vec::new();
    for entry in &manifest.files {
        if let Err(why) = check(place, entry).await {
            wrong.push(format!("{}: {why}", entry.path));
        }
    }
    Ok(Verified { name, files: manifest.files.len(), bytes: manifest.bytes(), wrong })
}

async fn check(place: &Place, entry: &Entry) -> Result<(), String> {
    let found = place.0.get(&object_path(&entry.sha256)).await.map_err(|error| error.to_string())?;
    let hashed = hash_stream(found.into_stream(), async |_| Ok(())).await.map_err(|error| error.to_string())?;
    entry.compare(&hashed)
}
