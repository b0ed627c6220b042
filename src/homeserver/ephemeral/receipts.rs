//! How far everybody has read: client-server API, "Receipts" and "Read and unread markers".

use std::collections::BTreeMap;
use std::ops::Bound;

use matron_matrix::Error as MatrixError;
use matron_storage::{Batch, Error as StorageError, Position, Snapshot};
use ruma::{EventId, OwnedEventId, OwnedUserId, RoomId};
use serde_json::{Value, json};

use super::Ephemeral;
use crate::accounts::{FULLY_READ, Session};
use crate::error::Result;
use crate::rooms::event;
use crate::schema::ephemeral::{RECEIPT_STREAM, RECEIPTS, Receipt, ReceiptKey, ReceiptKind};
use crate::schema::rooms::{Arrival, StoredEvent, THREADS};
use crate::schema::{RoomNum, UserNum};
use crate::streams::Subject;

/// How often a receipt is tried again that another one came in between of.
const TRIES: usize = 16;
/// The longest event id that may stand in a row.
const MAX_EVENT_ID_BYTES: usize = 255;
/// The thread of all events that are in no other one.
const MAIN: &str = "main";
/// How many receipts of threads one for all of them takes away at most; others go with the next one.
const MOST_DROPPED: usize = 1000;

/// What a client says that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// `m.read` or `m.read.private`.
    Receipt(ReceiptKind),
    /// `m.fully_read`.
    FullyRead,
}

/// A receipt as it is shown to those who may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The event that was read.
    pub event_id: String,
    /// Public or private.
    pub kind: ReceiptKind,
    /// Who read it.
    pub user_id: OwnedUserId,
    /// Of which thread: empty for none (unthreaded), `main`, or the root's event id.
    pub thread: String,
    /// When, in milliseconds since 1970.
    pub at: u64,
}

/// Receipts as the contents of `m.receipt` events: of one, as clients are used to. But a content has room for one receipt of
/// each sort on an event for each user, and somebody may have read an event in two threads, as a root in the main timeline
/// and in its own: what finds no room goes into another.
#[must_use]
pub fn contents(mut receipts: Vec<Shown>) -> Vec<Value> {
    let mut contents = Vec::new();
    while !receipts.is_empty() {
        let mut content: BTreeMap<String, BTreeMap<&str, BTreeMap<OwnedUserId, Value>>> = BTreeMap::new();
        let mut rest = Vec::new();
        for receipt in receipts {
            let name = match receipt.kind {
                ReceiptKind::Public => "m.read",
                ReceiptKind::Private => "m.read.private",
            };
            let users = content.entry(receipt.event_id.clone()).or_default().entry(name).or_default();
            if users.contains_key(&receipt.user_id) {
                rest.push(receipt);
                continue;
            }
            let Shown { user_id, thread, at, .. } = receipt;
            let value = if thread.is_empty() { json!({ "ts": at }) } else { json!({ "ts": at, "thread_id": thread }) };
            users.insert(user_id, value);
        }
        contents.push(json!(content));
        receipts = rest;
    }
    contents
}

/// How far a user has read a room, per thread (empty: unthreaded): the further of their public and private receipts.
///
/// # Errors
/// The store cannot be read.
pub async fn read_positions(snapshot: &Snapshot, room: RoomNum, user: UserNum) -> Result<Vec<(String, Position)>> {
    let mut positions: Vec<(String, Position)> = Vec::new();
    let mut scan = snapshot.scan(&RECEIPTS, RECEIPTS.under(&(room, user)));
    while let Some(((.., thread), receipt)) = scan.next().await? {
        let Some(read) = receipt.read else { continue };
        match positions.iter_mut().find(|(known, _)| *known == thread) {
            Some((_, position)) => *position = read.max(*position),
            None => positions.push((thread, read)),
        }
    }
    Ok(positions)
}

