//! What waits for a device has bounds: the oldest messages of whoever left most make room for new ones, and what nobody takes
//! goes with time.
//!
//! Nobody counts what waits. Memory knows how much was left for a device since it was looked last; only after so much of it
//! the rows are.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use matron_storage::{Batch, Position, Snapshot};
use quick_cache::sync::Cache;
use serde::Deserialize;

use super::{Devices, waiting};
use crate::error::Result;
use crate::meters::Held;
use crate::schema::DeviceNum;
use crate::schema::devices::{TO_DEVICE, TO_DEVICE_SWEPT};

/// Bytes that may wait for a device, about: the room keys of a long absence.
pub(super) const MOST_WAITING: u64 = 32 << 20;
/// After so many new bytes for a device it is looked how many wait for it.
const LOOK_EVERY: u64 = 8 << 20;
/// What a row costs beside its message.
const ROW: u64 = 64;
/// Of how many devices new bytes are counted.
const DEVICES: usize = 50_000;
/// Rows that are looked at, or deleted, at once: each may have 64 KiB.
const PIECE: usize = 100;
/// Between two walks over all devices, in milliseconds: a day.
const DAY: u64 = 24 * 60 * 60 * 1000;
/// After how many walks a message goes that was there at the first of them: 90 days in which it could have been taken.
const WALKS: usize = 90;

/// What a message takes of what may wait.
pub(super) fn weight(message: &str) -> u64 {
    message.len() as u64 + ROW
}

/// Bytes that were left for devices since it was looked how many wait for them.
#[derive(Debug)]
pub(super) struct Growth(Cache<DeviceNum, Arc<AtomicU64>>);

impl Growth {
    pub fn new() -> Self {
        Self(Cache::new(DEVICES))
    }

    pub fn held(&self) -> Held {
        Held::of("device_inboxes", &self.0)
    }

    /// Counts new bytes; true where it is time to look.
    pub fn add(&self, device: DeviceNum, bytes: u64) -> bool {
        let grown = self.0.get(&device).unwrap_or_else(|| {
            let fresh = Arc::<AtomicU64>::default();
            self.0.insert(device, Arc::clone(&fresh));
            fresh
        });
        if grown.fetch_add(bytes, Ordering::Relaxed) + bytes < LOOK_EVERY {
            return false;
        }
        grown.store(0, Ordering::Relaxed);
        true
    }
}

