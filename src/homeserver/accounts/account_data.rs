//! Account data: what users keep here for their clients, of the account and of single rooms. Client-server API, "Client
//! Config".

use std::ops::Bound;

use matron_matrix::Error as MatrixError;
use matron_storage::{Batch, Error as StorageError, Position, Snapshot};
use ruma::{RoomId, UserId};
use serde_json::value::RawValue;

use super::{Accounts, Session};
use crate::error::{Error, Result};
use crate::schema::accounts::{ACCOUNT_DATA, AccountData, USER_STREAM, UserChange, UserNews};
use crate::schema::{RoomNum, UserNum};
use crate::streams::Subject;

mod growth;
#[cfg(test)]
mod tests;

pub(super) use growth::Growth;

/// The push rules, which have an API of their own.
pub const PUSH_RULES: &str = "m.push_rules";
/// How far a room was read, which has an API of its own.
pub const FULLY_READ: &str = "m.fully_read";
/// Whom a user ignores.
pub const IGNORED_USER_LIST: &str = "m.ignored_user_list";
/// The largest content: room lists of busy accounts fit, and so does every engine's row.
const MAX_CONTENT_BYTES: usize = 90_000;
/// The longest type.
const MAX_TYPE_BYTES: usize = 255;
/// How often a change is tried again that another one came in between of.
pub(super) const TRIES: usize = 16;
/// Where the account's own data lies: no room has this number.
const NO_ROOM: RoomNum = RoomNum(0);

/// A piece of account data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The room; none for the account's own.
    pub room: Option<RoomNum>,
    /// Its type.
    pub kind: String,
    /// Its content, a JSON object.
    pub content: String,
}

/// Refuses what is about somebody else.
pub(super) fn only_own(session: &Session, user_id: &UserId) -> Result<()> {
    if session.user_id != user_id {
        return Err(MatrixError::forbidden("this belongs to another user").into());
    }
    Ok(())
}

impl Accounts {
    /// A piece of the user's own account data, for its owner.
    ///
    /// # Errors
    /// `M_FORBIDDEN` where it is another user's, `M_NOT_FOUND` where there is none.
    pub async fn get_account_data(
        &self,
        session: &Session,
        user_id: &UserId,
        room_id: Option<&RoomId>,
        kind: &str,
    ) -> Result<String> {
        only_own(session, user_id)?;
        let snapshot = self.store.snapshot();
        let missing = || MatrixError::not_found("there is no such account data");
        let room = match room_id {
            None if kind == PUSH_RULES => return self.push_rules_content(&snapshot, session.user).await,
            None => None,
            Some(id) => Some(self.ids.room(&snapshot, id.as_str()).await?.ok_or_else(missing)?),
        };
        let content = self.account_data(&snapshot, session.user, room, kind).await?;
        Ok(content.ok_or_else(missing)?)
    }

    /// Sets a piece of account data as its owner asks. The room need not be one of theirs.
    ///
    /// # Errors
    /// `M_FORBIDDEN` where it is another user's, `M_BAD_JSON` with status 405 where the server alone writes it,
    /// `M_BAD_JSON` where it is no object, `M_NOT_FOUND` where nobody knows the room, `M_TOO_LARGE` also where the user
    /// keeps too much already.
    pub async fn put_account_data(
        &self,
        session: &Session,
        user_id: &UserId,
        room_id: Option<&RoomId>,
        kind: &str,
        content: &str,
    ) -> Result<()> {
        only_own(session, user_id)?;
        if kind == PUSH_RULES || kind == FULLY_READ {
            let error = MatrixError::bad_json(format!("{kind} is not set through this API"));
            return Err(Error::ServerControlled(error));
        }
        if !serde_json::from_str::<&RawValue>(content).is_ok_and(|json| json.get().starts_with('{')) {
            return Err(MatrixError::bad_json("account data is a JSON object").into());
        }
        let room = self.known_room(room_id).await?;
        let old = self.account_data(&self.store.snapshot(), session.user, room, kind).await?;
        let more = content.len().saturating_sub(old.map_or(0, |old| old.len()));
        // What becomes less is never too much.
        if more > 0 {
            self.check_kept(session.user, kind.len() + more).await?;
        }
        self.set_account_data(session.user, room, kind, content).await
    }

    /// Sets a piece of account data; the content is a JSON object. Who is ignored is kept the other way round, too.
    ///
    /// # Errors
    /// `M_INVALID_PARAM` or `M_TOO_LARGE` where type or content are too long; the store cannot be written.
    pub async fn set_account_data(
        &self,
        user: UserNum,
        room: Option<RoomNum>,
        kind: &str,
        content: &str,
    ) -> Result<()> {
        self.change_account_data(user, room, kind, |_| Ok(Some(content.to_owned()))).await
    }

