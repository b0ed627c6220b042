//! Renaming devices, deleting them, logging out: a device takes all that it has with it.

use std::collections::{BTreeSet, HashSet};

use matron_matrix::Error as MatrixError;
use matron_storage::{Batch, Error as StorageError, Snapshot};
use ruma::api::client::uiaa::AuthData;

use super::Lifecycle;
use super::interactive::Operation;
use crate::accounts::{Session, TRIES, check_name, delete_rows, revoke_device};
use crate::error::{Error, Result};
use crate::schema::UserNum;
use crate::schema::accounts::NEWEST_DEVICE;
use crate::schema::devices::{DEVICES, Device};

/// How many devices go in one batch: with all that each leaves it stays below a megabyte.
const DEVICES_AT_ONCE: usize = 1000;
/// How often devices are tried to be deleted: log-ins that come in a storm must not keep anybody from it.
pub(super) const TRIES_AT_LOG_INS: usize = 100;

impl Lifecycle {
    /// Logs a session out: its device is deleted.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn log_out(&self, session: &Session) -> Result<()> {
        self.delete_where(session.user, |_, device| device.num == session.device).await
    }

    /// Logs all of a user's sessions out: all devices are deleted.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn log_out_everywhere(&self, user: UserNum) -> Result<()> {
        self.delete_where(user, |_, _| true).await
    }

    /// Deletes devices of the session's user, after the password. Ids of no device are left out of account.
    ///
    /// # Errors
    /// As [`Self::authorize`].
    pub async fn delete_devices(
        &self,
        session: &Session,
        device_ids: &BTreeSet<String>,
        auth: Option<&AuthData>,
        operation: Operation<'_>,
    ) -> Result<()> {
        self.authorize(Some(session), auth, operation).await?;
        self.delete_where(session.user, |id, _| device_ids.contains(id)).await
    }

    /// Gives a device another display name.
    ///
    /// # Errors
    /// `M_NOT_FOUND`; `M_INVALID_PARAM` where the name is too long.
    pub async fn rename_device(&self, user: UserNum, device_id: &str, display_name: &str) -> Result<()> {
        check_name(display_name)?;
        let key = (user, device_id.to_owned());
        for _ in 0..TRIES {
            let snapshot = self.store.snapshot();
            let device = self.accounts.device_row(&snapshot, user, device_id).await?;
            let device = device.ok_or_else(|| MatrixError::not_found("there is no such device"))?;
            if device.display_name.as_deref() == Some(display_name) {
                return Ok(());
            }
            let mut batch = Batch::new();
            batch.expect_value(&DEVICES, &key, &device);
            batch.put(&DEVICES, &key, &Device { display_name: Some(display_name.to_owned()), ..device });
            self.devices.note_change(&mut batch, &snapshot, user).await?;
            match self.store.commit(batch).await {
                Err(StorageError::Conflict) => {}
                done => return done.map(|_| ()).map_err(Into::into),
            }
        }
        Err(Error::internal("a device changes all the time"))
    }

    async fn delete_where(&self, user: UserNum, which: impl Fn(&str, &Device) -> bool) -> Result<()> {
        self.thin_out(user, &which).await?;
        self.delete_at_once(user, which).await
    }

    /// Deletes devices that are to go, batch by batch, until so few are left that they fit into one with whatever else is
    /// to happen. Answers whether it had to. Each device goes wholly: whoever is stopped between two asks again.
    pub(super) async fn thin_out(&self, user: UserNum, which: impl Fn(&str, &Device) -> bool) -> Result<bool> {
        let mut had_to = false;
        loop {
            let rows = self.accounts.device_rows(&self.store.snapshot(), user).await?;
            let going = rows.iter().filter(|(id, device)| which(id, device)).map(|(_, device)| device.num);
            let going: Vec<_> = going.collect();
            if going.len() <= DEVICES_AT_ONCE {
                return Ok(had_to);
            }
            let first: HashSet<_> = going.into_iter().take(DEVICES_AT_ONCE).collect();
            self.delete_at_once(user, |_, device| first.contains(&device.num)).await?;
            had_to = true;
        }
    }

    async fn delete_at_once(&self, user: UserNum, which: impl Fn(&str, &Device) -> bool) -> Result<()> {
        for _ in 0..TRIES_AT_LOG_INS {
            let snapshot = self.store.snapshot();
            let mut batch = Batch::new();
            self.forget_devices(&mut batch, &snapshot, user, &which).await?;
            if batch.is_empty() {
                return Ok(());
            }
            match self.store.commit(batch).await {
                Err(StorageError::Conflict) => {}
                done => return done.map(|_| ()).map_err(Into::into),
            }
        }
        Err(Error::internal("devices change all the time"))
    }

    /// Deletes devices with their tokens, keys, messages and pushers, by `batch`; [`Self::thin_out`] comes before, where
    /// there may be many.
    pub(super) async fn forget_devices(
        &self,
        batch: &mut Batch,
        snapshot: &Snapshot,
        user: UserNum,
        which: impl Fn(&str, &Device) -> bool,
    ) -> Result<()> {
        let mut gone = Vec::new();
        // Conflicts with a log-in that makes another device at the same time.
        let newest = snapshot.get(&NEWEST_DEVICE, &user).await?;
        batch.expect(&NEWEST_DEVICE, &user, newest.as_ref());
        for (device_id, device) in self.accounts.device_rows(snapshot, user).await? {
            if !which(&device_id, &device) {
                continue;
            }
            // Conflicts with a log-in that takes this device over at the same time.
            revoke_device(batch, snapshot, (user, device.num)).await?;
            delete_rows(batch, user, &device_id, &device);
            gone.push((device_id, device.num));
        }
        if !gone.is_empty() {
            self.devices.forget_all(batch, snapshot, user, &gone).await?;
            let gone: HashSet<_> = gone.into_iter().map(|(_, device)| device).collect();
            self.push.forget_devices(batch, snapshot, user, |device| gone.contains(&device)).await?;
        }
        Ok(())
    }
}
