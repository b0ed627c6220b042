//! The process's own use of memory and processor, as the kernel tells it.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use rustix::process::{Resource, getrlimit};

use super::sheet::Sheet;

/// Asks the kernel.
#[derive(Debug)]
pub struct Collect;

impl Collector for Collect {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut sheet = Sheet(encoder);
        if let Some(bytes) = resident_bytes() {
            sheet.gauge("process_resident_memory_bytes", "Memory", bytes)?;
        }
        if let Some(seconds) = cpu_seconds() {
            sheet.counter("process_cpu_seconds", "Processor time", seconds)?;
        }
        if let Ok(files) = fs::read_dir("/proc/self/fd") {
            sheet.gauge("process_open_fds", "Open file descriptors", files.count())?;
        }
        match getrlimit(Resource::Nofile).current {
            Some(most) => sheet.gauge("process_max_fds", "How many file descriptors may be open", most),
            None => Ok(()),
        }
    }
}

/// The second number of `statm`: pages in memory.
fn resident_bytes() -> Option<i64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: i64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(i64::try_from(rustix::param::page_size()).ok()?)
}

/// Fields 14 and 15 of `stat`, counted behind the program's name, which may hold spaces.
#[expect(clippy::cast_precision_loss, reason = "a process runs for less than 2^52 ticks")]
fn cpu_seconds() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = text.rsplit_once(") ")?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) as f64 / rustix::param::clock_ticks_per_second() as f64)
}
