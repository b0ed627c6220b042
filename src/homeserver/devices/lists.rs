//! The stream of device lists: whose devices or keys changed, each user once, at their latest change.
//!
//! Client-server API, "Tracking the device list for a user".

use std::collections::HashSet;

use matron_matrix::signed;
use matron_storage::{Batch, Position, Snapshot, Written};

use super::Devices;
use crate::error::Result;
use crate::schema::devices::{
    BACKUP_KEYS, BACKUPS, CLAIM_HEADS, DEHYDRATED, DEVICE_LIST_OF, DEVICE_LISTS, FOREIGN_SIGNATURES, ONE_TIME_KEYS,
    SIGNATURE_CHANGES, TO_DEVICE, USER_KEYS, UserKeys,
};
use crate::schema::rooms::TRANSACTIONS;
use crate::schema::{DeviceNum, UserNum};
use crate::streams::Subject;

/// The users whose devices or keys changed last after `from` and up to `to`, in order of change.
///
/// A user who changed again after `to` is found at that later place alone: who must not miss anybody takes the
/// snapshot's own position for `to`.
///
/// # Errors
/// The store cannot be read.
pub async fn changed_users(snapshot: &Snapshot, from: Position, to: Position) -> Result<Vec<UserNum>> {
    if from >= to {
        return Ok(Vec::new());
    }
    let rows = snapshot.scan(&DEVICE_LISTS, DEVICE_LISTS.range(from.next()..=to)).collect().await?;
    Ok(rows.into_iter().map(|(_, user)| user).collect())
}

/// The users whose master key `signer` signed after `from` and up to `to`: changed device lists for that signer alone.
///
/// # Errors
/// The store cannot be read.
pub async fn signed_users(snapshot: &Snapshot, signer: UserNum, from: Position, to: Position) -> Result<Vec<UserNum>> {
    if from >= to {
        return Ok(Vec::new());
    }
    let range = SIGNATURE_CHANGES.range((signer, from.next())..=(signer, to));
    let rows = snapshot.scan(&SIGNATURE_CHANGES, range).collect().await?;
    Ok(rows.into_iter().map(|(_, user)| user).collect())
}

impl Devices {
    /// Tells those who share a room with `user` that their devices or keys changed. Once per batch and user is enough;
    /// more do no harm. The batch gets a precondition: on a conflict the caller begins anew with a new snapshot.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn note_change(&self, batch: &mut Batch, snapshot: &Snapshot, user: UserNum) -> Result<()> {
        if batch.written(&DEVICE_LIST_OF, &user)? != Written::Nothing {
            return Ok(());
        }
        let last = snapshot.get(&DEVICE_LIST_OF, &user).await?;
        batch.expect(&DEVICE_LIST_OF, &user, last.as_ref());
        if let Some(last) = last {
            batch.delete(&DEVICE_LISTS, &last);
        }
        let position = batch.stamp();
        batch.put(&DEVICE_LISTS, &position, &user);
        batch.put(&DEVICE_LIST_OF, &user, &position);
        batch.announce(Subject::DeviceList(user).into());
        Ok(())
    }

    /// As [`Self::forget_all`], one device.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn forget(
        &self,
        batch: &mut Batch,
        snapshot: &Snapshot,
        user: UserNum,
        device_id: &str,
        device: DeviceNum,
    ) -> Result<()> {
        self.forget_all(batch, snapshot, user, &[(device_id.to_owned(), device)]).await
    }

    /// Removes all that a user's devices left: keys, one-time and fallback keys, waiting messages, transactions, their
    /// signatures on their user's master key; and notes the change. The caller deletes the devices' own rows in the same
    /// batch, which keeps uploads in flight from coming after.
    ///
    /// The batch gets preconditions: on a conflict the caller begins anew with a new snapshot.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn forget_all(
        &self,
        batch: &mut Batch,
        snapshot: &Snapshot,
        user: UserNum,
        devices: &[(String, DeviceNum)],
    ) -> Result<()> {
        let keys = match batch.written(&USER_KEYS, &user)? {
            Written::Value(keys) => Some(keys),
            Written::Deleted => None,
            Written::Nothing => {
                let keys = snapshot.get(&USER_KEYS, &user).await?;
                batch.expect(&USER_KEYS, &user, keys.as_ref());
                keys
            }
        };
        if let Some(mut keys) = keys {
            let before = keys.clone();
            let gone: HashSet<&str> = devices.iter().map(|(id, _)| id.as_str()).collect();
            keys.devices.retain(|keys| !gone.contains(keys.device_id.as_str()));
            unsign_master(&mut keys, &gone)?;
            if keys == UserKeys::default() {
                batch.delete(&USER_KEYS, &user);
            } else if keys != before {
                batch.put(&USER_KEYS, &user, &keys);
            }
        }
        for (_, device) in devices {
            batch.delete(&CLAIM_HEADS, device);
            batch.delete_range(&ONE_TIME_KEYS, &ONE_TIME_KEYS.under(&(*device,)));
            batch.delete_range(&TO_DEVICE, &TO_DEVICE.under(&(*device,)));
            batch.delete_range(&TRANSACTIONS, &TRANSACTIONS.under(&(*device,)));
        }
        self.note_change(batch, snapshot, user).await
    }

    /// Removes what a user leaves beside their devices when the account ends: cross-signing keys, the signatures that they
    /// made on others' keys, backups, what a device was dried to. The devices themselves go by [`Self::forget_all`].
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn forget_user(&self, batch: &mut Batch, snapshot: &Snapshot, user: UserNum) -> Result<()> {
        if batch.written(&USER_KEYS, &user)? == Written::Nothing {
            let keys = snapshot.get(&USER_KEYS, &user).await?;
            batch.expect(&USER_KEYS, &user, keys.as_ref());
        }
        batch.delete(&USER_KEYS, &user);
        batch.delete_range(&FOREIGN_SIGNATURES, &FOREIGN_SIGNATURES.under(&(user,)));
        batch.delete_range(&SIGNATURE_CHANGES, &SIGNATURE_CHANGES.under(&(user,)));
        batch.delete_range(&BACKUPS, &BACKUPS.under(&(user,)));
        batch.delete_range(&BACKUP_KEYS, &BACKUP_KEYS.under(&(user,)));
        batch.delete(&DEHYDRATED, &user);
        self.note_change(batch, snapshot, user).await
    }
}

/// Takes devices' signatures off their user's master key.
fn unsign_master(keys: &mut UserKeys, devices: &HashSet<&str>) -> Result<()> {
    let Some(json) = &keys.master else { return Ok(()) };
    let mut master = super::directory::object(json)?;
    let Some(user) = master.get("user_id").and_then(|user| user.as_str()).map(ToOwned::to_owned) else {
        return Ok(());
    };
    let mut signatures = signed::signatures_of(&master, &user);
    let before = signatures.len();
    signatures.retain(|(key_id, _)| key_id.strip_prefix("ed25519:").is_none_or(|id| !devices.contains(id)));
    if signatures.len() != before {
        signed::set_signatures(&mut master, &user, signatures);
        keys.master = Some(signed::to_json(&master)?);
    }
    Ok(())
}
