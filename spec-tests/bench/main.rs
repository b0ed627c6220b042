//! The figures, as one table: `make bench`. The load comes from this process, the CPU is the server's whole process.
//!
//! A store is filled once by the domain itself and kept (`target/bench`), the server is started over it, then measured.
//! `BENCH_SCALE=10` fills a tenth of everything: for a quick look while working.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]
#![allow(clippy::assigning_clones, clippy::cast_precision_loss, reason = "figures for people, plain code")]

mod door;
mod fill;
mod http;
mod table;

use std::path::PathBuf;

use table::Table;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = std::env::var_os("BENCH_STORE").map_or_else(|| PathBuf::from("target/bench"), PathBuf::from);
    let scale = std::env::var("BENCH_SCALE").ok().and_then(|scale| scale.parse().ok()).unwrap_or(1);
    let mut table = Table::new();
    runtime.block_on(async {
        let world = fill::world(&folder, scale).await;
        door::measure(&folder, &mut table).await;
        http::measure(&folder, &world, &mut table).await;
    });
    table.print();
}
