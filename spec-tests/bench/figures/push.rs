//! Pushes to a gateway while people speak: whether a send waits for them, and what a push costs. There are two groups of rooms
//! alike, but that all who listen in the first have a pusher. They take turns, so that what the machine does otherwise meets
//! both. The gateway runs in this process, on the same cores as all else, and stands back for it: elsewhere it is another
//! machine's.

use std::time::Duration;

use serde_json::json;
use spec_tests::pusher;

use crate::bench::Bench;
use crate::gateway::Gateway;
use crate::meter::quantile;
use crate::pace::talk_while;
use crate::running::Running;
use crate::table::{Goal, thousands};

/// Rooms of a group, and how many listen in each: 1,000 pushers.
const ROOMS: usize = 20;
const LISTENERS: usize = 50;
/// Messages a second that notify all who listen in a room, all rooms together.
const LOUD: f64 = 20.0;
/// Messages a second of people who are alone in their rooms, meanwhile.
const ALONE: f64 = 100.0;
const ROUNDS: usize = 5;
const LOOK: Duration = Duration::from_secs(12);

/// A speaker of each room, and the room.
type Speakers = Vec<(usize, String)>;

/// What was seen of a group, round by round. The latencies are in milliseconds.
#[derive(Default)]
struct Seen {
    /// The middle and the slowest of the sends that notify, then those of the sends meanwhile.
    took: [Vec<f64>; 4],
    /// Milliseconds of CPU until the server came to rest.
    cpu: Vec<f64>,
    sends: Vec<f64>,
    /// How many pushes the sends that notify make, where there are pushers.
    due: Vec<f64>,
    /// How many pushes the gateway was told of.
    pushes: Vec<f64>,
}

pub async fn measure(bench: &mut Bench) {
    // Others that share a server are to have no pushers about.
    bench.end_server().await;
    let running = bench.server().await;
    // The first two people are in many rooms.
    let listeners = LISTENERS.min((bench.world.people.len() - 2) / (2 * ROOMS) - 1);
    let group = ROOMS * (listeners + 1);
    let told = rooms(&running, 2, listeners).await;
    let untold = rooms(&running, 2 + group, listeners).await;
    let alone = rooms(&running, 2 + group, 0).await;
    let gateway = Gateway::start();
    for (speaker, _) in &told {
        for listener in speaker + 1..=speaker + listeners {
            let body = pusher(&gateway.url, &format!("phone of {listener}"), &json!({})).to_string();
            running.wire(listener).await.post("/v3/pushers/set", &body).await.ok();
        }
    }
    running.meter.quiet().await;

    let (mut with, mut without) = (Seen::default(), Seen::default());
    for round in 0..=ROUNDS {
        let mut turns = [(&told, &mut with), (&untold, &mut without)];
        if round % 2 == 1 {
            turns.reverse();
        }
        for (speakers, seen) in turns {
            look(&running, &gateway, [speakers, &alone], listeners, seen).await;
            if round == 0 {
                *seen = Seen::default();
            }
        }
    }
    drop(running);
    bench.end_server().await;
    tell(bench, &with, &without, listeners);
}

fn tell(bench: &mut Bench, with: &Seen, without: &Seen, listeners: usize) {
    let table = &mut bench.table;
    let pushers = thousands((ROOMS * listeners) as f64);
    let per_second = thousands(LOUD * listeners as f64);
    let over = |with: &[f64], without: &[f64]| -> Vec<f64> { with.iter().zip(without).map(|(a, b)| a / b).collect() };
    let whose = ["`PUT /send` that notifies", "`PUT /send` of others meanwhile"];
    for (nth, (with, without)) in with.took.iter().zip(&without.took).enumerate() {
        let what = format!("{}, {}", whose[nth / 2], ["p50", "p99"][nth % 2]);
        table.row(format!("{what}, no pushers"), Goal::None, "ms", without);
        let what = format!("{what}: with {per_second} pushes a second to {pushers} pushers over the former");
        table.row(what, Goal::AtMost(1.05), "×", &over(with, without));
    }
    table.row("CPU of such a send, no pushers", Goal::None, "ms of CPU", &over(&without.cpu, &without.sends));
    let more = with.cpu.iter().zip(&without.cpu).map(|(with, without)| with - without).collect::<Vec<_>>();
    table.row("a push: CPU over that of the same sends without", Goal::None, "ms of CPU", &over(&more, &with.pushes));
    table.row("pushes that came, of those due", Goal::AtLeast(1.0), "×", &over(&with.pushes, &with.due));
}

/// Both speak for a while, those who notify and those who are alone; then what is left to do is done.
async fn look(running: &Running, gateway: &Gateway, [loud, alone]: [&Speakers; 2], listeners: usize, seen: &mut Seen) {
    let (cpu, pushes) = (running.meter.cpu(), gateway.told());
    let wait = || tokio::time::sleep(LOOK);
    let ((loud, ()), (alone, ())) =
        tokio::join!(talk_while(running, loud, LOUD, wait()), talk_while(running, alone, ALONE, wait()));
    running.meter.quiet().await;
    for (nth, took) in seen.took.iter_mut().enumerate() {
        took.push(quantile([&loud, &alone][nth / 2], [0.5, 0.99][nth % 2]));
    }
    seen.cpu.push(running.meter.cpu() - cpu);
    seen.sends.push((loud.len() + alone.len()) as f64);
    seen.due.push((loud.len() * listeners) as f64);
    seen.pushes.push((gateway.told() - pushes) as f64);
}

/// Rooms of a speaker and so many who listen, for the people from this one on.
async fn rooms(running: &Running, first: usize, listeners: usize) -> Speakers {
    let mut rooms = Vec::with_capacity(ROOMS);
    for nth in 0..ROOMS {
        let speaker = first + nth * (listeners + 1);
        let room = running.user(speaker).create_room(json!({ "preset": "public_chat" })).await;
        let mut wire = running.wire(speaker).await;
        for listener in speaker + 1..=speaker + listeners {
            wire.become_one(&running.world.people[listener].token);
            wire.post(&format!("/v3/join/{room}"), "{}").await.ok();
        }
        rooms.push((speaker, room));
    }
    rooms
}
