//! Sweeps at times of the test's choice.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use matron_storage::Options;
use ruma::api::client::room::create_room::v3::{Request as NewRoom, RoomPreset};
use ruma::{CanonicalJsonObject, OwnedEventId, OwnedRoomId};

use crate::Homeserver;
use crate::accounts::Session;
use crate::clock::Clock;
use crate::config::Config;
use crate::fixture::session;
use crate::rooms::event::by_id;
use crate::rooms::intent::TransactionKey;
use crate::schema::rooms::{REDACTED, TRANSACTIONS};

const DAY: u64 = 24 * 60 * 60 * 1000;

struct House {
    server: Arc<Homeserver>,
    now: Arc<AtomicU64>,
    ann: Session,
    room: OwnedRoomId,
}

impl House {
    async fn new() -> Self {
        let now = Arc::new(AtomicU64::new(1_700_000_000_000));
        let clock = Arc::clone(&now);
        let clock = Clock::by(move || clock.load(Ordering::Relaxed));
        let config = Config::named(ruma::server_name!("localhost").to_owned());
        let server = Homeserver::start(config, &Options::memory(), clock).await.unwrap();
        let ann = session(&server, "ann").await;
        let mut request = NewRoom::new();
        request.preset = Some(RoomPreset::PublicChat);
        let room = server.rooms.create(&ann, request).await.unwrap();
        Self { server, now, ann, room }
    }

    fn transaction(&self, id: &str) -> TransactionKey {
        TransactionKey::new(self.ann.device, "PUT", id, id)
    }

    async fn say(&self, text: &str) -> OwnedEventId {
        let mut content = CanonicalJsonObject::new();
        content.insert("body".to_owned(), text.to_owned().into());
        let kind = "m.room.message".into();
        self.server.rooms.send(&self.ann, &self.room, kind, content, self.transaction(text)).await.unwrap()
    }

    async fn redact(&self, event: &OwnedEventId) {
        let transaction = self.transaction(event.as_str());
        self.server.rooms.redact(&self.ann, &self.room, event, None, transaction).await.unwrap();
    }

    async fn stored(&self, event: &OwnedEventId) -> String {
        let found = by_id(&self.server.rooms, &self.server.store.snapshot(), event).await.unwrap().unwrap();
        found.event.json.into()
    }
}

#[tokio::test]
async fn what_was_redacted_is_overwritten_after_its_time() {
    let house = House::new().await;
    let (secret, kept) = (house.say("secret").await, house.say("kept").await);
    house.redact(&secret).await;
    let begun = house.now.load(Ordering::Relaxed);
    assert!(!house.server.rooms.sweep_redacted(begun + 7 * DAY).await.unwrap());
    assert!(house.stored(&secret).await.contains("secret"), "it is kept for seven days");
    assert!(!house.server.rooms.sweep_redacted(begun + 7 * DAY + 1).await.unwrap());
    assert!(!house.stored(&secret).await.contains("secret"));
    assert!(house.stored(&kept).await.contains("kept"));
    let shown = house.server.rooms.event(&house.ann, &house.room, &secret).await.unwrap();
    assert!(shown.get().contains("redacted_because"), "{shown}");
    let snapshot = house.server.store.snapshot();
    assert!(snapshot.scan(&REDACTED, REDACTED.all()).collect().await.unwrap().is_empty());
    house.server.stop().await;
}

#[tokio::test]
async fn old_transactions_are_forgotten_piece_by_piece() {
    let house = House::new().await;
    for nth in 0..700 {
        house.say(&format!("old {nth}")).await;
    }
    let begun = house.now.fetch_add(3 * DAY, Ordering::Relaxed);
    let young = house.say("young").await;
    let rooms = &house.server.rooms;
    let count = async || {
        let snapshot = house.server.store.snapshot();
        snapshot.scan(&TRANSACTIONS, TRANSACTIONS.all()).collect().await.unwrap().len()
    };
    while rooms.sweep_transactions(begun + 7 * DAY - 1).await.unwrap() {}
    assert_eq!(count().await, 701, "none is a week old");
    assert!(!rooms.sweep_transactions(begun + 7 * DAY).await.unwrap(), "one walk a day is enough");
    assert_eq!(count().await, 701);
    assert!(rooms.sweep_transactions(begun + 8 * DAY).await.unwrap(), "there is more than one piece");
    while rooms.sweep_transactions(begun + 8 * DAY).await.unwrap() {}
    assert_eq!(count().await, 1);
    assert_eq!(house.say("young").await, young, "the young one still answers");
    house.server.stop().await;
}
