//! Changing a password, and what that does to other devices.

use matron_matrix::Error as MatrixError;
use matron_storage::{Batch, Error as StorageError};
use ruma::api::client::uiaa::{AuthData, AuthType, EmailIdentity};

use super::Lifecycle;
use super::devices::TRIES_AT_LOG_INS;
use super::interactive::Operation;
use super::validate::Proof;
use crate::accounts::{Session, check_password, replace, usable};
use crate::error::{Error, Result};
use crate::schema::accounts::{Account, AccountKind, Purpose};
use crate::schema::devices::Device;
use crate::schema::{DeviceNum, UserNum};

/// Which devices a new password logs out.
#[derive(Debug, Clone, Copy)]
enum LogOut {
    None,
    All,
    AllBut(DeviceNum),
}

impl LogOut {
    fn takes(self, device: &Device) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::AllBut(kept) => device.num != kept,
        }
    }
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
        if let (None, Some(AuthData::EmailIdentity(identity)), Some(_)) = (session, auth, &self.mailer) {
            let log_out = if log_out_others { LogOut::All } else { LogOut::None };
            return self.reset_password(identity, operation, new_password, log_out).await;
        }
        let proven = self.authorize(session, auth, operation).await?;
        let log_out = match session {
            _ if !log_out_others => LogOut::None,
            Some(session) => LogOut::AllBut(session.device),
            None => LogOut::All,
        };
        self.put_password(proven.user, new_password, log_out, None).await
    }

    /// Sets a password without asking for the old one: for administrators. With `log_out` all devices are deleted.
    ///
    /// # Errors
    /// `M_NOT_FOUND` where the account is not there or closed; `M_WEAK_PASSWORD`.
    pub async fn set_password(&self, user: UserNum, new_password: &str, log_out: bool) -> Result<()> {
        check_password(new_password)?;
        self.put_password(user, new_password, if log_out { LogOut::All } else { LogOut::None }, None).await
    }

    /// Sets a new password by a letter to an address of the account's, without the old one.
    async fn reset_password(
        &self,
        identity: &EmailIdentity,
        operation: Operation<'_>,
        new_password: &str,
        log_out: LogOut,
    ) -> Result<()> {
        let flows = self.flows_of(None, operation);
        let stage = self.interactive.enter(identity.session.as_deref(), (operation, None), flows)?;
        let creds = &identity.thirdparty_id_creds;
        let letter = (creds.sid.as_str(), creds.client_secret.as_str());
        let proof = self.proof(&self.store.snapshot(), Purpose::Password, letter, operation.address).await;
        let (stage, proof) = stage.shown(proof)?;
        let owner = match self.accounts.email_owner(proof.address().0).await? {
            Some(owner) => self.accounts.find(&owner).await?,
            None => None,
        };
        let Some((user, account)) = owner else {
            return Err(stage.ask(Some(MatrixError::threepid_not_found("nobody has this address any more"))));
        };
        usable(&account)?;
        stage.pass(AuthType::EmailIdentity)?;
        self.put_password(user, new_password, log_out, Some(&proof)).await
    }

    async fn put_password(&self, user: UserNum, password: &str, log_out: LogOut, proof: Option<&Proof>) -> Result<()> {
        let hash = self.accounts.hash_password(password).await?;
        for _ in 0..TRIES_AT_LOG_INS {
            let snapshot = self.store.snapshot();
            let account = self.accounts.get(&snapshot, user).await?;
            let account = account.filter(|account| !account.deactivated && account.kind == AccountKind::User);
            let account = account.ok_or_else(|| MatrixError::not_found("there is no such account"))?;
            if self.thin_out(user, |_, device| log_out.takes(device)).await? {
                continue;
            }
            let mut batch = Batch::new();
            replace(&mut batch, user, &account, &Account { password: Some(hash.clone()), ..account.clone() });
            if let Some(proof) = proof {
                proof.use_up(&mut batch, &snapshot).await?;
            }
            // They were proved by the old password; those of devices that go do so with them.
            self.accounts.delete_login_tokens(&mut batch, &snapshot, user, |device| !log_out.takes(device)).await?;
            if !matches!(log_out, LogOut::None) {
                self.forget_devices(&mut batch, &snapshot, user, |_, device| log_out.takes(device)).await?;
            }
            match self.store.commit(batch).await {
                Err(StorageError::Conflict) => {}
                done => return done.map(|_| ()).map_err(Into::into),
            }
        }
        Err(Error::internal("an account changes all the time"))
    }
}
