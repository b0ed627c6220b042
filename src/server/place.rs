//! Where backups and media lie, by the configuration and the command line.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use matron_homeserver::backup::Place;
use matron_homeserver::config::{Bucket, Config as Domain, MediaStorage};
use matron_homeserver::remote::bucket::{self, Care};
use matron_homeserver::remote::{addresses::Addresses, http::Client, trust};
use object_store::ObjectStore;

use crate::config::{Config, Location};
use crate::failure::{Failure, Result};

/// How old a file must be to be taken for one that nobody is still writing.
const LEFT_AFTER: Duration = Duration::from_hours(24);

/// The place of backups that is named, or that of the configuration.
pub fn named(config: &Config, named: Option<String>) -> Result<Location> {
    config.backup.location(named).map_err(Failure::new)
}

/// The backups in a folder, which is made where it does not exist, or in a bucket. They may not lie where media do: what is
/// no medium there is swept away.
pub fn open(location: &Location, domain: &Domain) -> Result<Place> {
    match (location, &domain.media.storage) {
        (Location::Folder(folder), MediaStorage::Folder(media)) if lies_in(folder, media)? => {
            Err(Failure::new(format!("{} is a folder of media: take another place", folder.display())))
        }
        (Location::Bucket(ours), MediaStorage::Bucket { bucket: media, .. }) if overlap(ours, media) => {
            let Bucket { name, prefix, .. } = ours;
            Err(Failure::new(format!("s3://{name}/{prefix} overlaps with the media there: take another prefix")))
        }
        (Location::Folder(folder), _) => Ok(Place::folder(folder)?),
        (Location::Bucket(settings), _) => bucket::open(settings, &client(domain)?, Care::BACKUP)
            .map(Place::store)
            .map_err(|error| Failure::because("the bucket for backups", &error)),
    }
}

/// Deletes what a crash left half written in a folder of backups. What is put there is written aside first, to its name with
/// `#` and a number, and no such file is ever listed. Blocks.
///
/// # Errors
/// The disk does not let us.
pub fn sweep(location: &Location) -> io::Result<()> {
    let Location::Folder(folder) = location else { return Ok(()) };
    let mut folders = vec![folder.join("backups")];
    for shard in fs::read_dir(folder.join("objects"))? {
        let shard = shard?;
        if shard.file_type()?.is_dir() {
            folders.push(shard.path());
        }
    }
    for folder in folders {
        for file in fs::read_dir(folder)? {
            let file = file?;
            if !is_half_written(&file.file_name()) {
                continue;
            }
            if file.metadata()?.modified()?.elapsed().is_ok_and(|age| age > LEFT_AFTER) {
                fs::remove_file(file.path())?;
            }
        }
    }
    Ok(())
}

fn is_half_written(name: &OsStr) -> bool {
    let Some((of, number)) = name.to_str().and_then(|name| name.rsplit_once('#')) else { return false };
    let is_hash = of.len() == 64 && of.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_manifest = of.strip_suffix(".json").is_some_and(|time| time.ends_with('Z'));
    (is_hash || is_manifest) && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// Where the media lie.
pub fn media(domain: &Domain) -> Result<Arc<dyn ObjectStore>> {
    Ok(matron_homeserver::media::objects(&domain.media.storage, &client(domain)?)?)
}

/// The configuration names whom it calls, so that any address may be.
fn client(domain: &Domain) -> Result<Client> {
    Ok(Client::new(&trust::client(&domain.outgoing.authorities)?, Addresses::all().into()))
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
    fn what_a_crash_left_half_written_goes() {
        let folder = tempfile::tempdir().unwrap();
        let (hash, manifest) = ("ab".repeat(32), "backups/20261126T110659.123Z.json");
        let gone = [format!("objects/ab/{hash}#1"), format!("objects/ab/{hash}#23"), format!("{manifest}#1")];
        let stay = [format!("objects/ab/{hash}"), "objects/ab/notes#1".to_owned(), manifest.to_owned()];
        let young = format!("objects/ab/{hash}#4");
        fs::create_dir_all(folder.path().join("objects/ab")).unwrap();
        fs::create_dir_all(folder.path().join("backups")).unwrap();
        let old = std::time::SystemTime::now() - 2 * LEFT_AFTER;
        for file in gone.iter().chain(&stay) {
            fs::File::create(folder.path().join(file)).unwrap().set_modified(old).unwrap();
        }
        fs::write(folder.path().join(&young), "").unwrap();
        sweep(&Location::Folder(folder.path().to_owned())).unwrap();
        let is_there = |file: &String| folder.path().join(file).exists();
        assert!(!gone.iter().any(is_there));
        assert!(stay.iter().chain([&young]).all(is_there));
    }

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
