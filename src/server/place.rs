//! Where backups and media lie, by the configuration and the command line.

use std::path::Path;
use std::sync::Arc;

use matron_homeserver::backup::Place;
use matron_homeserver::config::{Bucket, Config as Domain, MediaStorage};
use matron_homeserver::remote::bucket::{self, Care};
use matron_homeserver::remote::{addresses::Addresses, http::Client, trust};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;

use crate::config::{Config, Location};
use crate::failure::{Failure, Result};

/// The place of backups that is named, or that of the configuration.
pub fn named(config: &Config, named: Option<String>) -> Result<Location> {
    config.backup.location(named).map_err(Failure::new)
}

/// The backups in a folder, which is made where it does not exist, or in a bucket. They may not lie where media do: what is
/// no medium there is swept away.
pub fn open(location: &Location, domain: &Domain) -> Result<Place> {
    let store = match (location, &domain.media.storage) {
        (Location::Folder(folder), MediaStorage::Folder(media)) if lies_in(folder, media)? => {
            return Err(Failure::new(format!("{} is a folder of media: take another place", folder.display())));
        }
        (Location::Bucket(ours), MediaStorage::Bucket { bucket: media, .. }) if overlap(ours, media) => {
            let Bucket { name, prefix, .. } = ours;
            return Err(Failure::new(format!(
                "s3://{name}/{prefix} overlaps with the media there: take another prefix"
            )));
        }
        (Location::Folder(folder), _) => folder_store(folder)?,
        (Location::Bucket(settings), _) => bucket::open(settings, &client(domain)?, Care::BACKUP)
            .map_err(|error| Failure::because("the bucket for backups", &error))?,
    };
    Ok(Place::new(store))
}

/// Where the media lie.
pub fn media(domain: &Domain) -> Result<Arc<dyn ObjectStore>> {
    Ok(matron_homeserver::media::objects(&domain.media.storage, &client(domain)?)?)
}

/// The configuration names whom it calls, so that any address may be.
fn client(domain: &Domain) -> Result<Client> {
    Ok(Client::new(&trust::client(&domain.outgoing.authorities)?, Addresses::all().into()))
}

fn folder_store(folder: &Path) -> Result<Arc<dyn ObjectStore>> {
    let failed = |error: &dyn std::fmt::Display| Failure::because(folder.display(), error);
    std::fs::create_dir_all(folder).map_err(|error| failed(&error))?;
    let store = LocalFileSystem::new_with_prefix(folder).map_err(|error| failed(&error))?;
    Ok(Arc::new(store.with_fsync(true)))
}

fn lies_in(folder: &Path, media: &Path) -> Result<bool> {
    let media = std::path::absolute(media).map_err(|error| Failure::because(media.display(), &error))?;
    Ok(folder.starts_with(media))
}

fn overlap(one: &Bucket, other: &Bucket) -> bool {
    let parts = |bucket: &Bucket| -> Vec<_> {
        bucket.prefix.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    let (one_parts, other_parts) = (parts(one), parts(other));
    let is_same = one.name == other.name && one.access.endpoint == other.access.endpoint;
    is_same && (one_parts.starts_with(&other_parts) || other_parts.starts_with(&one_parts))
}

#[cfg(test)]
mod tests {
    use matron_homeserver::config::BucketAccess;

    use super::*;

    #[test]
    fn a_place_among_media_is_known() {
        let bucket = |name: &str, prefix: &str| Bucket {
            name: name.to_owned(),
            prefix: prefix.to_owned(),
            access: BucketAccess {
                region: String::new(),
                endpoint: None,
                path_style: true,
                access_key_id: String::new(),
                secret_access_key: String::new(),
            },
        };
        let media = bucket("wards", "matron/media/");
        for (prefix, is_there) in
            [("", true), ("matron", true), ("matron/media/a", true), ("matron/med", false), ("backup", false)]
        {
            assert_eq!(overlap(&bucket("wards", prefix), &media), is_there, "{prefix}");
            assert!(!overlap(&bucket("other", prefix), &media));
        }
        assert!(lies_in(Path::new("/a/media/backups"), Path::new("/a/media")).unwrap());
        assert!(!lies_in(Path::new("/a/media-backups"), Path::new("/a/media")).unwrap());
    }
}
