//! Exact readings: a process's CPU by the kernel's own clock of it, its memory, what a sync of the disk takes and how much is on it.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::time::ClockId;
use nix::unistd::Pid;

/// A process that is measured.
#[derive(Debug, Clone, Copy)]
pub struct Meter {
    process: u32,
    clock: ClockId,
}

impl Meter {
    pub fn of(process: u32) -> Self {
        let pid = Pid::from_raw(i32::try_from(process).unwrap());
        Self { process, clock: ClockId::pid_cpu_clock_id(pid).unwrap() }
    }

    /// Milliseconds of CPU that the whole process has used, threads that ended included. To the nanosecond, not in ticks.
    pub fn cpu(self) -> f64 {
        Duration::from(self.clock.now().unwrap()).as_secs_f64() * 1000.0
    }

    /// Bytes of memory that the process holds.
    pub fn resident(self) -> f64 {
        let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.process)).unwrap();
        let line = rollup.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0
    }

    /// Waits until the process does nothing, or for ten minutes.
    pub async fn quiet(self) {
        let begun = Instant::now();
        let mut calm = 0;
        while calm < 4 && begun.elapsed() < Duration::from_mins(10) {
            let before = self.cpu();
            tokio::time::sleep(Duration::from_millis(250)).await;
            calm = if self.cpu() - before < 2.0 { calm + 1 } else { 0 };
        }
    }
}

/// Milliseconds that `count` fdatasyncs of a file that grows by a page took, each.
pub fn syncs(folder: &Path, count: usize) -> Vec<f64> {
    let path = folder.join("sync.probe");
    let mut file = File::create(&path).unwrap();
    let mut took = Vec::with_capacity(count);
    for _ in 0..count {
        file.write_all(&[7; 4096]).unwrap();
        let begun = Instant::now();
        file.sync_data().unwrap();
        took.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    std::fs::remove_file(path).unwrap();
    took
}

/// Bytes of the files below a folder. What goes away meanwhile, or is not there at all, counts nothing.
pub fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(about) if about.is_dir() => bytes_below(&entry.path()),
        Ok(about) => about.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

/// Raises this process's limit of open files as far as it may go, and answers it.
pub fn open_files() -> usize {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    usize::try_from(hard).unwrap_or(usize::MAX)
}

/// The value that a share of the others does not exceed: 0.5 is the median.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let nth = (sorted.len() as f64 * share) as usize;
    sorted[nth.min(sorted.len() - 1)]
}
