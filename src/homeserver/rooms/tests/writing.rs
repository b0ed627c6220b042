//! A room's writer that breaks down.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use matron_matrix::canonical;
use matron_matrix::event::Template;
use matron_storage::Options;
use ruma::api::client::room::create_room::v3::Request as NewRoom;
use serde_json::json;

use crate::Homeserver;
use crate::clock::Clock;
use crate::config::Config;
use crate::fixture::session;
use crate::rooms::intent::{Intent, TransactionKey};

#[tokio::test]
async fn whoever_waits_for_a_writer_that_breaks_down_is_answered_and_the_room_goes_on() {
    let breaks = Arc::new(AtomicBool::new(false));
    let broken = Arc::clone(&breaks);
    let clock = Clock::by(move || {
        assert!(!broken.swap(false, Ordering::Relaxed), "the clock stopped");
        1_700_000_000_000
    });
    let config = Config::named(ruma::server_name!("localhost").to_owned());
    let server = Homeserver::start(config, &Options::memory(), clock).await.unwrap();
    let ann = session(&server, "ann").await;
    let room_id = server.rooms.create(&ann, NewRoom::new()).await.unwrap();
    let room = server.ids.room(&server.store.snapshot(), room_id.as_str()).await.unwrap().unwrap();
    let now = server.clock.now();
    // The writer looks at the clock for the row of a transaction.
    let say = |id: &str| {
        let template = Template {
            sender: ann.user_id.clone(),
            kind: "m.room.message".into(),
            state_key: None,
            content: canonical::object(json!({ "msgtype": "m.text", "body": id })).unwrap(),
            redacts: None,
            origin_server_ts: now,
        };
        let transaction = TransactionKey::new(ann.device, "PUT", id, id);
        server.rooms.submit(room, Intent { transaction: Some(transaction), ..Intent::new(template) })
    };
    breaks.store(true, Ordering::Relaxed);
    let (first, second) = tokio::join!(say("first"), say("second"));
    assert!(first.is_err() && second.is_err(), "{first:?} {second:?}");
    assert_eq!(server.rooms.writing(), (0, 0));
    let third = tokio::time::timeout(Duration::from_secs(30), say("third")).await.unwrap().unwrap();
    let again = say("third").await.unwrap();
    assert_eq!(again.event_id, third.event_id);
    server.stop().await;
}
