//! The keys of media.

use std::path::Path;

use matron_homeserver::config::{Bucket, Media, MediaStorage};
use serde::Deserialize;

use super::source::Source;
use super::{text, url, within};

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
        Place::S3 => bucket(source, folder?).map(MediaStorage::Bucket),
    };
    let upload = within(source, "media.max_upload_mib", 1, 1 << 20);
    let megapixels = within(source, "media.max_megapixels", 1, 1000);
    let quota = if source.has("media.user_quota_mib") {
        Some(within(source, "media.user_quota_mib", 1, 1 << 30)?)
    } else {
        None
    };
    let (open, url_previews) = (source.get("media.unauthenticated"), source.get("url_previews.enabled"));
    Some(Media {
        storage: storage?,
        max_upload_bytes: u64::from(upload?) << 20,
        max_pixels: u64::from(megapixels?) * 1_000_000,
        user_quota_bytes: quota.map(|quota| u64::from(quota) << 20),
        open: open?,
        url_previews: url_previews?,
    })
}

fn bucket(source: &mut Source<'_>, incoming: std::path::PathBuf) -> Option<Bucket> {
    let mut needed = |name: &'static str| {
        let value = text(source, name);
        if value.is_none() {
            source.wrong("media.storage", format_args!("`s3` needs `{name}`"));
        }
        value
    };
    let name = needed("media.s3.bucket");
    let access_key_id = needed("media.s3.access_key_id");
    let secret_access_key = needed("media.s3.secret_access_key");
    let region = source.get("media.s3.region");
    let path_style = source.get("media.s3.path_style");
    let endpoint = url(source, "media.s3.endpoint");
    Some(Bucket {
        name: name?,
        region: region?,
        endpoint,
        prefix: text(source, "media.s3.prefix").unwrap_or_default(),
        path_style: path_style?,
        access_key_id: access_key_id?,
        secret_access_key: secret_access_key?,
        incoming,
    })
}
