//! Send-to-device messages: one to many devices, and many for one device taken by `/sync`.

use serde_json::{Map, Value, json};

use crate::bench::Bench;
use crate::running::Running;
use crate::table::Goal;
use crate::wire::Wire;

const ROUNDS: usize = 5;
const SENDS: usize = 20;
const TAKES: usize = 10;
const TAKEN: usize = 50;

pub async fn measure(bench: &mut Bench) {
    let running = bench.server().await;
    let world = &bench.world;
    let people = &world.people[world.keyed.clone()];
    let count = people.len();
    let mut wire = running.wire(20).await;
    // As long as a room key that Olm has encrypted.
    let content =
        json!({ "algorithm": "m.olm.v1.curve25519-aes-sha2", "ciphertext": { "type": 0, "body": "b".repeat(700) } });
    let to = |people: &[crate::world::Person]| {
        let all = people.iter().map(|person| (person.id.clone(), json!({ person.device.as_str(): content })));
        json!({ "messages": all.collect::<Map<String, Value>>() }).to_string()
    };
    let body = to(people);
    let rounds = running.rounds(ROUNDS, SENDS, async || send(&mut wire, &body).await).await;
    let what = format!("a to-device message to {count} devices");
    bench.table.row(what, Goal::AtMost(0.5), "ms of CPU", &rounds);

    let reader = 30;
    let body = to(&world.people[reader..=reader]);
    let (mut taking, mut both) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let (mut took, mut confirmed) = (0.0, 0.0);
        for _ in 0..TAKES {
            let costs = take(&running, &mut wire, &body, reader).await;
            took += costs.0;
            confirmed += costs.1;
        }
        if round > 0 {
            taking.push(took / TAKES as f64);
            both.push((took + confirmed) / TAKES as f64);
        }
    }
    let what = format!("taking {TAKEN} to-device messages by `/sync`");
    bench.table.row(what.clone(), Goal::AtMost(0.5), "ms of CPU", &taking);
    let what = format!("{what}, and the next `/sync`, which deletes them");
    bench.table.row(what, Goal::None, "ms of CPU", &both);
}

async fn send(wire: &mut Wire, body: &str) {
    let path = format!("/v3/sendToDevice/m.room.encrypted/{}", wire.transaction());
    wire.put(&path, body).await.ok();
}

/// The CPU of a sync that takes what was sent, and of the one that says so.
async fn take(running: &Running, sender: &mut Wire, body: &str, reader: usize) -> (f64, f64) {
    let mut wire = running.wire(reader).await;
    let (since, _) = wire.sync(None).await;
    let (since, _) = wire.sync(Some(&since)).await;
    for _ in 0..TAKEN {
        send(sender, body).await;
    }
    let (took, (since, news)) = running.cost(wire.sync(Some(&since))).await;
    assert_eq!(news["to_device"]["events"].as_array().map(Vec::len), Some(TAKEN));
    let (confirmed, (_, news)) = running.cost(wire.sync(Some(&since))).await;
    assert!(news["to_device"].is_null(), "{news}");
    (took, confirmed)
}
