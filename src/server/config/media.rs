//! The keys of media.

use std::path::{Path, PathBuf};

use matron_homeserver::config::{Bucket, Media, MediaStorage};
use serde::Deserialize;

use super::bucket;
use super::source::Source;
use super::values::{text, within};

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Place {
    Folder,
    S3,
}

/// Everything about media; `data_dir` is where they lie if nobody says otherwise.
pub fn read(source: &mut Source<'_>, data_dir: Option<&Path>) -> Option<Media> {
    let place = source.get("media.storage");
    let folder = text(source, "media.folder")
        .map_or_else(|| data_dir.map(|folder| folder.join("media")), |folder| Some(folder.into()));
    let storage = match place? {
        Place::Folder => folder.map(MediaStorage::Folder),
        Place::S3 => storage(source, folder?),
    };
    let upload = within(source, "media.max_upload_mib", 1, 1 << 20);
    let megapixels = within(source, "media.max_megapixels", 1, 1000);
    let quota = if source.has("media.user_quota_mib") {
        Some(within(source, "media.user_quota_mib", 1, 1 << 30)?)
    } else {
        None
    };
    let pictures = within(source, "url_previews.max_pictures_mib", 16, 1 << 20);
    let (open, url_previews) = (source.get("media.unauthenticated"), source.get("url_previews.enabled"));
    Some(Media {
        storage: storage?,
        max_upload_bytes: u64::from(upload?) << 20,
        max_pixels: u64::from(megapixels?) * 1_000_000,
        user_quota_bytes: quota.map(|quota| u64::from(quota) << 20),
        open: open?,
        url_previews: url_previews?,
        max_preview_bytes: u64::from(pictures?) << 20,
    })
}

fn storage(source: &mut Source<'_>, incoming: PathBuf) -> Option<MediaStorage> {
    let name = text(source, "media.s3.bucket");
    if name.is_none() {
        source.wrong("media.storage", "`s3` needs `media.s3.bucket`");
    }
    let access = bucket::access(source, &bucket::MEDIA, "media.storage");
    let prefix = text(source, "media.s3.prefix").unwrap_or_default();
    Some(MediaStorage::Bucket { bucket: Bucket { name: name?, prefix, access: access? }, incoming })
}
