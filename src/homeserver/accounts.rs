//! Accounts of this server: who they are, how they prove it, what they keep here.

use std::sync::Arc;

use matron_matrix::Error as MatrixError;
use matron_storage::Store;
use quick_cache::sync::Cache;
use ruma::{OwnedDeviceId, OwnedUserId, ServerName, UserId};

use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::ids::Ids;
use crate::meters::Held;
use crate::schema::accounts::RateLimitOverride;
use crate::schema::{DeviceNum, UserNum};
use crate::streams::Streams;

mod account_data;
mod administration;
mod derived;
mod filters;
mod ignored;
mod invites;
mod openid;
mod profile;
mod push_rules;
mod succession;
mod tags;
mod third_party;
mod turn;
mod words;

#[cfg(test)]
mod fixture;

pub use account_data::{FULLY_READ, IGNORED_USER_LIST, PUSH_RULES, Piece};
pub use invites::Invites;
pub use profile::Profile;
pub(crate) use profile::put_first_name;
pub use tags::TAG;
pub use turn::TurnCredentials;
pub(crate) use words::found_by;
mod attempts;
mod devices;
mod names;
mod password;
mod rate_limits;
mod rows;
mod sessions;
mod tokens;

pub use devices::DeviceInfo;
pub use names::{localpart_of, random_localpart};
pub use tokens::Issued;

pub(crate) use devices::{check_name, delete_rows, device_id, initial_name};
pub(crate) use password::{Verdict, check as check_password};
pub(crate) use rows::{TRIES, replace, usable};
pub(crate) use tokens::revoke_device;

/// Somebody who proved who they are: the user and the device that a request speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The user's id.
    pub user_id: OwnedUserId,
    /// The user's number.
    pub user: UserNum,
    /// The device's id.
    pub device_id: OwnedDeviceId,
    /// The device's number.
    pub device: DeviceNum,
    /// Whether it is a guest.
    pub guest: bool,
    /// Whether it may call the admin API.
    pub admin: bool,
    /// Whether it may read, but not act towards others.
    pub suspended: bool,
    /// The user's own limit on requests, if an administrator set one.
    pub rate_limit: Option<RateLimitOverride>,
}

impl Session {
    /// Whoever runs the server, by the command line: no user, with numbers that nobody is given, who may do what
    /// administrators may.
    ///
    /// # Errors
    /// The server's name is too long to be part of a user id.
    pub fn of_operator(server_name: &ServerName) -> Result<Self> {
        Ok(Self {
            user_id: UserId::parse(format!("@_operator:{server_name}")).map_err(Error::internal)?,
            user: UserNum(0),
            device_id: "".into(),
            device: DeviceNum(0),
            guest: false,
            admin: true,
            suspended: false,
            rate_limit: None,
        })
    }

    /// Refuses whoever is no administrator.
    ///
    /// # Errors
    /// `M_FORBIDDEN`.
    pub fn may_administer(&self) -> Result<()> {
        if !self.admin {
            return Err(MatrixError::forbidden("this is for administrators").into());
        }
        Ok(())
    }

    /// Refuses whoever may not act towards others: they go on reading, may leave rooms, take back what they said, and look
    /// after their account and keys, but take no e-mail address from it. Client-server API, "Account suspension".
    ///
    /// # Errors
    /// `M_USER_SUSPENDED`.
    pub fn may_act(&self) -> Result<()> {
        if self.suspended {
            return Err(MatrixError::user_suspended("this account is suspended").into());
        }
        Ok(())
    }
}

/// The owner of accounts, tokens, profiles, account data, push rules and filters.
#[derive(Debug)]
pub struct Accounts {
    store: Arc<Store>,
    streams: Arc<Streams>,
    ids: Arc<Ids>,
    clock: Clock,
    config: Arc<Config>,
    derived: derived::Caches,
    growth: account_data::Growth,
    sessions: sessions::Sessions,
    passwords: password::Passwords,
    attempts: attempts::Attempts,
    /// When a device's last-seen row was last written.
    touched: Cache<DeviceNum, u64>,
}

impl Accounts {
    /// Needs what lies below: store, streams, ids.
    #[must_use]
    pub fn new((store, streams, ids): (Arc<Store>, Arc<Streams>, Arc<Ids>), clock: Clock, config: Arc<Config>) -> Self {
        Self {
            sessions: sessions::Sessions::new(Arc::clone(&streams)),
            store,
            streams,
            ids,
            passwords: password::Passwords::new(config.password_hashing),
            attempts: attempts::Attempts::new(Arc::clone(&config), clock.clone()),
            touched: Cache::new(50_000),
            clock,
            config,
            derived: derived::Caches::default(),
            growth: account_data::Growth::new(),
        }
    }

    /// The caches of accounts.
    #[must_use]
    pub fn caches(&self) -> Vec<Held> {
        let mut caches = self.derived.held();
        caches.extend(self.sessions.held());
        caches.push(self.growth.held());
        caches.push(Held::of("devices_seen", &self.touched));
        caches
    }

    /// How many passwords wait to be hashed: each takes a core for a while.
    #[must_use]
    pub fn passwords_waiting(&self) -> usize {
        self.passwords.waiting()
    }
}
