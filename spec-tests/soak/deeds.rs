//! What people do, at steady rates: by a few connections that speak for one after the other.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::hand::Hand;
use crate::listener::MARK;
use crate::pace::{Pace, millis_since};
use crate::stage::Stage;

/// Messages a second for each who is there: 200 of 1,000.
pub const SAY: f64 = 0.2;
/// How many may be somewhere that they have joined.
const GUESTS: usize = 100;
/// Files, in bytes: as many of any size as of twice that.
const SMALLEST: f64 = 16_384.0;
const LARGEST: f64 = 1_048_576.0;

#[derive(Debug, Clone, Copy)]
enum Deed {
    Say,
    Read,
    Type,
    Whisper,
    Wander,
    Share,
    Look,
}

/// How often a second each is done for everybody who is there, and by how many connections.
const DEEDS: [(Deed, f64, usize); 7] = [
    (Deed::Say, SAY, 32),
    (Deed::Read, 0.1, 8),
    (Deed::Type, 0.02, 4),
    (Deed::Whisper, 0.02, 4),
    (Deed::Wander, 0.002, 1),
    (Deed::Share, 0.001, 1),
    (Deed::Look, 0.003, 2),
];

/// Everything begins.
pub fn begin(stage: &Arc<Stage>) -> JoinSet<()> {
    let mut workers = JoinSet::new();
    for (deed, rate, count) in DEEDS {
        for nth in 0..count {
            let per_second = rate * stage.present.len() as f64;
            workers.spawn(work(Arc::clone(stage), deed, Pace::new(per_second, nth, count)));
        }
    }
    workers
}

async fn work(stage: Arc<Stage>, deed: Deed, mut pace: Pace) {
    let mut worker = Worker {
        hand: Hand::of(&stage, stage.present.start).await,
        chance: StdRng::seed_from_u64(rand::random()),
        guests: VecDeque::new(),
        stage,
    };
    loop {
        let begun = pace.turn().await;
        if worker.stage.is_over() {
            return;
        }
        match deed {
            Deed::Say => worker.say(begun).await,
            Deed::Read => worker.read().await,
            Deed::Type => worker.type_something().await,
            Deed::Whisper => worker.whisper().await,
            Deed::Wander => worker.wander().await,
            Deed::Share => worker.share().await,
            Deed::Look => worker.look().await,
        }
    }
}

struct Worker {
    stage: Arc<Stage>,
    hand: Hand,
    chance: StdRng,
    /// Rooms and people who have joined them for a while.
    guests: VecDeque<(String, usize)>,
}

impl Worker {
    /// A message, which says when it was to be sent.
    async fn say(&mut self, begun: Instant) {
        let (place, speaker) = self.stage.pick(&mut self.chance);
        self.hand.become_one(speaker);
        let path = format!("/v3/rooms/{}/send/m.room.message/{}", place.id, self.hand.transaction());
        let micros = begun.saturating_duration_since(self.stage.begun).as_micros();
        let more = "and then ".repeat(self.chance.random_range(0..12));
        let body = format!(r#"{{"msgtype":"m.text","body":"{MARK}{micros} bed 3 is free, {more}that is all"}}"#);
        if let Some(answer) = self.hand.ask("PUT", &path, &body).await {
            self.stage.tally.sent(millis_since(begun), place.present.len());
            if let Some(event) = answer.text("event_id") {
                self.stage.said.note((place, event.to_owned()));
            }
        }
    }

    /// Somebody has read what was said of late.
    async fn read(&mut self) {
        let Some((place, event)) = self.stage.said.pick(&mut self.chance) else { return };
        self.hand.become_one(place.present[self.chance.random_range(0..place.present.len())]);
        self.hand.ask("POST", &format!("/v3/rooms/{}/receipt/m.read/{event}", place.id), "{}").await;
    }

    async fn type_something(&mut self) {
        let (place, speaker) = self.stage.pick(&mut self.chance);
        self.hand.become_one(speaker);
        let path = format!("/v3/rooms/{}/typing/{}", place.id, self.stage.world.people[speaker].id);
        self.hand.ask("PUT", &path, r#"{"typing":true,"timeout":4000}"#).await;
    }

    /// A message from device to device, as long as a room key that Olm has encrypted.
    async fn whisper(&mut self) {
        let to = &self.stage.world.people[self.stage.somebody(&mut self.chance)];
        self.hand.become_one(self.stage.somebody(&mut self.chance));
        let ciphertext = json!({ "type": 0, "body": "b".repeat(700) });
        let content = json!({ "algorithm": "m.olm.v1.curve25519-aes-sha2", "ciphertext": ciphertext });
        let devices: Value = json!({ to.device.as_str(): content });
        let body = json!({ "messages": { to.id.as_str(): devices } }).to_string();
        let path = format!("/v3/sendToDevice/m.room.encrypted/{}", self.hand.transaction());
        self.hand.ask("PUT", &path, &body).await;
    }

    /// Somebody joins a ward, or who has been there longest leaves it.
    async fn wander(&mut self) {
        let wards = &self.stage.world.wards;
        if self.guests.len() >= GUESTS
            && let Some((room, guest)) = self.guests.pop_front()
        {
            self.hand.become_one(guest);
            self.hand.ask("POST", &format!("/v3/rooms/{room}/leave"), "{}").await;
            return;
        }
        let ward = &wards[self.chance.random_range(0..wards.len())];
        let guest = self.chance.random_range(self.stage.wanderers.clone());
        let is_there = self.guests.iter().any(|(room, known)| *room == ward.id && *known == guest);
        if is_there || ward.members.contains(&guest) {
            return;
        }
        self.hand.become_one(guest);
        if self.hand.ask("POST", &format!("/v3/join/{}", ward.id), "{}").await.is_some() {
            self.guests.push_back((ward.id.clone(), guest));
        }
    }

    /// Uploads a file that nobody can make smaller.
    async fn share(&mut self) {
        let share: f64 = self.chance.random();
        let mut file = vec![0; (SMALLEST * (LARGEST / SMALLEST).powf(share)) as usize];
        self.chance.fill_bytes(&mut file);
        self.hand.become_one(self.stage.somebody(&mut self.chance));
        let answer = self.hand.hand_in(&file).await;
        if let Some(name) = answer.as_ref().and_then(|answer| answer.text("content_uri")) {
            self.stage.files.note(name.trim_start_matches("mxc://").to_owned());
        }
    }

    /// Downloads one.
    async fn look(&mut self) {
        let Some(name) = self.stage.files.pick(&mut self.chance) else { return };
        self.hand.become_one(self.stage.somebody(&mut self.chance));
        self.hand.ask("GET", &format!("/v1/media/download/{name}"), "").await;
    }
}
