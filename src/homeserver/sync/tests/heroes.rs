//! A nameless room is called after those who are there, however many left it.

use ruma::api::client::room::create_room::v3::{Request as NewRoom, RoomPreset};
use tokio_util::sync::CancellationToken;

use super::House;
use super::turns::request;
use crate::fixture::session;
use crate::rooms::membership::Said;
use crate::sync::summary::LOOKS;

#[tokio::test]
async fn heroes_are_who_is_there_however_many_left_before_they_came() {
    let house = House::new().await;
    let server = &house.server;
    let mut asked = NewRoom::new();
    asked.preset = Some(RoomPreset::PublicChat);
    let room = server.rooms.create(house.reader(), asked).await.unwrap();
    let heroes = async || {
        let answer = server.sync.classic(house.reader(), &request(None), &CancellationToken::new()).await.unwrap();
        answer.rooms.join[room.as_str()].summary.heroes.clone().unwrap()
    };
    assert!(heroes().await.is_empty());
    for nth in 0..LOOKS + 10 {
        let user = session(server, &format!("gone{nth}")).await;
        server.rooms.join(&user, &room, None, None).await.unwrap();
        server.rooms.leave(&user, &room, Said::default()).await.unwrap();
    }
    let first: Vec<_> = (0..5).map(|nth| format!("@gone{nth}:localhost")).collect();
    assert_eq!(heroes().await, first, "where nobody is, those who were");
    let late = session(server, "late").await;
    server.rooms.join(&late, &room, None, None).await.unwrap();
    assert_eq!(heroes().await, ["@late:localhost"]);
    house.server.stop().await;
}
