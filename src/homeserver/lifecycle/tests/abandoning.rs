//! Requests whose client goes away as soon as the store has what they want: what would come after the commit never does.

use std::task::Poll;
use std::time::Duration;

use ruma::api::client::room::create_room::v3::Request as NewRoom;
use ruma::user_id;

use super::*;
use crate::schema::accounts::RateLimitOverride;

/// Drops a request as soon as something of it is committed.
async fn abandon<T>(house: &House, request: impl Future<Output = T>) {
    let before = house.store.snapshot().position();
    let mut request = std::pin::pin!(request);
    while house.store.snapshot().position() == before {
        let polled = std::future::poll_fn(|context| Poll::Ready(request.as_mut().poll(context))).await;
        if polled.is_ready() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_revoked_token_is_refused_though_nobody_waits_for_that() {
    let house = House::of_ann().await;
    let (one, two) = (house.ann_on("ONE", false).await, house.ann_on("TWO", false).await);
    let (first, second) = (house.session(&one).await, house.session(&two).await);
    let ticket = house.streams.park(first.user);
    let woken = ticket.woken();
    abandon(&house, house.lifecycle.log_out(&first)).await;
    assert!(!house.lets_in(&one.tokens.access_token).await);
    assert!(!soft(house.accounts.still_valid(&first).await));
    tokio::time::timeout(Duration::from_secs(5), woken).await.expect("whoever is parked is woken");
    assert!(house.lets_in(&two.tokens.access_token).await);
    house.accounts.still_valid(&second).await.unwrap();

    abandon(&house, house.lifecycle.log_out_everywhere(first.user)).await;
    assert!(!house.lets_in(&two.tokens.access_token).await);
    assert!(!soft(house.accounts.still_valid(&second).await));

    let three = house.ann_on("THREE", false).await;
    assert!(house.lets_in(&three.tokens.access_token).await);
    abandon(&house, house.lifecycle.set_password(first.user, "battery staple", true)).await;
    assert!(!house.lets_in(&three.tokens.access_token).await);
}

#[tokio::test]
async fn what_a_new_token_replaces_is_refused_though_nobody_waits_for_that() {
    let house = House::of_ann().await;
    let first = house.ann_on("ONE", true).await.tokens;
    assert!(house.lets_in(&first.access_token).await);
    let second = house.accounts.refresh(first.refresh_token.as_ref().unwrap()).await.unwrap();
    abandon(&house, house.accounts.authenticate(&second.access_token)).await;
    assert!(!house.lets_in(&first.access_token).await);

    assert!(house.lets_in(&second.access_token).await);
    let third = house.accounts.refresh(second.refresh_token.as_ref().unwrap()).await.unwrap();
    abandon(&house, house.accounts.refresh(third.refresh_token.as_ref().unwrap())).await;
    assert!(!house.lets_in(&second.access_token).await);

    assert!(house.lets_in(&third.access_token).await);
    let device = NewDevice { device_id: Some("ONE".to_owned()), ..NewDevice::default() };
    abandon(&house, house.log_in("ann", PASSWORD, &device)).await;
    assert!(!house.lets_in(&third.access_token).await);
}

#[tokio::test]
async fn what_an_account_may_do_changes_though_nobody_waits_for_that() {
    let house = House::of_ann().await;
    let one = house.ann_on("ONE", false).await;
    let session = house.session(&one).await;
    abandon(&house, house.accounts.set_locked(session.user, true)).await;
    assert_eq!(kind(house.accounts.authenticate(&one.tokens.access_token).await), ErrorKind::UserLocked);
    assert_eq!(kind(house.accounts.still_valid(&session).await), ErrorKind::UserLocked);
    abandon(&house, house.accounts.set_locked(session.user, false)).await;
    house.accounts.still_valid(&session).await.unwrap();
    assert!(!house.session(&one).await.suspended);
    abandon(&house, house.accounts.set_suspended(session.user, true)).await;
    assert!(house.session(&one).await.suspended);
    abandon(&house, house.accounts.set_admin(session.user, true)).await;
    let admin = house.session(&one).await;
    assert!(admin.admin);
    let limit = Some(RateLimitOverride { messages_per_second: 3, burst_count: 4 });
    abandon(&house, house.accounts.set_rate_limit_override(&admin, user_id!("@ann:localhost"), limit)).await;
    assert_eq!(house.session(&one).await.rate_limit, limit);
}

#[tokio::test]
async fn an_account_is_closed_wholly_though_nobody_waits_for_that() {
    let house = House::of_ann().await;
    let one = house.ann_on("ONE", false).await;
    let session = house.session(&one).await;
    for _ in 0..5 {
        house.rooms.create(&session, NewRoom::new()).await.unwrap();
    }
    abandon(&house, house.lifecycle.deactivate_user(session.user, false)).await;
    for _ in 0..1000 {
        let snapshot = house.store.snapshot();
        let account = house.accounts.get(&snapshot, session.user).await.unwrap().unwrap();
        if account.deactivated {
            assert!(house.rooms.joined_rooms(&snapshot, session.user).await.unwrap().is_empty());
            assert!(!soft(house.accounts.authenticate(&one.tokens.access_token).await));
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the account stays half closed");
}
