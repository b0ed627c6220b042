//! Dehydrated devices (MSC3814): a device that nobody is logged in on. Its private keys lie here under a key that its user
//! keeps; it gets what is sent to devices, and the user's next log-in takes all of it over. One that somebody logs in on by its id
//! sleeps no longer: it is a device like any other.

use std::collections::BTreeMap;

use matron_matrix::Error as MatrixError;
use matron_storage::{Batch, Position, Snapshot};
use ruma::OwnedOneTimeKeyId;
use ruma::encryption::{DeviceKeys, OneTimeKey};
use ruma::serde::Raw;

use super::upload::Upload;
use super::{Devices, TRIES, check_length, overtaken, waiting};
use crate::accounts::{Session, check_name, delete_rows, revoke_device};
use crate::error::Result;
use crate::schema::UserNum;
use crate::schema::accounts::NEWEST_DEVICE;
use crate::schema::devices::{DEHYDRATED, DEVICES, Dehydrated, Device};

/// The longest id of such a device, and the most bytes of what it was dried to.
const MOST_ID_BYTES: usize = 255;
const MOST_DATA_BYTES: usize = 256 << 10;
/// The most messages in one page.
const MOST_MESSAGES: usize = 100;

/// A device as it is laid down.
#[derive(Debug)]
pub struct NewDehydrated<'a> {
    /// Its id.
    pub device_id: &'a str,
    /// The name that it is listed under.
    pub display_name: Option<String>,
    /// Its private part, which only its user can read: a JSON object.
    pub data: &'a str,
    /// Its identity keys.
    pub device_keys: &'a Raw<DeviceKeys>,
    /// Its one-time keys.
    pub one_time: &'a BTreeMap<OwnedOneTimeKeyId, Raw<OneTimeKey>>,
    /// Its fallback keys.
    pub fallback: &'a BTreeMap<OwnedOneTimeKeyId, Raw<OneTimeKey>>,
}

fn none_there() -> MatrixError {
    MatrixError::not_found("there is no dehydrated device")
}

impl Devices {
    /// Lays a device down in place of the one that was there.
    ///
    /// # Errors
    /// `M_INVALID_PARAM` where the id is that of a device that somebody is logged in on, what [`Self::upload`] says of the
    /// keys, `M_TOO_LARGE`.
    pub async fn dehydrate(&self, session: &Session, new: &NewDehydrated<'_>) -> Result<()> {
        check_length("a device's id", new.device_id, MOST_ID_BYTES)?;
        if !new.data.starts_with('{') {
            return Err(MatrixError::bad_json("device_data is a JSON object").into());
        }
        if new.data.len() > MOST_DATA_BYTES {
            let why = format!("a dehydrated device may have {MOST_DATA_BYTES} bytes");
            return Err(MatrixError::too_large(why).into());
        }
        new.display_name.as_deref().map(check_name).transpose()?;
        let mut owner = session.clone();
        owner.device_id = new.device_id.into();
        owner.device = self.ids.new_device().await?;
        let upload = Upload::parse(&owner, Some(new.device_keys), new.one_time, new.fallback)?;
        for _ in 0..TRIES {
            let snapshot = self.store.snapshot();
            let mut batch = Batch::new();
            let old = self.put_away(&mut batch, &snapshot, session.user).await?;
            let key = (session.user, new.device_id.to_owned());
            let known = snapshot.get(&DEVICES, &key).await?;
            if known.as_ref().is_some_and(|known| old.as_ref().is_none_or(|old| old.device != known.num)) {
                return Err(MatrixError::invalid_param("there is a device of this id").into());
            }
            batch.expect(&DEVICES, &key, known.as_ref());
            let device =
                Device { num: owner.device, display_name: new.display_name.clone(), created: self.clock.millis() };
            batch.put(&DEVICES, &key, &device);
            // As a log-in does: whoever logs out everywhere meanwhile begins anew.
            batch.put(&NEWEST_DEVICE, &session.user, &owner.device);
            self.add_keys(&mut batch, &snapshot, &owner, &upload).await?;
            let row =
                Dehydrated { device_id: new.device_id.to_owned(), device: owner.device, data: new.data.to_owned() };
            batch.put(&DEHYDRATED, &session.user, &row);
            if self.try_commit(batch).await? {
                return Ok(());
            }
        }
        Err(overtaken())
    }

