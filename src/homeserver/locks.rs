//! Locks on what is in memory.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes a lock, also one that somebody held who panicked: a request that went wrong does not end those that come after it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
