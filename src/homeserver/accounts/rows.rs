//! Account rows: finding and listing them.

use matron_matrix::Error as MatrixError;
use matron_storage::{Batch, Snapshot};
use ruma::{OwnedUserId, UserId};

use super::Accounts;
use super::attempts::Attempt;
use super::names::{localpart_of, new_user_id};
use super::password::Verdict;
use super::sessions::access_changes;
use crate::error::Result;
use crate::schema::UserNum;
use crate::schema::accounts::{ACCOUNTS, Account};

/// How often an operation is tried again that others were faster at.
pub(crate) const TRIES: usize = 8;

impl Accounts {
    /// An account by its user's number, if there is one.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn get(&self, snapshot: &Snapshot, user: UserNum) -> Result<Option<Account>> {
        Ok(snapshot.get(&ACCOUNTS, &user).await?)
    }

    /// An account by its user's id, if there is one, closed ones included.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn find(&self, user_id: &UserId) -> Result<Option<(UserNum, Account)>> {
        if user_id.server_name() != self.config.server_name {
            return Ok(None);
        }
        let Some(user) = self.ids.find_user(user_id).await? else { return Ok(None) };
        Ok(self.get(&self.store.snapshot(), user).await?.map(|account| (user, account)))
    }

    /// The account that a client's identifier (a user name, or a full id) means, if there is one.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn identify(&self, identifier: &str) -> Result<Option<(OwnedUserId, UserNum, Account)>> {
        let Some(user_id) = localpart_of(identifier, &self.config.server_name) else { return Ok(None) };
        Ok(self.find(&user_id).await?.map(|(user, account)| (user_id, user, account)))
    }

    /// Accounts in the order of their making: up to `limit` of them after `after`.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn list(&self, after: Option<UserNum>, limit: usize) -> Result<Vec<(UserNum, OwnedUserId, Account)>> {
        let from = after.map_or(UserNum(0), |after| UserNum(after.0.saturating_add(1)));
        let rows = self.store.snapshot().scan(&ACCOUNTS, ACCOUNTS.range(from..)).take(limit).await?;
        let mut accounts = Vec::with_capacity(rows.len());
        for (user, account) in rows {
            accounts.push((user, self.ids.user_id(user).await?, account));
        }
        Ok(accounts)
    }

    /// How many accounts there are, closed ones included. Walks over all of them.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn count(&self) -> Result<u64> {
        let mut scan = self.store.snapshot().scan(&ACCOUNTS, ACCOUNTS.all());
        let mut count = 0;
        while scan.next().await?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    /// Whether this server has no account at all yet.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn is_empty(&self) -> Result<bool> {
        Ok(self.store.snapshot().scan(&ACCOUNTS, ACCOUNTS.all()).first().await?.is_none())
    }

    /// The id of a new user of this name.
    ///
    /// # Errors
    /// `M_INVALID_USERNAME` where the name breaks a rule, `M_USER_IN_USE` where somebody has or had it, or the server
    /// itself speaks by it.
    pub async fn available(&self, username: &str) -> Result<OwnedUserId> {
        let user_id = new_user_id(username, &self.config.server_name)?;
        match self.find(&user_id).await? {
            None if !self.config.speaks_for_server(&user_id) => Ok(user_id),
            _ => Err(MatrixError::user_in_use("somebody has that name").into()),
        }
    }

    /// Hashes a password for an account's row.
    ///
    /// # Errors
    /// Too many passwords are being hashed.
    pub(crate) async fn hash_password(&self, password: &str) -> Result<String> {
        self.passwords.hash(password).await
    }

    /// Compares a password with an account's, or with nobody's in the same time. A limited number of wrong ones is
    /// taken per identifier and address.
    ///
    /// # Errors
    /// `M_LIMIT_EXCEEDED` after too many wrong ones.
    pub(crate) async fn verify_password(
        &self,
        identifier: &str,
        password: &str,
        address: Option<std::net::IpAddr>,
        account: Option<&Account>,
    ) -> Result<Verdict> {
        // Every name of one account counts as the same.
        let known_as = localpart_of(identifier, &self.config.server_name);
        let attempt = self.attempts.begin(Some(known_as.as_deref().map_or(identifier, UserId::as_str)), address)?;
        let hash = account.filter(|account| !account.deactivated).and_then(|account| account.password.as_deref());
        let verdict = self.passwords.verify(password, hash).await?;
        if verdict != Verdict::Wrong {
            attempt.right();
        }
        Ok(verdict)
    }

    /// Begins an attempt at guessing something that belongs to no account: a registration token, say.
    pub(crate) fn begin_attempt(&self, address: Option<std::net::IpAddr>) -> Result<Attempt<'_>> {
        self.attempts.begin(None, address)
    }
}

/// Puts an account's new row in the place of the old one, by `batch`, which conflicts where that was changed meanwhile.
pub(crate) fn replace(batch: &mut Batch, user: UserNum, old: &Account, new: &Account) {
    batch.expect_value(&ACCOUNTS, &user, old);
    batch.put(&ACCOUNTS, &user, new);
    access_changes(batch, user);
}

/// Refuses accounts that nobody may use.
pub(crate) fn usable(account: &Account) -> Result<()> {
    if account.deactivated {
        return Err(MatrixError::user_deactivated("this account was closed").into());
    }
    if account.locked {
        return Err(MatrixError::user_locked("this account is locked").into());
    }
    Ok(())
}
