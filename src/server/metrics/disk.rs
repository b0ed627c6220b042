//! The disk that the data folder lies on, as the kernel tells it.

use std::fmt;
use std::path::PathBuf;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::sheet::Sheet;

/// Asks about the disk of this folder.
#[derive(Debug)]
pub struct Collect(pub PathBuf);

impl Collector for Collect {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut sheet = Sheet(encoder);
        let Ok(disk) = rustix::fs::statvfs(&self.0) else { return Ok(()) };
        let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
        sheet.gauge("disk_bytes", "Size of the data folder's disk", bytes(disk.f_blocks))?;
        sheet.gauge("disk_free_bytes", "What this server may still write there", bytes(disk.f_bavail))
    }
}
