//! Who wants to be told everything waits while others are; who wants news does not.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use matron_storage::Batch;
use ruma::api::client::filter::FilterDefinition;
use ruma::presence::PresenceState;
use tokio_util::sync::CancellationToken;

use super::House;
use crate::streams::{Subject, Token};
use crate::sync::{Request, StateName, SyncFilter};

fn request(since: Option<Token>) -> Request {
    Request {
        since,
        mends: false,
        filter: SyncFilter::from(&FilterDefinition::default()),
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
    let answer = sync.classic(house.reader(), &request(None), &stop).await.unwrap();
    assert_eq!(sync.whole.available_permits() as u64, u64::from(all) - 1, "until it is written");
    drop(answer);
    assert_eq!(sync.whole.available_permits() as u64, u64::from(all));
    house.server.stop().await;
}
