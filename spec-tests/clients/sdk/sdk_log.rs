//! Keeps the last warnings of matrix-sdk in memory, so that the output stays quiet until a step fails.

use std::{
    collections::VecDeque,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tracing_subscriber::filter::LevelFilter;

const KEPT_LINES: usize = 60;

static LINES: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());

/// Starts to keep them.
pub fn keep() {
    tracing_subscriber::fmt().without_time().with_max_level(LevelFilter::WARN).with_writer(|| Keeper).init();
}

/// The kept lines, oldest first.
pub fn recent() -> String {
    lines().iter().map(String::as_str).collect()
}

struct Keeper;

impl io::Write for Keeper {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut lines = lines();
        lines.push_back(String::from_utf8_lossy(line).into_owned());
        if lines.len() > KEPT_LINES {
            lines.pop_front();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn lines() -> MutexGuard<'static, VecDeque<String>> {
    LINES.lock().unwrap_or_else(PoisonError::into_inner)
}
