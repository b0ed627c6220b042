//! `/messages`: the latest hundred events of a room, again and again.

use crate::bench::Bench;
use crate::table::Goal;

pub async fn measure(bench: &mut Bench) {
    let running = bench.server().await;
    let room = &bench.world.large;
    let mut wire = running.wire(room.members[0]).await;
    let path = format!("/v3/rooms/{}/messages?dir=b&limit=100", room.id);
    let page = wire.get(&path).await.json();
    assert_eq!(page["chunk"].as_array().map(Vec::len), Some(100));
    let rounds = running.rounds(5, 100, async || drop(wire.get(&path).await.ok())).await;
    bench.table.row("`/messages` of 100 events, warm", Goal::AtMost(0.4), "ms of CPU", &rounds);
}