impl Ephemeral {
    /// Marks an event as read, and with it what came before. What is not further than before changes nothing, nor does
    /// an event that is not known, nor a receipt for a thread where one without says as much.
    ///
    /// # Errors
    /// `M_FORBIDDEN` where the user is not joined; `M_INVALID_PARAM` where the thread is none, or not the event's.
    pub async fn read(
        &self,
        session: &Session,
        room_id: &RoomId,
        mark: Mark,
        event_id: &EventId,
        thread: Option<&str>,
    ) -> Result<()> {
        let snapshot = self.store.snapshot();
        let room = self.rooms.joined_room(&snapshot, session, room_id).await?;
        if event_id.as_str().len() > MAX_EVENT_ID_BYTES {
            return Err(MatrixError::invalid_param("an event id has 255 bytes at most").into());
        }
        if let Some(thread) = thread {
            check_thread(mark, thread)?;
        }
        let found = event::by_id(&self.rooms, &snapshot, event_id).await?.filter(|found| found.place.room == room);
        let Some(found) = found else { return Ok(()) };
        match mark {
            Mark::FullyRead => {
                let content = json!({ "event_id": event_id }).to_string();
                self.accounts.set_account_data(session.user, Some(room), FULLY_READ, &content).await
            }
            Mark::Receipt(kind) => {
                if let Some(thread) = thread {
                    self.check_in_thread(&snapshot, room, &found.event, thread).await?;
                }
                let Some(Arrival::Live(read)) = found.place.arrival else { return Ok(()) };
                let thread = thread.unwrap_or_default().to_owned();
                let key = ReceiptKey { user: session.user, kind, thread };
                self.move_receipt(room, key, event_id, read).await
            }
        }
    }

    /// An event is in the thread that a receipt names; the main timeline has all that are in none, and roots.
    async fn check_in_thread(
        &self,
        snapshot: &Snapshot,
        room: RoomNum,
        read: &StoredEvent,
        thread: &str,
    ) -> Result<()> {
        let header = &read.header;
        let is_in = match (thread, header.thread) {
            (MAIN, thread) => thread.is_none(),
            (root, Some(thread)) => event::by_num(snapshot, thread).await?.event.header.event_id() == root,
            // A root stands in the main timeline, but a thread is read from its root on. Not every event is one.
            (root, None) => header.event_id() == root && snapshot.get(&THREADS, &(room, header.num)).await?.is_some(),
        };
        if is_in {
            return Ok(());
        }
        Err(MatrixError::invalid_param("the event is not in the thread").into())
    }

    async fn move_receipt(&self, room: RoomNum, key: ReceiptKey, event_id: &EventId, read: Position) -> Result<()> {
        let ReceiptKey { user, kind, thread } = key.clone();
        let row = (room, user, kind, thread);
        for _ in 0..TRIES {
            let snapshot = self.store.snapshot();
            let old = snapshot.get(&RECEIPTS, &row).await?;
            if old.as_ref().is_some_and(|old| reaches(old, read)) || is_said(&snapshot, room, &key, read).await? {
                return Ok(());
            }
            let mut batch = Batch::new();
            if key.thread.is_empty() {
                drop_said(&snapshot, &mut batch, room, &key, read).await?;
            }
            batch.expect(&RECEIPTS, &row, old.as_ref());
            if let Some(old) = &old {
                batch.delete(&RECEIPT_STREAM, &(room, old.position));
            }
            let position = batch.stamp();
            let at = self.clock.millis();
            let receipt = Receipt { event_id: event_id.to_string(), read: Some(read), at, position };
            batch.put(&RECEIPTS, &row, &receipt);
            batch.put(&RECEIPT_STREAM, &(room, position), &key);
            // Sync looks into the rooms that changed: also for a private one, which only its user is then shown.
            batch.announce(Subject::Room(room).into());
            batch.announce(Subject::Receipts(room).into());
            // Their counts change, on all of their devices.
            batch.announce(Subject::User(user).into());
            batch.announce(Subject::Read(user).into());
            batch.unsynced();
            match self.store.commit(batch).await {
                Ok(_) => return Ok(()),
                Err(StorageError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StorageError::Conflict.into())
    }

    /// The receipts of a room that came after `since`, as far as `reader` may see them. Costs what changed.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn receipts_since(
        &self,
        snapshot: &Snapshot,
        room: RoomNum,
        since: Position,
        reader: UserNum,
    ) -> Result<Vec<Shown>> {
        let range = (Bound::Excluded((room, since)), Bound::Included((room, Position::MAX)));
        let mut scan = snapshot.scan(&RECEIPT_STREAM, RECEIPT_STREAM.range(range));
        let mut keys = Vec::new();
        while let Some((_, ReceiptKey { user, kind, thread })) = scan.next().await? {
            if may_see(reader, user, kind) {
                keys.push((room, user, kind, thread));
            }
        }
        let rows = snapshot.get_many(&RECEIPTS, &keys).await?;
        let mut shown = Vec::with_capacity(rows.len());
        for ((_, user, kind, thread), row) in keys.into_iter().zip(rows) {
            if let Some(receipt) = row {
                shown.push(self.shown(user, kind, thread, receipt).await?);
            }
        }
        Ok(shown)
    }

    /// All receipts of a room that `reader` may see, for a room that comes into a sync whole.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn all_receipts(&self, snapshot: &Snapshot, room: RoomNum, reader: UserNum) -> Result<Vec<Shown>> {
        let mut shown = Vec::new();
        let mut scan = snapshot.scan(&RECEIPTS, RECEIPTS.under(&(room,)));
        while let Some(((_, user, kind, thread), receipt)) = scan.next().await? {
            if may_see(reader, user, kind) {
                shown.push(self.shown(user, kind, thread, receipt).await?);
            }
        }
        Ok(shown)
    }

