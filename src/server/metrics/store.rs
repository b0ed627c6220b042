//! The store: what it uses, and what it has committed.

use std::fmt;
use std::sync::Arc;

use matron_storage::{Health, Store};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::sheet::Sheet;

/// Asks this store.
#[derive(Debug)]
pub struct Collect(pub Arc<Store>);

impl Collector for Collect {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (store, mut sheet) = (&self.0, Sheet(encoder));
        let health = store.health();
        sheet.gauge("store_ready", "Whether the store takes writes", u64::from(health != Health::ReadOnly))?;
        sheet.gauge(
            "store_troubled",
            "Whether work behind the writes failed and is not mended",
            u64::from(health != Health::Ready),
        )?;
        sheet.gauge("store_queued_batches", "Batches that wait to be committed", store.queued())?;
        sheet.gauge("store_position", "The newest position", store.snapshot().position().get())?;

        let meters = store.meters();
        sheet.counter("store_batches", "Batches that were committed", meters.batches.get())?;
        sheet.counter("store_rows", "Rows that they put or deleted", meters.rows.get())?;
        sheet.counter("store_written_bytes", "Keys and values of these rows", meters.bytes.get())?;
        sheet.counter(
            "store_conflicts",
            "Batches that met a faster one, and were not written",
            meters.conflicts.get(),
        )?;
        sheet.counter("store_write_failures", "Writes that the disk did not take", meters.failures.get())?;
        sheet.sizes("store_group_batches", "How many batches share a write", &meters.groups)?;
        let writes = [([("synced", "true")], &meters.synced), ([("synced", "false")], &meters.unsynced)];
        sheet.times_by("store_write", "Time of a write, where it is synced with its fsync", writes)?;

        let usage = store.usage();
        sheet.gauge("store_cache_bytes", "Blocks in the store's cache", usage.cache_bytes)?;
        sheet.gauge("store_cache_capacity_bytes", "What the cache has room for", usage.cache_capacity_bytes)?;
        sheet.counter("store_disk_reads", "Reads that did not find all in memory", usage.disk_reads)?;
        sheet.gauge("store_memtable_bytes", "Rows in memory and log only", usage.memtable_bytes)?;
        sheet.gauge("store_disk_bytes", "Files of rows", usage.disk_bytes)?;
        sheet.gauge("store_pending_compaction_bytes", "What waits to be compacted", usage.pending_compaction_bytes)?;
        sheet.gauge("store_stalling", "Whether writes wait for compaction", u64::from(usage.is_stalling))
    }
}