    /// A piece of account data, as it lies in the store.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn account_data(
        &self,
        snapshot: &Snapshot,
        user: UserNum,
        room: Option<RoomNum>,
        kind: &str,
    ) -> Result<Option<String>> {
        let row = snapshot.get(&ACCOUNT_DATA, &key(user, room, kind)).await?;
        Ok(row.map(|row| row.content).filter(|content| !content.is_empty()))
    }

    /// The pieces of account data that changed after `since`, for sync. Costs what changed.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn account_data_since(&self, snapshot: &Snapshot, user: UserNum, since: Position) -> Result<Vec<Piece>> {
        let range = (Bound::Excluded((user, since)), Bound::Included((user, Position::MAX)));
        let mut changes = snapshot.scan(&USER_STREAM, USER_STREAM.range(range));
        let mut keys = Vec::new();
        while let Some((_, news)) = changes.next().await? {
            if news.change == UserChange::AccountData {
                keys.push((user, news.room.unwrap_or(NO_ROOM), news.kind));
            }
        }
        let rows = snapshot.get_many(&ACCOUNT_DATA, &keys).await?;
        let mut pieces = Vec::with_capacity(rows.len());
        for (key, row) in keys.into_iter().zip(rows) {
            pieces.extend(row.and_then(|row| piece((key, row))));
        }
        self.with_whole_push_rules(snapshot, user, &mut pieces).await?;
        Ok(pieces)
    }

    /// All account data, of the account and of rooms, for a sync from the beginning. Push rules are always among it.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn all_account_data(&self, snapshot: &Snapshot, user: UserNum) -> Result<Vec<Piece>> {
        let rows = snapshot.scan(&ACCOUNT_DATA, ACCOUNT_DATA.under(&(user,))).collect().await?;
        let mut pieces: Vec<_> = rows.into_iter().filter_map(piece).collect();
        if !pieces.iter().any(|piece| piece.room.is_none() && piece.kind == PUSH_RULES) {
            pieces.push(Piece { room: None, kind: PUSH_RULES.to_owned(), content: String::new() });
        }
        self.with_whole_push_rules(snapshot, user, &mut pieces).await?;
        Ok(pieces)
    }

    /// All account data of a room, for a room that comes into a sync whole.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn room_account_data(&self, snapshot: &Snapshot, user: UserNum, room: RoomNum) -> Result<Vec<Piece>> {
        let rows = snapshot.scan(&ACCOUNT_DATA, ACCOUNT_DATA.under(&(user, room))).collect().await?;
        Ok(rows.into_iter().filter_map(piece).collect())
    }

    /// Changes a piece of account data by what it is now, in one batch that fails if it was changed meanwhile, and is
    /// then built anew. `change` gives the new content, or none where there is nothing to do.
    pub(super) async fn change_account_data(
        &self,
        user: UserNum,
        room: Option<RoomNum>,
        kind: &str,
        mut change: impl FnMut(Option<&str>) -> Result<Option<String>> + Send,
    ) -> Result<()> {
        if kind.is_empty() || kind.len() > MAX_TYPE_BYTES {
            return Err(MatrixError::invalid_param("a type has 1 to 255 bytes").into());
        }
        let key = key(user, room, kind);
        for _ in 0..TRIES {
            let old = self.store.snapshot().get(&ACCOUNT_DATA, &key).await?;
            let old_content = old.as_ref().map(|row| row.content.as_str()).filter(|content| !content.is_empty());
            let Some(content) = change(old_content)? else { return Ok(()) };
            if content.len() > MAX_CONTENT_BYTES {
                return Err(MatrixError::too_large(format!("{MAX_CONTENT_BYTES} bytes are allowed")).into());
            }
            let mut batch = Batch::new();
            if room.is_none() && kind == IGNORED_USER_LIST {
                self.ignore(&mut batch, user, old_content, &content).await?;
            }
            if room.is_none() && kind == PUSH_RULES {
                self.note_special_rules(&mut batch, user, &content).await?;
            }
            batch.expect(&ACCOUNT_DATA, &key, old.as_ref());
            if let Some(old) = &old {
                batch.delete(&USER_STREAM, &(user, old.position));
            }
            let position = batch.stamp();
            batch.put(&ACCOUNT_DATA, &key, &AccountData { position, content });
            let news = UserNews { change: UserChange::AccountData, room, kind: kind.to_owned() };
            batch.put(&USER_STREAM, &(user, position), &news);
            batch.announce(Subject::User(user).into());
            match self.store.commit(batch).await {
                Ok(_) => return Ok(()),
                Err(StorageError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StorageError::Conflict.into())
    }

    /// Rules in the store lack what became a default rule since.
    async fn with_whole_push_rules(&self, snapshot: &Snapshot, user: UserNum, pieces: &mut [Piece]) -> Result<()> {
        if let Some(rules) = pieces.iter_mut().find(|piece| piece.room.is_none() && piece.kind == PUSH_RULES) {
            rules.content = self.push_rules_content(snapshot, user).await?;
        }
        Ok(())
    }

    /// The room of a request that writes.
    pub(super) async fn known_room(&self, room_id: Option<&RoomId>) -> Result<Option<RoomNum>> {
        let Some(room_id) = room_id else { return Ok(None) };
        let room = self.ids.room(&self.store.snapshot(), room_id.as_str()).await?;
        Ok(Some(room.ok_or_else(|| MatrixError::not_found("the room is not known here"))?))
    }
}

pub(super) fn key(user: UserNum, room: Option<RoomNum>, kind: &str) -> (UserNum, RoomNum, String) {
    (user, room.unwrap_or(NO_ROOM), kind.to_owned())
}

fn piece(((_, room, kind), row): ((UserNum, RoomNum, String), AccountData)) -> Option<Piece> {
    let room = (room != NO_ROOM).then_some(room);
    (!row.content.is_empty()).then_some(Piece { room, kind, content: row.content })
}
