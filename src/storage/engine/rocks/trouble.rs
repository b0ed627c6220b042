//! Trouble behind the writes: `RocksDB` moves rows to files and files together on threads of its own, and says here what
//! fails, since nobody waits for it who could be told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rocksdb::event_listener::{
    BackgroundErrorRecoveryInfo, DBBackgroundErrorReason, EventListener, MutableStatus, StatusSeverity,
};

/// How often work behind the writes failed, and how many of these failures are mended.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    failed: AtomicU64,
    mended: AtomicU64,
}

impl Trouble {
    pub fn is_there(&self) -> bool {
        self.mended.load(Ordering::Acquire) < self.failed()
    }

    /// How often work failed so far.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Acquire)
    }

    /// So many failures are mended; one that came meanwhile is not.
    pub fn mended(&self, failures: u64) {
        self.mended.fetch_max(failures, Ordering::AcqRel);
    }
}

/// Hears what becomes of the work; called on `RocksDB`'s threads.
pub(super) struct Listener(Arc<Trouble>);

impl Listener {
    pub fn new(trouble: &Arc<Trouble>) -> Self {
        Self(Arc::clone(trouble))
    }
}

impl EventListener for Listener {
    fn on_background_error(&self, work: DBBackgroundErrorReason, status: MutableStatus) {
        // What has no weight is tried again by itself.
        if let Err(error) = status.result()
            && status.severity() != StatusSeverity::KNoError
        {
            tracing::error!(%error, ?work, "the store's work behind the writes failed");
            self.0.failed.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn on_error_recovery_end(&self, recovery: &BackgroundErrorRecoveryInfo) {
        if recovery.new_bg_error().result().is_ok() {
            tracing::info!("the store works again behind the writes");
            self.0.mended(self.0.failed());
        }
    }
}
