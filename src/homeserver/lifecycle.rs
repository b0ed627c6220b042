//! What spans owners: making an account, logging in and out, closing an account.
//!
//! Every operation here is one batch over the rows of accounts and devices.

use std::net::IpAddr;
use std::sync::Arc;

use matron_storage::Store;
use ruma::{OwnedDeviceId, OwnedUserId};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accounts::{Accounts, Issued};
use crate::clock::Clock;
use crate::config::Config;
use crate::devices::Devices;
use crate::ids::Ids;
use crate::meters::{Held, LogIns};
use crate::push::Push;
use crate::remote::mail::Mailer;
use crate::rooms::Rooms;
use crate::turns::Turns;

mod addresses;
mod authorize;
mod deactivate;
mod devices;
mod fallback;
mod guests;
mod interactive;
mod login;
mod open;
mod password;
mod register;
mod shared_secret;
mod validate;

pub use authorize::Proven;
pub use fallback::Question;
pub use interactive::Operation;
pub use login::LogIn;
pub use register::{Registered, Registration};
pub use shared_secret::SharedSecretRegistration;
pub use validate::LetterRequest;

/// What does the operations that span owners.
#[derive(Debug)]
pub struct Lifecycle {
    store: Arc<Store>,
    ids: Arc<Ids>,
    clock: Clock,
    config: Arc<Config>,
    accounts: Arc<Accounts>,
    devices: Arc<Devices>,
    rooms: Arc<Rooms>,
    push: Arc<Push>,
    mailer: Option<Arc<Mailer>>,
    letter_limits: validate::Limits,
    /// Whoever sends a letter has its turn; who asks for the same one waits for what comes of it.
    letter_turns: Turns,
    tasks: TaskTracker,
    stop: CancellationToken,
    interactive: interactive::Interactive,
    nonces: shared_secret::Nonces,
    /// What is counted.
    pub log_ins: LogIns,
    /// Held while a new name gets its number.
    naming: Mutex<()>,
}

/// What a client says of the device that it logs in with.
#[derive(Debug, Clone, Default)]
pub struct NewDevice {
    /// Its id; a random one is given where the client brings none.
    pub device_id: Option<String>,
    /// Its display name, where the device is new.
    pub display_name: Option<String>,
    /// Whether the client can refresh tokens: then they end.
    pub refresh: bool,
    /// Where the client is.
    pub address: Option<IpAddr>,
}

/// A device that was logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedIn {
    /// The user.
    pub user_id: OwnedUserId,
    /// The device.
    pub device_id: OwnedDeviceId,
    /// Its tokens.
    pub tokens: Issued,
}

impl Lifecycle {
    /// Needs the owners that it spans, and what sends letters, if anything does.
    #[must_use]
    pub fn new(
        store: Arc<Store>,
        ids: Arc<Ids>,
        clock: Clock,
        config: Arc<Config>,
        (accounts, devices, rooms, push): (Arc<Accounts>, Arc<Devices>, Arc<Rooms>, Arc<Push>),
        mailer: Option<Arc<Mailer>>,
        (tasks, stop): (TaskTracker, CancellationToken),
    ) -> Self {
        let interactive = interactive::Interactive::new(clock.clone());
        let nonces = shared_secret::Nonces::new(clock.clone());
        Self {
            store,
            ids,
            clock,
            config,
            accounts,
            devices,
            rooms,
            push,
            mailer,
            letter_limits: validate::Limits::default(),
            letter_turns: Turns::new(),
            tasks,
            stop,
            interactive,
            nonces,
            log_ins: LogIns::default(),
            naming: Mutex::new(()),
        }
    }

    /// The caches of operations that take more than one request.
    #[must_use]
    pub fn caches(&self) -> Vec<Held> {
        vec![self.interactive.held(), self.nonces.held()]
    }
}

#[cfg(test)]
mod tests;
