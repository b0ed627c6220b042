//! Logging in, by a password or by a log-in token.

use matron_storage::{Batch, Error as StorageError};
use ruma::api::client::uiaa::{AuthData, UserIdentifier};

use super::authorize::{Meant, wrong_password};
use super::interactive::Operation;
use super::open::Right;
use super::{Lifecycle, LoggedIn, NewDevice};
use crate::accounts::{Session, TRIES, Verdict, usable};
use crate::error::{Error, Result};
use crate::schema::accounts::ACCOUNTS;

/// How somebody proves who they are at a log-in.
#[derive(Debug, Clone, Copy)]
pub enum LogIn<'a> {
    /// A password.
    Password {
        /// Whose.
        identifier: &'a UserIdentifier,
        /// The password.
        password: &'a str,
    },
    /// A token from [`Lifecycle::login_token`].
    Token(&'a str),
}

impl Lifecycle {
    /// Logs a device in. One that is logged in already keeps its keys and loses its old tokens.
    ///
    /// # Errors
    /// `M_FORBIDDEN` where the proof is wrong; `M_USER_DEACTIVATED`, `M_USER_LOCKED`; `M_LIMIT_EXCEEDED` after too many
    /// wrong ones; `M_INVALID_PARAM` for a device id that is too long, `M_FORBIDDEN` for one that is a cross-signing key.
    pub async fn log_in(&self, proof: LogIn<'_>, device: &NewDevice) -> Result<LoggedIn> {
        let done = self.log_in_by(proof, device).await;
        let count = if done.is_ok() { &self.log_ins.done } else { &self.log_ins.refused };
        count.add(1);
        done
    }

    async fn log_in_by(&self, proof: LogIn<'_>, device: &NewDevice) -> Result<LoggedIn> {
        match proof {
            LogIn::Password { identifier, password } => self.log_in_by_password(identifier, password, device).await,
            LogIn::Token(token) => {
                let attempt = self.accounts.begin_attempt(device.address)?;
                let done = self.open(Right::Token(token), None, device).await?;
                attempt.right();
                Ok(done)
            }
        }
    }

    async fn log_in_by_password(
        &self,
        identifier: &UserIdentifier,
        password: &str,
        device: &NewDevice,
    ) -> Result<LoggedIn> {
        let Meant { name, found } = self.meant_by(identifier).await?.ok_or_else(wrong_password)?;
        let account = found.as_ref().map(|(_, _, account)| account);
        let verdict = self.accounts.verify_password(&name, password, device.address, account).await?;
        let (user_id, user, account) = found.ok_or_else(wrong_password)?;
        if account.deactivated {
            usable(&account)?;
        }
        let rehashed = match &verdict {
            Verdict::Wrong => return Err(wrong_password().into()),
            Verdict::Right => None,
            Verdict::Rehashed(hash) => Some(hash.as_str()),
        };
        self.open(Right::Password(&account, rehashed), Some((user, user_id)), device).await
    }

    /// A token by which another client can log in once as the same user, and the milliseconds that it lives; a new password,
    /// and the end of the session's device, end it too.
    ///
    /// # Errors
    /// As [`Self::authorize`].
    pub async fn login_token(
        &self,
        session: &Session,
        auth: Option<&AuthData>,
        operation: Operation<'_>,
    ) -> Result<(String, u64)> {
        let proven = self.authorize(Some(session), auth, operation).await?;
        for _ in 0..TRIES {
            let snapshot = self.store.snapshot();
            let current = self.accounts.get(&snapshot, session.user).await?;
            let account = Self::unchanged(current, &proven.account)?;
            let mut batch = Batch::new();
            // Conflicts with a new password, which takes away what was proved by the old one.
            batch.expect_value(&ACCOUNTS, &session.user, &account);
            let made = self.accounts.put_login_token(&mut batch, &snapshot, session).await?;
            match self.store.commit(batch).await {
                Err(StorageError::Conflict) => {}
                done => return done.map(|_| made).map_err(Into::into),
            }
        }
        Err(Error::internal("an account changes all the time"))
    }
}
