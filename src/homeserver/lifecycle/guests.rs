//! Guests: accounts without a password, and how one becomes an ordinary account. Client-server API, "Guest Access".

use std::net::IpAddr;

use matron_matrix::Error as MatrixError;
use matron_storage::{Batch, Error as StorageError, Snapshot};

use super::open::Right;
use super::validate::Proof;
use super::{Lifecycle, LoggedIn, NewDevice, Registered, Registration};
use crate::accounts::{Session, TRIES, random_localpart, replace, usable};
use crate::error::{Error, Result};
use crate::schema::UserNum;
use crate::schema::accounts::{Account, AccountKind};

/// What makes an ordinary account of a guest's.
pub(super) struct Upgrade<'a> {
    /// The password's hash.
    hash: String,
    /// What proved an address, if anything did.
    proof: Option<&'a Proof>,
    /// The device that stays, if it is one of the guest's: the one that is logged in.
    device_id: Option<&'a str>,
}

impl Lifecycle {
    /// Makes a guest's account, with a name and a device of the server's choosing.
    ///
    /// # Errors
    /// `M_FORBIDDEN` where guests are not let in.
    pub async fn register_guest(&self, display_name: Option<String>, address: Option<IpAddr>) -> Result<LoggedIn> {
        if !self.config.guests {
            return Err(MatrixError::forbidden("guests are not let in here").into());
        }
        let (user_id, user) = self.name(&random_localpart()).await?;
        let account = self.row(AccountKind::Guest, None, false);
        let device = NewDevice { display_name, address, ..NewDevice::default() };
        self.open(Right::New(&account, None, None), Some((user, user_id)), &device).await
    }

    /// The guest who wants an ordinary account under their name, if that is who registers.
    ///
    /// # Errors
    /// `M_MISSING_PARAM` without a user name; `M_FORBIDDEN` where the token is none of a guest of this name.
    pub(super) async fn guest_of(&self, wanted: &Registration) -> Result<Option<Session>> {
        let Some(token) = &wanted.guest_access_token else { return Ok(None) };
        let Some(username) = &wanted.username else {
            return Err(MatrixError::missing_param("a guest keeps their user name, and has to give it").into());
        };
        let session = match self.accounts.authenticate(token).await {
            Ok(session) => Some(session),
            // That a token is not known would have the client log out.
            Err(Error::Matrix(_)) => None,
            Err(error) => return Err(error),
        };
        let is_theirs = |session: &Session| session.guest && session.user_id.localpart().eq_ignore_ascii_case(username);
        let session = session.filter(is_theirs);
        Ok(Some(session.ok_or_else(|| MatrixError::forbidden("this is no token of a guest of that name"))?))
    }

    /// Makes an ordinary account of a guest's: the user keeps rooms, profile and whatever else is theirs. What a guest's token
    /// let one do is not to grow by this: the guest's devices go, but for the one that is logged in with the new account.
    pub(super) async fn upgrade(
        &self,
        guest: &Session,
        password: &str,
        (device, proof): (Option<&NewDevice>, Option<&Proof>),
    ) -> Result<Registered> {
        let hash = self.accounts.hash_password(password).await?;
        let device_id = device.and_then(|device| device.device_id.as_deref());
        let upgrade = Upgrade { hash, proof, device_id };
        let user_id = guest.user_id.clone();
        if let Some(device) = device {
            let opened = self.open(Right::Guest(&upgrade), Some((guest.user, user_id.clone())), device).await?;
            return Ok(Registered { user_id, device: Some(opened) });
        }
        for _ in 0..TRIES {
            let snapshot = self.store.snapshot();
            let mut batch = Batch::new();
            self.put_upgrade(&mut batch, &snapshot, guest.user, &upgrade).await?;
            match self.store.commit(batch).await {
                Err(StorageError::Conflict) => {}
                done => return done.map(|_| Registered { user_id, device: None }).map_err(Into::into),
            }
        }
        Err(Error::internal("an account changes all the time"))
    }

    /// Makes an ordinary account of a guest's, by `batch`, which conflicts where the account or its devices change meanwhile.
    ///
    /// # Errors
    /// `M_USER_IN_USE` where it is none of a guest any more; as [`usable`].
    pub(super) async fn put_upgrade(
        &self,
        batch: &mut Batch,
        snapshot: &Snapshot,
        user: UserNum,
        upgrade: &Upgrade<'_>,
    ) -> Result<()> {
        let guest = self.accounts.get(snapshot, user).await?.filter(|account| account.kind == AccountKind::Guest);
        let guest = guest.ok_or_else(|| MatrixError::user_in_use("the account is no guest's any more"))?;
        usable(&guest)?;
        let account = Account { kind: AccountKind::User, password: Some(upgrade.hash.clone()), ..guest.clone() };
        replace(batch, user, &guest, &account);
        self.accounts.index_name(batch, snapshot, user).await?;
        self.forget_devices(batch, snapshot, user, |id, _| Some(id) != upgrade.device_id).await?;
        self.put_proved(batch, snapshot, user, upgrade.proof).await
    }
}
