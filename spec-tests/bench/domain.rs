//! The domain itself, without HTTP and in this process: to fill a store, and to measure its doors.

use std::path::Path;
use std::sync::Arc;

use matron_homeserver::Homeserver;
use matron_homeserver::accounts::Session;
use matron_homeserver::clock::Clock;
use matron_homeserver::config::{Config, PasswordHashing, RateLimits, Registration};
use matron_homeserver::rooms::intent::Intent;
use matron_homeserver::schema::{DeviceNum, RoomNum};
use matron_matrix::event::Template;
use matron_storage::Options;
use ruma::{CanonicalJsonObject, UserId};

use crate::world::{CACHE_MIB, store};

/// A homeserver over the store below `folder`; `sync` says whether it waits for the disk.
pub async fn open(folder: &Path, sync: bool) -> Arc<Homeserver> {
    let mut config = Config::named(ruma::server_name!("localhost").to_owned());
    config.password_hashing = PasswordHashing { memory_kib: 8, iterations: 1 };
    config.registration = Registration::Open;
    config.rate_limits.set(RateLimits::off());
    let options = Options { sync, ..Options::rocks(store(folder), CACHE_MIB << 20) };
    Homeserver::start(config, &options, Clock::system()).await.unwrap()
}

/// Ends it; the store is closed after this.
pub async fn close(server: Arc<Homeserver>) {
    server.stop().await;
    assert_eq!(Arc::strong_count(&server), 1, "somebody still holds the server");
}

/// Somebody, as rooms know them: no device speaks.
pub async fn session(server: &Homeserver, id: &str) -> Session {
    let user_id = UserId::parse(id).unwrap();
    let user = server.ids.user(&user_id).await.unwrap();
    Session {
        user,
        user_id,
        device_id: "BENCH".into(),
        device: DeviceNum(0),
        guest: false,
        admin: false,
        suspended: false,
        rate_limit: None,
    }
}

/// A room's number.
pub async fn num(server: &Homeserver, room: &str) -> RoomNum {
    server.ids.room(&server.store.snapshot(), room).await.unwrap().unwrap()
}

/// A text message.
pub fn message(server: &Homeserver, sender: &UserId, text: &str) -> Intent {
    let mut content = CanonicalJsonObject::new();
    content.insert("msgtype".to_owned(), "m.text".to_owned().into());
    content.insert("body".to_owned(), text.to_owned().into());
    Intent::new(Template {
        sender: sender.to_owned(),
        kind: "m.room.message".into(),
        state_key: None,
        content,
        redacts: None,
        origin_server_ts: server.clock.now(),
    })
}
