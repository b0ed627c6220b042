//! What tests of several rooms of the house begin with: a homeserver in memory, and people who are logged in there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use matron_storage::Options;
use ruma::{UserId, server_name};

use crate::Homeserver;
use crate::accounts::Session;
use crate::clock::Clock;
use crate::config::Config;

/// A homeserver in memory, whose clock goes on by a millisecond whenever it is looked at.
pub(crate) async fn house() -> Arc<Homeserver> {
    house_by(Config::named(server_name!("localhost").to_owned())).await
}

/// The same, configured so.
pub(crate) async fn house_by(config: Config) -> Arc<Homeserver> {
    let now = AtomicU64::new(1_700_000_000_000);
    let clock = Clock::by(move || now.fetch_add(1, Ordering::Relaxed));
    Homeserver::start(config, &Options::memory(), clock).await.unwrap()
}

/// Somebody by the name, on a device that nobody else has.
pub(crate) async fn session(server: &Homeserver, name: &str) -> Session {
    let user_id = UserId::parse(format!("@{name}:{}", server.config.server_name)).unwrap();
    Session {
        user: server.ids.user(&user_id).await.unwrap(),
        user_id,
        device_id: "D".into(),
        device: server.ids.new_device().await.unwrap(),
        guest: false,
        admin: false,
        suspended: false,
        rate_limit: None,
    }
}
