//! The append door: authorize, hash, sign, store, without HTTP. The CPU is that of this process, senders included.

use std::sync::Arc;

use matron_homeserver::Homeserver;
use matron_homeserver::schema::RoomNum;
use ruma::{OwnedUserId, UserId};
use tokio::task::JoinSet;

use crate::bench::Bench;
use crate::domain::{close, message, num, open};
use crate::meter::Meter;
use crate::table::{Goal, thousands};

const SENDERS: usize = 32;
const ROOMS: usize = 1_000;
const EVENTS: usize = 16_000;
const ROUNDS: usize = 5;

pub async fn measure(bench: &mut Bench) {
    let world = Arc::clone(&bench.world);
    let server = open(&bench.shelf.copy("door"), true).await;
    let meter = Meter::of(std::process::id());
    meter.quiet().await;
    let mut rooms = Vec::new();
    for room in world.wards.iter().chain(&world.pairs).take(ROOMS) {
        let sender = UserId::parse(&world.people[room.members[0]].id).unwrap();
        rooms.push((num(&server, &room.id).await, sender));
    }
    let rooms: Arc<[_]> = rooms.into();
    let mut rounds = Vec::new();
    for round in 0..=ROUNDS {
        let before = meter.cpu();
        talk(&server, &rooms).await;
        if round > 0 {
            rounds.push(EVENTS as f64 * 1000.0 / (meter.cpu() - before));
        }
    }
    let what = format!("append door: {SENDERS} senders over {} rooms", thousands(rooms.len() as f64));
    bench.table.row(what, Goal::AtLeast(15_000.0), "events per CPU-second", &rounds);
    drop(rooms);
    close(server).await;
    bench.shelf.drop("door");
}

async fn talk(server: &Arc<Homeserver>, rooms: &Arc<[(RoomNum, OwnedUserId)]>) {
    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        let (server, rooms) = (Arc::clone(server), Arc::clone(rooms));
        senders.spawn(async move {
            for nth in 0..EVENTS / SENDERS {
                let (room, user) = &rooms[(sender + nth * SENDERS) % rooms.len()];
                let intent = message(&server, user, "bed 3 is free, the porter is on the way");
                server.rooms.submit(*room, intent).await.unwrap();
            }
        });
    }
    senders.join_all().await;
}
