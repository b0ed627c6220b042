//! The threads of the server: those that answer, and those that work behind the answers.

use tokio::runtime::{Builder, Runtime};

use crate::failure::{Failure, Result};

/// By how much what works behind stands back where both want a core: a tenth of it is left to it then.
const STANDS_BACK: i32 = 10;

/// The threads on which requests are answered.
///
/// # Errors
/// No threads can be started.
pub fn answering() -> Result<Runtime> {
    build(Builder::new_multi_thread().thread_name("answer"))
}

/// The threads on which is done what nobody waits for: pushing, sweeping, backups. The kernel lets them run where those that
/// answer leave a core free.
///
/// # Errors
/// No threads can be started.
pub fn behind() -> Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    build(Builder::new_multi_thread().thread_name("behind").worker_threads(cores.div_ceil(2)).on_thread_start(|| {
        // Of this thread alone, as Linux has it.
        if let Err(error) = rustix::process::nice(STANDS_BACK) {
            tracing::debug!(%error, "a thread does not stand back");
        }
    }))
}

fn build(threads: &mut Builder) -> Result<Runtime> {
    threads.enable_all().build().map_err(|error| Failure::because("no threads can be started", &error))
}
