//! Devices and their keys: what end-to-end encryption needs from a server.

use std::sync::Arc;

use matron_storage::{Batch, Snapshot, Store};

use crate::accounts::Accounts;
use crate::clock::Clock;
use crate::error::Result;
use crate::ids::Ids;
use crate::schema::devices::{
    BACKUP_KEYS, BACKUPS, CLAIM_HEADS, DEVICE_LIST_OF, DEVICE_LISTS, FOREIGN_SIGNATURES, ONE_TIME_KEYS, TO_DEVICE,
    USER_KEYS,
};
use crate::schema::{DeviceNum, UserNum};
use crate::streams::{Streams, Subject};

/// The owner of devices, their keys, what waits for them, and key backups.
#[derive(Debug)]
pub struct Devices {
    store: Arc<Store>,
    streams: Arc<Streams>,
    ids: Arc<Ids>,
    clock: Clock,
    accounts: Arc<Accounts>,
}

impl Devices {
    /// Needs what lies below, and accounts.
    #[must_use]
    pub const fn new(
        store: Arc<Store>,
        streams: Arc<Streams>,
        ids: Arc<Ids>,
        clock: Clock,
        accounts: Arc<Accounts>,
    ) -> Self {
        Self { store, streams, ids, clock, accounts }
    }

    /// Deletes what a device has: its keys and the messages that wait for it.
    ///
    /// # Errors
    /// The store cannot be read.
    #[expect(clippy::unused_async, reason = "what a device leaves will have to be read")]
    pub async fn forget(&self, batch: &mut Batch, _: &Snapshot, _: UserNum, _: &str, device: DeviceNum) -> Result<()> {
        batch.delete(&CLAIM_HEADS, &device);
        batch.delete_range(&ONE_TIME_KEYS, &ONE_TIME_KEYS.under(&(device,)));
        batch.delete_range(&TO_DEVICE, &TO_DEVICE.under(&(device,)));
        Ok(())
    }

    /// Deletes what a user has beside their devices.
    ///
    /// # Errors
    /// The store cannot be read.
    #[expect(clippy::unused_async, reason = "what a user leaves will have to be read")]
    pub async fn forget_user(&self, batch: &mut Batch, _: &Snapshot, user: UserNum) -> Result<()> {
        batch.delete(&USER_KEYS, &user);
        batch.delete_range(&FOREIGN_SIGNATURES, &FOREIGN_SIGNATURES.under(&(user,)));
        batch.delete_range(&BACKUPS, &BACKUPS.under(&(user,)));
        batch.delete_range(&BACKUP_KEYS, &BACKUP_KEYS.under(&(user,)));
        Ok(())
    }

    /// Notes that a user's devices or keys changed.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn note_change(&self, batch: &mut Batch, snapshot: &Snapshot, user: UserNum) -> Result<()> {
        let before = snapshot.get(&DEVICE_LIST_OF, &user).await?;
        if let Some(before) = before {
            batch.delete(&DEVICE_LISTS, &before);
        }
        let position = batch.stamp();
        batch.put(&DEVICE_LISTS, &position, &user);
        batch.put(&DEVICE_LIST_OF, &user, &position);
        batch.announce(Subject::DeviceList(user).into());
        Ok(())
    }
}
