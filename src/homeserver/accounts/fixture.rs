//! A homeserver in memory with some accounts and rooms, for tests.

use std::sync::Arc;

use matron_storage::{Batch, Options, Snapshot};
use ruma::{RoomId, UserId, owned_device_id, server_name};

use super::Session;
use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::schema::accounts::{ACCOUNTS, Account, AccountKind};
use crate::schema::ids::ROOM_NUMS;
use crate::schema::{DeviceNum, RoomNum};
use crate::{Homeserver, accounts::Accounts};

pub(super) struct Fixture(pub Arc<Homeserver>);

impl std::ops::Deref for Fixture {
    type Target = Accounts;

    fn deref(&self) -> &Accounts {
        &self.0.accounts
    }
}

impl Fixture {
    pub async fn new() -> Self {
        let config = Config::named(server_name!("example.org").to_owned());
        Self(Homeserver::start(config, &Options::memory(), Clock::by(|| 1)).await.unwrap())
    }

    pub fn snapshot(&self) -> Snapshot {
        self.0.store.snapshot()
    }

    pub async fn user(&self, name: &str) -> Session {
        let user_id = UserId::parse(format!("@{name}:example.org")).unwrap();
        let user = self.0.ids.user(&user_id).await.unwrap();
        let account = Account {
            kind: AccountKind::User,
            password: None,
            admin: false,
            deactivated: false,
            erased: false,
            locked: false,
            suspended: false,
            created: 0,
        };
        let mut batch = Batch::new();
        batch.put(&ACCOUNTS, &user, &account);
        self.0.store.commit(batch).await.unwrap();
        let (device_id, device) = (owned_device_id!("DEVICE"), DeviceNum(user.0));
        Session { user_id, user, device_id, device, guest: false, admin: false, suspended: false, rate_limit: None }
    }

    pub async fn room(&self, room_id: &RoomId) -> RoomNum {
        let room = self.0.ids.new_room().await.unwrap();
        let mut batch = Batch::new();
        batch.put(&ROOM_NUMS, &room_id.to_string(), &room);
        self.0.store.commit(batch).await.unwrap();
        room
    }
}

/// The errcode of a refusal.
pub(super) fn refusal<T>(result: Result<T>) -> String {
    match result {
        Err(Error::Matrix(error)) => error.kind.errcode().to_string(),
        Err(Error::ServerControlled(error)) => format!("405 {}", error.kind.errcode()),
        Err(error) => panic!("it failed: {error}"),
        Ok(_) => panic!("it was not refused"),
    }
}
