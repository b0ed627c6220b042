//! Accounts of this server: who they are, how they prove it, what they keep here.

use std::sync::Arc;

use matron_storage::Store;
use ruma::{OwnedDeviceId, OwnedUserId};

use crate::clock::Clock;
use crate::config::Config;
use crate::ids::Ids;
use crate::schema::{DeviceNum, UserNum};
use crate::streams::Streams;

mod account_data;
mod derived;
mod filters;
mod ignored;
mod profile;
mod push_rules;
mod tags;

#[cfg(test)]
mod fixture;

pub use account_data::{FULLY_READ, PUSH_RULES, Piece};
pub use ignored::IGNORED_USER_LIST;
pub use profile::Profile;
pub use tags::TAG;

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
}

impl Accounts {
    /// Needs what lies below: store, streams, ids.
    #[must_use]
    pub fn new(store: Arc<Store>, streams: Arc<Streams>, ids: Arc<Ids>, clock: Clock, config: Arc<Config>) -> Self {
        Self { store, streams, ids, clock, config, derived: derived::Caches::default() }
    }
}
