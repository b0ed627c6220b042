//! What rooms forget with time: what was redacted, and which transactions were answered.

use matron_matrix::event::{redacted, rules};
use matron_storage::{Batch, Error as StorageError};
use ruma::RoomVersionId;

use super::Rooms;
use super::event::by_num;
use crate::error::{Error, Result};
use crate::schema::EventNum;
use crate::schema::rooms::{
    OUTLIERS, PLACES, REDACTED, ROOMS, StoredEvent, TIMELINE, TRANSACTIONS, TRANSACTIONS_SWEPT, TransactionsSwept,
};

/// Rows that one piece of a sweep looks at.
const PIECE: usize = 500;
/// How long a transaction's answer is kept, in milliseconds: semantics of retries, not of history.
const TRANSACTION_LIFETIME: u64 = 7 * 24 * 60 * 60 * 1000;
/// Between two walks over all transactions, in milliseconds.
const WALK_EVERY: u64 = 24 * 60 * 60 * 1000;

impl Rooms {
    /// Overwrites for good what was redacted long enough ago: a piece of it. Until then it is only hidden. Answers whether
    /// there is more to do.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn sweep_redacted(&self, now: u64) -> Result<bool> {
        let before = now.saturating_sub(self.config.redacted_lifetime);
        let due = REDACTED.range(..(before, EventNum(0)));
        let due = self.store.snapshot().scan(&REDACTED, due).take(PIECE).await?;
        for ((at, num), ()) in &due {
            self.overwrite(*at, *num).await?;
        }
        Ok(due.len() == PIECE)
    }

    async fn overwrite(&self, at: u64, num: EventNum) -> Result<()> {
        let snapshot = self.store.snapshot();
        let mut batch = Batch::new();
        batch.delete(&REDACTED, &(at, num));
        // A room that was deleted meanwhile took its events with it.
        if snapshot.get(&PLACES, &num).await?.is_none() {
            return self.commit_sweep(batch).await;
        }
        let found = by_num(&snapshot, num).await?;
        let room = snapshot.get(&ROOMS, &found.place.room).await?;
        if let Some(room) = room.filter(|_| found.event.header.redacted_by.is_some()) {
            let version = RoomVersionId::try_from(room.version).map_err(Error::internal)?;
            let pruned = StoredEvent {
                header: found.event.header.clone(),
                json: redacted(&found.event.json, &rules(&version)?)?,
            };
            // The room's writer may change the same row: then this is done in the next round.
            match found.place.arrival {
                Some(arrival) => {
                    let key = (found.place.room, arrival);
                    batch.expect_value(&TIMELINE, &key, &found.event);
                    batch.put(&TIMELINE, &key, &pruned);
                }
                None => {
                    batch.expect_value(&OUTLIERS, &num, &found.event);
                    batch.put(&OUTLIERS, &num, &pruned);
                }
            }
        }
        self.commit_sweep(batch).await?;
        self.forget_authority(num);
        Ok(())
    }

    /// Forgets what transactions answered long ago: a piece of one walk over all of them, once a day. Answers whether there
    /// is more to do.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn sweep_transactions(&self, now: u64) -> Result<bool> {
        let snapshot = self.store.snapshot();
        let swept = snapshot.get(&TRANSACTIONS_SWEPT, &()).await?;
        let (range, begun) = match &swept {
            Some(TransactionsSwept { last: Some((device, request)), begun }) => {
                let last = (*device, *request);
                (TRANSACTIONS.range((std::ops::Bound::Excluded(last), std::ops::Bound::Unbounded)), *begun)
            }
            Some(swept) if now < swept.begun.saturating_add(WALK_EVERY) => return Ok(false),
            _ => (TRANSACTIONS.all(), now),
        };
        let rows = snapshot.scan(&TRANSACTIONS, range).take(PIECE).await?;
        let mut batch = Batch::new();
        for (key, row) in &rows {
            if row.at.saturating_add(TRANSACTION_LIFETIME) <= now {
                batch.delete(&TRANSACTIONS, key);
            }
        }
        let last = rows.last().filter(|_| rows.len() == PIECE).map(|(key, _)| *key);
        let more = last.is_some();
        batch.put(&TRANSACTIONS_SWEPT, &(), &TransactionsSwept { begun, last });
        self.commit_sweep(batch).await?;
        Ok(more)
    }

    /// Nobody waits for a sweep: what is lost when power fails is swept again.
    async fn commit_sweep(&self, mut batch: Batch) -> Result<()> {
        batch.unsynced();
        match self.store.commit(batch).await {
            Ok(_) | Err(StorageError::Conflict) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests;
