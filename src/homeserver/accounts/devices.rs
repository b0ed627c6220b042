//! Device rows: the list of where a user is logged in, and when each was last seen.

use std::net::IpAddr;
use std::sync::Arc;

use matron_matrix::Error as MatrixError;
use matron_storage::{Batch, Snapshot};

use super::names::random_device_id;
use super::{Accounts, Session};
use crate::error::Result;
use crate::schema::UserNum;
use crate::schema::accounts::TOKEN_ROUNDS;
use crate::schema::devices::{DEVICES, Device, LAST_SEEN, LastSeen};

/// The longest device id in bytes.
const LONGEST_ID: usize = 255;
/// The longest display name in characters.
const LONGEST_NAME: usize = 256;
/// How often a device's last-seen row is written, in milliseconds.
const TOUCH_EVERY: u64 = 5 * 60 * 1000;

/// A device as its user sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Its id.
    pub device_id: String,
    /// Its row.
    pub device: Device,
    /// When it was last seen, if it ever was.
    pub last_seen: Option<LastSeen>,
}

/// The id that a client wants for its device, or a random one.
pub(crate) fn device_id(wanted: Option<&str>) -> Result<String> {
    match wanted {
        None | Some("") => Ok(random_device_id()),
        Some(id) if id.len() > LONGEST_ID => {
            Err(MatrixError::invalid_param(format!("a device id may have {LONGEST_ID} bytes")).into())
        }
        Some(id) => Ok(id.to_owned()),
    }
}

/// A display name that came with a log-in: cut, since nobody is to be kept out for a long name.
pub(crate) fn initial_name(name: Option<&str>) -> Option<String> {
    name.map(|name| name.chars().take(LONGEST_NAME).collect())
}

/// Refuses a display name that is too long.
pub(crate) fn check_name(name: &str) -> Result<()> {
    if name.chars().count() > LONGEST_NAME {
        return Err(MatrixError::invalid_param(format!("a display name may have {LONGEST_NAME} characters")).into());
    }
    Ok(())
}

/// Deletes a device's own rows.
pub(crate) fn delete_rows(batch: &mut Batch, user: UserNum, device_id: &str, device: &Device) {
    batch.delete(&DEVICES, &(user, device_id.to_owned()));
    batch.delete(&LAST_SEEN, &device.num);
    batch.delete(&TOKEN_ROUNDS, &device.num);
}

impl Accounts {
    /// A user's devices with their rows, by their ids.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn device_rows(&self, snapshot: &Snapshot, user: UserNum) -> Result<Vec<(String, Device)>> {
        let rows = snapshot.scan(&DEVICES, DEVICES.under(&(user,))).collect().await?;
        Ok(rows.into_iter().map(|((_, id), device)| (id, device)).collect())
    }

    /// A device's row, if it is there.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn device_row(&self, snapshot: &Snapshot, user: UserNum, device_id: &str) -> Result<Option<Device>> {
        if device_id.len() > LONGEST_ID {
            return Ok(None);
        }
        Ok(snapshot.get(&DEVICES, &(user, device_id.to_owned())).await?)
    }

    /// A user's devices, by their ids.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn devices(&self, user: UserNum) -> Result<Vec<DeviceInfo>> {
        let snapshot = self.store.snapshot();
        let rows = self.device_rows(&snapshot, user).await?;
        let seen = snapshot.get_many(&LAST_SEEN, rows.iter().map(|(_, device)| &device.num)).await?;
        let devices = rows.into_iter().zip(seen);
        Ok(devices.map(|((device_id, device), last_seen)| DeviceInfo { device_id, device, last_seen }).collect())
    }

    /// One of a user's devices.
    ///
    /// # Errors
    /// `M_NOT_FOUND`.
    pub async fn device(&self, user: UserNum, device_id: &str) -> Result<DeviceInfo> {
        let snapshot = self.store.snapshot();
        let device = self.device_row(&snapshot, user, device_id).await?;
        let device = device.ok_or_else(|| MatrixError::not_found("there is no such device"))?;
        let last_seen = snapshot.get(&LAST_SEEN, &device.num).await?;
        Ok(DeviceInfo { device_id: device_id.to_owned(), device, last_seen })
    }

    /// Whether a session that has waited may still be answered: its device was not logged out, its account is open. Looks
    /// into memory alone, unless something of the account or its tokens has changed.
    ///
    /// # Errors
    /// `M_UNKNOWN_TOKEN` or `M_USER_LOCKED` where not.
    pub async fn still_valid(&self, session: &Session) -> Result<()> {
        if self.sessions.is_valid(session) {
            return Ok(());
        }
        let snapshot = self.store.snapshot();
        let gone = || MatrixError::unknown_token(false, "the token was revoked");
        let account = self.get(&snapshot, session.user).await?.filter(|account| !account.deactivated);
        super::usable(&account.ok_or_else(gone)?)?;
        let device = self.device_row(&snapshot, session.user, session.device_id.as_str()).await?;
        device.filter(|device| device.num == session.device).ok_or_else(gone)?;
        self.sessions.was_valid(snapshot.position(), session);
        Ok(())
    }

    /// Notes that a device was seen. Costs a look into memory, and every few minutes a write that nobody waits for.
    pub fn touch(self: &Arc<Self>, session: &Session, address: Option<IpAddr>, agent: &str) {
        let now = self.clock.millis();
        if self.touched.get(&session.device).is_some_and(|last| now < last.saturating_add(TOUCH_EVERY)) {
            return;
        }
        self.touched.insert(session.device, now);
        let ip = address.map(|address| address.to_canonical().to_string()).unwrap_or_default();
        let seen = LastSeen { at: now, ip, agent: agent.chars().take(LONGEST_NAME).collect() };
        let (accounts, session) = (Arc::clone(self), session.clone());
        tokio::spawn(async move {
            if let Err(error) = accounts.write_seen(&session, &seen).await {
                tracing::warn!(%error, "that a device was seen could not be noted");
            }
        });
    }

    async fn write_seen(&self, session: &Session, seen: &LastSeen) -> Result<()> {
        let key = (session.user, session.device_id.to_string());
        let Some(device) = self.store.snapshot().get(&DEVICES, &key).await? else { return Ok(()) };
        let mut batch = Batch::new();
        // A device that is deleted meanwhile leaves nothing behind.
        batch.expect_value(&DEVICES, &key, &device);
        batch.put(&LAST_SEEN, &session.device, seen);
        batch.unsynced();
        match self.store.commit(batch).await {
            Ok(_) | Err(matron_storage::Error::Conflict) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
