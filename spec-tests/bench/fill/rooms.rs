//! Rooms as a hospital has them: many of two, teams, wards, a few for everybody; and who is in them.

use std::sync::Arc;

use matron_homeserver::Homeserver;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use ruma::RoomId;
use ruma::api::client::room::create_room::v3::{Request, RoomPreset};
use tokio::task::JoinSet;

use crate::domain::session;
use crate::world::{EVERYWHERE, Person, Room, SOMEWHERE, Size};

/// Rooms that are made at once, and people that join one at once.
const AT_ONCE: usize = 64;
/// Members of a quiet room.
const QUIET: usize = 12;

/// The rooms that were made.
pub struct Rooms {
    pub large: Room,
    pub hundred: Room,
    pub fifty: Room,
    pub quiet: Vec<Room>,
    pub pairs: Vec<Room>,
    pub wards: Vec<Room>,
    /// Events that are in them already.
    pub events: usize,
}

/// Makes them.
pub async fn found(server: &Arc<Homeserver>, people: &[Person], size: &Size) -> Rooms {
    let mut chance = StdRng::seed_from_u64(3);
    let left = size.rooms - 3 - size.some;
    let pairs = left * 2 / 5;
    let mut groups = Vec::with_capacity(left + size.some);
    for nth in 0..left + size.some {
        let mut members = match nth {
            quiet if quiet < size.some => some_of(&mut chance, people.len(), QUIET - 2),
            pair if pair < size.some + pairs => some_of(&mut chance, people.len(), 2),
            _ => {
                // Teams are more frequent than wards.
                let most = if chance.random_bool(0.7) { 12 } else { 40 };
                let count = chance.random_range(5..=most);
                some_of(&mut chance, people.len(), count)
            }
        };
        if nth < size.some {
            members.push(SOMEWHERE);
        }
        groups.push(members);
    }
    everywhere(&mut groups, size, pairs);

    let mut begun = JoinSet::new();
    let mut made: Vec<Option<Room>> = vec![None; groups.len()];
    let mut events = 0;
    for (nth, members) in groups.into_iter().enumerate() {
        let (server, people) = (Arc::clone(server), members.iter().map(|member| people[*member].id.clone()).collect());
        begun.spawn(async move { (nth, members, room(&server, people).await) });
        if begun.len() >= AT_ONCE {
            events += note(&mut made, begun.join_next().await.unwrap().unwrap());
        }
    }
    for done in begun.join_all().await {
        events += note(&mut made, done);
    }
    let mut made: Vec<Room> = made.into_iter().flatten().collect();
    let wards = made.split_off(size.some + pairs);
    let pairs = made.split_off(size.some);

    let mut whole = Vec::new();
    for count in [50, 100, size.large] {
        // The first two sync in other figures, and those with keys are spared.
        let members: Vec<_> = (2..people.len() - size.keyed).take(count).collect();
        let mut ids: Vec<_> = members.iter().map(|member| people[*member].id.clone()).collect();
        ids.extend((ids.len()..count).map(|nth| format!("@visitor{nth}:localhost")));
        let (id, written) = room(server, ids).await;
        events += written;
        whole.push(Room { id, members });
    }
    let [fifty, hundred, large] = whole.try_into().unwrap_or_else(|_| unreachable!("three rooms"));
    Rooms { large, hundred, fifty, quiet: made, pairs, wards, events }
}

/// Puts the account that is in most rooms into as many as it is to be in, those of two last.
fn everywhere(groups: &mut [Vec<usize>], size: &Size, pairs: usize) {
    let (quiet, rest) = groups.split_at_mut(size.some);
    let (pairs, wards) = rest.split_at_mut(pairs);
    let pairs = pairs.iter_mut().rev();
    for group in quiet.iter_mut().chain(wards).chain(pairs).take(size.many) {
        group.push(EVERYWHERE);
    }
}

/// Different people, but for the first two.
fn some_of(chance: &mut StdRng, people: usize, count: usize) -> Vec<usize> {
    rand::seq::index::sample(chance, people - 2, count).into_iter().map(|nth| nth + 2).collect()
}

fn note(made: &mut [Option<Room>], (nth, members, (id, events)): (usize, Vec<usize>, (String, usize))) -> usize {
    made[nth] = Some(Room { id, members });
    events
}

/// A public room with these members, the first its creator; and how many events that took.
async fn room(server: &Arc<Homeserver>, members: Vec<String>) -> (String, usize) {
    let creator = session(server, &members[0]).await;
    let mut request = Request::new();
    request.preset = Some(RoomPreset::PublicChat);
    let room = server.rooms.create(&creator, request).await.unwrap();
    let joins = members.len() - 1;
    let mut begun = JoinSet::new();
    for member in members.into_iter().skip(1) {
        let (server, room) = (Arc::clone(server), room.clone());
        begun.spawn(async move { join(&server, &room, &member).await });
        if begun.len() >= 4 * AT_ONCE {
            begun.join_next().await;
        }
    }
    begun.join_all().await;
    (room.to_string(), joins + 5)
}

async fn join(server: &Arc<Homeserver>, room: &RoomId, member: &str) {
    let member = session(server, member).await;
    server.rooms.join(&member, room, None, None).await.unwrap();
}
