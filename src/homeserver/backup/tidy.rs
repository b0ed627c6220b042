//! Takes old backups away, and the files that no other backup has.

use std::collections::HashSet;

use futures_util::TryStreamExt as _;
use object_store::ObjectStoreExt as _;
use object_store::path::Path;

use super::copy::AT_ONCE;
use super::{Place, failed, manifest_path};
use crate::error::Result;

/// Leaves the newest `keep` backups, and answers how many went. `taken`, which was taken just now, is the newest, whatever
/// clocks say of it. Manifests go first: what remains is whole at any moment.
pub async fn tidy(place: &Place, keep: usize, taken: &str) -> Result<usize> {
    let mut names = place.names().await?;
    names.retain(|name| name != taken);
    let mut kept = names.split_off(names.len().saturating_sub(keep.saturating_sub(1)));
    kept.push(taken.to_owned());
    if names.is_empty() {
        return Ok(0);
    }
    let mut used = HashSet::new();
    for name in &kept {
        let (_, manifest) = place.manifest(Some(name)).await?;
        used.extend(manifest.files.into_iter().map(|entry| entry.sha256));
    }
    for name in &names {
        place.store.delete(&manifest_path(name)).await.map_err(failed)?;
    }
    let objects = place.store.list(Some(&Path::from("objects"))).map_err(failed);
    objects
        .try_for_each_concurrent(AT_ONCE, async |object| {
            let is_used = object.location.filename().is_some_and(|name| used.contains(name));
            if is_used { Ok(()) } else { place.store.delete(&object.location).await.map_err(failed) }
        })
        .await?;
    Ok(names.len())
}
