//! What the committer counts.

use std::time::Duration;

use crate::batch::Batch;
use crate::count::{Count, Spread};

/// What was committed since the store was opened.
#[derive(Debug)]
pub struct Meters {
    /// Batches on disk.
    pub batches: Count,
    /// What they put and deleted.
    pub rows: Count,
    /// Their keys and values, in bytes.
    pub bytes: Count,
    /// Batches whose preconditions did not hold.
    pub conflicts: Count,
    /// Groups that the disk did not take.
    pub failures: Count,
    /// How many batches share a write.
    pub groups: Spread,
    /// How long a write takes that waits for the disk.
    pub synced: Spread,
    /// How long one takes that does not.
    pub unsynced: Spread,
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            batches: Count::default(),
            rows: Count::default(),
            bytes: Count::default(),
            conflicts: Count::default(),
            failures: Count::default(),
            groups: Spread::of_sizes(),
            synced: Spread::of_times(),
            unsynced: Spread::of_times(),
        }
    }
}

impl Meters {
    /// A group was written.
    pub(crate) fn wrote<'a>(&self, batches: impl Iterator<Item = &'a Batch>, synced: bool, took: Duration) {
        let (mut count, mut rows, mut bytes) = (0, 0, 0);
        for batch in batches {
            count += 1;
            rows += batch.ops().len() as u64;
            bytes += batch.size() as u64;
        }
        self.batches.add(count);
        self.rows.add(rows);
        self.bytes.add(bytes);
        self.groups.note(count);
        let writes = if synced { &self.synced } else { &self.unsynced };
        writes.note_time(took);
    }
}
