//! Changing a password, and what that does to other devices.

use matron_matrix::Error as MatrixError;
use matron_storage::{Batch, Error as StorageError};
use ruma::api::client::uiaa::AuthData;

use super::Lifecycle;
use super::authorize::Operation;
use super::devices::TRIES_AT_LOG_INS;
use crate::accounts::{Revoked, Session, check_password};
use crate::error::{Error, Result};
use crate::schema::accounts::{ACCOUNTS, Account, AccountKind};
use crate::schema::{DeviceNum, UserNum};

/// Which devices a new password logs out.
#[derive(Debug, Clone, Copy)]
enum LogOut {
    None,
    All,
    AllBut(DeviceNum),
}

impl Lifecycle {
    /// Changes a password, after the old one. With `log_out_others` all devices but the session's own are deleted.
    ///
    /// # Errors
    /// As [`Self::authorize`]; `M_WEAK_PASSWORD`.
    pub async fn change_password(
        &self,
        session: Option<&Session>,
        auth: Option<&AuthData>,
        operation: Operation<'_>,
        new_password: &str,
        log_out_others: bool,
    ) -> Result<()> {
        check_password(new_password)?;
        let proven = self.authorize(session, auth, operation).await?;
        let log_out = match session {
            _ if !log_out_others => LogOut::None,
            Some(session) => LogOut::AllBut(session.device),
            None => LogOut::All,
        };
        self.put_password(proven.user, new_password, log_out).await
    }

    /// Sets a password without asking for the old one: for administrators. With `log_out` all devices are deleted.
    ///
    /// # Errors
    /// `M_NOT_FOUND` where the account is not there or closed; `M_WEAK_PASSWORD`.
    pub async fn set_password(&self, user: UserNum, new_password: &str, log_out: bool) -> Result<()> {
        check_password(new_password)?;
        self.put_password(user, new_password, if log_out { LogOut::All } else { LogOut::None }).await
    }

    async fn put_password(&self, user: UserNum, password: &str, log_out: LogOut) -> Result<()> {
        let hash = self.accounts.hash_password(password).await?;
        for _ in 0..TRIES_AT_LOG_INS {
            let snapshot = self.store.snapshot();
            let account = self.accounts.get(&snapshot, user).await?;
            let account = account.filter(|account| !account.deactivated && account.kind == AccountKind::User);
            let account = account.ok_or_else(|| MatrixError::not_found("there is no such account"))?;
            let mut batch = Batch::new();
            batch.expect_value(&ACCOUNTS, &user, &account);
            batch.put(&ACCOUNTS, &user, &Account { password: Some(hash.clone()), ..account });
            let revoked = match log_out {
                LogOut::None => Revoked::default(),
                LogOut::All => self.forget_devices(&mut batch, &snapshot, user, |_, _| true).await?,
                LogOut::AllBut(keep) => {
                    self.forget_devices(&mut batch, &snapshot, user, |_, device| device.num != keep).await?
                }
            };
            match self.store.commit(batch).await {
                Err(StorageError::Conflict) => {}
                done => {
                    done?;
                    self.accounts.account_changed(user);
                    self.accounts.revoked(user, &revoked);
                    return Ok(());
                }
            }
        }
        Err(Error::internal("an account changes all the time"))
    }
}
