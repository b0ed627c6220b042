//! Finding an event by when it was sent: client-server API, "Jump to date".

use matron_matrix::Error as MatrixError;
use ruma::RoomId;

use super::Rooms;
use crate::accounts::Session;
use crate::error::Result;
use crate::schema::rooms::{Arrival, EVENT_TIMES, TIMELINE};

/// How many events are looked at that the user may not see.
const MOST_LOOKS: usize = 5000;
/// How many are read at once.
const PAGE: usize = 16;

impl Rooms {
    /// The id of the event that was sent first at or after a time (or last at or before it), of those that the user may
    /// see, and when that was: milliseconds since 1970.
    ///
    /// # Errors
    /// `M_FORBIDDEN` where they may see nothing of the room; `M_NOT_FOUND` where there is no such event.
    pub async fn event_at(
        &self,
        session: &Session,
        room_id: &RoomId,
        time: u64,
        forward: bool,
    ) -> Result<(String, u64)> {
        let snapshot = self.store.snapshot();
        let mut view = self.view(&snapshot, session, room_id).await?;
        view.state().await?;
        let room = view.room;
        let (first, last) = (Arrival::Backfilled(i64::MIN), Arrival::Live(matron_storage::Position::MAX));
        let mut scan = if forward {
            snapshot.scan(&EVENT_TIMES, EVENT_TIMES.range((room, time, first)..=(room, u64::MAX, last)))
        } else {
            snapshot.scan(&EVENT_TIMES, EVENT_TIMES.range((room, 0, first)..=(room, time, last))).reverse()
        };
        let mut looked = 0;
        while looked < MOST_LOOKS {
            let mut rows = Vec::with_capacity(PAGE);
            while rows.len() < PAGE {
                let Some(((_, sent, arrival), ())) = scan.next().await? else { break };
                rows.push((sent, arrival));
            }
            if rows.is_empty() {
                break;
            }
            looked += rows.len();
            let keys: Vec<_> = rows.iter().map(|(_, arrival)| (room, *arrival)).collect();
            for ((sent, arrival), event) in rows.into_iter().zip(snapshot.get_many(&TIMELINE, &keys).await?) {
                if let Some(event) = event
                    && view.sees(&event, Some(arrival)).await?
                {
                    return Ok((event.header.event_id(), sent));
                }
            }
        }
        let direction = if forward { "after" } else { "before" };
        Err(MatrixError::not_found(format!("there is no event that you may see {direction} that time")).into())
    }
}
