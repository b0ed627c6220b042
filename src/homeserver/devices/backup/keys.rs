//! The keys in a backup: which of two keys for a session stays, and how they are stored, found and deleted.

use std::collections::BTreeMap;

use matron_matrix::{Error as MatrixError, Result as MatrixResult, canonical, digest};
use matron_storage::{Batch, KeyRange, Snapshot};
use ruma::api::client::backup::{KeyBackupData, RoomKeyBackup};
use ruma::serde::Raw;
use ruma::{OwnedRoomId, RoomId};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{existing, latest, number, unknown};
use crate::devices::{Devices, TRIES, check_length, overtaken};
use crate::error::{Error, Result};
use crate::schema::UserNum;
use crate::schema::devices::{BACKUP_KEYS, BACKUPS, Backup, BackupKey};

/// Keys in one request. Clients send some hundreds at a time.
const MOST_KEYS: usize = 10_000;
/// Bytes of a session's key, and of a room's or session's id.
const MOST_KEY_BYTES: usize = 64 << 10;
const MOST_ID_BYTES: usize = 255;

/// Keys by session.
pub type Sessions = BTreeMap<String, Raw<KeyBackupData>>;
/// Keys by room and session.
pub type Rooms = BTreeMap<OwnedRoomId, RoomKeyBackup>;

/// A key's row.
type Row = (UserNum, u64, [u8; 16], String);

/// How many keys a backup holds after a request, and the mark of their state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// How many keys.
    pub count: u64,
    /// Changes with every change.
    pub etag: String,
}

impl Keys {
    fn of(backup: &Backup) -> Self {
        Self { count: backup.count, etag: backup.etag.to_string() }
    }
}

/// What decides which of two keys is better.
#[derive(Debug, Deserialize)]
struct Quality<'a> {
    first_message_index: u64,
    forwarded_count: u64,
    is_verified: bool,
    #[serde(borrow)]
    session_data: &'a RawValue,
}

impl<'a> Quality<'a> {
    fn parse(json: &'a str) -> MatrixResult<Self> {
        let quality: Self = serde_json::from_str(json).map_err(|error| MatrixError::bad_json(error.to_string()))?;
        // serde reads structs from arrays as well.
        if json.starts_with('{') && quality.session_data.get().starts_with('{') {
            Ok(quality)
        } else {
            Err(MatrixError::bad_json("a key or its session_data is no object"))
        }
    }

    /// Lower is better: verified ones first, then by message index, then by how often it was forwarded.
    const fn rank(&self) -> (bool, u64, u64) {
        (!self.is_verified, self.first_message_index, self.forwarded_count)
    }
}

/// A key on its way into a backup.
struct New {
    row: Row,
    rank: (bool, u64, u64),
    key: BackupKey,
}

fn room_digest(room: &RoomId) -> [u8; 16] {
    let mut half = [0; 16];
    half.iter_mut().zip(digest::of(room.as_str().as_bytes())).for_each(|(to, from)| *to = from);
    half
}

fn parse(user: UserNum, version: u64, rooms: &Rooms) -> MatrixResult<Vec<New>> {
    let count = rooms.values().map(|room| room.sessions.len()).sum::<usize>();
    if count > MOST_KEYS {
        return Err(MatrixError::too_large(format!("{MOST_KEYS} keys may be stored at once")));
    }
    let mut parsed = Vec::with_capacity(count);
    for (room, backup) in rooms {
        check_length("a room's id", room.as_str(), MOST_ID_BYTES)?;
        let digest = room_digest(room);
        for (session, key) in &backup.sessions {
            check_length("a session's id", session, MOST_ID_BYTES)?;
            let json = key.json().get();
            if json.len() > MOST_KEY_BYTES {
                return Err(MatrixError::too_large(format!("a key may have {MOST_KEY_BYTES} bytes")));
            }
            canonical::check_depth(json.as_bytes())?;
            let rank = Quality::parse(json)?.rank();
            parsed.push(New {
                row: (user, version, digest, session.clone()),
                rank,
                key: BackupKey { room: room.as_str().to_owned(), json: json.to_owned() },
            });
        }
    }
    Ok(parsed)
}

/// The current version, which must be the one that is named.
async fn current(snapshot: &Snapshot, user: UserNum, version: u64) -> Result<Backup> {
    let (newest, backup) = latest(snapshot, user).await?.ok_or_else(unknown)?;
    if newest == version {
        return Ok(backup);
    }
    existing(snapshot, user, version).await?;
    Err(MatrixError::wrong_room_keys_version(newest.to_string(), "Wrong backup version.").into())
}

impl Devices {
    /// Stores keys in the current version. Where a session has a key already, the better one stays.
    ///
    /// # Errors
    /// `M_NOT_FOUND` where there is no such version, `M_WRONG_ROOM_KEYS_VERSION` where it is not the current one,
    /// `M_BAD_JSON`, `M_INVALID_PARAM` or `M_TOO_LARGE`.
    pub async fn put_backup_keys(&self, user: UserNum, version: &str, rooms: &Rooms) -> Result<Keys> {
        let version = number(version)?;
        let new = parse(user, version, rooms)?;
        for _ in 0..TRIES {
            let snapshot = self.store.snapshot();
            let before = current(&snapshot, user, version).await?;
            let mut after = before.clone();
            let mut batch = Batch::new();
            let old = snapshot.get_many(&BACKUP_KEYS, new.iter().map(|new| &new.row)).await?;
            for (new, old) in new.iter().zip(old) {
                match old {
                    None => after.count += 1,
                    Some(old) => {
                        let old = Quality::parse(&old.json).map_err(Error::internal)?;
                        if old.rank() <= new.rank {
                            continue;
                        }
                    }
                }
                batch.put(&BACKUP_KEYS, &new.row, &new.key);
            }
            if batch.is_empty() || self.replace_backup(batch, (user, version), &before, &mut after).await? {
                return Ok(Keys::of(&after));
            }
        }
        Err(overtaken())
    }

