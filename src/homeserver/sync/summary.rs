//! Room summaries: how many members, and heroes to name a nameless room by. Client-server API, `RoomSummary`.

use std::sync::Arc;

use matron_matrix::client_event::content;
use matron_matrix::splice::{member, text};
use matron_storage::Position;

use super::answer::Summary;
use crate::error::Result;
use crate::rooms::event::found_by_nums;
use crate::rooms::tree::Change;
use crate::rooms::view::View;
use crate::schema::rooms::{Arrival, MEMBERS, Membership, StoredEvent};
use crate::schema::{EventNum, UserNum};

/// As many as the spec names a room by.
const HEROES: usize = 5;

/// So many rows of members are looked at for heroes: of a room with no more of them, the first ones are found.
pub(super) const LOOKS: usize = 32;
/// So many more where heroes are missing yet: many may have left before those who are there came.
const FURTHER_LOOKS: usize = 2048;

/// What names a room, and where its content has the name.
const NAMES: [(&str, &str); 2] = [("m.room.name", "name"), ("m.room.canonical_alias", "alias")];

/// Whether a room's summary may be another one than at `since`: its members changed, or what names it did.
///
/// # Errors
/// The store cannot be read.
pub(super) async fn is_news(view: &View<'_>, changes: &[Change], since: Position) -> Result<bool> {
    let (ids, streams) = (&view.rooms.ids, &view.rooms.streams);
    for change in changes {
        let kind = ids.kind_name(ids.state_key_name(change.key).await?.kind).await?;
        if *kind == *"m.room.member" || NAMES.iter().any(|(name, _)| *kind == **name) {
            return Ok(true);
        }
    }
    // A name that is redacted goes without a change of the state.
    if streams.redacted_at(view.room) <= since && !streams.is_before(since) {
        return Ok(false);
    }
    let redactions: Vec<EventNum> = names(view).await?.iter().filter_map(|event| event.header.redacted_by).collect();
    let redactions = found_by_nums(&view.snapshot, &redactions).await?;
    Ok(redactions.iter().any(|redaction| redaction.place.arrival > Some(Arrival::Live(since))))
}

/// The summary, and the heroes' numbers.
///
/// # Errors
/// The store cannot be read.
pub(super) async fn summary(view: &View<'_>) -> Result<(Summary, Vec<UserNum>)> {
    let mut summary = Summary { heroes: None, joined: Some(view.head.joined), invited: Some(view.head.invited) };
    for event in names(view).await? {
        if is_name(&event)? {
            return Ok((summary, Vec::new()));
        }
    }
    let heroes = heroes(view).await?;
    let mut ids = Vec::with_capacity(heroes.len());
    for hero in &heroes {
        ids.push(view.rooms.ids.user_id(*hero).await?.to_string());
    }
    summary.heroes = Some(ids);
    Ok((summary, heroes))
}

/// The state events that may name the room.
async fn names(view: &View<'_>) -> Result<Vec<Arc<StoredEvent>>> {
    let mut nums = Vec::new();
    for (kind, _) in NAMES {
        nums.extend(view.state_event(view.head.state, kind, "").await?);
    }
    view.rooms.state_events(&view.snapshot, view.room, &nums).await
}

/// Whether there is a name in such an event: it may be empty, or redacted.
fn is_name(event: &StoredEvent) -> Result<bool> {
    if event.header.redacted_by.is_some() {
        return Ok(false);
    }
    let content = content(&event.json)?;
    let named = NAMES.iter().filter(|(kind, _)| *kind == event.header.kind);
    Ok(named.filter_map(|(_, field)| text(member(content, field)?)).any(|name| !name.is_empty()))
}

/// The first of the others who are joined or invited; where there are none, of those who are gone. Events have rising
/// numbers, so members are in the order of theirs.
async fn heroes(view: &View<'_>) -> Result<Vec<UserNum>> {
    let is_there = |membership| matches!(membership, Membership::Join | Membership::Invite);
    let own = u64::from(view.own.as_ref().is_some_and(|own| is_there(own.membership)));
    let others = (view.head.joined + view.head.invited).saturating_sub(own);
    let (mut there, mut gone) = (Vec::new(), Vec::new());
    let mut rows = view.snapshot.scan(&MEMBERS, MEMBERS.under(&(view.room,))).expecting(LOOKS);
    let mut looked = 0;
    while let Some(((_, user), row)) = rows.next().await? {
        looked += 1;
        match row.membership {
            _ if user == view.user() => {}
            Membership::Join | Membership::Invite => there.push((row.event, user)),
            Membership::Leave | Membership::Ban => gone.push((row.event, user)),
            Membership::Knock => {}
        }
        let all = others > 0 && there.len() as u64 >= others;
        let enough = looked >= LOOKS && (others == 0 || there.len() >= HEROES);
        if all || enough || looked >= LOOKS + FURTHER_LOOKS {
            break;
        }
    }
    let mut heroes = if others == 0 { gone } else { there };
    heroes.sort_unstable();
    Ok(heroes.into_iter().take(HEROES).map(|(_, user)| user).collect())
}
