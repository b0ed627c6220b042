//! One message into a room whose members all wait in `/sync`: when the last of them has it, and what each delivery costs.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::bench::Bench;
use crate::meter::quantile;
use crate::table::Goal;
use crate::wire::{Wire, next_batch};

const MESSAGES: usize = 50;
const ROUNDS: usize = 6;
/// Until everybody waits again.
const PARKING: Duration = Duration::from_millis(30);

pub async fn measure(bench: &mut Bench) {
    let running = bench.server().await;
    let room = bench.world.fifty.clone();
    let count = room.members.len();
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut readers = JoinSet::new();
    for member in &room.members {
        let wire = running.wire(*member).await;
        readers.spawn(read(wire, tell.clone()));
    }
    let mut speaker = running.wire(room.members[0]).await;
    let (mut last, mut each) = (Vec::new(), Vec::new());
    // Everybody has been told everything once, and waits.
    for _ in 0..count {
        told.recv().await.unwrap();
    }
    running.meter.quiet().await;
    for round in 0..=ROUNDS {
        let (cpu, latencies) = running.cost(rounds_of(&mut speaker, &room.id, count, &mut told)).await;
        if round > 0 {
            each.push(cpu / (MESSAGES * count) as f64);
            last.push(quantile(&latencies, 0.99));
        }
    }
    readers.shutdown().await;
    running.meter.quiet().await;
    let what = format!("one message to {count} parked `/sync`s: from the send's answer until all have it, p99");
    bench.table.row(what, Goal::AtMost(10.0), "ms", &last);
    let what = format!("one message to {count} parked `/sync`s: the send, the answers, parking again, per delivery");
    bench.table.row(what, Goal::AtMost(0.1), "ms of CPU", &each);
}

/// Milliseconds from each send's answer until the last reader had the message.
async fn rounds_of(
    speaker: &mut Wire,
    room: &str,
    readers: usize,
    told: &mut mpsc::UnboundedReceiver<(String, Instant)>,
) -> Vec<f64> {
    let mut latencies = Vec::with_capacity(MESSAGES);
    for nth in 0..MESSAGES {
        let text = format!("message {nth} of {:x}", rand::random::<u64>());
        speaker.say(room, &text).await;
        let answered = Instant::now();
        let mut last = answered;
        let mut count = 0;
        while count < readers {
            let (heard, at) = told.recv().await.unwrap();
            if heard == text {
                count += 1;
                last = last.max(at);
            }
        }
        latencies.push((last - answered).as_secs_f64() * 1000.0);
        tokio::time::sleep(PARKING).await;
    }
    latencies
}

/// Syncs for ever; tells of every message when it was there, and of nothing when it begins.
async fn read(mut wire: Wire, tell: mpsc::UnboundedSender<(String, Instant)>) {
    let (mut since, _) = wire.sync(None).await;
    let _ = tell.send((String::new(), Instant::now()));
    loop {
        let answer = wire.get(&format!("/v3/sync?timeout=60000&since={since}")).await;
        let at = Instant::now();
        let news = answer.json();
        since = next_batch(&news);
        let rooms = news["rooms"]["join"].as_object();
        for room in rooms.into_iter().flat_map(serde_json::Map::values) {
            for event in room["timeline"]["events"].as_array().into_iter().flatten() {
                if let Some(body) = event["content"]["body"].as_str() {
                    let _ = tell.send((body.to_owned(), at));
                }
            }
        }
    }
}
