//! A crowd that waited for one thing holds up nobody else.

use std::sync::Arc;
use std::time::Duration;

use matron_storage::{Batch, Options};
use ruma::server_name;
use serde_json::json;
use tokio::runtime::{Builder, Handle};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::turns::request;
use super::{House, session};
use crate::clock::Clock;
use crate::config::Config;
use crate::streams::{Subject, Token};
use crate::sync::Request;
use crate::{Homeserver, Threads};

const PATIENCE: Duration = Duration::from_secs(30);
/// More than are woken at once.
const CROWD: usize = 100;

#[tokio::test]
async fn others_are_answered_before_a_crowd() {
    // Nobody works there until this test does.
    let (aside, end) = (Builder::new_current_thread().enable_all().build().unwrap(), CancellationToken::new());
    let threads = Threads { crowds: aside.handle().clone(), behind: Handle::current() };
    let config = Config::named(server_name!("localhost").to_owned());
    let server = Homeserver::start_with(config, &Options::memory(), Clock::system(), threads).await.unwrap();
    let mut house = House::at(server).await;
    for nth in 0..CROWD {
        let user = session(&house.server, &format!("nurse{nth}")).await;
        house.server.rooms.join(&user, &house.room, None, None).await.unwrap();
        house.users.push(user);
    }
    let (sync, stop) = (&house.server.sync, CancellationToken::new());
    let first = sync.classic(house.reader(), &request(None), &stop).await.unwrap();
    let since = Token::parse(&first.next_batch, house.server.store.epoch()).unwrap();
    let mut waiting = JoinSet::new();
    for user in house.users.split_off(3) {
        let (sync, stop) = (Arc::clone(sync), stop.clone());
        let waits = Request { timeout: Duration::from_mins(1), ..request(Some(since)) };
        waiting.spawn(async move { (user.user, sync.classic(&user, &waits, &stop).await) });
    }
    while house.server.streams.waiting() < CROWD {
        tokio::task::yield_now().await;
    }

    house.say(1, "m.room.message", None, json!({ "msgtype": "m.text", "body": "bed 3 is free" })).await;
    let news = timeout(PATIENCE, sync.classic(house.reader(), &request(Some(since)), &stop)).await.unwrap().unwrap();
    assert!(news.rooms.join.contains_key(house.room.as_str()));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(waiting.try_join_next().is_none(), "the crowd is answered on the threads of others");

    // Somebody's access ends before their turn comes.
    let ended = house.server.ids.user(ruma::user_id!("@nurse7:localhost")).await.unwrap();
    let mut batch = Batch::new();
    batch.announce(Subject::Access(ended).into());
    house.server.store.commit(batch).await.unwrap();

    let over = end.clone();
    let work = std::thread::spawn(move || aside.block_on(over.cancelled()));
    let answers = timeout(PATIENCE, waiting.join_all()).await.unwrap();
    assert_eq!(answers.len(), CROWD);
    for (user, answer) in answers {
        match answer {
            Ok(answer) => assert!(user != ended && answer.rooms.join.contains_key(house.room.as_str())),
            Err(_) => assert_eq!(user, ended),
        }
    }
    end.cancel();
    tokio::task::spawn_blocking(|| work.join().unwrap()).await.unwrap();
    house.server.stop().await;
}
