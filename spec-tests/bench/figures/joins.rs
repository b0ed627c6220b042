//! Joins of one room, one after the other: what each costs, and the last ones against the first.

use serde_json::json;

use crate::bench::Bench;
use crate::running::Running;
use crate::table::{Goal, thousands};

const ROUNDS: usize = 3;
/// The first and the last joins are this share of all.
const SHARE: usize = 10;

pub async fn measure(bench: &mut Bench) {
    let running = bench.server().await;
    let count = bench.world.people.len() - 1;
    let (mut each, mut growth) = (Vec::new(), Vec::new());
    warm(&running).await;
    for _ in 0..ROUNDS {
        let room = room(&running).await;
        let mut parts = Vec::with_capacity(SHARE);
        for part in 0..SHARE {
            let people = 1 + count * part / SHARE..1 + count * (part + 1) / SHARE;
            let joins = people.len() as f64;
            let (cpu, ()) = running.cost(join(&running, &room, people)).await;
            parts.push((cpu, joins));
        }
        let (cpu, joins) = parts.iter().fold((0.0, 0.0), |(cpu, joins), part| (cpu + part.0, joins + part.1));
        each.push(cpu / joins);
        let [first, last] = [parts[0], parts[SHARE - 1]].map(|(cpu, joins)| cpu / joins);
        growth.push(last / first);
    }
    let count = thousands(count as f64);
    bench.table.row(format!("{count} joins of one room, each"), Goal::AtMost(0.5), "ms of CPU", &each);
    let what = format!("{count} joins of one room, the last tenth over the first");
    bench.table.row(what, Goal::AtMost(1.5), "×", &growth);
}

async fn room(running: &Running) -> String {
    running.user(0).create_room(json!({ "preset": "public_chat" })).await
}

/// Everybody's token and profile are read once before it counts.
async fn warm(running: &Running) {
    let room = room(running).await;
    join(running, &room, 1..running.world.people.len().min(500)).await;
}

async fn join(running: &Running, room: &str, people: std::ops::Range<usize>) {
    let mut wire = running.wire(people.start).await;
    let path = format!("/v3/join/{room}");
    for person in people {
        wire.become_one(&running.world.people[person].token);
        wire.post(&path, "{}").await.ok();
    }
}
