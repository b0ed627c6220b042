//! Says things one after the other, with transaction ids: in a room, or to a device.

use serde_json::{Value, json};

use super::door::{Door, Person};

/// Where what is said goes.
#[derive(Debug, Clone)]
pub enum Ear {
    Room(String),
    Device { user: String, device: String },
}

/// Somebody who says numbers, counting up. Like a good client, it says nothing new until the last is acknowledged.
#[derive(Debug)]
pub struct Talker {
    pub person: Person,
    pub ear: Ear,
    /// Event ids of what was acknowledged, by number; to-device messages have none.
    pub said: Vec<String>,
    /// Whether the next number was tried already.
    open: bool,
    name: String,
}

impl Talker {
    pub fn new(person: Person, ear: Ear) -> Self {
        Self { person, ear, said: Vec::new(), open: false, name: spec_tests::unique("talker") }
    }

    async fn say(&self, door: &Door, number: usize) -> Option<Value> {
        let transaction = format!("{}-{number}", self.name);
        let (path, body) = match &self.ear {
            Ear::Room(room) => {
                let body = json!({ "msgtype": "m.text", "body": number.to_string() });
                (format!("/v3/rooms/{room}/send/m.room.message/{transaction}"), body)
            }
            Ear::Device { user, device } => {
                let body = json!({ "messages": { user: { device: { "number": number } } } });
                (format!("/v3/sendToDevice/org.example.number/{transaction}"), body)
            }
        };
        door.put(&self.person.token, &path, &body).await
    }

    async fn next(&mut self, door: &Door) {
        self.open = true;
        if let Some(answer) = self.say(door, self.said.len()).await {
            self.said.push(answer["event_id"].as_str().unwrap_or_default().to_owned());
            self.open = false;
        }
    }

    async fn repeat(&self, door: &Door, number: usize) {
        if let Some(answer) = self.say(door, number).await {
            let (first, again) = (&self.said[number], answer["event_id"].as_str().unwrap_or_default());
            door.verdict.must(first == again, || {
                format!("{} said {number} as {first}, and repeating it answered {again}", self.person.id)
            });
        }
    }

    /// Says the next thing, or now and then one of the last again.
    pub async fn act(&mut self, door: &Door) {
        if !self.said.is_empty() && rand::random_ratio(1, 6) {
            let back = rand::random_range(0..self.said.len().min(10));
            self.repeat(door, self.said.len() - 1 - back).await;
        } else {
            self.next(door).await;
        }
    }

    /// Brings to an end what was left open, and repeats the last things and some old one.
    pub async fn check(&mut self, door: &Door) {
        if self.open {
            self.next(door).await;
        }
        let last = self.said.len().saturating_sub(4)..self.said.len();
        for number in last.chain((!self.said.is_empty()).then(|| rand::random_range(0..self.said.len()))) {
            self.repeat(door, number).await;
        }
    }
}
