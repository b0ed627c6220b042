//! The disks that the server's folders lie on, as the kernel tells them.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use rustix::io::Errno;

use super::sheet::Sheet;

/// Asks about the disks of these folders, each with its name on the page; a disk stands there once, by the first of its
/// folders.
#[derive(Debug)]
pub struct Collect(pub Vec<(&'static str, PathBuf)>);

impl Collector for Collect {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut sheet = Sheet(encoder);
        let mut seen = HashSet::new();
        let disk_of = |path| Ok::<_, Errno>((rustix::fs::stat(path)?.st_dev, rustix::fs::statvfs(path)?));
        let disks = self.0.iter().filter_map(|(folder, path)| {
            let (device, disk) = disk_of(path).ok()?;
            seen.insert(device).then_some((*folder, disk))
        });
        let disks: Vec<_> = disks.collect();
        let sizes = disks.iter().map(|(folder, disk)| (*folder, disk.f_blocks.saturating_mul(disk.f_frsize)));
        sheet.gauges(("disk_bytes", "folder"), "Size of the disk that a folder of the server's lies on", sizes)?;
        let free = disks.iter().map(|(folder, disk)| (*folder, disk.f_bavail.saturating_mul(disk.f_frsize)));
        sheet.gauges(("disk_free_bytes", "folder"), "What this server may still write there", free)
    }
}
