//! `/sync`: the first one of an account in some rooms, and the next one after one message, of accounts in some and in most.

use std::time::Duration;

use crate::bench::Bench;
use crate::meter::quantile;
use crate::running::Running;
use crate::table::{Goal, thousands};
use crate::wire::Wire;
use crate::world::{EVERYWHERE, SOMEWHERE};

const ROUNDS: usize = 5;
const INITIAL: usize = 5;
const INCREMENTAL: usize = 40;
/// What the server still does after an answer is over by then.
const SETTLED: Duration = Duration::from_millis(3);

pub async fn measure(bench: &mut Bench) {
    let running = bench.server().await;
    let size = bench.world.size.clone();
    let [some, many] = [size.some, size.many].map(|count| thousands(count as f64));

    let mut wire = running.wire(SOMEWHERE).await;
    let (_, first) = wire.sync(None).await;
    let rooms = first["rooms"]["join"].as_object().unwrap();
    assert_eq!(rooms.len(), size.some, "the account's rooms");
    let events: usize = rooms.values().map(|room| room["timeline"]["events"].as_array().map_or(0, Vec::len)).sum();
    let what = format!("initial `/sync` of {some} rooms of 10–20 messages each ({} told)", thousands(events as f64));
    let plain = initial(&running, &mut wire).await;
    bench.table.row(what.clone(), Goal::AtMost(20.0), "ms of CPU", &plain);
    let mut wire = running.wire(SOMEWHERE).await.compressed();
    let packed = initial(&running, &mut wire).await;
    bench.table.row(format!("{what}, compressed"), Goal::None, "ms of CPU", &packed);

    let room = bench.world.quiet[0].clone();
    let mut speaker = running.wire(room.members[0]).await;
    let mut readers = [reader(&running, SOMEWHERE).await, reader(&running, EVERYWHERE).await];
    let mut taken = [Vec::new(), Vec::new()];
    for round in 0..=ROUNDS {
        let mut costs = [0.0; 2];
        for _ in 0..INCREMENTAL {
            speaker.say(&room.id, "bed 3 is free").await;
            for (reader, cost) in readers.iter_mut().zip(&mut costs) {
                *cost += one(&running, reader, &room.id).await;
            }
        }
        if round > 0 {
            for (taken, cost) in taken.iter_mut().zip(costs) {
                taken.push(cost / INCREMENTAL as f64);
            }
        }
    }
    for (count, taken) in [some, many].iter().zip(&taken) {
        let what = format!("incremental `/sync` after one message, account of {count} rooms");
        bench.table.row(what, Goal::AtMost(0.3), "ms of CPU", taken);
    }
    let more: Vec<_> = taken[0].iter().zip(&taken[1]).map(|(some, many)| many / some).collect();
    // No more, but for what two measurements of the same differ by.
    bench.table.row("the latter over the former", Goal::AtMost(1.05), "×", &more);
    assert!(quantile(&more, 0.5) > 0.0, "nothing was measured");
}

async fn initial(running: &Running, wire: &mut Wire) -> Vec<f64> {
    running.rounds(ROUNDS, INITIAL, async || drop(wire.get("/v3/sync?timeout=0").await.ok())).await
}

/// Somebody who knows everything so far.
async fn reader(running: &Running, person: usize) -> (Wire, String) {
    let mut wire = running.wire(person).await;
    let (since, _) = wire.sync(None).await;
    (wire, since)
}

/// The CPU of one sync that finds one message: before the sync and after it, the server is let come to rest.
async fn one(running: &Running, (wire, since): &mut (Wire, String), room: &str) -> f64 {
    tokio::time::sleep(SETTLED).await;
    let before = running.meter.cpu();
    let (next, news) = wire.sync(Some(since)).await;
    tokio::time::sleep(SETTLED).await;
    let cost = running.meter.cpu() - before;
    let told = news["rooms"]["join"][room]["timeline"]["events"].as_array().map(Vec::len);
    assert_eq!(told, Some(1), "{news}");
    *since = next;
    cost
}