    /// All keys of a version.
    ///
    /// # Errors
    /// `M_NOT_FOUND` where there is no such version.
    pub async fn backup_keys(&self, user: UserNum, version: &str) -> Result<Rooms> {
        let version = number(version)?;
        let snapshot = self.store.snapshot();
        existing(&snapshot, user, version).await?;
        let mut rooms = Rooms::new();
        let mut rows = snapshot.scan(&BACKUP_KEYS, BACKUP_KEYS.under(&(user, version)));
        while let Some(((_, _, _, session), key)) = rows.next().await? {
            let room = OwnedRoomId::try_from(key.room).map_err(Error::internal)?;
            let key = Raw::from_json_string(key.json).map_err(Error::internal)?;
            let room = rooms.entry(room).or_insert_with(|| RoomKeyBackup::new(BTreeMap::new()));
            room.sessions.insert(session, key);
        }
        Ok(rooms)
    }

    /// A room's keys in a version.
    ///
    /// # Errors
    /// `M_NOT_FOUND` where there is no such version.
    pub async fn backup_keys_of_room(&self, user: UserNum, version: &str, room: &RoomId) -> Result<Sessions> {
        let version = number(version)?;
        let snapshot = self.store.snapshot();
        existing(&snapshot, user, version).await?;
        let mut sessions = Sessions::new();
        let mut rows = snapshot.scan(&BACKUP_KEYS, BACKUP_KEYS.under(&(user, version, room_digest(room))));
        while let Some(((_, _, _, session), key)) = rows.next().await? {
            sessions.insert(session, Raw::from_json_string(key.json).map_err(Error::internal)?);
        }
        Ok(sessions)
    }

    /// A session's key in a version.
    ///
    /// # Errors
    /// `M_NOT_FOUND` where there is no such version or key.
    pub async fn backup_key(
        &self,
        user: UserNum,
        version: &str,
        room: &RoomId,
        session: &str,
    ) -> Result<Raw<KeyBackupData>> {
        let version = number(version)?;
        let snapshot = self.store.snapshot();
        existing(&snapshot, user, version).await?;
        let row = (user, version, room_digest(room), session.to_owned());
        let key = snapshot.get(&BACKUP_KEYS, &row).await?.ok_or_else(|| MatrixError::not_found("No such key"))?;
        Raw::from_json_string(key.json).map_err(Error::internal)
    }

    /// Deletes a version's keys.
    ///
    /// # Errors
    /// `M_NOT_FOUND` where there is no such version.
    pub async fn delete_backup_keys(&self, user: UserNum, version: &str) -> Result<Keys> {
        let version = number(version)?;
        self.delete_rows((user, version), &BACKUP_KEYS.under(&(user, version))).await
    }

    /// Deletes a room's keys in a version.
    ///
    /// # Errors
    /// `M_NOT_FOUND` where there is no such version.
    pub async fn delete_backup_keys_of_room(&self, user: UserNum, version: &str, room: &RoomId) -> Result<Keys> {
        let version = number(version)?;
        self.delete_rows((user, version), &BACKUP_KEYS.under(&(user, version, room_digest(room)))).await
    }

    /// Deletes a session's key in a version.
    ///
    /// # Errors
    /// `M_NOT_FOUND` where there is no such version.
    pub async fn delete_backup_key(&self, user: UserNum, version: &str, room: &RoomId, session: &str) -> Result<Keys> {
        let version = number(version)?;
        let row = (user, version, room_digest(room), session.to_owned());
        self.delete_rows((user, version), &BACKUP_KEYS.range(row.clone()..=row)).await
    }

    async fn delete_rows(&self, backup: (UserNum, u64), range: &KeyRange<Row>) -> Result<Keys> {
        for _ in 0..TRIES {
            let snapshot = self.store.snapshot();
            let before = existing(&snapshot, backup.0, backup.1).await?;
            let mut gone = 0;
            let mut rows = snapshot.scan(&BACKUP_KEYS, range.clone());
            while rows.next().await?.is_some() {
                gone += 1;
            }
            if gone == 0 {
                return Ok(Keys::of(&before));
            }
            let mut after = before.clone();
            after.count = after.count.saturating_sub(gone);
            let mut batch = Batch::new();
            batch.delete_range(&BACKUP_KEYS, range);
            if self.replace_backup(batch, backup, &before, &mut after).await? {
                return Ok(Keys::of(&after));
            }
        }
        Err(overtaken())
    }

    /// Commits a change of a version's keys with its row, if that is still what was read.
    async fn replace_backup(
        &self,
        mut batch: Batch,
        key: (UserNum, u64),
        before: &Backup,
        after: &mut Backup,
    ) -> Result<bool> {
        after.etag += 1;
        batch.expect_value(&BACKUPS, &key, before);
        batch.put(&BACKUPS, &key, after);
        self.try_commit(batch).await
    }
}
