//! When the last good backup was taken. It stands in the store, so that a new start, and whoever takes backups while no server
//! runs, do not make it forgotten.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use matron_storage::{Batch, Store};

use crate::error::Result;
use crate::schema::backup::LAST_BACKUP;

/// The last good backup.
#[derive(Debug)]
pub struct Last {
    store: Arc<Store>,
    taken_at: AtomicU64,
}

impl Last {
    /// As the store knows it.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn open(store: Arc<Store>) -> Result<Self> {
        let taken_at = store.snapshot().get(&LAST_BACKUP, &()).await?.unwrap_or(0);
        Ok(Self { store, taken_at: AtomicU64::new(taken_at) })
    }

    /// When it was begun, in milliseconds since 1970; 0 where there is none.
    #[must_use]
    pub fn taken_at(&self) -> u64 {
        self.taken_at.load(Ordering::Relaxed)
    }

    /// A backup that was begun at a time is there, whole.
    ///
    /// # Errors
    /// The store cannot be written: it is known until the next start.
    pub async fn set(&self, taken_at: u64) -> Result<()> {
        self.taken_at.store(taken_at, Ordering::Relaxed);
        let mut batch = Batch::new();
        batch.put(&LAST_BACKUP, &(), &taken_at);
        self.store.commit(batch).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use matron_storage::{Options, Store};

    use super::Last;

    #[tokio::test]
    async fn the_next_start_knows_it() {
        let store = Arc::new(Store::open(&Options::memory(), matron_storage::nobody()).unwrap());
        let last = Last::open(Arc::clone(&store)).await.unwrap();
        assert_eq!(last.taken_at(), 0);
        last.set(1_800_000_000_000).await.unwrap();
        assert_eq!(last.taken_at(), 1_800_000_000_000);
        assert_eq!(Last::open(store).await.unwrap().taken_at(), 1_800_000_000_000);
    }
}
