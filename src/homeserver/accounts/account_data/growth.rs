//! How much account data somebody may keep: a sync from the beginning reads all of it.
//!
//! Nobody counts what is kept. Memory knows how much came since it was looked last; only after so much of it the rows are.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use matron_matrix::Error as MatrixError;
use quick_cache::sync::Cache;

use crate::accounts::Accounts;
use crate::error::Result;
use crate::meters::Held;
use crate::schema::UserNum;
use crate::schema::accounts::ACCOUNT_DATA;

/// Bytes that a user may keep, about: many times what those have who are in thousands of rooms.
const MOST_KEPT: u64 = 16 << 20;
/// After so many new bytes of a user's it is looked how many they keep.
const LOOK_EVERY: u64 = 1 << 20;
/// What a row costs beside its type and content.
const ROW: u64 = 64;
/// Of how many users new bytes are counted.
const USERS: usize = 50_000;

/// Bytes that came of users since it was looked how many they keep.
#[derive(Debug)]
pub(in crate::accounts) struct Growth(Cache<UserNum, Arc<AtomicU64>>);

impl Growth {
    pub fn new() -> Self {
        Self(Cache::new(USERS))
    }

    pub fn held(&self) -> Held {
        Held::of("account_data_growth", &self.0)
    }

    fn of(&self, user: UserNum) -> Arc<AtomicU64> {
        self.0.get(&user).unwrap_or_else(|| {
            let fresh = Arc::<AtomicU64>::default();
            self.0.insert(user, Arc::clone(&fresh));
            fresh
        })
    }
}

impl Accounts {
    /// Refuses so many bytes more where a user keeps too much already.
    ///
    /// # Errors
    /// `M_TOO_LARGE`.
    pub(in crate::accounts) async fn check_kept(&self, user: UserNum, more: usize) -> Result<()> {
        let (grown, more) = (self.growth.of(user), more as u64 + ROW);
        if grown.fetch_add(more, Ordering::Relaxed) + more < LOOK_EVERY {
            return Ok(());
        }
        let mut kept = more;
        let mut rows = self.store.snapshot().scan(&ACCOUNT_DATA, ACCOUNT_DATA.under(&(user,)));
        while let Some(((.., kind), row)) = rows.next().await? {
            kept += (kind.len() + row.content.len()) as u64 + ROW;
            if kept > MOST_KEPT {
                // The next time it is looked again: what is kept may have become less.
                return Err(MatrixError::too_large(format!("a user may keep {MOST_KEPT} bytes of account data")).into());
            }
        }
        grown.store(0, Ordering::Relaxed);
        Ok(())
    }
}
