//! What the store uses, asked when somebody looks.

use std::fmt;
use std::sync::Arc;

use matron_storage::{Health, Store};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::gauge::ConstGauge;

/// Asks this store.
#[derive(Debug)]
pub struct Collect(pub Arc<Store>);

impl Collector for Collect {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let usage = self.0.usage();
        let ready = u64::from(self.0.health() == Health::Ready);
        let queued = u64::try_from(self.0.queued()).unwrap_or(u64::MAX);
        for (name, help, value) in [
            ("store_cache_bytes", "Blocks in the store's cache", usage.cache_bytes),
            ("store_memtable_bytes", "Rows in memory and log only", usage.memtable_bytes),
            ("store_disk_bytes", "Files of rows", usage.disk_bytes),
            ("store_pending_compaction_bytes", "What waits to be compacted", usage.pending_compaction_bytes),
            ("store_queued_batches", "Batches that wait to be committed", queued),
            ("store_position", "The newest position", self.0.snapshot().position().get()),
            ("store_ready", "Whether the store works, and takes writes", ready),
        ] {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}
