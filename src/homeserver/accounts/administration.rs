//! What administrators ask and say of accounts. Client-server API, "Server Administration" and "Account moderation".

use matron_matrix::Error as MatrixError;
use matron_storage::{Batch, Error as StorageError};
use ruma::UserId;

use super::rows::{TRIES, replace};
use super::{Accounts, DeviceInfo, Session};
use crate::error::{Error, Result};
use crate::schema::UserNum;
use crate::schema::accounts::Account;

#[cfg(test)]
mod tests;

/// Administrators are locked and suspended by whoever runs the server, not by one another.
fn may_be_moderated(by: &Session, user: UserNum, account: &Account) -> Result<()> {
    if account.admin && user != by.user {
        return Err(MatrixError::forbidden("this is an administrator").into());
    }
    Ok(())
}

impl Accounts {
    /// Gives or takes the right to call the admin API.
    ///
    /// # Errors
    /// `M_NOT_FOUND` where the account is not there or closed.
    pub async fn set_admin(&self, user: UserNum, admin: bool) -> Result<()> {
        self.change(user, |account| Ok(Account { admin, ..account })).await
    }

    /// Locks or unlocks an account (client-server API, "Account locking"), for whoever runs the server. Its tokens stay.
    ///
    /// # Errors
    /// `M_NOT_FOUND` where the account is not there or closed.
    pub async fn set_locked(&self, user: UserNum, locked: bool) -> Result<()> {
        self.change(user, |account| Ok(Account { locked, ..account })).await
    }

    /// Suspends an account or lets it act again (client-server API, "Account suspension"), for whoever runs the server.
    ///
    /// # Errors
    /// `M_NOT_FOUND` where the account is not there or closed.
    pub async fn set_suspended(&self, user: UserNum, suspended: bool) -> Result<()> {
        self.change(user, |account| Ok(Account { suspended, ..account })).await
    }

    /// As [`Self::set_locked`], for an administrator.
    ///
    /// # Errors
    /// As [`Self::moderated`]; `M_FORBIDDEN` for oneself; `M_USER_SUSPENDED`.
    pub async fn lock(&self, by: &Session, user_id: &UserId, locked: bool) -> Result<()> {
        self.moderate(by, user_id, |account| Account { locked, ..account }).await
    }

    /// As [`Self::set_suspended`], for an administrator.
    ///
    /// # Errors
    /// As [`Self::lock`].
    pub async fn suspend(&self, by: &Session, user_id: &UserId, suspended: bool) -> Result<()> {
        self.moderate(by, user_id, |account| Account { suspended, ..account }).await
    }

    /// An account as administrators see it who may lock and suspend it.
    ///
    /// # Errors
    /// `M_FORBIDDEN` for all but administrators, and where it is another administrator's; `M_INVALID_PARAM` where the user
    /// is of another server; `M_NOT_FOUND` where the account is not there or closed.
    pub async fn moderated(&self, by: &Session, user_id: &UserId) -> Result<(UserNum, Account)> {
        // Before anything is looked up, so that nobody else learns who has an account.
        by.may_administer()?;
        let (user, account) = self.here(user_id).await?;
        if account.deactivated {
            return Err(missing());
        }
        may_be_moderated(by, user, &account)?;
        Ok((user, account))
    }

    /// The devices of a user, for the user and for administrators: from where they came last.
    ///
    /// # Errors
    /// `M_FORBIDDEN` for all others; `M_INVALID_PARAM` where the user is of another server; `M_NOT_FOUND` where there is no
    /// such account.
    pub async fn who_is(&self, by: &Session, user_id: &UserId) -> Result<Vec<DeviceInfo>> {
        if by.user_id != user_id {
            by.may_administer()?;
        }
        let (user, _) = self.here(user_id).await?;
        self.devices(user).await
    }

    /// An account by its user's id, closed ones included.
    async fn here(&self, user_id: &UserId) -> Result<(UserNum, Account)> {
        if user_id.server_name() != self.config.server_name {
            return Err(MatrixError::invalid_param("the user is of another server").into());
        }
        self.find(user_id).await?.ok_or_else(missing)
    }

    async fn moderate(&self, by: &Session, user_id: &UserId, change: impl Fn(Account) -> Account) -> Result<()> {
        let (user, _) = self.moderated(by, user_id).await?;
        by.may_act()?;
        if user == by.user {
            return Err(MatrixError::forbidden("nobody does this to themselves").into());
        }
        // Asked again of what is changed: somebody may have become an administrator meanwhile.
        self.change(user, |account| {
            may_be_moderated(by, user, &account)?;
            Ok(change(account))
        })
        .await
    }

    /// Changes an account's row.
    async fn change(&self, user: UserNum, change: impl Fn(Account) -> Result<Account>) -> Result<()> {
        for _ in 0..TRIES {
            let old = self.get(&self.store.snapshot(), user).await?.filter(|account| !account.deactivated);
            let old = old.ok_or_else(missing)?;
            let new = change(old.clone())?;
            let mut batch = Batch::new();
            replace(&mut batch, user, &old, &new);
            match self.store.commit(batch).await {
                Err(StorageError::Conflict) => {}
                done => return done.map(|_| ()).map_err(Into::into),
            }
        }
        Err(Error::internal("an account changes all the time"))
    }
}

fn missing() -> Error {
    MatrixError::not_found("there is no such account").into()
}
