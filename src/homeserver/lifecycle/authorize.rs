//! Proving again who one is, before something that cannot be undone: by password.

use std::net::IpAddr;

use matron_matrix::Error as MatrixError;
use ruma::OwnedUserId;
use ruma::api::client::uiaa::{AuthData, AuthFlow, AuthType, UserIdentifier};

use super::Lifecycle;
use super::interactive::{Operation, Stage};
use crate::accounts::{Session, Verdict, usable};
use crate::error::Result;
use crate::remote::mail;
use crate::schema::UserNum;
use crate::schema::accounts::Account;

/// Somebody who has just proved who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// The user's number.
    pub user: UserNum,
    /// The user's id.
    pub user_id: OwnedUserId,
    /// The account that it was proved for.
    pub(super) account: Account,
}

/// Whom somebody means who proves who they are.
pub(super) struct Meant {
    /// What guesses are counted by. An address counts by itself: by its owner's name it would tell whose it is.
    pub name: String,
    /// Who it is, if there is somebody.
    pub found: Option<(OwnedUserId, UserNum, Account)>,
}

/// The operation that an e-mail address of the user's lets one do without a password.
pub(super) const NEW_PASSWORD: &str = "account/password";

impl Lifecycle {
    /// Whom an identifier means, if it is of a sort that we know.
    pub(super) async fn meant_by(&self, identifier: &UserIdentifier) -> Result<Option<Meant>> {
        let (name, user) = match identifier {
            UserIdentifier::Matrix(matrix) => (matrix.user.clone(), Some(matrix.user.clone())),
            UserIdentifier::Email(email) => {
                let owner = self.accounts.email_owner(&email.address).await?;
                let address = mail::address(&email.address).unwrap_or_else(|| email.address.clone());
                (address, owner.map(|owner| owner.to_string()))
            }
            _ => return Ok(None),
        };
        let found = match user {
            Some(user) => self.accounts.identify(&user).await?,
            None => None,
        };
        Ok(Some(Meant { name, found }))
    }

    /// The flows of an operation.
    pub(super) fn flows_of(&self, session: Option<&Session>, operation: Operation<'_>) -> Vec<AuthFlow> {
        let mut flows = vec![AuthFlow::new(vec![AuthType::Password])];
        if session.is_none() && operation.name == NEW_PASSWORD && self.mailer.is_some() {
            flows.push(AuthFlow::new(vec![AuthType::EmailIdentity]));
        }
        flows
    }

    /// Asks for the password before `operation`. The user is that of `session`; where there is no session, the one whose
    /// password it is (client-server API, "User-Interactive Authentication").
    ///
    /// # Errors
    /// [`crate::Error::Interactive`] until the password came; `M_FORBIDDEN` for somebody else's password or session, for an
    /// address that is nobody's here, and for accounts without a password; `M_LIMIT_EXCEEDED` after too many wrong ones.
    pub async fn authorize(
        &self,
        session: Option<&Session>,
        auth: Option<&AuthData>,
        operation: Operation<'_>,
    ) -> Result<Proven> {
        let flows = self.flows_of(session, operation);
        if let Some(session) = session {
            let account = self.accounts.get(&self.store.snapshot(), session.user).await?;
            if account.is_none_or(|account| account.password.is_none()) {
                return Err(MatrixError::forbidden("the account has no password to prove this by").into());
            }
        }
        let bound_to = (operation, session.map(|session| session.user));
        let stage = self.interactive.enter(auth.and_then(AuthData::session), bound_to, flows)?;
        let given = match auth {
            None => return Err(stage.ask(None)),
            Some(AuthData::Password(given)) => given,
            Some(AuthData::FallbackAcknowledgement(_)) => return self.proven_before(stage).await,
            Some(_) => return Err(stage.refuse()),
        };
        let Meant { name, found } = self.meant_by(&given.identifier).await?.ok_or_else(wrong_password)?;
        if let Some(session) = session
            && found.as_ref().is_none_or(|(_, user, _)| *user != session.user)
        {
            return Err(MatrixError::forbidden("this is somebody else's name").into());
        }
        if let Some(proven) = self.prove(&name, &given.password, operation.address, found).await? {
            stage.pass(AuthType::Password)?;
            return Ok(proven);
        }
        // An address that nobody has is refused for good. So that a stranger does not learn which one somebody has, it is
        // the same where the password is wrong.
        if session.is_none() && !matches!(given.identifier, UserIdentifier::Matrix(_)) {
            return Err(wrong_password().into());
        }
        Err(stage.ask(Some(wrong_password())))
    }

    /// Who gave their password in a browser, if it is that still.
    async fn proven_before(&self, stage: Stage<'_>) -> Result<Proven> {
        let proven = stage.finish()?.ok_or_else(wrong_password)?;
        let current = self.accounts.get(&self.store.snapshot(), proven.user).await?;
        let account = Self::unchanged(current, &proven.account)?;
        Ok(Proven { account, ..proven })
    }

    /// Whoever `name` means, where there is somebody and this is the password.
    pub(super) async fn prove(
        &self,
        name: &str,
        password: &str,
        address: Option<IpAddr>,
        found: Option<(OwnedUserId, UserNum, Account)>,
    ) -> Result<Option<Proven>> {
        let account = found.as_ref().map(|(_, _, account)| account);
        let verdict = self.accounts.verify_password(name, password, address, account).await?;
        match (verdict, found) {
            (Verdict::Wrong, _) | (_, None) => Ok(None),
            (_, Some((user_id, user, account))) => {
                usable(&account)?;
                Ok(Some(Proven { user, user_id, account }))
            }
        }
    }

    /// The account as it is now, if what was proved by `verified` still holds.
    pub(super) fn unchanged(current: Option<Account>, verified: &Account) -> Result<Account> {
        let current = current.ok_or_else(wrong_password)?;
        usable(&current)?;
        if current.password != verified.password {
            return Err(wrong_password().into());
        }
        Ok(current)
    }
}

/// The same for an unknown user and a wrong password.
pub(super) fn wrong_password() -> MatrixError {
    MatrixError::forbidden("the user name or the password is wrong")
}
