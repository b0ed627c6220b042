//! The keys of backups.

use std::fmt;
use std::path::PathBuf;

use matron_homeserver::config::{Bucket, BucketAccess};
use serde::{Deserialize, Serialize};

use super::bucket;
use super::source::Source;
use super::values::text;

/// What the name of a place in a bucket begins with.
const BUCKET: &str = "s3://";

/// What is said of backups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backup {
    /// The place, where nobody names another one: a folder, or `s3://bucket/prefix`.
    pub place: Option<String>,
    /// The way to buckets.
    pub access: Option<BucketAccess>,
}

/// A place of backups, with all that is needed to reach it: the server that may be asked stands elsewhere, and may have been
/// told otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Location {
    /// A folder.
    Folder(PathBuf),
    /// A part of a bucket.
    Bucket(Bucket),
}

/// As it is told to people, and remembered; without keys.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "{}", folder.display()),
            Self::Bucket(Bucket { name, prefix, access }) => {
                write!(f, "{BUCKET}{name}/{prefix}")?;
                access.endpoint.as_ref().map_or(Ok(()), |endpoint| write!(f, " at {endpoint}"))
            }
        }
    }
}

impl Backup {
    /// A place by its name, or that of the configuration.
    ///
    /// # Errors
    /// There is none, or the way to it is not known.
    pub fn location(&self, named: Option<String>) -> Result<Location, String> {
        let missing = "which place? Name a folder or s3://BUCKET/PREFIX, or set backup.place in the configuration";
        let named = named.or_else(|| self.place.clone()).filter(|place| !place.is_empty()).ok_or(missing)?;
        let Some((name, prefix)) = bucket_and_prefix(&named)? else {
            let folder = std::path::absolute(&named).map_err(|error| format!("{named}: {error}"))?;
            return Ok(Location::Folder(folder));
        };
        let missing = || format!("{named}: set backup.s3.access_key_id and backup.s3.secret_access_key");
        let access = self.access.clone().ok_or_else(missing)?;
        Ok(Location::Bucket(Bucket { name, prefix, access }))
    }
}

/// Where a place is in a bucket: its name, and what all names in it begin with.
fn bucket_and_prefix(place: &str) -> Result<Option<(String, String)>, String> {
    let Some(rest) = place.strip_prefix(BUCKET) else { return Ok(None) };
    let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_legal) {
        return Err(format!("`{place}` names no bucket: s3://BUCKET/PREFIX is needed"));
    }
    Ok(Some((name.to_owned(), prefix.trim_matches('/').to_owned())))
}

/// Everything about backups. What opens buckets is read wherever it is there: a command may name one.
pub fn read(source: &mut Source<'_>) -> Option<Backup> {
    let place = text(source, "backup.place");
    let is_bucket = match place.as_deref().map_or(Ok(None), bucket_and_prefix) {
        Ok(found) => found.is_some(),
        Err(problem) => {
            source.wrong("backup.place", problem);
            return None;
        }
    };
    let needed_by = if is_bucket { Some("backup.place") } else { bucket::BACKUP.begun(source) };
    let access = match needed_by {
        Some(needed_by) => Some(bucket::access(source, &bucket::BACKUP, needed_by)?),
        None => None,
    };
    Some(Backup { place, access })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_folders_or_parts_of_buckets() {
        let access = BucketAccess {
            region: "us-east-1".to_owned(),
            endpoint: None,
            path_style: true,
            access_key_id: "key".to_owned(),
            secret_access_key: "secret".to_owned(),
        };
        let mut backup = Backup { place: None, access: None };
        let location = |backup: &Backup, place: &str| backup.location(Some(place.to_owned()));
        assert!(backup.location(None).is_err() && location(&backup, "").is_err());
        assert_eq!(location(&backup, "/backups"), Ok(Location::Folder("/backups".into())));
        assert!(matches!(location(&backup, "s3:/wards"), Ok(Location::Folder(folder)) if folder.is_absolute()));
        assert!(location(&backup, "s3://wards/a").unwrap_err().contains("backup.s3.access_key_id"));
        backup.access = Some(access.clone());
        for (place, name, prefix) in [
            ("s3://wards", "wards", ""),
            ("s3://wards/", "wards", ""),
            ("s3://wards.example/matron/night/", "wards.example", "matron/night"),
        ] {
            let bucket = Bucket { name: name.to_owned(), prefix: prefix.to_owned(), access: access.clone() };
            assert_eq!(location(&backup, place), Ok(Location::Bucket(bucket)), "{place}");
        }
        assert_eq!(location(&backup, "s3://wards/night/").unwrap().to_string(), "s3://wards/night");
        assert_eq!(location(&backup, "/backups").unwrap().to_string(), "/backups");
        for place in ["s3://", "s3:///matron", "s3://wards?x/a"] {
            assert!(location(&backup, place).is_err(), "{place}");
        }
        backup.place = Some("/there".to_owned());
        assert_eq!(backup.location(None), Ok(Location::Folder("/there".into())));
    }
}
