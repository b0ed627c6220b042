//! `PUT /send` by ten senders: each in a room of two of their own, then all in a large room. The kinds take turns, so that
//! what the machine does otherwise meets all of them.

use std::time::Instant;

use tokio::task::JoinSet;

use crate::bench::Bench;
use crate::meter::{quantile, syncs};
use crate::running::Running;
use crate::table::{Goal, thousands};
use crate::world::Room;

const SENDERS: usize = 10;
const EACH: usize = 200;
const ROUNDS: usize = 5;

/// What one kind of room cost and took, round by round.
#[derive(Default)]
struct Taken {
    cpu: Vec<f64>,
    p99: Vec<f64>,
}

pub async fn measure(bench: &mut Bench) {
    let world = &bench.world;
    let running = bench.server().await;
    let own = world.pairs.iter().take(SENDERS).map(|room| (room.members[0], room.id.clone())).collect();
    let inside = |room: &Room| room.members.iter().take(SENDERS).map(|member| (*member, room.id.clone())).collect();
    let kinds: [Vec<(usize, String)>; 3] = [own, inside(&world.hundred), inside(&world.large)];
    let mut taken: [Taken; 3] = Default::default();
    let mut disk = Vec::new();
    for round in 0..=ROUNDS {
        for (kind, taken) in kinds.iter().zip(&mut taken) {
            let probe = quantile(&syncs(&running.folder, 50), 0.5);
            let (cpu, latencies) = running.cost(talk(&running, kind)).await;
            if round > 0 {
                disk.push(probe);
                taken.cpu.push(cpu / (SENDERS * EACH) as f64);
                taken.p99.push(quantile(&latencies, 0.99));
            }
        }
    }
    let large = thousands(world.size.large as f64);
    let base = quantile(&taken[0].cpu, 0.5);
    let sync = quantile(&disk, 0.5);
    let table = &mut bench.table;
    let kinds = ["rooms of 2".to_owned(), "a room of 100".to_owned(), format!("a room of {large}")];
    for ((kind, taken), more) in kinds.iter().zip(&taken).zip([None, Some(1.2), Some(1.5)]) {
        let what = format!("`PUT /send`, {SENDERS} senders, {kind}");
        table.row(what, Goal::AtMost(more.map_or(0.15, |more| more * base)), "ms of CPU", &taken.cpu);
    }
    table.row("fdatasync of this disk meanwhile, a page appended", Goal::None, "ms", &disk);
    for (kind, taken) in kinds.iter().zip(&taken) {
        let what = format!("`PUT /send`, {SENDERS} senders, {kind}: p99 of the answer (8 fdatasyncs, or 5 ms)");
        table.row(what, Goal::AtMost((8.0 * sync).max(5.0)), "ms", &taken.p99);
    }
}

/// Everybody says something again and again; how long each answer took.
async fn talk(running: &Running, senders: &[(usize, String)]) -> Vec<f64> {
    let mut talkers = JoinSet::new();
    for (person, room) in senders {
        let (mut wire, room) = (running.wire(*person).await, room.clone());
        talkers.spawn(async move {
            let mut took = Vec::with_capacity(EACH);
            for _ in 0..EACH {
                let begun = Instant::now();
                wire.say(&room, "bed 3 is free, the porter is on the way").await;
                took.push(begun.elapsed().as_secs_f64() * 1000.0);
            }
            took
        });
    }
    talkers.join_all().await.into_iter().flatten().collect()
}
