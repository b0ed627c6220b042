//! Server-side key backups: their versions.
//!
//! Client-server API, "Server-side key backups". Count and etag stand in the version's row, which every change of its
//! keys rewrites under a precondition: so neither is ever wrong, and no key comes into a version that was deleted.

use matron_matrix::{Error as MatrixError, Result as MatrixResult, canonical};
use matron_storage::{Batch, Snapshot};
use ruma::api::client::backup::BackupAlgorithm;
use ruma::serde::Raw;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Devices, TRIES, check_length, overtaken};
use crate::error::{Error, Result};
use crate::schema::UserNum;
use crate::schema::devices::{BACKUP_KEYS, BACKUPS, Backup};

mod keys;
#[cfg(test)]
mod tests;

pub use keys::{Keys, Rooms, Sessions};

/// Bytes of a version's algorithm and of its data.
const MOST_ALGORITHM_BYTES: usize = 255;
const MOST_AUTH_DATA_BYTES: usize = 64 << 10;

/// A backup as it is told of.
#[derive(Debug, Clone)]
pub struct Info {
    /// The algorithm and its data.
    pub algorithm: Raw<BackupAlgorithm>,
    /// How many keys it holds.
    pub count: u64,
    /// Changes with its keys.
    pub etag: String,
    /// Its version.
    pub version: String,
}

/// The body of a request that makes or changes a version.
#[derive(Deserialize)]
struct Body<'a> {
    algorithm: String,
    #[serde(borrow)]
    auth_data: &'a RawValue,
    version: Option<String>,
}

fn parse(body: &Raw<BackupAlgorithm>) -> MatrixResult<Body<'_>> {
    let json = body.json().get();
    canonical::check_depth(json.as_bytes())?;
    let body: Body<'_> = serde_json::from_str(json).map_err(|error| {
        let message = error.to_string();
        if message.contains("missing field") {
            MatrixError::missing_param(message)
        } else {
            MatrixError::bad_json(message)
        }
    })?;
    check_length("the algorithm", &body.algorithm, MOST_ALGORITHM_BYTES)?;
    // serde reads structs from arrays as well.
    if !json.starts_with('{') || !body.auth_data.get().starts_with('{') {
        return Err(MatrixError::bad_json("the body or its auth_data is no object"));
    }
    if body.auth_data.get().len() > MOST_AUTH_DATA_BYTES {
        return Err(MatrixError::too_large(format!("auth_data may have {MOST_AUTH_DATA_BYTES} bytes")));
    }
    Ok(body)
}

fn info(version: u64, backup: &Backup) -> Result<Info> {
    let name = serde_json::to_string(&backup.algorithm).map_err(Error::internal)?;
    let algorithm = format!("{{\"algorithm\":{name},\"auth_data\":{}}}", backup.auth_data);
    Ok(Info {
        algorithm: Raw::from_json_string(algorithm).map_err(Error::internal)?,
        count: backup.count,
        etag: backup.etag.to_string(),
        version: version.to_string(),
    })
}

fn unknown() -> MatrixError {
    MatrixError::not_found("Unknown backup version")
}

/// A version's number; what is no number is no version.
fn number(version: &str) -> MatrixResult<u64> {
    version.parse().ok().filter(|number: &u64| number.to_string() == version).ok_or_else(unknown)
}

/// A version that is there and not deleted.
async fn existing(snapshot: &Snapshot, user: UserNum, version: u64) -> Result<Backup> {
    let backup = snapshot.get(&BACKUPS, &(user, version)).await?;
    backup.filter(|backup| !backup.deleted).ok_or_else(|| unknown().into())
}

/// The latest version that is not deleted.
async fn latest(snapshot: &Snapshot, user: UserNum) -> Result<Option<(u64, Backup)>> {
    let mut newest_first = snapshot.scan(&BACKUPS, BACKUPS.under(&(user,))).reverse().expecting(1);
    while let Some(((_, version), backup)) = newest_first.next().await? {
        if !backup.deleted {
            return Ok(Some((version, backup)));
        }
    }
    Ok(None)
}

