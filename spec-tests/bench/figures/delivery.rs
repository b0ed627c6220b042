//! One message into a room whose members all wait in `/sync`: when the last of them has it, and what each delivery costs; and
//! what others feel of a crowd that waits so.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::bench::Bench;
use crate::meter::quantile;
use crate::pace::talk_while;
use crate::running::Running;
use crate::table::{Goal, thousands};
use crate::wire::Wire;

const MESSAGES: usize = 50;
const ROUNDS: usize = 6;
/// Until everybody waits again.
const PARKING: Duration = Duration::from_millis(30);

/// Those of the large room who wait, and how often something is said there.
const CROWD: usize = 1_000;
const CALLS: usize = 10;
const BETWEEN_CALLS: Duration = Duration::from_secs(1);
/// Others meanwhile, in rooms of two.
const PER_SECOND: f64 = 100.0;
const SENDERS: usize = 50;

type Heard = (String, Instant);

pub async fn measure(bench: &mut Bench) {
    let running = bench.server().await;
    let room = bench.world.fifty.clone();
    let count = room.members.len();
    let (_readers, mut told) = listen(&running, &room.members).await;
    let mut speaker = running.wire(room.members[0]).await;
    let (mut last, mut each) = (Vec::new(), Vec::new());
    running.meter.quiet().await;
    for round in 0..=ROUNDS {
        let (cpu, latencies) = running.cost(say(&mut speaker, &room.id, (count, &mut told), (MESSAGES, PARKING))).await;
        if round > 0 {
            each.push(cpu / (MESSAGES * count) as f64);
            last.push(quantile(&latencies, 0.99));
        }
    }
    let what = format!("one message to {count} parked `/sync`s: from the send's answer until all have it, p99");
    bench.table.row(what, Goal::AtMost(10.0), "ms", &last);
    let what = format!("one message to {count} parked `/sync`s: the send, the answers, parking again, per delivery");
    bench.table.row(what, Goal::AtMost(0.1), "ms of CPU", &each);
}

/// A crowd waits in `/sync`, and a message each second is for all of them.
pub async fn measure_crowd(bench: &mut Bench) {
    let running = bench.server().await;
    let large = bench.world.large.clone();
    let crowd: Vec<_> = large.members.iter().copied().take(CROWD).collect();
    let (readers, mut told) = listen(&running, &crowd).await;
    let mut speaker = running.wire(large.members[0]).await;
    let pairs = &bench.world.pairs;
    let others: Vec<_> = pairs.iter().take(SENDERS).map(|room| (room.members[0], room.id.clone())).collect();
    let (mut p50, mut p99, mut more_p50, mut more_p99, mut last) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let pause = tokio::time::sleep(BETWEEN_CALLS * CALLS as u32);
        let (without, ()) = talk_while(&running, &others, PER_SECOND, pause).await;
        let calls = say(&mut speaker, &large.id, (crowd.len(), &mut told), (CALLS, BETWEEN_CALLS));
        let (with, latencies) = talk_while(&running, &others, PER_SECOND, calls).await;
        if round > 0 {
            p50.push(quantile(&without, 0.5));
            p99.push(quantile(&without, 0.99));
            more_p50.push(quantile(&with, 0.5));
            more_p99.push(quantile(&with, 0.99));
            last.push(quantile(&latencies, 0.5));
        }
    }
    drop(readers);
    running.meter.quiet().await;
    let table = &mut bench.table;
    let (crowd, what) = (thousands(crowd.len() as f64), format!("`PUT /send`, {PER_SECOND} a second"));
    table.row(format!("{what}, p50"), Goal::None, "ms", &p50);
    table.row(format!("{what}, p99"), Goal::None, "ms", &p99);
    let meanwhile = format!("while each second a message wakes {crowd} parked `/sync`s");
    table.row(format!("{what}, p50, {meanwhile}"), Goal::None, "ms", &more_p50);
    table.row(format!("{what}, p99, {meanwhile}"), Goal::None, "ms", &more_p99);
    table.row(format!("that message: from the send's answer until all {crowd} have it"), Goal::None, "ms", &last);
}

/// These people sync for ever from now on, and tell of every message when it was there. Dropping them ends it.
async fn listen(running: &Running, people: &[usize]) -> (JoinSet<()>, mpsc::UnboundedReceiver<Heard>) {
    let (tell, told) = mpsc::unbounded_channel();
    let (since, _) = running.wire(people[0]).await.sync(None).await;
    let mut readers = JoinSet::new();
    for person in people {
        let mut wire = running.wire(*person).await;
        // What is told at the first time must not be asked for by all at once.
        let (since, _) = wire.sync(Some(&since)).await;
        readers.spawn(read(wire, since, tell.clone()));
    }
    (readers, told)
}

/// Says so many things, with a pause after each: milliseconds from each send's answer until the last reader had it.
async fn say(
    speaker: &mut Wire,
    room: &str,
    (readers, told): (usize, &mut mpsc::UnboundedReceiver<Heard>),
    (messages, pause): (usize, Duration),
) -> Vec<f64> {
    let mut latencies = Vec::with_capacity(messages);
    for nth in 0..messages {
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
        tokio::time::sleep(pause).await;
    }
    latencies
}

/// Syncs for ever. The answers are not parsed: the readers share their machine with the server.
async fn read(mut wire: Wire, mut since: String, tell: mpsc::UnboundedSender<Heard>) {
    loop {
        let answer = wire.get(&format!("/v3/sync?timeout=60000&since={since}")).await;
        let at = Instant::now();
        answer.text("next_batch").unwrap().clone_into(&mut since);
        let news = String::from_utf8(answer.ok()).unwrap();
        for text in news.split("\"body\":\"").skip(1).filter_map(|after| after.split('"').next()) {
            let _ = tell.send((text.to_owned(), at));
        }
    }
}
