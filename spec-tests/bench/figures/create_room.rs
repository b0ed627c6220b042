//! `/createRoom` of a private room with one invite.

use crate::bench::Bench;
use crate::table::Goal;

pub async fn measure(bench: &mut Bench) {
    let running = bench.server().await;
    let mut wire = running.wire(10).await;
    let guest = &bench.world.people[11].id;
    let body = format!(r#"{{"preset":"private_chat","invite":["{guest}"]}}"#);
    let rounds = running.rounds(5, 50, async || drop(wire.post("/v3/createRoom", &body).await.ok())).await;
    bench.table.row("`/createRoom` with one invite", Goal::AtMost(2.0), "ms of CPU", &rounds);
}
