//! Reports are listed newest first, page by page, and can be deleted; who makes them, and how many.

use matron_storage::Options;
use ruma::api::client::room::create_room::v3::Request as NewRoom;
use ruma::events::TimelineEventType;
use ruma::{CanonicalJsonObject, room_id, user_id};

use crate::clock::Clock;
use crate::config::Config;
use crate::fixture::session;
use crate::rooms::intent::TransactionKey;
use crate::rooms::membership::Said;
use crate::{Error, Homeserver};

#[tokio::test]
async fn reports_are_kept_listed_and_deleted() {
    let config = Config::named(ruma::server_name!("localhost").to_owned());
    let server = Homeserver::start(config, &Options::memory(), Clock::system()).await.unwrap();
    let ann = session(&server, "ann").await;
    let bob = session(&server, "bob").await;
    for reason in ["one", "two", "three"] {
        server.reports.user(&ann, &bob.user_id, reason).await.unwrap();
    }
    // Nobody learns who is there, and nothing is kept of who is not.
    server.reports.user(&ann, user_id!("@nobody:localhost"), "four").await.unwrap();
    server.reports.room(&ann, room_id!("!none:localhost"), "five").await.unwrap();
    assert!(server.reports.user(&ann, &bob.user_id, &"x".repeat(10_000)).await.is_err());

    let reasons = |reports: &[(_, super::Report)]| -> Vec<String> {
        reports.iter().map(|(_, report)| report.reason.clone()).collect()
    };
    let first = server.reports.list(None, 2).await.unwrap();
    assert_eq!(reasons(&first), ["three", "two"]);
    assert_eq!((first[0].1.by, first[0].1.user_id.as_deref()), (ann.user, Some("@bob:localhost")));
    assert_eq!(reasons(&server.reports.list(Some(first[1].0), 2).await.unwrap()), ["one"]);
    assert_eq!(server.reports.get(first[1].0).await.unwrap().unwrap().reason, "two");
    assert!(server.reports.delete(first[1].0).await.unwrap());
    assert!(!server.reports.delete(first[1].0).await.unwrap());
    assert_eq!(reasons(&server.reports.list(None, 9).await.unwrap()), ["three", "one"]);
    server.stop().await;
}

#[tokio::test]
async fn what_was_reported_is_shown_until_it_is_redacted() {
    let config = Config::named(ruma::server_name!("localhost").to_owned());
    let server = Homeserver::start(config, &Options::memory(), Clock::system()).await.unwrap();
    let ann = session(&server, "ann").await;
    let transaction = |id: &str| TransactionKey::new(ann.device, "PUT", id, id);
    let room = server.rooms.create(&ann, NewRoom::new()).await.unwrap();
    let content: CanonicalJsonObject = serde_json::from_str(r#"{"msgtype":"m.text","body":"rude"}"#).unwrap();
    let event =
        server.rooms.send(&ann, &room, TimelineEventType::RoomMessage, content, transaction("1")).await.unwrap();
    server.reports.event(&ann, &room, &event, "it is rude").await.unwrap();
    server.reports.user(&ann, &ann.user_id, "so is she").await.unwrap();

    let reports = server.reports.list(None, 9).await.unwrap();
    assert_eq!(server.reports.said(&reports[0].1).await.unwrap(), None);
    let said = server.reports.said(&reports[1].1).await.unwrap().unwrap();
    assert!(said.contains(r#""body":"rude""#), "{said}");
    server.rooms.redact(&ann, &room, &event, None, transaction("2")).await.unwrap();
    assert_eq!(server.reports.said(&reports[1].1).await.unwrap(), None);
    server.stop().await;
}

#[tokio::test]
async fn a_room_is_reported_also_by_who_may_not_see_it() {
    let config = Config::named(ruma::server_name!("localhost").to_owned());
    let server = Homeserver::start(config, &Options::memory(), Clock::system()).await.unwrap();
    let (ann, bob) = (session(&server, "ann").await, session(&server, "bob").await);
    let mut request = NewRoom::new();
    request.invite = vec![bob.user_id.clone()];
    let room_id = server.rooms.create(&ann, request).await.unwrap();
    let room = server.ids.room(&server.store.snapshot(), room_id.as_str()).await.unwrap();
    server.rooms.leave(&bob, &room_id, Said::default()).await.unwrap();
    server.reports.room(&bob, &room_id, "such an invite").await.unwrap();
    let reports = server.reports.list(None, 9).await.unwrap();
    let told = reports.iter().map(|(_, report)| (report.by, report.room, &*report.reason)).collect::<Vec<_>>();
    assert_eq!(told, [(bob.user, room, "such an invite")]);
    server.stop().await;
}

#[tokio::test]
async fn nobody_fills_the_store_with_reports() {
    let config = Config::named(ruma::server_name!("localhost").to_owned());
    let server = Homeserver::start(config, &Options::memory(), Clock::by(|| 1_700_000_000_000)).await.unwrap();
    let (ann, bob) = (session(&server, "ann").await, session(&server, "bob").await);
    let (room, none) = (server.rooms.create(&ann, NewRoom::new()).await.unwrap(), room_id!("!none:localhost"));
    for _ in 0..100 {
        server.reports.room(&bob, &room, "again").await.unwrap();
    }
    // Of rooms that there are not, no more.
    for room in [&*room, none] {
        let refused = server.reports.room(&bob, room, "again").await;
        assert!(matches!(&refused, Err(Error::Matrix(error)) if error.status() == 429), "{refused:?}");
    }
    assert_eq!(server.reports.list(None, 200).await.unwrap().len(), 100);
    server.reports.room(&ann, &room, "it is full").await.unwrap();
    server.stop().await;
}
