//! Who wants to be told everything waits while others are; who wants news does not.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use matron_storage::Batch;
use ruma::api::client::filter::FilterDefinition;
use ruma::presence::PresenceState;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::House;
use crate::streams::{Subject, Token};
use crate::sync::{Request, StateName, SyncFilter};

const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn request(since: Option<Token>) -> Request {
    Request {
        since,
        mends: false,
        filter: SyncFilter::try_from(&FilterDefinition::default()).unwrap(),
        full_state: false,
        state: StateName::State,
        timeout: Duration::ZERO,
        set_presence: PresenceState::Offline,
    }
}

#[tokio::test]
async fn only_so_many_are_told_everything_at_once() {
    let house = House::new().await;
    let (sync, stop) = (&house.server.sync, CancellationToken::new());
    let first = sync.classic(house.reader(), &request(None), &stop).await.unwrap();
    let since = Token::parse(&first.next_batch, house.server.store.epoch()).unwrap();
    drop(first);

    let all = u32::try_from(sync.whole.available_permits()).unwrap();
    let turns = Arc::clone(&sync.whole).acquire_many_owned(all).await.unwrap();
    let begins = request(None);
    let mut begins = pin!(sync.classic(house.reader(), &begins, &stop));
    assert!(matches!(begins.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
    sync.classic(house.reader(), &request(Some(since)), &stop).await.unwrap();

    // Meanwhile something becomes of the reader's access; and nobody is logged in here.
    let mut batch = Batch::new();
    batch.announce(Subject::Access(house.reader().user).into());
    house.server.store.commit(batch).await.unwrap();
    drop(turns);
    assert!(begins.await.is_err());
    let waits = Request { timeout: Duration::from_mins(1), ..request(Some(since)) };
    assert!(sync.classic(house.reader(), &waits, &stop).await.is_err(), "who was logged out before does not wait");
    let answer = sync.classic(house.reader(), &request(None), &stop).await.unwrap();
    assert_eq!(sync.whole.available_permits() as u64, u64::from(all) - 1, "until it is written");
    drop(answer);
    assert_eq!(sync.whole.available_permits() as u64, u64::from(all));
    house.server.stop().await;
}

#[tokio::test]
async fn who_asks_many_times_waits_behind_themselves() {
    let house = House::new().await;
    let (sync, stop) = (&house.server.sync, CancellationToken::new());
    let all = u32::try_from(sync.whole.available_permits()).unwrap();
    let mut turns = Arc::clone(&sync.whole).acquire_many_owned(all).await.unwrap();
    let begins = request(None);
    let mut context = Context::from_waker(Waker::noop());
    let mut many: Vec<_> = (0..10).map(|_| Box::pin(sync.classic(house.reader(), &begins, &stop))).collect();
    // Two, since a user may share a turn with another one by chance.
    let mut others: Vec<_> = house.users[1..].iter().map(|user| Box::pin(sync.classic(user, &begins, &stop))).collect();
    for asked in many.iter_mut().chain(&mut others) {
        assert!(asked.as_mut().poll(&mut context).is_pending());
    }
    drop(turns.split(1).unwrap());
    let [second, third] = others.as_mut_slice() else { panic!("three users") };
    drop(timeout(PATIENCE, many.remove(0)).await.unwrap().unwrap());
    let other = async {
        tokio::select! {
            answer = second => answer,
            answer = third => answer,
        }
    };
    drop(timeout(PATIENCE, other).await.unwrap().unwrap());
    drop(others);
    for asked in &mut many {
        drop(timeout(PATIENCE, asked).await.unwrap().unwrap());
    }
    house.server.stop().await;
}

#[tokio::test]
async fn nobody_waits_for_a_turn_at_a_stop() {
    let house = House::new().await;
    let (sync, stop) = (&house.server.sync, CancellationToken::new());
    let all = u32::try_from(sync.whole.available_permits()).unwrap();
    let _turns = Arc::clone(&sync.whole).acquire_many_owned(all).await.unwrap();
    stop.cancel();
    let begins = request(None);
    assert!(timeout(PATIENCE, sync.classic(house.reader(), &begins, &stop)).await.unwrap().is_err());
    house.server.stop().await;
}
