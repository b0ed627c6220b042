//! Somebody who founds rooms: each is there whole or not at all.

use std::collections::HashSet;

use serde_json::json;

use super::door::{Door, Person};

/// Founds rooms and invites a guest into each.
#[derive(Debug)]
pub struct Founder {
    person: Person,
    guest: String,
    /// The rooms that were acknowledged.
    pub founded: HashSet<String>,
    looked_at: HashSet<String>,
}

impl Founder {
    pub fn new(person: Person, guest: &Person) -> Self {
        Self { person, guest: guest.id.clone(), founded: HashSet::new(), looked_at: HashSet::new() }
    }

    /// Founds a room.
    pub async fn act(&mut self, door: &Door) {
        let body = json!({ "name": "Ward", "topic": "Beds", "invite": [self.guest] });
        if let Some(answer) = door.post(&self.person.token, "/v3/createRoom", &body).await {
            self.founded.insert(answer["room_id"].as_str().unwrap_or_default().to_owned());
        }
        tokio::time::sleep(std::time::Duration::from_millis(60)).await;
    }

    /// Every acknowledged room must be there, and every room that is there must be whole.
    pub async fn check(&mut self, door: &Door) {
        let Some(answer) = door.get(&self.person.token, "/v3/joined_rooms").await else { return };
        let rooms = answer["joined_rooms"].as_array().into_iter().flatten();
        let rooms: HashSet<_> = rooms.filter_map(|room| room.as_str().map(str::to_owned)).collect();
        for room in self.founded.difference(&rooms) {
            door.verdict.must(false, || format!("the room {room} is lost"));
        }
        for room in &rooms {
            if self.looked_at.contains(room) {
                continue;
            }
            let Some(state) = door.get(&self.person.token, &format!("/v3/rooms/{room}/state")).await else { return };
            let has = |event_type: &str, state_key: &str| {
                let mut events = state.as_array().into_iter().flatten();
                events.any(|event| event["type"] == event_type && event["state_key"] == state_key)
            };
            let is_whole = has("m.room.name", "") && has("m.room.topic", "") && has("m.room.member", &self.guest);
            door.verdict.must(is_whole, || format!("the room {room} was founded by half"));
        }
        self.looked_at = rooms;
    }
}
