//! Reports of events, rooms and users, kept for the administrators. Client-server API, "Reporting Content".

use std::sync::Arc;

use matron_matrix::Error as MatrixError;
use matron_storage::{Batch, Position, Store};
use ruma::{EventId, RoomId, UserId};

use crate::accounts::Session;
use crate::clock::Clock;
use crate::error::Result;
use crate::ids::Ids;
use crate::limiter::{Limiter, Pace};
use crate::rooms::Rooms;
use crate::rooms::event::by_id;
use crate::schema::UserNum;
use crate::schema::reports::REPORTS;
pub use crate::schema::reports::Report;

/// The longest reason.
const MAX_REASON_BYTES: usize = 8192;
/// How much somebody may report: the first hundred at once. A report is kept until somebody reads it.
const PER_USER: Pace = Pace::daily(100, 500);
/// How many users are remembered.
const REMEMBERED: usize = 20_000;

/// The owner of reports.
#[derive(Debug)]
pub struct Reports {
    store: Arc<Store>,
    ids: Arc<Ids>,
    clock: Clock,
    rooms: Arc<Rooms>,
    /// Who reported lately.
    reporters: Limiter<UserNum>,
}

impl Reports {
    /// Needs the rooms that are reported.
    #[must_use]
    pub fn new(store: Arc<Store>, ids: Arc<Ids>, clock: Clock, rooms: Arc<Rooms>) -> Self {
        Self { store, ids, clock, rooms, reporters: Limiter::new(REMEMBERED) }
    }

    /// A report that says nothing yet of what is reported. It is counted here, before anybody looks what there is: nobody
    /// learns from a limit which rooms and users there are.
    fn report(&self, session: &Session, reason: &str) -> Result<Report> {
        if reason.len() > MAX_REASON_BYTES {
            return Err(MatrixError::invalid_param(format!("a reason has {MAX_REASON_BYTES} bytes at most")).into());
        }
        self.reporters.take(&session.user, PER_USER, self.clock.millis()).map_err(MatrixError::limit_exceeded)?;
        Ok(Report {
            by: session.user,
            at: self.clock.millis(),
            user_id: None,
            room: None,
            event_id: None,
            reason: reason.to_owned(),
        })
    }

    async fn keep(&self, report: &Report) -> Result<()> {
        let mut batch = Batch::new();
        let position = batch.stamp();
        batch.put(&REPORTS, &position, report);
        self.store.commit(batch).await?;
        Ok(())
    }

    /// Reports an event of a room that the reporter is joined to, also one whose sender they ignore: clients offer both at
    /// once.
    ///
    /// # Errors
    /// `M_NOT_FOUND` where they are not joined, there is no such event, or they may not see it; `M_INVALID_PARAM` where the
    /// reason is too long; `M_LIMIT_EXCEEDED`.
    pub async fn event(&self, session: &Session, room_id: &RoomId, event_id: &EventId, reason: &str) -> Result<()> {
        let missing = || MatrixError::not_found("the event is not known, or you are not joined to its room");
        let mut report = self.report(session, reason)?;
        let snapshot = self.store.snapshot();
        let room = self.ids.room(&snapshot, room_id.as_str()).await?.ok_or_else(missing)?;
        let mut view = self.rooms.view_of(&snapshot, session, room).await?;
        if !view.is_joined() {
            return Err(missing().into());
        }
        let found = view.find_of_anybody(event_id).await?;
        report.user_id = Some(self.ids.user_id(found.event.header.sender).await?.to_string());
        report.room = Some(room);
        report.event_id = Some(event_id.to_string());
        self.keep(&report).await
    }

    /// Reports a room, be it one that the reporter may not see: who turned an invite down was in none, and has seen enough.
    /// The answer does not tell whether there is one.
    ///
    /// # Errors
    /// `M_INVALID_PARAM` where the reason is too long; `M_LIMIT_EXCEEDED`.
    pub async fn room(&self, session: &Session, room_id: &RoomId, reason: &str) -> Result<()> {
        let mut report = self.report(session, reason)?;
        report.room = self.ids.room(&self.store.snapshot(), room_id.as_str()).await?;
        if report.room.is_none() {
            return Ok(());
        }
        self.keep(&report).await
    }

    /// Reports a user. The answer does not tell whether there is one.
    ///
    /// # Errors
    /// `M_INVALID_PARAM` where the reason is too long; `M_LIMIT_EXCEEDED`.
    pub async fn user(&self, session: &Session, user_id: &UserId, reason: &str) -> Result<()> {
        let mut report = self.report(session, reason)?;
        if self.ids.find_user(user_id).await?.is_none() {
            return Ok(());
        }
        report.user_id = Some(user_id.to_string());
        self.keep(&report).await
    }

    /// Reports, newest first: up to `limit` of them before `before`.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn list(&self, before: Option<Position>, limit: usize) -> Result<Vec<(Position, Report)>> {
        let before = before.unwrap_or(Position::MAX);
        Ok(self.store.snapshot().scan(&REPORTS, REPORTS.range(..before)).reverse().take(limit).await?)
    }

    /// One report.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn get(&self, report: Position) -> Result<Option<Report>> {
        Ok(self.store.snapshot().get(&REPORTS, &report).await?)
    }

    /// What a reported event says: its JSON, unless it was redacted or is here no more.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn said(&self, report: &Report) -> Result<Option<Box<str>>> {
        let Some(id) = report.event_id.as_deref().and_then(|id| <&EventId>::try_from(id).ok()) else { return Ok(None) };
        let found = by_id(&self.rooms, &self.store.snapshot(), id).await?;
        let event = found.map(|found| found.event).filter(|event| event.header.redacted_by.is_none());
        Ok(event.map(|event| event.json))
    }

    /// Deletes a report. Says whether it was there.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn delete(&self, report: Position) -> Result<bool> {
        let was_there = self.get(report).await?.is_some();
        let mut batch = Batch::new();
        batch.delete(&REPORTS, &report);
        self.store.commit(batch).await?;
        Ok(was_there)
    }
}

#[cfg(test)]
mod tests;
