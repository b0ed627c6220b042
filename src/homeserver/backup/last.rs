//! When the last good backup was taken, and where. It stands in the store, so that a new start, and whoever takes backups while
//! no server runs, do not make it forgotten.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use matron_storage::{Batch, Store};

use crate::error::Result;
use crate::schema::backup::{BACKUP_PLACES, LAST_BACKUP};

/// So many places are remembered.
const MOST_PLACES: usize = 16;

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

    /// Whether a good backup was taken to a place, by its name.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn is_in(&self, place: &str) -> Result<bool> {
        Ok(self.store.snapshot().get(&BACKUP_PLACES, &place.to_owned()).await?.is_some())
    }

    /// A backup that was begun at a time is in a place: the last good one, if it is whole.
    ///
    /// # Errors
    /// The store cannot be read or written: it is known until the next start.
    pub async fn set(&self, place: &str, taken_at: u64, is_whole: bool) -> Result<()> {
        if is_whole {
            self.taken_at.store(taken_at, Ordering::Relaxed);
        }
        let mut places = self.store.snapshot().scan(&BACKUP_PLACES, BACKUP_PLACES.all()).collect().await?;
        places.retain(|(known, _)| known != place);
        places.sort_unstable_by_key(|(_, taken_at)| Reverse(*taken_at));
        let mut batch = Batch::new();
        if is_whole {
            batch.put(&LAST_BACKUP, &(), &taken_at);
        }
        batch.put(&BACKUP_PLACES, &place.to_owned(), &taken_at);
        for (old, _) in places.iter().skip(MOST_PLACES - 1) {
            batch.delete(&BACKUP_PLACES, old);
        }
        self.store.commit(batch).await?;
        Ok(())
    }
}

/// Forgets where backups were taken to: a store that was brought back is another one, perhaps on another machine.
///
/// # Errors
/// The store cannot be written.
pub async fn forget_places(store: &Store) -> Result<()> {
    let mut batch = Batch::new();
    batch.delete_range(&BACKUP_PLACES, &BACKUP_PLACES.all());
    store.commit(batch).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use matron_storage::{Options, Store};

    use super::{Last, MOST_PLACES, forget_places};

    #[tokio::test]
    async fn the_next_start_knows_it() {
        let store = Arc::new(Store::open(&Options::memory(), matron_storage::nobody()).unwrap());
        let last = Last::open(Arc::clone(&store)).await.unwrap();
        assert_eq!(last.taken_at(), 0);
        last.set("/backup", 1_800_000_000_000, true).await.unwrap();
        // One that lacks something stands there too, yet nobody may take it for a good one.
        last.set("/half", 1_900_000_000_000, false).await.unwrap();
        assert_eq!(last.taken_at(), 1_800_000_000_000);
        let last = Last::open(Arc::clone(&store)).await.unwrap();
        assert_eq!(last.taken_at(), 1_800_000_000_000);
        assert!(last.is_in("/backup").await.unwrap() && last.is_in("/half").await.unwrap());
        assert!(!last.is_in("/back").await.unwrap());
        forget_places(&store).await.unwrap();
        assert!(!last.is_in("/backup").await.unwrap());
    }

    #[tokio::test]
    async fn the_oldest_places_are_forgotten() {
        let store = Arc::new(Store::open(&Options::memory(), matron_storage::nobody()).unwrap());
        let last = Last::open(store).await.unwrap();
        for (nth, taken_at) in (0..MOST_PLACES).zip(1..) {
            last.set(&format!("/{nth}"), taken_at, true).await.unwrap();
        }
        last.set("/0", 100, true).await.unwrap();
        assert!(last.is_in("/1").await.unwrap());
        last.set("/another", 101, true).await.unwrap();
        assert!(!last.is_in("/1").await.unwrap());
        assert!(last.is_in("/0").await.unwrap() && last.is_in("/2").await.unwrap());
    }
}