impl Devices {
    /// Makes a new version, which is the current one from now on.
    ///
    /// # Errors
    /// `M_BAD_JSON`, `M_MISSING_PARAM`, `M_INVALID_PARAM` or `M_TOO_LARGE`.
    pub async fn create_backup(&self, user: UserNum, body: &Raw<BackupAlgorithm>) -> Result<String> {
        let body = parse(body)?;
        let backup = Backup {
            algorithm: body.algorithm,
            auth_data: body.auth_data.get().to_owned(),
            etag: 0,
            count: 0,
            deleted: false,
        };
        for _ in 0..TRIES {
            let snapshot = self.store.snapshot();
            let last = snapshot.scan(&BACKUPS, BACKUPS.under(&(user,))).reverse().first().await?;
            let version = last.map_or(1, |((_, version), _)| version + 1);
            let mut batch = Batch::new();
            batch.expect_absent(&BACKUPS, &(user, version));
            batch.put(&BACKUPS, &(user, version), &backup);
            if self.try_commit(batch).await? {
                return Ok(version.to_string());
            }
        }
        Err(overtaken())
    }

    /// The current version.
    ///
    /// # Errors
    /// `M_NOT_FOUND` where there is none.
    pub async fn latest_backup(&self, user: UserNum) -> Result<Info> {
        let (version, backup) = latest(&self.store.snapshot(), user)
            .await?
            .ok_or_else(|| MatrixError::not_found("No current backup version"))?;
        info(version, &backup)
    }

    /// A version.
    ///
    /// # Errors
    /// `M_NOT_FOUND` where there is no such one.
    pub async fn backup(&self, user: UserNum, version: &str) -> Result<Info> {
        let version = number(version)?;
        info(version, &existing(&self.store.snapshot(), user, version).await?)
    }

    /// Changes a version's data; its algorithm stays.
    ///
    /// # Errors
    /// `M_NOT_FOUND` where there is no such version, `M_INVALID_PARAM` where algorithm or version in the body are others.
    pub async fn update_backup(&self, user: UserNum, version: &str, body: &Raw<BackupAlgorithm>) -> Result<()> {
        let body = parse(body)?;
        if body.version.is_some_and(|other| other != version) {
            return Err(MatrixError::invalid_param("the version in the body is not that in the path").into());
        }
        let key = (user, number(version)?);
        for _ in 0..TRIES {
            let old = existing(&self.store.snapshot(), user, key.1).await?;
            if old.algorithm != body.algorithm {
                return Err(MatrixError::invalid_param("Algorithm does not match").into());
            }
            let mut new = old.clone();
            body.auth_data.get().clone_into(&mut new.auth_data);
            let mut batch = Batch::new();
            batch.expect_value(&BACKUPS, &key, &old);
            batch.put(&BACKUPS, &key, &new);
            if self.try_commit(batch).await? {
                return Ok(());
            }
        }
        Err(overtaken())
    }

    /// Deletes a version with its keys. Once more is no error.
    ///
    /// # Errors
    /// `M_NOT_FOUND` where there never was such a version.
    pub async fn delete_backup(&self, user: UserNum, version: &str) -> Result<()> {
        let key = (user, number(version)?);
        for _ in 0..TRIES {
            let old = self.store.snapshot().get(&BACKUPS, &key).await?.ok_or_else(unknown)?;
            if old.deleted {
                return Ok(());
            }
            // The row stays, so that its number is not given again.
            let new =
                Backup { algorithm: String::new(), auth_data: String::new(), etag: old.etag, count: 0, deleted: true };
            let mut batch = Batch::new();
            batch.expect_value(&BACKUPS, &key, &old);
            batch.put(&BACKUPS, &key, &new);
            batch.delete_range(&BACKUP_KEYS, &BACKUP_KEYS.under(&key));
            if self.try_commit(batch).await? {
                return Ok(());
            }
        }
        Err(overtaken())
    }
}
