//! Typing and receipts in an answer: client-server API, "Typing Notifications" and "Receipts".

use matron_matrix::filter::Candidate;
use matron_matrix::splice::Object;
use matron_storage::Position;
use serde_json::{Value, json};

use super::Sync;
use super::answer::Events;
use super::filter::SyncFilter;
use crate::accounts::Session;
use crate::ephemeral::contents;
use crate::error::{Error, Result};
use crate::rooms::view::View;
use crate::schema::RoomNum;

/// What a client knows of a room's passing things.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// Receipts up to here.
    pub position: Position,
    /// Typing up to here; nothing where the program was started anew meanwhile.
    pub typing: Option<u64>,
}

/// What passes in a room.
#[derive(Debug, Default)]
pub(super) struct Passing {
    pub events: Events,
    /// Whether the reader's own receipts moved: their counts are others then.
    pub own_moved: bool,
}

impl Sync {
    /// The number of the last change of who types anywhere.
    pub(super) fn typing_counter(&self) -> u64 {
        self.ephemeral.typing_counter()
    }

    /// The rooms where who types changed.
    pub(super) fn rooms_typing_since(&self, since: Option<u64>) -> Vec<RoomNum> {
        let changed = since.and_then(|since| self.ephemeral.typing_changed(since));
        changed.or_else(|| self.ephemeral.typing_changed(0)).unwrap_or_default()
    }

    /// What is new to the client of who types and who read.
    pub(super) async fn passing(
        &self,
        session: &Session,
        filter: &SyncFilter,
        known: Option<Known>,
        view: &View<'_>,
    ) -> Result<Passing> {
        let mut passing = Passing::default();
        let typing_known = known.and_then(|known| known.typing);
        let typing = self.ephemeral.typing_since(view.room, typing_known.unwrap_or(0));
        // Where nobody types, who knows of nobody typing is told nothing.
        if let Some(users) = typing.filter(|users| !users.is_empty() || typing_known.is_some()) {
            add(&mut passing.events, filter, view, "m.typing", &json!({ "user_ids": users }))?;
        }
        let receipts = match known {
            Some(known) if !self.streams.receipts_moved(&view.snapshot, view.room, known.position).await? => Vec::new(),
            Some(known) => {
                self.ephemeral.receipts_since(&view.snapshot, view.room, known.position, session.user).await?
            }
            None => self.ephemeral.all_receipts(&view.snapshot, view.room, session.user).await?,
        };
        passing.own_moved = receipts.iter().any(|receipt| receipt.user_id == session.user_id);
        for content in contents(receipts) {
            add(&mut passing.events, filter, view, "m.receipt", &content)?;
        }
        Ok(passing)
    }
}

fn add(events: &mut Events, filter: &SyncFilter, view: &View<'_>, kind: &str, content: &Value) -> Result<()> {
    if filter.ephemeral.wants(&Candidate { kind, sender: "", room_id: &view.room_id, json: None }) {
        let mut event = Object::begin(events.events.element());
        event.value("content", content).map_err(Error::internal)?;
        event.text("type", kind);
        event.end();
    }
    Ok(())
}
