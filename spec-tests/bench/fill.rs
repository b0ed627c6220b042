//! The world that is measured: users, rooms, events, made once by the domain itself.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use matron_homeserver::Homeserver;
use matron_homeserver::accounts::Session;
use matron_homeserver::clock::Clock;
use matron_homeserver::config::{Config, PasswordHashing};
use matron_homeserver::rooms::writer::Intent;
use matron_homeserver::schema::RoomNum;
use matron_matrix::event::Template;
use matron_storage::Options;
use ruma::api::client::room::create_room;
use ruma::{CanonicalJsonObject, OwnedRoomId, RoomId, UserId};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

/// The password of every user that logs in.
pub const PASSWORD: &str = "a password of the bench";

/// What was made, by name.
#[derive(Debug, Serialize, Deserialize)]
pub struct World {
    pub users: usize,
    pub rooms: Vec<OwnedRoomId>,
    pub large: OwnedRoomId,
    pub hundred: OwnedRoomId,
}

pub fn config() -> Config {
    let mut config = Config::named(ruma::server_name!("localhost").to_owned());
    config.password_hashing = PasswordHashing { memory_kib: 8, iterations: 1 };
    config.rate_limits = false;
    config
}

pub async fn open(folder: &Path) -> Arc<Homeserver> {
    let options = Options::rocks(folder.join("data/store"), 256 << 20);
    Homeserver::start(config(), &options, Clock::system()).await.unwrap()
}

/// Somebody, as the domain knows them; no token is made.
pub async fn session(server: &Homeserver, nth: usize) -> Session {
    let user_id = UserId::parse(format!("@user{nth}:localhost")).unwrap();
    Session {
        user: server.ids.user(&user_id).await.unwrap(),
        user_id,
        device_id: "BENCH".into(),
        device: server.ids.new_device().await.unwrap(),
        guest: false,
        admin: false,
    }
}

pub fn message(server: &Homeserver, session: &Session, text: &str) -> Intent {
    let mut content = CanonicalJsonObject::new();
    content.insert("msgtype".to_owned(), "m.text".to_owned().into());
    content.insert("body".to_owned(), text.to_owned().into());
    Intent::new(Template {
        sender: session.user_id.clone(),
        kind: "m.room.message".into(),
        state_key: None,
        content,
        redacts: None,
        origin_server_ts: server.clock.now(),
    })
}

pub async fn num(server: &Homeserver, room: &RoomId) -> RoomNum {
    server.ids.room(&server.store.snapshot(), room.as_str()).await.unwrap().unwrap()
}

/// A public room of `session`.
pub async fn room(server: &Homeserver, session: &Session) -> OwnedRoomId {
    let mut request = create_room::v3::Request::new();
    request.preset = Some(create_room::v3::RoomPreset::PublicChat);
    server.rooms.create(session, request).await.unwrap()
}

/// The world in `folder`, made now if it is not there.
pub async fn world(folder: &Path, scale: usize) -> World {
    let file = folder.join("world.json");
    if let Ok(text) = std::fs::read_to_string(&file) {
        return serde_json::from_str(&text).unwrap();
    }
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder.join("data")).unwrap();
    let (users, rooms, events, members) = (5000 / scale, 3000 / scale, 2_000_000 / scale, 20_000 / scale);
    eprintln!("filling a store: {users} users, {rooms} rooms, {events} events, a room of {members}");
    let begun = Instant::now();
    let server = open(folder).await;
    for nth in 0..users {
        server.lifecycle.create_account(&format!("user{nth}"), PASSWORD, false).await.unwrap();
    }
    eprintln!("  users: {:?}", begun.elapsed());
    let world = rooms_of(&server, users, rooms, members).await;
    eprintln!("  rooms: {:?}", begun.elapsed());
    talk(&server, &world, events).await;
    eprintln!("  events: {:?}", begun.elapsed());
    server.stop().await;
    drop(server);
    std::fs::write(file, serde_json::to_string(&world).unwrap()).unwrap();
    world
}

/// User 0 is in two rooms of three, everybody else in a handful.
async fn rooms_of(server: &Arc<Homeserver>, users: usize, rooms: usize, members: usize) -> World {
    let everywhere = session(server, 0).await;
    let mut made = Vec::with_capacity(rooms);
    for nth in 0..rooms {
        let owner = session(server, 1 + nth % (users - 1)).await;
        let room_id = room(server, &owner).await;
        if nth % 3 != 2 {
            server.rooms.join(&everywhere, &room_id, None, None).await.unwrap();
        }
        made.push(room_id);
    }
    let owner = session(server, 1).await;
    let (large, hundred) = (room(server, &owner).await, room(server, &owner).await);
    for (room_id, count) in [(&large, members), (&hundred, 100)] {
        let mut joins = JoinSet::new();
        for nth in 2..=count {
            let (server, room_id) = (Arc::clone(server), room_id.clone());
            joins.spawn(async move {
                let member = session(&server, nth).await;
                server.rooms.join(&member, &room_id, None, None).await.unwrap();
            });
            if joins.len() >= 64 {
                joins.join_next().await;
            }
        }
        joins.join_all().await;
    }
    World { users, rooms: made, large, hundred }
}

async fn talk(server: &Arc<Homeserver>, world: &World, events: usize) {
    let mut talkers = JoinSet::new();
    for talker in 0..64 {
        let server = Arc::clone(server);
        let rooms = world.rooms.clone();
        let users = world.users;
        talkers.spawn(async move {
            for nth in 0..events / 64 {
                let index = (talker + nth * 64) % rooms.len();
                let owner = session_light(&server, 1 + index % (users - 1)).await;
                let room = num(&server, &rooms[index]).await;
                let text = "the quick brown fox jumps over the lazy dog, and the ward round begins at nine";
                server.rooms.submit(room, message(&server, &owner, text)).await.unwrap();
            }
        });
    }
    talkers.join_all().await;
}

/// As [`session`], without taking a device's number.
async fn session_light(server: &Homeserver, nth: usize) -> Session {
    let user_id = UserId::parse(format!("@user{nth}:localhost")).unwrap();
    let user = server.ids.user(&user_id).await.unwrap();
    let device = matron_homeserver::schema::DeviceNum(0);
    Session { user, user_id, device_id: "BENCH".into(), device, guest: false, admin: false }
}
