//! Many parked `/sync`s: the server's memory with them over that without them, and whether they cost CPU while they wait.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::bench::Bench;
use crate::meter::open_files;
use crate::running::Running;
use crate::table::{Goal, thousands};

const ROUNDS: usize = 3;
const PARKED: usize = 10_000;
/// Files that both processes need for all else.
const OTHER_FILES: usize = 600;
/// Requests that are begun at once.
const AT_ONCE: usize = 64;
const LOOK: Duration = Duration::from_secs(3);

pub async fn measure(bench: &mut Bench) {
    let world = Arc::clone(&bench.world);
    // No more than two devices' worth for each account, and than there may be files.
    let count = PARKED.min(2 * world.people.len()).min(open_files() - OTHER_FILES);
    let (mut memory, mut idle, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        // A server of its own: what others have freed would hide what these need.
        bench.end_server().await;
        let running = bench.server().await;
        let since = warm(&running).await;
        running.meter.quiet().await;
        let before = running.meter.resident();
        idle.push(watch(&running).await);
        let mut parked = JoinSet::new();
        park(&running, count, &since, &mut parked).await;
        running.meter.quiet().await;
        memory.push((running.meter.resident() - before) / count as f64 / 1000.0);
        waiting.push(watch(&running).await);
        assert!(parked.try_join_next().is_none(), "a sync did not wait");
        parked.shutdown().await;
    }
    bench.end_server().await;
    let count = thousands(count as f64);
    let what = format!("{count} parked `/sync`s: memory of each over the same server without them");
    bench.table.row(what, Goal::AtMost(24.0), "kB", &memory);
    let what = format!("{count} parked `/sync`s: CPU meanwhile");
    bench.table.row(what, Goal::AtMost(1.0), "ms per second", &waiting);
    bench.table.row("the same server without them: CPU", Goal::None, "ms per second", &idle);
}

/// Everybody syncs once, so that what is known of them is in memory before it counts. A token of now.
async fn warm(running: &Running) -> String {
    let mut wire = running.wire(2).await;
    let (since, _) = wire.sync(None).await;
    for person in &running.world.people {
        wire.become_one(&person.token);
        wire.sync(Some(&since)).await;
    }
    wire.sync(Some(&since)).await.0
}

async fn park(running: &Running, count: usize, since: &str, parked: &mut JoinSet<()>) {
    let path: Arc<str> = format!("/v3/sync?timeout=120000&since={since}").into();
    for nth in 0..count {
        if nth.is_multiple_of(AT_ONCE) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut wire = running.wire(nth % running.world.people.len()).await;
        let path = Arc::clone(&path);
        parked.spawn(async move { drop(wire.get(&path).await) });
    }
}

/// Milliseconds of CPU per second.
async fn watch(running: &Running) -> f64 {
    let before = running.meter.cpu();
    tokio::time::sleep(LOOK).await;
    (running.meter.cpu() - before) / LOOK.as_secs_f64()
}
