//! The keys by which a bucket is reached, for media and for backups.

use std::path::Path;

use matron_homeserver::config::BucketAccess;

use super::source::Source;
use super::values::{text, url};

/// The longest secret in a file, in bytes.
const MAX_SECRET_BYTES: u64 = 4096;

/// What the keys are called.
pub struct Names {
    region: &'static str,
    endpoint: &'static str,
    path_style: &'static str,
    access_key_id: &'static str,
    secret_access_key: &'static str,
    secret_access_key_file: &'static str,
}

/// Those of media.
pub const MEDIA: Names = Names {
    region: "media.s3.region",
    endpoint: "media.s3.endpoint",
    path_style: "media.s3.path_style",
    access_key_id: "media.s3.access_key_id",
    secret_access_key: "media.s3.secret_access_key",
    secret_access_key_file: "media.s3.secret_access_key_file",
};

/// Those of backups.
pub const BACKUP: Names = Names {
    region: "backup.s3.region",
    endpoint: "backup.s3.endpoint",
    path_style: "backup.s3.path_style",
    access_key_id: "backup.s3.access_key_id",
    secret_access_key: "backup.s3.secret_access_key",
    secret_access_key_file: "backup.s3.secret_access_key_file",
};

impl Names {
    /// The first of the keys that open a bucket that has a value: then the others are needed too.
    pub fn begun(&self, source: &mut Source<'_>) -> Option<&'static str> {
        let opening = [self.access_key_id, self.secret_access_key, self.secret_access_key_file];
        opening.into_iter().find(|name| text(source, name).is_some())
    }
}

/// The way to a bucket, which the key `needed_by` wants.
pub fn access(source: &mut Source<'_>, names: &Names, needed_by: &'static str) -> Option<BucketAccess> {
    let access_key_id = text(source, names.access_key_id);
    if access_key_id.is_none() {
        source.wrong(needed_by, format_args!("`{}` is needed for it", names.access_key_id));
    }
    let secret_access_key = secret(source, names, needed_by);
    let region = source.get(names.region);
    let path_style = source.get(names.path_style);
    let endpoint = url(source, names.endpoint);
    Some(BucketAccess {
        region: region?,
        endpoint,
        path_style: path_style?,
        access_key_id: access_key_id?,
        secret_access_key: secret_access_key?,
    })
}

fn secret(source: &mut Source<'_>, names: &Names, needed_by: &'static str) -> Option<String> {
    let (inline, file) = (text(source, names.secret_access_key), text(source, names.secret_access_key_file));
    match (inline, file) {
        (Some(secret), None) => Some(secret),
        (None, Some(file)) => match read(Path::new(&file)) {
            Ok(secret) => {
                source.note(names.secret_access_key_file, secret.as_bytes());
                Some(secret)
            }
            Err(problem) => {
                source.wrong(names.secret_access_key_file, problem);
                None
            }
        },
        (Some(_), Some(_)) => {
            let other = names.secret_access_key;
            source.wrong(names.secret_access_key_file, format_args!("`{other}` is there too: one of them is needed"));
            None
        }
        (None, None) => {
            let (one, other) = (names.secret_access_key, names.secret_access_key_file);
            source.wrong(needed_by, format_args!("`{one}` or `{other}` is needed for it"));
            None
        }
    }
}

/// A secret alone in a file; the line's end does not belong to it.
fn read(file: &Path) -> Result<String, String> {
    let named = |problem: String| format!("{}: {problem}", file.display());
    let bytes = std::fs::metadata(file).map_err(|error| named(error.to_string()))?.len();
    if bytes > MAX_SECRET_BYTES {
        return Err(named(format!("a secret may have {MAX_SECRET_BYTES} bytes")));
    }
    let secret = std::fs::read_to_string(file).map_err(|error| named(error.to_string()))?;
    match secret.trim_end() {
        "" => Err(named("there is no secret in it".to_owned())),
        secret => Ok(secret.to_owned()),
    }
}
