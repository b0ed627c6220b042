//! After a restore: one-time keys that may have been handed out since the backup are handed out no more.

use matron_storage::{Batch, Store};

use crate::error::Result;
use crate::schema::devices::{CLAIM_HEADS, ONE_TIME_KEYS};

/// A batch takes so many devices.
const DEVICES_AT_ONCE: usize = 2_000;

/// Deletes all one-time keys of all devices. Clients are told that none is left, and upload new ones; fallback keys stay,
/// since they may be used more than once.
///
/// # Errors
/// The store cannot be read or written.
pub async fn forget_one_time_keys(store: &Store) -> Result<()> {
    let snapshot = store.snapshot();
    let mut heads = snapshot.scan(&CLAIM_HEADS, CLAIM_HEADS.all());
    let (mut batch, mut devices) = (Batch::new(), 0);
    while let Some((device, mut head)) = heads.next().await? {
        for queue in &mut head.queues {
            queue.next = queue.end;
        }
        batch.put(&CLAIM_HEADS, &device, &head);
        batch.delete_range(&ONE_TIME_KEYS, &ONE_TIME_KEYS.under(&(device,)));
        devices += 1;
        if devices == DEVICES_AT_ONCE {
            store.commit(std::mem::take(&mut batch)).await?;
            devices = 0;
        }
    }
    if devices > 0 {
        store.commit(batch).await?;
    }
    Ok(())
}
