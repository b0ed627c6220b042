//! The threads of the server: those that answer, those that answer crowds, and those that work behind the answers.

use rustix::process::{getpriority_process, setpriority_process};
use tokio::runtime::{Builder, Runtime};

use crate::failure::{Failure, Result};

/// By how much those that answer crowds stand back where others want the core too: a quarter of it is left to them then.
const CROWDS_STAND_BACK: i32 = 5;
/// The same of what works behind: a tenth.
const BEHIND_STANDS_BACK: i32 = 10;

/// The threads on which requests are answered.
///
/// # Errors
/// No threads can be started.
pub fn answering() -> Result<Runtime> {
    build(Builder::new_multi_thread().thread_name("answer"))
}

/// The threads on which a crowd is answered that waited for one thing. On the threads above its answers would lie before those
/// to everybody else; the kernel lets each of those go first instead.
///
/// # Errors
/// No threads can be started.
pub fn crowds() -> Result<Runtime> {
    build(standing_back(Builder::new_multi_thread().thread_name("crowds"), CROWDS_STAND_BACK))
}

/// The threads on which is done what nobody waits for: pushing, sweeping, backups. The kernel lets them run where those that
/// answer leave a core free.
///
/// # Errors
/// No threads can be started.
pub fn behind() -> Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut threads = Builder::new_multi_thread();
    build(standing_back(threads.thread_name("behind").worker_threads(cores.div_ceil(2)), BEHIND_STANDS_BACK))
}

fn standing_back(threads: &mut Builder, by: i32) -> &mut Builder {
    let to = getpriority_process(None).unwrap_or(0) + by;
    threads.on_thread_start(move || {
        // Of this thread alone, as Linux has it. One that another of these started stands back as far already.
        if let Err(error) = setpriority_process(None, to) {
            tracing::debug!(%error, "a thread does not stand back");
        }
    })
}

fn build(threads: &mut Builder) -> Result<Runtime> {
    threads.enable_all().build().map_err(|error| Failure::because("no threads can be started", &error))
}