    /// A user's dehydrated device. One that was deleted like any other is none.
    async fn dehydrated_row(&self, snapshot: &Snapshot, user: UserNum) -> Result<Option<Dehydrated>> {
        let Some(row) = snapshot.get(&DEHYDRATED, &user).await? else { return Ok(None) };
        let device = snapshot.get(&DEVICES, &(user, row.device_id.clone())).await?;
        Ok(device.filter(|device| device.num == row.device).map(|_| row))
    }

    /// The id of a user's dehydrated device, and its private part.
    ///
    /// # Errors
    /// `M_NOT_FOUND` where there is none.
    pub async fn dehydrated(&self, session: &Session) -> Result<(String, String)> {
        let row = self.dehydrated_row(&self.store.snapshot(), session.user).await?.ok_or_else(none_there)?;
        Ok((row.device_id, row.data))
    }

    /// Deletes a user's dehydrated device with all that it has; answers its id.
    ///
    /// # Errors
    /// `M_NOT_FOUND` where there is none.
    pub async fn delete_dehydrated(&self, session: &Session) -> Result<String> {
        for _ in 0..TRIES {
            let snapshot = self.store.snapshot();
            let mut batch = Batch::new();
            let row = self.put_away(&mut batch, &snapshot, session.user).await?.ok_or_else(none_there)?;
            batch.delete(&DEHYDRATED, &session.user);
            if self.try_commit(batch).await? {
                return Ok(row.device_id);
            }
        }
        Err(overtaken())
    }

    /// Takes away the device that is there, its row in [`DEHYDRATED`] apart.
    async fn put_away(&self, batch: &mut Batch, snapshot: &Snapshot, user: UserNum) -> Result<Option<Dehydrated>> {
        let stored = snapshot.get(&DEHYDRATED, &user).await?;
        batch.expect(&DEHYDRATED, &user, stored.as_ref());
        let Some(row) = self.dehydrated_row(snapshot, user).await? else { return Ok(None) };
        let key = (user, row.device_id.clone());
        let Some(device) = snapshot.get(&DEVICES, &key).await? else { return Ok(None) };
        self.forget(batch, snapshot, user, &row.device_id, row.device).await?;
        // It has some where somebody has logged in on it. Conflicts with a log-in that takes it over at the same time.
        revoke_device(batch, snapshot, (user, row.device)).await?;
        delete_rows(batch, user, &row.device_id, &device);
        Ok(Some(row))
    }

    /// What was sent to a user's dehydrated device after `after`, and where the next page begins. What was handed out stays
    /// for as long as the device does: should whoever takes it over be lost on the way, another one begins anew.
    ///
    /// # Errors
    /// `M_FORBIDDEN` where the device is none of the user's dehydrated ones.
    pub async fn dehydrated_events(
        &self,
        session: &Session,
        device_id: &str,
        after: Option<Position>,
    ) -> Result<(Vec<String>, Position)> {
        let snapshot = self.store.snapshot();
        let row = self.dehydrated_row(&snapshot, session.user).await?;
        let row = row.filter(|row| row.device_id == device_id);
        let row = row.ok_or_else(|| MatrixError::forbidden("that is not your dehydrated device"))?;
        let after = after.unwrap_or(Position::ZERO);
        let events = waiting(&snapshot, row.device, after, MOST_MESSAGES).await?;
        let last = events.last().map_or(after, |(position, _)| *position);
        Ok((events.into_iter().map(|(_, event)| event).collect(), last))
    }
}
