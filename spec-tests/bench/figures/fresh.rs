//! What a server holds that has just been started with nothing.

use std::time::Duration;

use crate::bench::Bench;
use crate::table::Goal;

pub async fn measure(bench: &mut Bench) {
    let mut rounds = Vec::new();
    for _ in 0..3 {
        let running = bench.start(bench.shelf.empty("fresh")).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        rounds.push(running.meter.resident() / 1e6);
    }
    bench.shelf.drop("fresh");
    bench.table.row("a fresh server's memory", Goal::AtMost(60.0), "MB", &rounds);
}