impl Devices {
    /// Where more than `most` bytes wait for a device, deletes the oldest messages of whoever left most there, until the
    /// others' room is free again: nobody wipes out by much of their own what others left.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub(super) async fn make_room(&self, device: DeviceNum, most: u64) -> Result<()> {
        let snapshot = self.store.snapshot();
        let mut surplus = surplus(left_by(&snapshot, device).await?, most);
        if surplus.is_empty() {
            return Ok(());
        }
        let (mut after, mut dropped) = (Position::ZERO, 0);
        while !surplus.is_empty() {
            let rows = waiting(&snapshot, device, after, PIECE).await?;
            let Some((last, _)) = rows.last() else { break };
            after = *last;
            let mut batch = Batch::new();
            for (position, message) in &rows {
                let Entry::Occupied(mut bytes) = surplus.entry(sender_of(message)) else { continue };
                batch.delete(&TO_DEVICE, &(device, *position));
                dropped += 1;
                *bytes.get_mut() = bytes.get().saturating_sub(weight(message));
                if *bytes.get() == 0 {
                    bytes.remove();
                }
            }
            if !batch.is_empty() {
                batch.unsynced();
                self.store.commit(batch).await?;
            }
        }
        self.to_device_dropped.add(dropped);
        tracing::warn!(%device, dropped, "too much waits for a device: the oldest messages of whoever left most are gone");
        Ok(())
    }

    /// Deletes what waited for too long: a piece of one walk over all devices, once a day. A message has no time, only a
    /// position; each walk notes how far the store had come. Its age is counted in walks: a clock that jumps makes nothing
    /// old. Answers whether there is more to do.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn sweep_to_device(&self, now: u64) -> Result<bool> {
        let snapshot = self.store.snapshot();
        let mut swept = snapshot.get(&TO_DEVICE_SWEPT, &()).await?.unwrap_or_default();
        if swept.last.is_none() {
            // A clock that was far ahead and is set right must not keep the walks waiting.
            if !swept.days.is_empty() && now.abs_diff(swept.begun) < DAY {
                return Ok(false);
            }
            swept.begun = now;
            swept.days.push((now, snapshot.position()));
            let surplus = swept.days.len().saturating_sub(WALKS + 1);
            swept.days.drain(..surplus);
        }
        let is_full = swept.days.len() > WALKS;
        let expired = swept.days.first().filter(|_| is_full).map(|(_, position)| *position);
        let mut batch = Batch::new();
        swept.last = match expired {
            Some(expired) => self.expire(&snapshot, &mut batch, swept.last, expired).await?,
            None => None,
        };
        batch.put(&TO_DEVICE_SWEPT, &(), &swept);
        // Nobody waits for a sweep: what is lost when power fails is swept again.
        batch.unsynced();
        self.store.commit(batch).await?;
        Ok(swept.last.is_some())
    }

    /// Deletes messages up to a position, of the devices after `last`. Answers after which device to go on.
    async fn expire(
        &self,
        snapshot: &Snapshot,
        batch: &mut Batch,
        mut last: Option<DeviceNum>,
        expired: Position,
    ) -> Result<Option<DeviceNum>> {
        let mut looked = 0;
        while looked < PIECE {
            let after = last.map_or(Bound::Unbounded, |device| Bound::Excluded((device, Position::MAX)));
            let rest = TO_DEVICE.range((after, Bound::Unbounded));
            let Some(((device, oldest), _)) = snapshot.scan(&TO_DEVICE, rest).first().await? else { return Ok(None) };
            looked += 1;
            last = Some(device);
            if oldest <= expired {
                let deleted = delete_some(snapshot, batch, device, expired).await?;
                self.to_device_dropped.add(deleted as u64);
                looked += deleted;
                if deleted == PIECE {
                    // There may be more of it.
                    last = Some(DeviceNum(device.0.saturating_sub(1)));
                }
            }
        }
        Ok(last)
    }
}

/// How many bytes each sender left for a device.
async fn left_by(snapshot: &Snapshot, device: DeviceNum) -> Result<HashMap<String, u64>> {
    let (mut left, mut after) = (HashMap::<String, u64>::new(), Position::ZERO);
    loop {
        let rows = waiting(snapshot, device, after, PIECE).await?;
        let Some((last, _)) = rows.last() else { return Ok(left) };
        after = *last;
        for (_, message) in &rows {
            *left.entry(sender_of(message)).or_default() += weight(message);
        }
    }
}

/// By how many bytes each sender is above the share that all may have, so that what is left has `most` bytes. Who has less
/// than an equal share leaves the rest of it to the others.
fn surplus(mut left: HashMap<String, u64>, most: u64) -> HashMap<String, u64> {
    let mut sizes: Vec<_> = left.values().copied().collect();
    sizes.sort_unstable();
    let (mut rest, mut senders, mut share) = (most, sizes.len() as u64, u64::MAX);
    for bytes in sizes {
        if bytes > rest / senders {
            share = rest / senders;
            break;
        }
        rest -= bytes;
        senders -= 1;
    }
    left.retain(|_, bytes| {
        *bytes = bytes.saturating_sub(share);
        *bytes > 0
    });
    left
}

/// Who left a message.
fn sender_of(message: &str) -> String {
    #[derive(Deserialize)]
    struct Sent {
        sender: String,
    }
    serde_json::from_str(message).map_or_else(|_| String::new(), |Sent { sender }| sender)
}

/// Deletes a device's oldest messages, up to a position: so many as a piece has.
async fn delete_some(snapshot: &Snapshot, batch: &mut Batch, device: DeviceNum, up_to: Position) -> Result<usize> {
    let range = TO_DEVICE.range((device, Position::ZERO)..=(device, up_to));
    let rows = snapshot.scan(&TO_DEVICE, range).take(PIECE).await?;
    for (key, _) in &rows {
        batch.delete(&TO_DEVICE, key);
    }
    Ok(rows.len())
}
