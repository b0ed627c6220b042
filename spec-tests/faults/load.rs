//! A load of several users at once, and what must be true of it after any fault.

mod account;
mod door;
mod founder;
mod keys;
mod listener;
mod photographer;
mod storm;
mod talker;
mod verdict;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use account::Account;
pub use door::Door;
use door::Person;
use founder::Founder;
use keys::{Claimer, Locksmith};
use listener::{Listener, difference};
use photographer::Photographer;
use storm::Storm;
use talker::{Ear, Talker};
pub use verdict::Verdict;

/// Everybody, and what each knows to be acknowledged.
pub struct Load {
    rooms: [String; 2],
    talkers: [Talker; 3],
    couriers: [Talker; 2],
    listeners: [Listener; 2],
    locksmith: Locksmith,
    claimers: [Claimer; 2],
    accounts: [Account; 2],
    founder: Founder,
    storms: [Storm; 2],
    photographers: [Photographer; 2],
    /// How many messages of each room have been compared with the server's own order.
    compared: [usize; 2],
}

/// Lets somebody act until all is over.
macro_rules! drive {
    ($over:expr, $door:expr, $($who:expr),+) => {
        tokio::join!($(Box::pin(async { while !$over.load(Ordering::Relaxed) { $who.act($door).await; } })),+)
    };
}

impl Load {
    /// Makes everybody, on a server that nothing is wrong with.
    pub async fn new(door: &Door) -> Self {
        let host = door.person("host").await;
        let rooms = [found(door, &host).await, found(door, &host).await];
        let listeners = [
            Listener::new(door, member(door, "swift", &rooms).await, 100).await,
            Listener::new(door, member(door, "short", &rooms).await, 5).await,
        ];
        let talker = async |room: &String| Talker::new(member(door, "talker", &rooms).await, Ear::Room(room.clone()));
        let courier = async |to: &Listener| {
            let ear = Ear::Device { user: to.person.id.clone(), device: to.person.device.clone() };
            Talker::new(door.person("courier").await, ear)
        };
        let mut locksmith = Locksmith::new(door.person("locksmith").await);
        for _ in 0..8 {
            locksmith.act(door).await;
        }
        let claimer = async || Claimer::new(door.person("claimer").await, locksmith.person.clone());
        let storm = async |room: &String| Storm::new(member(door, "storm", &rooms).await, room.clone());
        Self {
            talkers: [talker(&rooms[0]).await, talker(&rooms[0]).await, talker(&rooms[1]).await],
            couriers: [courier(&listeners[0]).await, courier(&listeners[1]).await],
            claimers: [claimer().await, claimer().await],
            accounts: [Account::new(door.person("ann").await), Account::new(door.person("bob").await)],
            founder: Founder::new(door.person("founder").await, &host),
            storms: [storm(&rooms[0]).await, storm(&rooms[1]).await],
            photographers: [
                Photographer::new(door.person("photographer").await),
                Photographer::new(door.person("photographer").await),
            ],
            compared: [0; 2],
            listeners,
            locksmith,
            rooms,
        }
    }

    /// Everybody acts at once until all is over.
    pub async fn run(&mut self, door: &Door, over: &AtomicBool) {
        let [t0, t1, t2] = &mut self.talkers;
        let ([c0, c1], [l0, l1]) = (&mut self.couriers, &mut self.listeners);
        let ([k0, k1], [a0, a1], [s0, s1]) = (&mut self.claimers, &mut self.accounts, &mut self.storms);
        let [p0, p1] = &mut self.photographers;
        let (locksmith, founder) = (&mut self.locksmith, &mut self.founder);
        drive!(over, door, t0, t1, t2, c0, c1, l0, l1, locksmith, k0, k1, a0, a1, founder, s0, s1, p0, p1);
    }

    /// What was acknowledged must be there, once, in order; what was left open is brought to its end.
    pub async fn check(&mut self, door: &Door) {
        for talker in self.talkers.iter_mut().chain(&mut self.couriers) {
            talker.check(door).await;
        }
        for listener in &mut self.listeners {
            listener.catch_up(door).await;
            for talker in self.talkers.iter().chain(&self.couriers) {
                listener.check(door, talker);
            }
        }
        for room in 0..self.rooms.len() {
            self.check_order(door, room).await;
        }
        self.locksmith.check(door, &self.claimers.each_ref()).await;
        for account in &mut self.accounts {
            account.check(door).await;
        }
        self.founder.check(door).await;
        for photographer in &self.photographers {
            photographer.check(door).await;
        }
    }

    /// What a listener heard since the last time must be what the server has, in the server's order.
    async fn check_order(&mut self, door: &Door, number: usize) {
        let (room, compared) = (&self.rooms[number], self.compared[number]);
        for listener in &self.listeners {
            let heard = listener.heard(room);
            let last = compared.checked_sub(1).and_then(|last| heard.get(last));
            let there = listener.back(door, room, None, |id| last.is_some_and(|last| last.id == id)).await;
            let (Some(there), Some(heard)) = (there, heard.get(compared..)) else { continue };
            door.verdict.must(heard == there, || difference(&format!("{room} by sync"), heard, &there));
        }
        self.compared[number] = self.listeners[0].heard(room).len();
    }

    /// At the very end: all rooms from their beginning, and all keys to the last one.
    pub async fn check_all(&mut self, door: &Door) {
        self.compared = [0; 2];
        while self.claimers[0].act(door).await {}
        self.check(door).await;
    }
}

impl fmt::Display for Load {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = |talkers: &[Talker]| talkers.iter().map(|talker| talker.said.len()).sum::<usize>();
        let (events, whispers) = (said(&self.talkers), said(&self.couriers));
        let claims: usize = self.claimers.iter().map(|claimer| claimer.got.len()).sum();
        let changes: usize = self.accounts.iter().map(|account| account.changes).sum();
        let gusts: usize = self.storms.iter().map(|storm| storm.gusts).sum();
        let syncs: usize = self.listeners.iter().map(Listener::syncs).sum();
        let pictures: usize = self.photographers.iter().map(|photographer| photographer.kept.len()).sum();
        let (keys, rooms) = (self.locksmith.uploaded.len(), self.founder.founded.len());
        write!(
            out,
            "acknowledged: {events} events, {whispers} to-device messages, {keys} one-time keys, {claims} claims, \
             {changes} account changes, {rooms} rooms, {pictures} uploads, {gusts} typings with receipts; {syncs} syncs"
        )
    }
}

/// Founds a room that everybody may enter.
async fn found(door: &Door, host: &Person) -> String {
    let room = door.post(&host.token, "/v3/createRoom", &json!({ "preset": "public_chat" })).await;
    room.expect("no room can be founded")["room_id"].as_str().unwrap_or_default().to_owned()
}

/// Makes somebody who is in the rooms.
async fn member(door: &Door, name: &str, rooms: &[String]) -> Person {
    let person = door.person(name).await;
    for room in rooms {
        door.post(&person.token, &format!("/v3/join/{room}"), &json!({})).await;
    }
    person
}
