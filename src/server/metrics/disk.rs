//! The disks that the server's folders lie on, as the kernel tells them.

use std::fmt;
use std::path::PathBuf;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::sheet::Sheet;

/// Asks about the disks of these folders, each with its name on the page.
#[derive(Debug)]
pub struct Collect(pub Vec<(&'static str, PathBuf)>);

impl Collector for Collect {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut sheet = Sheet(encoder);
        let asked = self.0.iter().map(|(folder, path)| (*folder, rustix::fs::statvfs(path)));
        let disks: Vec<_> = asked.filter_map(|(folder, disk)| Some((folder, disk.ok()?))).collect();
        let sizes = disks.iter().map(|(folder, disk)| (*folder, disk.f_blocks.saturating_mul(disk.f_frsize)));
        sheet.gauges(("disk_bytes", "folder"), "Size of the disk that a folder of the server's lies on", sizes)?;
        let free = disks.iter().map(|(folder, disk)| (*folder, disk.f_bavail.saturating_mul(disk.f_frsize)));
        sheet.gauges(("disk_free_bytes", "folder"), "What this server may still write there", free)
    }
}
