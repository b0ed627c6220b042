//! Who ignores whom: a list of each user's, kept the other way round as well. Client-server API, "Ignoring Users".

use std::collections::HashSet;
use std::sync::Arc;

use matron_matrix::Error as MatrixError;
use matron_storage::{Batch, Position, Snapshot};
use ruma::{OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Accounts;
use super::account_data::{IGNORED_USER_LIST, key};
use crate::error::Result;
use crate::schema::UserNum;
use crate::schema::accounts::{ACCOUNT_DATA, IGNORED_BY};
use crate::streams::Subject;

#[cfg(test)]
mod tests;

/// How many users somebody can ignore: each of them gets a number and a row.
const MAX_IGNORED: usize = 1000;
/// The longest user id.
const MAX_USER_ID_BYTES: usize = 255;

impl Accounts {
    /// Whom a user ignores. From memory where nothing of the user's changed.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn ignored(&self, snapshot: &Snapshot, user: UserNum) -> Result<Arc<HashSet<UserNum>>> {
        if let Some(ignored) = self.derived.ignored.get(&self.streams, snapshot, user) {
            return Ok(ignored);
        }
        let row = snapshot.get(&ACCOUNT_DATA, &key(user, None, IGNORED_USER_LIST)).await?;
        let written = row.as_ref().map_or(Position::ZERO, |row| row.position);
        if let Some(ignored) = self.derived.ignored.of_row(snapshot, user, written) {
            return Ok(ignored);
        }
        let ignored = self.users_of_list(user, row.as_ref().map(|row| row.content.as_str())).await?;
        let bytes = 128 + ignored.len() * 24;
        Ok(self.derived.ignored.keep(snapshot, user, written, (ignored, bytes)))
    }

    /// Keeps the list of ignored users the other way round.
    pub(super) async fn ignore(&self, batch: &mut Batch, user: UserNum, old: Option<&str>, new: &str) -> Result<()> {
        let names = ignored_names(Some(new));
        if names.len() > MAX_IGNORED {
            return Err(MatrixError::too_large(format!("{MAX_IGNORED} users can be ignored")).into());
        }
        // Who is not known yet gets a number now, so that they are ignored when they come.
        for name in names.keys() {
            if let Some(id) = user_id(name) {
                self.ids.user(&id).await?;
            }
        }
        let old = self.users_of_list(user, old).await?;
        let new = self.users_of_list(user, Some(new)).await?;
        for gone in old.difference(&new) {
            batch.delete(&IGNORED_BY, &(*gone, user));
        }
        for come in new.difference(&old) {
            batch.put(&IGNORED_BY, &(*come, user), &());
        }
        batch.announce(Subject::Rules(user).into());
        Ok(())
    }

    /// Who ignores a user.
    pub(crate) async fn ignorers(&self, snapshot: &Snapshot, ignored: UserNum) -> Result<Vec<UserNum>> {
        let rows = snapshot.scan(&IGNORED_BY, IGNORED_BY.under(&(ignored,))).collect().await?;
        Ok(rows.into_iter().map(|((_, user), ())| user).collect())
    }

    /// The users of a list. Nobody can ignore themselves.
    async fn users_of_list(&self, user: UserNum, content: Option<&str>) -> Result<HashSet<UserNum>> {
        let mut users = HashSet::new();
        for (name, _) in ignored_names(content) {
            if let Some(id) = user_id(&name)
                && let Some(ignored) = self.ids.find_user(&id).await?
                && ignored != user
            {
                users.insert(ignored);
            }
        }
        Ok(users)
    }
}

/// A name that somebody can have.
fn user_id(name: &str) -> Option<OwnedUserId> {
    if name.len() > MAX_USER_ID_BYTES {
        return None;
    }
    UserId::parse(name).ok()
}

/// The names in an `m.ignored_user_list`; a list of another form than the spec's is empty.
fn ignored_names(content: Option<&str>) -> Map<String, Value> {
    #[derive(Deserialize)]
    struct Content {
        ignored_users: Map<String, Value>,
    }
    let content: Option<Content> = content.and_then(|content| serde_json::from_str(content).ok());
    content.map(|content| content.ignored_users).unwrap_or_default()
}
