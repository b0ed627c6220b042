//! What is said: in bursts, much in a few rooms and little in most.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use matron_homeserver::Homeserver;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use ruma::{OwnedUserId, UserId};
use tokio::task::JoinSet;

use super::rooms::Rooms;
use crate::domain::{message, num};
use crate::world::{Person, Room};

/// How many rooms are spoken in at once.
const AT_ONCE: usize = 24;
/// The longest run of messages that a room is given at once.
const BURST: usize = 24;
/// The more, the more evenly it is spread.
const EVENNESS: usize = 20;

const WORDS: [&str; 24] = [
    "bed",
    "ward",
    "round",
    "patient",
    "porter",
    "theatre",
    "please",
    "ready",
    "at",
    "nine",
    "bloods",
    "are",
    "back",
    "for",
    "the",
    "consultant",
    "asks",
    "whether",
    "discharge",
    "letter",
    "scan",
    "was",
    "moved",
    "tomorrow",
];

/// A run of messages.
struct Burst {
    room: String,
    members: Arc<[OwnedUserId]>,
    count: usize,
    seed: u64,
}

/// Messages into all rooms: a few into the quiet ones, the others shared out. Answers how many.
pub async fn talk(server: &Arc<Homeserver>, people: &[Person], rooms: &Rooms, messages: usize) -> usize {
    let mut chance = StdRng::seed_from_u64(5);
    let mut bursts: Vec<(&Room, usize)> = Vec::new();
    let mut given = 0;
    for (nth, room) in rooms.quiet.iter().enumerate() {
        bursts.push((room, 10 + nth % 11));
        given += 10 + nth % 11;
    }
    let mut busy: Vec<&Room> = rooms.pairs.iter().chain(&rooms.wards).collect();
    busy.extend([&rooms.large, &rooms.hundred, &rooms.fifty]);
    busy.shuffle(&mut chance);
    let weights: f64 = (0..busy.len()).map(weight).sum();
    let rest = messages.saturating_sub(given) as f64;
    for (nth, room) in busy.into_iter().enumerate() {
        let mut left = (rest * weight(nth) / weights) as usize;
        given += left;
        while left > 0 {
            let burst = chance.random_range(1..=BURST).min(left);
            bursts.push((room, burst));
            left -= burst;
        }
    }
    bursts.shuffle(&mut chance);
    let bursts: VecDeque<_> = bursts
        .into_iter()
        .map(|(room, count)| {
            let members = room.members.iter().map(|member| UserId::parse(&people[*member].id).unwrap()).collect();
            Burst { room: room.id.clone(), members, count, seed: chance.random() }
        })
        .collect();
    let bursts = Arc::new(Mutex::new(bursts));
    let mut talkers = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (server, bursts) = (Arc::clone(server), Arc::clone(&bursts));
        talkers.spawn(async move {
            loop {
                let Some(burst) = bursts.lock().unwrap().pop_front() else { break };
                say(&server, burst).await;
            }
        });
    }
    talkers.join_all().await;
    given
}

fn weight(nth: usize) -> f64 {
    1.0 / (nth + EVENNESS) as f64
}

fn text(chance: &mut StdRng) -> String {
    let count = chance.random_range(3..20);
    let words: Vec<_> = (0..count).map(|_| WORDS[chance.random_range(0..WORDS.len())]).collect();
    words.join(" ")
}

/// A burst goes to the room's writer at once, which takes it as one batch.
async fn say(server: &Arc<Homeserver>, Burst { room, members, count, seed }: Burst) {
    let mut chance = StdRng::seed_from_u64(seed);
    let room = num(server, &room).await;
    let mut sent = JoinSet::new();
    for _ in 0..count {
        let sender = &members[chance.random_range(0..members.len())];
        let intent = message(server, sender, &text(&mut chance));
        let server = Arc::clone(server);
        sent.spawn(async move { server.rooms.submit(room, intent).await.unwrap() });
    }
    sent.join_all().await;
}
