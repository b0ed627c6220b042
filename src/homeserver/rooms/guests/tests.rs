//! Guests leave a room that lets them in no more, whatever comes between; and none slips in meanwhile.

use std::sync::Arc;
use std::time::Duration;

use matron_matrix::canonical;
use matron_matrix::event::Template;
use matron_storage::{Batch, Options};
use ruma::api::client::room::create_room::v3::{Request as NewRoom, RoomPreset};
use ruma::events::TimelineEventType;
use ruma::{OwnedEventId, OwnedRoomId, server_name};
use serde_json::json;
use tempfile::TempDir;

use crate::accounts::Session;
use crate::clock::Clock;
use crate::config::Config;
use crate::fixture::{house, session};
use crate::rooms::intent::{Intent, TransactionKey};
use crate::schema::RoomNum;
use crate::schema::accounts::{ACCOUNTS, Account, AccountKind};
use crate::schema::rooms::{GUESTS_LEAVING, Membership};
use crate::{Error, Homeserver};

const KIND: TimelineEventType = TimelineEventType::RoomGuestAccess;

async fn guest(server: &Homeserver) -> Session {
    let guest = Session { guest: true, ..session(server, "guest").await };
    let account = Account {
        kind: AccountKind::Guest,
        password: None,
        admin: false,
        deactivated: false,
        erased: false,
        locked: false,
        suspended: false,
        created: 0,
    };
    let mut batch = Batch::new();
    batch.put(&ACCOUNTS, &guest.user, &account);
    server.store.commit(batch).await.unwrap();
    guest
}

/// A public room, by its id and its number.
async fn room(server: &Homeserver, ann: &Session) -> (OwnedRoomId, RoomNum) {
    let mut request = NewRoom::new();
    request.preset = Some(RoomPreset::PublicChat);
    let id = server.rooms.create(ann, request).await.unwrap();
    let room = server.ids.room(&server.store.snapshot(), id.as_str()).await.unwrap().unwrap();
    (id, room)
}

async fn set_access(server: &Homeserver, ann: &Session, room: &OwnedRoomId, access: &str) -> OwnedEventId {
    let content = canonical::object(json!({ "guest_access": access })).unwrap();
    server.rooms.send_state(ann, room, KIND, String::new(), content).await.unwrap()
}

async fn membership(server: &Homeserver, room: RoomNum, user: &Session) -> Option<Membership> {
    server.rooms.membership(&server.store.snapshot(), room, user.user).await.unwrap()
}

async fn is_noted(server: &Homeserver, room: RoomNum) -> bool {
    server.store.snapshot().get(&GUESTS_LEAVING, &room).await.unwrap().is_some()
}

#[tokio::test]
async fn guests_leave_also_where_their_access_is_redacted() {
    let server = house().await;
    let (ann, bob, guest) = (session(&server, "ann").await, session(&server, "bob").await, guest(&server).await);
    let (id, room) = room(&server, &ann).await;
    server.rooms.join(&bob, &id, None, None).await.unwrap();
    let _ = set_access(&server, &ann, &id, "can_join").await;
    server.rooms.join(&guest, &id, None, None).await.unwrap();
    let _ = set_access(&server, &ann, &id, "forbidden").await;
    assert_eq!(membership(&server, room, &guest).await, Some(Membership::Leave));
    let access = set_access(&server, &ann, &id, "can_join").await;
    server.rooms.join(&guest, &id, None, None).await.unwrap();
    let transaction = TransactionKey::new(ann.device, "PUT", "/redact", "1");
    server.rooms.redact(&ann, &id, &access, None, transaction).await.unwrap();
    assert_eq!(membership(&server, room, &guest).await, Some(Membership::Leave));
    assert_eq!(membership(&server, room, &bob).await, Some(Membership::Join));
    assert!(!is_noted(&server, room).await);
    server.stop().await;
}

#[tokio::test]
async fn the_writer_asks_whether_a_guest_may_join() {
    let server = house().await;
    let (ann, bob, guest) = (session(&server, "ann").await, session(&server, "bob").await, guest(&server).await);
    let (id, room) = room(&server, &ann).await;
    // As after all that is asked before.
    let join = async |user: &Session| {
        let content = json!({ "membership": "join" });
        server.rooms.move_member(&user.user_id, room, &user.user_id, content).await
    };
    let refused = join(&guest).await.unwrap_err();
    assert!(matches!(&refused, Error::Matrix(error) if error.kind.errcode().as_str() == "M_GUEST_ACCESS_FORBIDDEN"));
    join(&bob).await.unwrap();
    let _ = set_access(&server, &ann, &id, "can_join").await;
    join(&guest).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn what_a_stop_came_between_is_done_at_the_next_start() {
    let folder = TempDir::new().unwrap();
    let start = async || {
        let options = Options::rocks(folder.path().join("store"), 16 << 20);
        let config = Config::named(server_name!("localhost").to_owned());
        Homeserver::start(config, &options, Clock::system()).await.unwrap()
    };
    let server: Arc<Homeserver> = start().await;
    let (ann, guest) = (session(&server, "ann").await, guest(&server).await);
    let (id, room) = room(&server, &ann).await;
    let _ = set_access(&server, &ann, &id, "can_join").await;
    server.rooms.join(&guest, &id, None, None).await.unwrap();
    assert!(!is_noted(&server, room).await);
    let template = Template {
        sender: ann.user_id.clone(),
        kind: KIND,
        state_key: Some(String::new()),
        content: canonical::object(json!({})).unwrap(),
        redacts: None,
        origin_server_ts: server.clock.now(),
    };
    server.rooms.submit(room, Intent::new(template)).await.unwrap();
    assert_eq!(membership(&server, room, &guest).await, Some(Membership::Join));
    assert!(is_noted(&server, room).await);
    server.stop().await;
    drop(server);

    let server = start().await;
    while is_noted(&server, room).await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(membership(&server, room, &guest).await, Some(Membership::Leave));
    server.stop().await;
}
