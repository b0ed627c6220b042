//! Work that goes on behind the requests, and that a full disk only holds up.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use crate::error::Result;

/// How long work rests while the disk takes no writes.
const REST: Duration = Duration::from_secs(1);

/// Does work that may be done again, and again while the disk takes no writes. A stop ends it there: what it has to do must
/// stand in the store. `what` names it for the log.
pub(crate) fn run<F>(tasks: &TaskTracker, what: &'static str, work: impl Fn() -> F + Send + 'static) -> JoinHandle<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let stopping = tasks.clone();
    tasks.spawn(async move {
        while let Err(error) = work().await {
            if !error.is_passing() || stopping.is_closed() {
                tracing::error!(%error, work = what, "work behind the requests is not done");
                return;
            }
            tokio::time::sleep(REST).await;
        }
    })
}
