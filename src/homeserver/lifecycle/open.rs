//! A device is opened, with tokens of its own: in one batch with whatever gives the right to it.

use matron_matrix::Error as MatrixError;
use matron_storage::{Batch, Error as StorageError, Snapshot};
use ruma::{OwnedUserId, UserId};

use super::guests::Upgrade;
use super::validate::Proof;
use super::{Lifecycle, LoggedIn, NewDevice};
use crate::accounts::{Issued, TRIES, device_id, initial_name, put_first_name, replace, revoke_device};
use crate::error::{Error, Result};
use crate::schema::accounts::{ACCOUNTS, Account, NEWEST_DEVICE};
use crate::schema::devices::{DEHYDRATED, DEVICES, Device};
use crate::schema::{DeviceNum, UserNum};

/// By what right a device is made.
pub(super) enum Right<'a> {
    /// The account is made with it, with a display name and an address if there are any.
    New(&'a Account, Option<&'a str>, Option<&'a Proof>),
    /// A guest becomes an ordinary user.
    Guest(&'a Upgrade<'a>),
    /// The password was right for this account; its new hash, where it was hashed again.
    Password(&'a Account, Option<&'a str>),
    /// A log-in token.
    Token(&'a str),
}

/// Puts a new account into `batch`, which conflicts where somebody has the name.
pub(super) fn put_account(
    batch: &mut Batch,
    (user, user_id): (UserNum, &UserId),
    account: &Account,
    display_name: Option<&str>,
) {
    batch.expect_absent(&ACCOUNTS, &user);
    batch.put(&ACCOUNTS, &user, account);
    if let Some(name) = display_name {
        put_first_name(batch, user, user_id, name);
    }
}

/// A dehydrated device that somebody logs in on is one like any other from then on: what puts the user's dehydrated device
/// away does not delete it under them.
async fn wake(batch: &mut Batch, snapshot: &Snapshot, user: UserNum, device: DeviceNum) -> Result<()> {
    let asleep = snapshot.get(&DEHYDRATED, &user).await?;
    batch.expect(&DEHYDRATED, &user, asleep.as_ref());
    if asleep.is_some_and(|asleep| asleep.device == device) {
        batch.delete(&DEHYDRATED, &user);
    }
    Ok(())
}

impl Lifecycle {
    /// Makes or takes over a device and gives it tokens, all in one batch. `user` is known but for log-in tokens.
    pub(super) async fn open(
        &self,
        right: Right<'_>,
        user: Option<(UserNum, OwnedUserId)>,
        device: &NewDevice,
    ) -> Result<LoggedIn> {
        let device_id = device_id(device.device_id.as_deref())?;
        for _ in 0..TRIES {
            let snapshot = self.store.snapshot();
            let mut batch = Batch::new();
            let (user, user_id) = match (&right, &user) {
                (Right::Token(token), _) => {
                    let user = self.accounts.take_login_token(&mut batch, &snapshot, token).await?;
                    (user, self.ids.user_id(user).await?)
                }
                (_, Some((user, user_id))) => (*user, user_id.clone()),
                (_, None) => return Err(Error::internal("nobody is to be logged in")),
            };
            self.check_right(&right, &mut batch, &snapshot, (user, &user_id)).await?;
            let tokens = self.put_device(&mut batch, &snapshot, user, &device_id, device).await?;
            match self.store.commit(batch).await {
                Err(StorageError::Conflict) => {}
                done => {
                    done?;
                    return Ok(LoggedIn { user_id, device_id: device_id.into(), tokens });
                }
            }
        }
        Err(Error::internal("an account changes all the time"))
    }

    /// Holds the batch to the account that the right was proved for.
    async fn check_right(
        &self,
        right: &Right<'_>,
        batch: &mut Batch,
        snapshot: &Snapshot,
        (user, user_id): (UserNum, &UserId),
    ) -> Result<()> {
        let current = self.accounts.get(snapshot, user).await?;
        let verified = match right {
            Right::New(account, display_name, proof) => {
                if current.is_some() {
                    return Err(MatrixError::user_in_use("somebody has that name").into());
                }
                put_account(batch, (user, user_id), account, *display_name);
                return self.put_proved(batch, snapshot, user, *proof).await;
            }
            Right::Guest(upgrade) => return self.put_upgrade(batch, snapshot, user, upgrade).await,
            Right::Password(verified, _) => *verified,
            Right::Token(_) => {
                current.as_ref().ok_or_else(|| MatrixError::forbidden("the log-in token is not valid"))?
            }
        };
        let account = Self::unchanged(current.clone(), verified)?;
        if let Right::Password(_, Some(hash)) = right {
            replace(batch, user, &account, &Account { password: Some((*hash).to_owned()), ..account.clone() });
        } else {
            batch.expect_value(&ACCOUNTS, &user, &account);
        }
        Ok(())
    }

    async fn put_device(
        &self,
        batch: &mut Batch,
        snapshot: &Snapshot,
        user: UserNum,
        device_id: &str,
        new: &NewDevice,
    ) -> Result<Issued> {
        let known = self.accounts.device_row(snapshot, user, device_id).await?;
        let key = (user, device_id.to_owned());
        batch.expect(&DEVICES, &key, known.as_ref());
        let num = if let Some(device) = known {
            revoke_device(batch, snapshot, (user, device.num)).await?;
            wake(batch, snapshot, user, device.num).await?;
            device.num
        } else {
            self.devices.check_new_id(batch, snapshot, user, device_id).await?;
            let num = self.ids.new_device().await?;
            let display_name = initial_name(new.display_name.as_deref());
            batch.put(&DEVICES, &key, &Device { num, display_name, created: self.clock.millis() });
            batch.put(&NEWEST_DEVICE, &user, &num);
            self.devices.note_change(batch, snapshot, user).await?;
            num
        };
        self.accounts.issue(batch, snapshot, (user, num, device_id), new.refresh, None).await
    }

    /// Gives a new account the address that was proved for it, by `batch`.
    pub(super) async fn put_proved(
        &self,
        batch: &mut Batch,
        snapshot: &Snapshot,
        user: UserNum,
        proof: Option<&Proof>,
    ) -> Result<()> {
        let Some(proof) = proof else { return Ok(()) };
        self.accounts.put_email(batch, snapshot, user, proof.address()).await?;
        proof.use_up(batch, snapshot).await
    }
}