    async fn shown(&self, user: UserNum, kind: ReceiptKind, thread: String, receipt: Receipt) -> Result<Shown> {
        let user_id = self.ids.user_id(user).await?;
        Ok(Shown { event_id: receipt.event_id, kind, user_id, thread, at: receipt.at })
    }
}

/// Whether a receipt is as far as a position.
fn reaches(receipt: &Receipt, read: Position) -> bool {
    receipt.read.is_some_and(|at| at >= read)
}

/// Whether a receipt for all threads can stand for one of a thread: whoever sees the latter sees the former too.
fn covers(whole: ReceiptKind, threaded: ReceiptKind) -> bool {
    whole == ReceiptKind::Public || threaded == ReceiptKind::Private
}

/// Whether a receipt of a thread says no more than one for all threads that is there.
async fn is_said(snapshot: &Snapshot, room: RoomNum, key: &ReceiptKey, read: Position) -> Result<bool> {
    if key.thread.is_empty() {
        return Ok(false);
    }
    for whole in [ReceiptKind::Public, ReceiptKind::Private] {
        if covers(whole, key.kind)
            && let Some(receipt) = snapshot.get(&RECEIPTS, &(room, key.user, whole, String::new())).await?
            && reaches(&receipt, read)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Takes away the receipts of threads that say no more than this one for all threads.
async fn drop_said(
    snapshot: &Snapshot,
    batch: &mut Batch,
    room: RoomNum,
    whole: &ReceiptKey,
    read: Position,
) -> Result<()> {
    let mut rows = snapshot.scan(&RECEIPTS, RECEIPTS.under(&(room, whole.user)));
    let mut dropped = 0;
    while dropped < MOST_DROPPED
        && let Some((row, receipt)) = rows.next().await?
    {
        let (_, _, kind, thread) = &row;
        if thread.is_empty() || !covers(whole.kind, *kind) || receipt.read.is_some_and(|at| at > read) {
            continue;
        }
        batch.expect_value(&RECEIPTS, &row, &receipt);
        batch.delete(&RECEIPTS, &row);
        batch.delete(&RECEIPT_STREAM, &(room, receipt.position));
        dropped += 1;
    }
    Ok(())
}

fn may_see(reader: UserNum, user: UserNum, kind: ReceiptKind) -> bool {
    kind == ReceiptKind::Public || reader == user
}

fn check_thread(mark: Mark, thread: &str) -> Result<()> {
    if mark == Mark::FullyRead {
        return Err(MatrixError::invalid_param("m.fully_read has no thread").into());
    }
    if thread != MAIN && (thread.len() > MAX_EVENT_ID_BYTES || OwnedEventId::try_from(thread).is_err()) {
        return Err(MatrixError::invalid_param("thread_id is `main` or an event id").into());
    }
    Ok(())
}
