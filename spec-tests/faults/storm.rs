//! Typing and receipts, as many as there is time for.

use serde_json::json;

use super::door::{Door, Person};

/// Somebody who types, stops typing and reads, on and on.
#[derive(Debug)]
pub struct Storm {
    person: Person,
    room: String,
    typing: bool,
    /// How much was acknowledged.
    pub gusts: usize,
}

impl Storm {
    pub const fn new(person: Person, room: String) -> Self {
        Self { person, room, typing: false, gusts: 0 }
    }

    /// Typing, or no more; then a receipt for the newest event.
    pub async fn act(&mut self, door: &Door) {
        self.gusts += usize::from(self.gust(door).await.is_some());
    }

    async fn gust(&mut self, door: &Door) -> Option<()> {
        self.typing = !self.typing;
        let Self { person: Person { id, token, .. }, room, .. } = &self;
        let typing = json!({ "typing": self.typing, "timeout": 20_000 });
        door.put(token, &format!("/v3/rooms/{room}/typing/{id}"), &typing).await?;
        let newest = door.get(token, &format!("/v3/rooms/{room}/messages?dir=b&limit=1")).await?;
        let event = newest["chunk"][0]["event_id"].as_str()?;
        door.post(token, &format!("/v3/rooms/{room}/receipt/m.read/{event}"), &json!({})).await?;
        Some(())
    }
}
