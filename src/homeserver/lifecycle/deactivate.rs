//! Closing an account for good: nobody gets in any more, and nobody else ever gets the name.
//!
//! What the user keeps here alone goes in the batch that closes the account. Leaving the user's rooms comes before it, by
//! the owner of rooms, and so do devices where there are very many: many batches, each of which may be done again, so that a stop halfway leaves an account that is
//! still open and can be closed again.

use std::sync::Arc;

use matron_matrix::Error as MatrixError;
use matron_storage::{Batch, Error as StorageError, Snapshot};
use ruma::api::client::uiaa::AuthData;
use serde::Deserialize;

use super::Lifecycle;
use super::devices::TRIES_AT_LOG_INS;
use super::interactive::Operation;
use crate::accounts::{Session, replace};
use crate::error::{Error, Result};
use crate::schema::accounts::{
    ACCOUNT_DATA, Account, ERASED, FILTERS, IGNORED_BY, PROFILES, RATE_LIMIT_OVERRIDES, SPECIAL_RULES,
};
use crate::schema::{RoomNum, UserNum};
use crate::streams::Subject;

impl Lifecycle {
    /// Closes the caller's account, after the password. With `erase` its messages are served to nobody who had not seen
    /// them. It is closed also where it cannot leave some rooms: nobody could ask for it again by this way, and the log tells
    /// administrators, who can.
    ///
    /// # Errors
    /// As [`Self::authorize`].
    pub async fn deactivate(
        self: &Arc<Self>,
        session: Option<&Session>,
        auth: Option<&AuthData>,
        operation: Operation<'_>,
        erase: bool,
    ) -> Result<()> {
        let proven = self.authorize(session, auth, operation).await?;
        self.close_by_task(proven.user, erase).await.map(drop)
    }

    /// Closes an account without asking for its password: for administrators. May be done again: to erase, say. It is done
    /// also where whoever asked waits no longer, since leaving many rooms takes a while.
    ///
    /// # Errors
    /// `M_NOT_FOUND`; [`Error::Upstream`] where it is closed but still in rooms, whose policy servers do not let it leave:
    /// it leaves them when it is closed again.
    pub async fn deactivate_user(self: &Arc<Self>, user: UserNum, erase: bool) -> Result<()> {
        match self.close_by_task(user, erase).await? {
            0 => Ok(()),
            rooms => Err(Error::Upstream(MatrixError::unknown(format!(
                "the account is closed, but still in rooms whose policy servers do not answer or say no: {rooms}; do it again \
                 later"
            )))),
        }
    }

    async fn close_by_task(self: &Arc<Self>, user: UserNum, erase: bool) -> Result<usize> {
        let lifecycle = Arc::clone(self);
        let closed = self.tasks.spawn(async move { lifecycle.close(user, erase).await });
        closed.await.map_err(Error::internal)?
    }

    /// Closes an account; answers how many rooms it could not leave.
    async fn close(&self, user: UserNum, erase: bool) -> Result<usize> {
        let account = self.accounts.get(&self.store.snapshot(), user).await?;
        account.ok_or_else(|| MatrixError::not_found("there is no such account"))?;
        self.rooms.leave_all(user).await?;
        for _ in 0..TRIES_AT_LOG_INS {
            let snapshot = self.store.snapshot();
            let account = self.accounts.get(&snapshot, user).await?;
            let account = account.ok_or_else(|| MatrixError::not_found("there is no such account"))?;
            if self.thin_out(user, |_, _| true).await? {
                continue;
            }
            let mut batch = Batch::new();
            if erase && !account.erased {
                let position = batch.stamp();
                batch.put(&ERASED, &user, &position);
                batch.announce(Subject::Erased(user).into());
            }
            let erased = account.erased || erase;
            let closed = Account { password: None, admin: false, deactivated: true, erased, ..account.clone() };
            // Conflicts with every log-in, which expects the account as it was.
            replace(&mut batch, user, &account, &closed);
            self.forget_devices(&mut batch, &snapshot, user, |_, _| true).await?;
            self.devices.forget_user(&mut batch, &snapshot, user).await?;
            self.forget_belongings(&mut batch, &snapshot, user).await?;
            match self.store.commit(batch).await {
                Err(StorageError::Conflict) => {}
                done => {
                    done?;
                    // What a request of theirs joined meanwhile; from now on there is none. And what was not left before.
                    return self.rooms.leave_all(user).await;
                }
            }
        }
        Err(Error::internal("an account changes all the time"))
    }

    /// Deletes addresses, profile, account data, filters and limits of the user's own, by `batch`.
    async fn forget_belongings(&self, batch: &mut Batch, snapshot: &Snapshot, user: UserNum) -> Result<()> {
        for ignored in self.ignored(snapshot, user).await? {
            batch.delete(&IGNORED_BY, &(ignored, user));
        }
        self.accounts.forget_name(batch, snapshot, user).await?;
        self.accounts.forget_emails(batch, snapshot, user).await?;
        batch.delete(&RATE_LIMIT_OVERRIDES, &user);
        batch.delete(&SPECIAL_RULES, &user);
        batch.announce(Subject::Rules(user).into());
        batch.delete_range(&PROFILES, &PROFILES.under(&(user,)));
        batch.delete_range(&ACCOUNT_DATA, &ACCOUNT_DATA.under(&(user,)));
        batch.delete_range(&FILTERS, &FILTERS.under(&(user,)));
        Ok(())
    }

    /// Whom a user ignores.
    async fn ignored(&self, snapshot: &Snapshot, user: UserNum) -> Result<Vec<UserNum>> {
        #[derive(Deserialize)]
        struct Ignored {
            ignored_users: std::collections::BTreeMap<String, serde_json::Value>,
        }
        let key = (user, RoomNum(0), "m.ignored_user_list".to_owned());
        let Some(data) = snapshot.get(&ACCOUNT_DATA, &key).await? else { return Ok(Vec::new()) };
        let Ok(list) = serde_json::from_str::<Ignored>(&data.content) else { return Ok(Vec::new()) };
        let mut ignored = Vec::new();
        for id in list.ignored_users.keys().filter_map(|id| ruma::UserId::parse(id).ok()) {
            ignored.extend(self.ids.find_user(&id).await?);
        }
        Ok(ignored)
    }
}
