//! `keys/query` and `keys/claim` of many users at once.

use serde_json::{Map, Value, json};

use crate::bench::Bench;
use crate::table::Goal;

const ROUNDS: usize = 5;
const QUERIES: usize = 40;
/// In all rounds together no more than each device has keys.
const CLAIMS: usize = 15;

pub async fn measure(bench: &mut Bench) {
    let running = bench.server().await;
    let world = &bench.world;
    let people = &world.people[world.keyed.clone()];
    let count = people.len();
    assert!(CLAIMS * (ROUNDS + 1) <= world.size.one_time_keys);
    let mut wire = running.wire(20).await;

    let wanted: Map<String, Value> = people.iter().map(|person| (person.id.clone(), json!([]))).collect();
    let body = json!({ "device_keys": wanted }).to_string();
    let answer = wire.post("/v3/keys/query", &body).await.json();
    for part in ["device_keys", "master_keys", "self_signing_keys"] {
        assert_eq!(answer[part].as_object().map(Map::len), Some(count), "{part}");
    }
    let rounds = running.rounds(ROUNDS, QUERIES, async || drop(wire.post("/v3/keys/query", &body).await.ok())).await;
    let what = format!("`keys/query` of {count} users, one cross-signed device each");
    bench.table.row(what, Goal::AtMost(0.5), "ms of CPU", &rounds);

    let wanted: Map<String, Value> = people
        .iter()
        .map(|person| (person.id.clone(), json!({ person.device.as_str(): "signed_curve25519" })))
        .collect();
    let body = json!({ "one_time_keys": wanted }).to_string();
    let mut claimed = 0;
    let rounds = running
        .rounds(ROUNDS, CLAIMS, async || {
            let answer = wire.post("/v3/keys/claim", &body).await.ok();
            claimed += String::from_utf8_lossy(&answer).matches("signed_curve25519:").count();
        })
        .await;
    assert_eq!(claimed, count * CLAIMS * (ROUNDS + 1), "everybody had keys to give");
    bench.table.row(format!("`keys/claim` of {count} one-time keys"), Goal::AtMost(1.0), "ms of CPU", &rounds);
}
