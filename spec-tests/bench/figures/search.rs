//! `/search` over one room of 100,000 messages: how long the slowest of a hundred searches takes.

use std::time::Instant;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use tokio::task::JoinSet;

use crate::bench::Bench;
use crate::meter::quantile;
use crate::pace::millis_since;
use crate::running::Running;
use crate::table::{Goal, thousands};
use crate::wire::{Answer, Wire};

/// So many messages are searched, of all that the whole world has: 100,000.
const SHARE: usize = 20;
const SENDERS: usize = 16;
const ROUNDS: usize = 5;
const SEARCHES: usize = 200;
/// Words are the rarer the longer they are: a few are in every other message, most in hardly any.
const WORDS: usize = 5000;

pub async fn measure(bench: &mut Bench) {
    let running = bench.server().await;
    let messages = bench.world.size.events / SHARE;
    let room = running.user(0).create_room(json!({})).await;
    fill(&running, &room, messages).await;
    // What it costs to take them up is not what searching them takes.
    running.meter.quiet().await;
    let mut wire = running.wire(0).await;
    let mut chance = StdRng::seed_from_u64(7);
    for order in ["recent", "rank"] {
        let found = search(&mut wire, &room, order, "word1").await.json();
        let count = found["search_categories"]["room_events"]["count"].as_u64();
        assert!(count.is_some_and(|count| count > 0), "{found}");
        let mut slowest = Vec::with_capacity(ROUNDS);
        for round in 0..=ROUNDS {
            let mut taken = Vec::with_capacity(SEARCHES);
            for _ in 0..SEARCHES {
                let term = format!("{} {}", word(&mut chance), word(&mut chance));
                let begun = Instant::now();
                let found = search(&mut wire, &room, order, &term).await;
                taken.push(millis_since(begun));
                found.ok();
            }
            if round > 0 {
                slowest.push(quantile(&taken, 0.99));
            }
        }
        let what = format!("`/search` of {} messages by {order}, p99", thousands(messages as f64));
        bench.table.row(what, Goal::AtMost(50.0), "ms", &slowest);
    }
}

async fn search(wire: &mut Wire, room: &str, order: &str, term: &str) -> Answer {
    let room_events = json!({ "search_term": term, "order_by": order, "filter": { "rooms": [room] } });
    let body = json!({ "search_categories": { "room_events": room_events } }).to_string();
    wire.post("/v3/search", &body).await
}

fn word(chance: &mut StdRng) -> String {
    let share: f64 = chance.random();
    format!("word{}", (WORDS as f64).powf(share) as usize)
}

async fn fill(running: &Running, room: &str, messages: usize) {
    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        let (mut wire, room) = (running.wire(0).await, room.to_owned());
        let count = messages / SENDERS;
        senders.spawn(async move {
            let mut chance = StdRng::seed_from_u64(sender as u64);
            for _ in 0..count {
                let words: Vec<_> = (0..12).map(|_| word(&mut chance)).collect();
                let body = json!({ "msgtype": "m.text", "body": words.join(" ") }).to_string();
                let path = format!("/v3/rooms/{room}/send/m.room.message/s{sender}-{}", wire.transaction());
                drop(wire.put(&path, &body).await.ok());
            }
        });
    }
    senders.join_all().await;
}
