//! A backup of a store and its media to an empty place, while messages are sent at a steady rate: what the senders feel of it.
//! It takes minutes and twice its size on the disk, and so is measured where it is named alone.

use std::path::Path;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use tokio::task::JoinSet;

use crate::bench::Bench;
use crate::meter::{bytes_below, quantile};
use crate::pace::talk_while;
use crate::running::Running;
use crate::table::Goal;
use crate::world::store;

/// So many bytes for each event of the whole world: 10 GB. What the store does not have is in media.
const SHARE: u64 = 5_000;
const PER_SECOND: f64 = 500.0;
const SENDERS: usize = 50;
const ROUNDS: usize = 3;
/// How long is looked at the sends without a backup, each time.
const LOOK: Duration = Duration::from_secs(20);
/// Files of people: from pictures for a message to short films. As many of any size as of twice that.
const SMALLEST: f64 = 65_536.0;
const LARGEST: f64 = 8_388_608.0;
const UPLOADERS: usize = 4;

pub async fn measure(bench: &mut Bench) {
    bench.end_server().await;
    let running = bench.server().await;
    let asked = bench.world.size.events as u64 * SHARE;
    fill(&running, asked.saturating_sub(bytes_below(&running.folder))).await;
    running.meter.quiet().await;
    let bytes = bytes_below(&running.folder) as f64;
    let pairs = &bench.world.pairs;
    let speakers: Vec<_> = pairs.iter().take(SENDERS).map(|room| (room.members[0], room.id.clone())).collect();
    let wait = || tokio::time::sleep(LOOK);
    let _ = talk_while(&running, &speakers, PER_SECOND, wait()).await;

    let (mut p50, mut p99, mut more_p50, mut more_p99) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut rate, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (idle, (without, ())) = running.cost(talk_while(&running, &speakers, PER_SECOND, wait())).await;
        let place = bench.shelf.empty("backup");
        let backup = take(&running, &place);
        let (busy, (with, seconds)) = running.cost(talk_while(&running, &speakers, PER_SECOND, backup)).await;
        bench.shelf.drop("backup");
        running.meter.quiet().await;
        p50.push(quantile(&without, 0.5));
        p99.push(quantile(&without, 0.99));
        more_p50.push(quantile(&with, 0.5) / quantile(&without, 0.5));
        more_p99.push(quantile(&with, 0.99) / quantile(&without, 0.99));
        rate.push(bytes / 1e6 / seconds);
        let sends = busy - idle / without.len() as f64 * with.len() as f64;
        cpu.push(sends / (bytes / 1e9));
    }
    drop(running);
    bench.end_server().await;
    let table = &mut bench.table;
    let what = format!("`PUT /send`, {PER_SECOND} a second");
    let size = format!("a backup of {:.1} GB", bytes / 1e9);
    table.row(format!("{what}, p50"), Goal::None, "ms", &p50);
    table.row(format!("{what}, p50: during {size} over the former"), Goal::None, "×", &more_p50);
    table.row(format!("{what}, p99"), Goal::None, "ms", &p99);
    table.row(format!("{what}, p99: during {size} over the former"), Goal::AtMost(2.0), "×", &more_p99);
    table.row(format!("{size} meanwhile"), Goal::None, "MB per second", &rate);
    table.row(format!("{size} meanwhile, over the sends alone"), Goal::None, "ms of CPU per GB", &cpu);
}

/// Has the running server take a backup; seconds that it took.
async fn take(running: &Running, place: &Path) -> f64 {
    let begun = Instant::now();
    let mut command = running.server.command();
    command.args(["db", "backup", "--anew", "--to"]).arg(place.join("backup"));
    let output = tokio::process::Command::from(command).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    begun.elapsed().as_secs_f64()
}

/// Uploads files that nobody can make smaller, until they are this much.
async fn fill(running: &Running, bytes: u64) {
    let mut uploaders = JoinSet::new();
    for nth in 0..UPLOADERS {
        let mut wire = running.wire(20 + nth).await;
        uploaders.spawn(async move {
            let mut chance = StdRng::seed_from_u64(nth as u64);
            let mut noise = vec![0; LARGEST as usize];
            chance.fill_bytes(&mut noise);
            let mut left = (bytes / UPLOADERS as u64) as usize;
            while left > 0 {
                let share: f64 = chance.random();
                let length = ((SMALLEST * (LARGEST / SMALLEST).powf(share)) as usize).min(left).max(64);
                // No two files are the same.
                chance.fill_bytes(&mut noise[..64]);
                wire.upload(&noise[..length]).await;
                left = left.saturating_sub(length);
            }
        });
    }
    uploaders.join_all().await;
    let media = store(&running.folder).with_file_name("media");
    assert!(bytes_below(&media) >= bytes / 10 * 9, "media lie elsewhere");
}
