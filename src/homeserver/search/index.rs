//! The index: the words of each event that can be searched, as long as it is not redacted.

use std::borrow::Cow;
use std::collections::BTreeSet;

use matron_matrix::digest;
use matron_matrix::splice::{member, text};
use matron_matrix::text::words;
use matron_storage::{Batch, Position, Word};
use serde_json::Value;

use super::Search;
use crate::error::{Error, Result};
use crate::follow::{Chunk, Follow, Output};
use crate::rooms::event::{by_num, parse};
use crate::schema::RoomNum;
use crate::schema::rooms::{Arrival, StoredEvent, TIMELINE};
use crate::schema::search::{FORMER_POSTINGS, POSTINGS};

/// The most different words of one event that it is found by.
const MOST_WORDS: usize = 2000;

/// What of an event can be searched: client-server API, "Search Categories".
pub(super) fn searched(event: &StoredEvent) -> Option<String> {
    let kind = event.header.kind.as_str();
    if !matches!(kind, "m.room.message" | "m.room.name" | "m.room.topic") || event.header.redacted_by.is_some() {
        return None;
    }
    let content = member(&event.json, "content")?;
    let field = |name: &str| member(content, name).and_then(text).map(Cow::into_owned);
    match kind {
        "m.room.message" => field("body"),
        "m.room.name" => field("name"),
        _ => {
            let blocks = member(content, "m.topic").and_then(|topic| member(topic, "m.text")).unwrap_or("[]");
            let blocks: Vec<Value> = serde_json::from_str(blocks).unwrap_or_default();
            let plain = |block: &&Value| block.get("mimetype").is_none_or(|kind| kind.as_str() == Some("text/plain"));
            let plain = blocks.iter().find(plain).and_then(|block| block.get("body")?.as_str());
            let topic = field("topic").unwrap_or_default();
            Some(plain.filter(|plain| *plain != topic).map_or(topic.clone(), |plain| format!("{topic}\n{plain}")))
        }
    }
}

fn different_words(text: &str) -> BTreeSet<String> {
    words(text).into_iter().take(MOST_WORDS).collect()
}

fn row(room: RoomNum, word: &str, position: Position) -> (RoomNum, Word, u64) {
    (room, Word::new(word), u64::MAX - position.get())
}

fn put(batch: &mut Batch, room: RoomNum, position: Position, text: &str) {
    for word in different_words(text) {
        batch.put(&POSTINGS, &row(room, &word, position), &());
    }
}

impl Follow for &Search {
    /// An index that lies where it once did goes: it is made anew.
    async fn begin(&mut self, output: &mut Output<'_>) -> Result<Position> {
        output.batch().delete_range(&FORMER_POSTINGS, &FORMER_POSTINGS.all());
        Ok(Position::ZERO)
    }

    async fn digest(&mut self, chunk: &Chunk, output: &mut Output<'_>) -> Result<()> {
        let keys: Vec<_> = chunk.events.iter().map(|(position, room)| (*room, Arrival::Live(*position))).collect();
        let events = chunk.snapshot.get_many(&TIMELINE, &keys).await?;
        for ((position, room), event) in chunk.events.iter().zip(events) {
            let event = event.ok_or_else(|| Error::internal("the stream names an event that is not there"))?;
            if event.header.kind == "m.room.redaction" {
                self.drop_redacted(chunk, *room, &event, output.batch()).await?;
            } else if let Some(text) = searched(&event) {
                put(output.batch(), *room, *position, &text);
            }
            output.relieve().await?;
        }
        Ok(())
    }
}

impl Search {
    /// Takes what a redaction names out of the index, if the redaction took effect.
    async fn drop_redacted(&self, chunk: &Chunk, room: RoomNum, event: &StoredEvent, batch: &mut Batch) -> Result<()> {
        let Some(target) = parse(event)?.redacts else { return Ok(()) };
        let target = self.ids.event(&chunk.snapshot, &digest::of_event_id(target.as_str())).await?;
        let Some(target) = target else { return Ok(()) };
        let mut found = by_num(&chunk.snapshot, target).await?;
        let Some(Arrival::Live(position)) = found.place.arrival else { return Ok(()) };
        if found.place.room != room || found.event.header.redacted_by.take().is_none() {
            return Ok(());
        }
        let Some(text) = searched(&found.event) else { return Ok(()) };
        for word in different_words(&text) {
            batch.delete(&POSTINGS, &row(room, &word, position));
        }
        Ok(())
    }
}
