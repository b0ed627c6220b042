//! A room's threads: client-server API, "Querying threads in a room".

use matron_matrix::event::redacted;
use matron_storage::Position;
use ruma::RoomId;
use serde_json::value::RawValue;

use super::Rooms;
use super::event::{Found, found_by_nums};
use super::view::View;
use crate::accounts::Session;
use crate::error::Result;
use crate::schema::EventNum;
use crate::schema::rooms::{Arrival, THREAD_ORDER, THREADS};
use crate::streams::Token;

/// The most threads that one page may hold.
pub const MOST_THREADS: usize = 100;

/// How many threads a page may look at for each that it holds.
const LOOKS_PER_THREAD: usize = 20;

/// A page of threads.
#[derive(Debug)]
pub struct Threads {
    /// Their roots, the one with the latest reply first.
    pub roots: Vec<Box<RawValue>>,
    /// Where the next page begins; none where there is nothing more.
    pub next: Option<Token>,
}

/// The position before which a page begins.
fn before(from: Option<Token>) -> Position {
    match from {
        None => Position::MAX,
        Some(Token::Stream { position, .. }) => position.next(),
        Some(Token::Room { arrival: Arrival::Live(position), .. }) => position,
        // Threads lie where their latest reply came, and that came live.
        Some(Token::Room { .. }) => Position::ZERO,
    }
}

impl Rooms {
    /// The roots of a room's threads, as far as the user may see them; if asked for, only those of threads in which the
    /// user took part.
    ///
    /// # Errors
    /// `M_FORBIDDEN` where the user may see nothing of the room.
    pub async fn threads(
        &self,
        session: &Session,
        room_id: &RoomId,
        participated: bool,
        from: Option<Token>,
        limit: usize,
    ) -> Result<Threads> {
        let snapshot = self.store.snapshot();
        let mut view = self.view(&snapshot, session, room_id).await?;
        view.state().await?;
        let limit = limit.clamp(1, MOST_THREADS);
        let range = THREAD_ORDER.range((view.room, Position::ZERO)..(view.room, before(from)));
        let mut order = snapshot.scan(&THREAD_ORDER, range).reverse();
        let mut threads = Threads { roots: Vec::new(), next: None };
        let mut looked = 0;
        let mut last = None;
        loop {
            let mut chunk: Vec<(Position, EventNum)> = Vec::new();
            while chunk.len() < limit
                && let Some(((_, position), root)) = order.next().await?
            {
                chunk.push((position, root));
            }
            if chunk.is_empty() {
                return Ok(threads);
            }
            let roots: Vec<_> = chunk.iter().map(|(_, root)| *root).collect();
            let mut shown = show_roots(&mut view, &roots, participated).await?;
            for ((position, _), shown) in chunk.into_iter().zip(shown.drain(..)) {
                if threads.roots.len() == limit || looked == limit * LOOKS_PER_THREAD {
                    threads.next = last;
                    return Ok(threads);
                }
                looked += 1;
                let depth = view.head.depth;
                last = Some(Token::Room { depth, arrival: Arrival::Live(position), until: snapshot.position() });
                threads.roots.extend(shown);
            }
        }
    }
}

/// Roots as the reader gets them: none for those that they do not get.
async fn show_roots(view: &mut View<'_>, roots: &[EventNum], participated: bool) -> Result<Vec<Option<Box<RawValue>>>> {
    let keys: Vec<_> = roots.iter().map(|root| (view.room, *root)).collect();
    let rows = view.snapshot.get_many(&THREADS, &keys).await?;
    let found = found_by_nums(&view.snapshot, roots).await?;
    let spoken = view.participated(found.iter().map(|found| &found.event.header)).await?;
    let ignored = view.rooms.accounts.ignored(&view.snapshot, view.user()).await?;
    let mut shown = Vec::with_capacity(roots.len());
    let mut kept = Vec::with_capacity(roots.len());
    for (Found { mut event, place }, row) in found.into_iter().zip(rows) {
        let is_wanted = row.is_some_and(|row| row.events > 0)
            && (!participated || spoken.contains(&event.header.num))
            && view.may_see(&event, place.arrival).await?;
        if ignored.contains(&event.header.sender) {
            // As if the client had put the thread together itself, without what the ignored user said.
            event.json = redacted(&event.json, &view.rules)?;
        }
        shown.push(None);
        kept.push(is_wanted.then_some(event));
    }
    let events: Vec<_> = kept.iter().flatten().cloned().collect();
    let mut bundles = view.bundles(&events, true).await?;
    for (slot, event) in shown.iter_mut().zip(kept) {
        let Some(event) = event else { continue };
        let bundle = bundles.remove(&event.header.num).filter(super::bundle::Bundle::has_thread);
        if let Some(bundle) = bundle {
            let bundles = std::iter::once((event.header.num, bundle)).collect();
            *slot = view.show_with_bundles(vec![event], bundles, true).await?.pop();
        }
    }
    Ok(shown)
}
