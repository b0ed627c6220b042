//! Third-party ids: the e-mail addresses by which somebody is known here. Client-server API, "Adding Account Administrative
//! Contact Information".

use matron_matrix::Error as MatrixError;
use matron_storage::{Batch, Snapshot};
use ruma::OwnedUserId;

use super::Accounts;
use crate::error::Result;
use crate::remote::mail;
use crate::schema::UserNum;
use crate::schema::accounts::{EMAIL_OWNERS, EMAILS, Email};

/// How many addresses an account may have.
const MOST: usize = 20;

impl Accounts {
    /// The addresses of a user.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn emails(&self, user: UserNum) -> Result<Vec<(String, Email)>> {
        let rows = self.store.snapshot().scan(&EMAILS, EMAILS.under(&(user,))).collect().await?;
        Ok(rows.into_iter().map(|((_, address), email)| (address, email)).collect())
    }

    /// Whose an address is, whatever its capitals.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn email_owner(&self, address: &str) -> Result<Option<OwnedUserId>> {
        let Some(address) = mail::address(address) else { return Ok(None) };
        match self.store.snapshot().get(&EMAIL_OWNERS, &address).await? {
            Some(user) => self.ids.user_id(user).await.map(Some),
            None => Ok(None),
        }
    }

    /// Whether an address is a user's.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn has_email(&self, snapshot: &Snapshot, user: UserNum, address: &str) -> Result<bool> {
        Ok(snapshot.get(&EMAILS, &(user, address.to_owned())).await?.is_some())
    }

    /// Gives a user an address, by `batch`, which conflicts where somebody else gets it at the same time.
    ///
    /// # Errors
    /// `M_THREEPID_IN_USE` where it is somebody's; `M_FORBIDDEN` where the user has too many.
    pub(crate) async fn put_email(
        &self,
        batch: &mut Batch,
        snapshot: &Snapshot,
        user: UserNum,
        (address, validated): (&str, u64),
    ) -> Result<()> {
        let address = address.to_owned();
        let owner = snapshot.get(&EMAIL_OWNERS, &address).await?;
        if owner.is_some_and(|owner| owner != user) {
            return Err(MatrixError::threepid_in_use("the address is somebody else's").into());
        }
        let known = snapshot.scan(&EMAILS, EMAILS.under(&(user,))).take(MOST).await?;
        if known.len() == MOST && owner.is_none() {
            return Err(MatrixError::forbidden(format!("an account may have {MOST} addresses")).into());
        }
        batch.expect(&EMAIL_OWNERS, &address, owner.as_ref());
        batch.put(&EMAIL_OWNERS, &address, &user);
        batch.put(&EMAILS, &(user, address), &Email { validated, added: self.clock.millis() });
        Ok(())
    }

    /// Takes an address from a user, by `batch`. Whether it was theirs.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) async fn delete_email(
        &self,
        batch: &mut Batch,
        snapshot: &Snapshot,
        user: UserNum,
        address: &str,
    ) -> Result<bool> {
        if !self.has_email(snapshot, user, address).await? {
            return Ok(false);
        }
        batch.expect_value(&EMAIL_OWNERS, &address.to_owned(), &user);
        batch.delete(&EMAIL_OWNERS, &address.to_owned());
        batch.delete(&EMAILS, &(user, address.to_owned()));
        Ok(true)
    }

    /// Takes all addresses from a user whose account is closed, by `batch`: others may have them from now on.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) async fn forget_emails(&self, batch: &mut Batch, snapshot: &Snapshot, user: UserNum) -> Result<()> {
        let mut scan = snapshot.scan(&EMAILS, EMAILS.under(&(user,)));
        while let Some(((_, address), _)) = scan.next().await? {
            batch.expect_value(&EMAIL_OWNERS, &address, &user);
            batch.delete(&EMAIL_OWNERS, &address);
            batch.delete(&EMAILS, &(user, address));
        }
        Ok(())
    }
}
