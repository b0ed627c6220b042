//! Trouble behind the writes: `RocksDB` moves rows to files and files together on threads of its own, and says here what
//! fails, since nobody waits for it who could be told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rocksdb::event_listener::{
    BackgroundErrorRecoveryInfo, DBBackgroundErrorReason, EventListener, MutableStatus, StatusSeverity,
};

use crate::engine::Health;

/// How often work behind the writes failed, and how many of these failures are mended.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    failed: AtomicU64,
    /// The number of the last failure after which nothing is written.
    stopped: AtomicU64,
    mended: AtomicU64,
}

impl Trouble {
    /// What the failures that are not mended leave of the store.
    pub fn health(&self) -> Health {
        let mended = self.mended.load(Ordering::Acquire);
        if mended < self.stopped.load(Ordering::Acquire) {
            Health::ReadOnly
        } else if mended < self.failed() {
            Health::Troubled
        } else {
            Health::Ready
        }
    }

    /// How often work failed so far.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Acquire)
    }

    /// So many failures are mended; one that came meanwhile is not.
    pub fn mended(&self, failures: u64) {
        self.mended.fetch_max(failures, Ordering::AcqRel);
    }

    /// Work failed. Writes go on after a soft error, which `RocksDB` mends by itself.
    fn fail(&self, severity: StatusSeverity) {
        let number = self.failed.fetch_add(1, Ordering::AcqRel) + 1;
        if severity != StatusSeverity::KSoftError {
            self.stopped.fetch_max(number, Ordering::AcqRel);
        }
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
        let severity = status.severity();
        // What has no weight is tried again by itself.
        if let Err(error) = status.result()
            && severity != StatusSeverity::KNoError
        {
            tracing::error!(%error, ?work, ?severity, "the store's work behind the writes failed");
            self.0.fail(severity);
        }
    }

    fn on_error_recovery_end(&self, recovery: &BackgroundErrorRecoveryInfo) {
        if recovery.new_bg_error().result().is_ok() {
            tracing::info!("the store works again behind the writes");
            self.0.mended(self.0.failed());
        }
    }
}

#[cfg(test)]
mod tests {
    use rocksdb::event_listener::StatusSeverity::{KFatalError, KHardError, KSoftError};

    use super::Trouble;
    use crate::engine::Health;

    #[test]
    fn writes_go_on_after_soft_errors_alone() {
        let trouble = Trouble::default();
        assert_eq!(trouble.health(), Health::Ready);
        trouble.fail(KSoftError);
        assert_eq!(trouble.health(), Health::Troubled);
        for severity in [KHardError, KFatalError] {
            trouble.fail(severity);
            let before = trouble.failed();
            trouble.fail(KSoftError);
            assert_eq!(trouble.health(), Health::ReadOnly, "a soft error mends no hard one");
            trouble.mended(before);
            assert_eq!(trouble.health(), Health::Troubled, "what came while another was mended is not mended with it");
            trouble.mended(trouble.failed());
            assert_eq!(trouble.health(), Health::Ready);
        }
    }
}
