//! Adding e-mail addresses to an account, and taking them away. Client-server API, "Adding Account Administrative Contact
//! Information".

use matron_matrix::Error as MatrixError;
use matron_storage::{Batch, Error as StorageError};
use ruma::api::client::uiaa::AuthData;

use super::Lifecycle;
use super::interactive::Operation;
use crate::accounts::{Session, TRIES, usable};
use crate::error::{Error, Result};
use crate::remote::mail;
use crate::schema::accounts::{ACCOUNTS, Purpose};

impl Lifecycle {
    /// Adds an address that was proved to the caller's account, after the password. `letter` is the id of the letter that
    /// proved it, and the secret of the client that asked for it.
    ///
    /// # Errors
    /// `M_THREEPID_AUTH_FAILED` where it was not proved; `M_THREEPID_IN_USE`; as [`Self::authorize`].
    pub async fn add_email(
        &self,
        session: &Session,
        auth: Option<&AuthData>,
        operation: Operation<'_>,
        letter: (&str, &str),
    ) -> Result<()> {
        self.mailer()?;
        // First, so that nobody gives a password for nothing.
        self.proof(&self.store.snapshot(), Purpose::Add, letter, operation.address).await?;
        self.authorize(Some(session), auth, operation).await?;
        for _ in 0..TRIES {
            let snapshot = self.store.snapshot();
            let proof = self.proof(&snapshot, Purpose::Add, letter, operation.address).await?;
            let account = self.accounts.get(&snapshot, session.user).await?;
            let account = account.ok_or_else(|| MatrixError::not_found("there is no such account"))?;
            usable(&account)?;
            let mut batch = Batch::new();
            // Conflicts with the account's closing.
            batch.expect_value(&ACCOUNTS, &session.user, &account);
            self.accounts.put_email(&mut batch, &snapshot, session.user, proof.address()).await?;
            proof.use_up(&mut batch, &snapshot).await?;
            match self.store.commit(batch).await {
                Err(StorageError::Conflict) => {}
                done => return done.map(|_| ()).map_err(Into::into),
            }
        }
        Err(Error::internal("an account changes all the time"))
    }

    /// Takes an address from the caller's account, with the pushers that write to it. One that is not there is gone already.
    ///
    /// # Errors
    /// `M_USER_SUSPENDED`: the suspended add addresses, but take none away.
    pub async fn delete_email(&self, session: &Session, address: &str) -> Result<()> {
        session.may_act()?;
        let Some(address) = mail::address(address) else { return Ok(()) };
        for _ in 0..TRIES {
            let snapshot = self.store.snapshot();
            let mut batch = Batch::new();
            if !self.accounts.delete_email(&mut batch, &snapshot, session.user, &address).await? {
                return Ok(());
            }
            self.push.forget_address(&mut batch, &snapshot, session.user, &address).await?;
            match self.store.commit(batch).await {
                Err(StorageError::Conflict) => {}
                done => return done.map(|_| ()).map_err(Into::into),
            }
        }
        Err(Error::internal("an account changes all the time"))
    }
}
