//! Turns: one at a time per subject, for as many subjects as there are, in a fixed number of locks.

use std::hash::{BuildHasher as _, Hash, RandomState};

use tokio::sync::{Mutex, MutexGuard};

/// Two subjects seldom share one of these.
const LOCKS: usize = 256;

/// Locks that subjects are spread over.
#[derive(Debug)]
pub struct Turns {
    locks: Vec<Mutex<()>>,
    spread: RandomState,
}

impl Turns {
    /// Nobody has a turn.
    pub fn new() -> Self {
        Self { locks: (0..LOCKS).map(|_| Mutex::new(())).collect(), spread: RandomState::new() }
    }

    /// Waits for a subject's turn; it ends when the guard is dropped. Who has one asks for no second one.
    pub async fn take(&self, subject: &impl Hash) -> Option<MutexGuard<'_, ()>> {
        let nth = usize::try_from(self.spread.hash_one(subject) % LOCKS as u64).unwrap_or(0);
        Some(self.locks.get(nth)?.lock().await)
    }
}
