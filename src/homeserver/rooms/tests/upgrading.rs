//! An upgrade of a room with more bans than one batch takes: they go over all the same, whenever the server stops.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use matron_storage::Options;
use ruma::api::client::room::create_room::v3::{Request as NewRoom, RoomPreset};
use ruma::{OwnedUserId, RoomVersionId, UserId};
use serde_json::{Value, json};

use crate::Homeserver;
use crate::clock::Clock;
use crate::config::Config;
use crate::fixture::{house, session};
use crate::rooms::intent::Intent;
use crate::rooms::membership::Said;
use crate::schema::RoomNum;
use crate::schema::rooms::{MEMBERS, MOVING, Membership};

/// More than go over in the upgrade's own batch and some pieces after it.
const BANS: usize = 1500;

async fn open(folder: &Path) -> Arc<Homeserver> {
    let config = Config::named(ruma::server_name!("localhost").to_owned());
    Homeserver::start(config, &Options::rocks(folder.join("store"), 16 << 20), Clock::system()).await.unwrap()
}

async fn bans(server: &Homeserver, room: RoomNum) -> usize {
    let members = server.store.snapshot().scan(&MEMBERS, MEMBERS.under(&(room,))).collect().await.unwrap();
    members.iter().filter(|(_, member)| member.membership == Membership::Ban).count()
}

#[tokio::test]
async fn all_bans_go_over_also_when_the_server_stops_meanwhile() {
    let folder = tempfile::TempDir::new().unwrap();
    let server = open(folder.path()).await;
    let ann = session(&server, "ann").await;
    let mut request = NewRoom::new();
    request.preset = Some(RoomPreset::PublicChat);
    request.room_version = Some(RoomVersionId::V11);
    let old = server.rooms.create(&ann, request).await.unwrap();
    let old_num = server.ids.room(&server.store.snapshot(), old.as_str()).await.unwrap().unwrap();
    let banned: Vec<OwnedUserId> =
        (0..BANS).map(|nth| UserId::parse(format!("@banned{nth}:other.example")).unwrap()).collect();
    let noise = || Said::because(Some("noise"));
    for done in join_all(banned.iter().map(|user| server.rooms.ban(&ann, &old, user, noise()))).await {
        done.unwrap();
    }
    // Ann may upgrade from now on, but not ban.
    let levels = json!({ "users": { "@ann:localhost": 60 }, "ban": 100, "events": { "m.room.tombstone": 50 },
        "events_default": 50, "invite": 50 });
    let template = crate::rooms::upgrade::template(
        &ann.user_id,
        server.clock.now(),
        ruma::events::TimelineEventType::RoomPowerLevels,
        "",
        levels.clone(),
    );
    server.rooms.submit(old_num, Intent::new(template.unwrap())).await.unwrap();

    let new = server.rooms.upgrade(&ann, &old, &RoomVersionId::V11, Vec::new()).await.unwrap();
    server.stop().await;
    let new = server.ids.room(&server.store.snapshot(), new.as_str()).await.unwrap().unwrap();
    let first = bans(&server, new).await;
    assert!((1..BANS).contains(&first), "{first} went over in the first batch");
    assert!(server.store.snapshot().get(&MOVING, &new).await.unwrap().is_some());
    drop(server);

    let server = open(folder.path()).await;
    tokio::time::timeout(Duration::from_mins(1), async {
        while server.store.snapshot().get(&MOVING, &new).await.unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap();
    assert_eq!(bans(&server, new).await, BANS);
    let now: Option<Value> = server.rooms.current(&server.store.snapshot(), new, "m.room.power_levels").await.unwrap();
    assert_eq!(now, Some(levels), "and Ann has her own level again");
}

#[tokio::test]
async fn a_ban_that_the_new_room_refuses_holds_up_no_upgrade() {
    let server = house().await;
    let (ann, bob) = (session(&server, "ann").await, session(&server, "bob").await);
    let mut request = NewRoom::new();
    request.room_version = Some(RoomVersionId::V11);
    request.topic = Some("Ward 7".to_owned());
    let old = server.rooms.create(&ann, request).await.unwrap();
    server.rooms.ban(&ann, &old, &bob.user_id, Said::default()).await.unwrap();
    // Nobody bans a creator.
    let creators = vec![bob.user_id.clone()];
    let new = server.rooms.upgrade(&ann, &old, &RoomVersionId::V12, creators).await.unwrap();
    let new = server.ids.room(&server.store.snapshot(), new.as_str()).await.unwrap().unwrap();
    assert_eq!(bans(&server, new).await, 0);
    let topic: Option<Value> = server.rooms.current(&server.store.snapshot(), new, "m.room.topic").await.unwrap();
    assert_eq!(topic.unwrap()["topic"], "Ward 7", "all else goes over");
    server.stop().await;
}
