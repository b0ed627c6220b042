//! Where, when and of which build the figures were taken.

use std::path::Path;
use std::process::Command;

/// Lines that a reader needs to compare the figures with others.
pub fn describe(folder: &Path) -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or(": unknown");
        line.trim_start_matches([':', ' ', '\t']).to_owned()
    };
    let model = field(&read("/proc/cpuinfo"), "model name");
    let memory = field(&read("/proc/meminfo"), "MemTotal");
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let disk = said("df", &["--output=fstype", &folder.to_string_lossy()]);
    let disk = disk.lines().last().unwrap_or("unknown").to_owned();
    format!(
        "- machine: {model}, {cores} cores, {memory} of memory, Linux {}, {disk}\n- commit {}, on {}",
        read("/proc/sys/kernel/osrelease").trim(),
        commit(),
        said("date", &["+%F"]),
    )
}

const UNKNOWN: &str = "unknown";

/// The commit of the working folder.
pub fn commit() -> String {
    let changed = said("git", &["status", "--porcelain", "--untracked-files=no"]) != UNKNOWN;
    let commit = said("git", &["rev-parse", "--short", "HEAD"]);
    if changed { format!("{commit} with changes") } else { commit }
}

/// What a program writes.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    if text.is_empty() { UNKNOWN.to_owned() } else { text }
}
