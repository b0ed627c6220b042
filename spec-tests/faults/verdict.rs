//! What the checks found: how many held, and what did not.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Shared by everybody who checks something.
#[derive(Debug, Default)]
pub struct Verdict {
    passed: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

impl Verdict {
    /// This must hold; where it does not, `otherwise` says what was found instead.
    pub fn must(&self, holds: bool, otherwise: impl FnOnce() -> String) {
        if holds {
            self.passed.fetch_add(1, Ordering::Relaxed);
        } else {
            self.failures().push(otherwise());
        }
    }

    /// Whether everything held so far.
    pub fn is_good(&self) -> bool {
        self.failures().is_empty()
    }

    fn failures(&self) -> MutexGuard<'_, Vec<String>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first failures, and the figures.
impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failures = self.failures();
        for failure in failures.iter().take(20) {
            writeln!(out, "FAILED: {failure}")?;
        }
        write!(out, "{} passed, {} failed", self.passed.load(Ordering::Relaxed), failures.len())
    }
}
