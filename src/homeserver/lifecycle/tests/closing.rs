use ruma::thirdparty::Medium;

use super::*;
use crate::schema::accounts::{EMAIL_OWNERS, PROFILES, TOKENS};

const NEW: &str = "battery staple";

#[tokio::test]
async fn a_new_password_replaces_the_old_one_and_logs_others_out() {
    let house = House::of_ann().await;
    let (one, two) = (house.ann_on("ONE", false).await, house.ann_on("TWO", false).await);
    let session = house.session(&one).await;
    let auth = by_password("ann", PASSWORD);
    let change = |auth: Option<&AuthData>, new: &str, others| {
        let (house, session, auth, new) = (&house, &session, auth.cloned(), new.to_owned());
        async move { house.lifecycle.change_password(Some(session), auth.as_ref(), ANYTHING, &new, others).await }
    };
    assert_eq!(kind(change(Some(&auth), "short", true).await), ErrorKind::WeakPassword);
    assert_eq!(kind(change(Some(&auth), &"x".repeat(513), true).await), ErrorKind::InvalidParam);
    asked(change(None, NEW, true).await);
    asked(change(Some(&by_password("ann", NEW)), NEW, true).await);
    change(Some(&auth), NEW, true).await.unwrap();
    assert!(house.lets_in(&one.tokens.access_token).await);
    assert!(!house.lets_in(&two.tokens.access_token).await);
    assert_eq!(kind(house.log_in("ann", PASSWORD, &NewDevice::default()).await), ErrorKind::Forbidden);
    let third = house.log_in("ann", NEW, &NewDevice::default()).await.unwrap();
    asked(change(Some(&auth), PASSWORD, true).await);
    change(Some(&by_password("ann", NEW)), PASSWORD, false).await.unwrap();
    assert!(house.lets_in(&third.tokens.access_token).await);
}

#[tokio::test]
async fn without_a_session_the_password_says_who_it_is() {
    let house = House::of_ann().await;
    house.lifecycle.create_account("bob", NEW, false).await.unwrap();
    let one = house.ann_on("ONE", false).await;
    let change = |auth: Option<&AuthData>| {
        let (house, auth) = (&house, auth.cloned());
        async move { house.lifecycle.change_password(None, auth.as_ref(), ANYTHING, "another password", true).await }
    };
    asked(change(None).await);
    asked(change(Some(&by_password("ann", NEW))).await);
    asked(change(Some(&by_password("carol", NEW))).await);
    change(Some(&by_password("ann", PASSWORD))).await.unwrap();
    assert!(!house.lets_in(&one.tokens.access_token).await);
    house.log_in("bob", NEW, &NewDevice::default()).await.unwrap();
    house.log_in("ann", "another password", &NewDevice::default()).await.unwrap();
}

#[tokio::test]
async fn an_address_that_is_nobodys_looks_like_one_with_a_wrong_password() {
    let house = House::of_ann().await;
    let one = house.ann_on("ONE", false).await;
    let session = house.session(&one).await;
    let mut batch = matron_storage::Batch::new();
    batch.put(&EMAIL_OWNERS, &"ann@trust.example".to_owned(), &session.user);
    house.store.commit(batch).await.unwrap();
    let by = |medium, address: &str, password: &str| {
        let identifier = UserIdentifier::third_party_id(medium, address.to_owned());
        AuthData::Password(Password::new(identifier, password.to_owned()))
    };
    let nobodys = by(Medium::Email, "bob@trust.example", PASSWORD);
    let (wrong, right) =
        (by(Medium::Email, "ann@trust.example", NEW), by(Medium::Email, "ann@trust.example", PASSWORD));
    for auth in [&nobodys, &wrong, &by(Medium::Msisdn, "447700900001", PASSWORD)] {
        let refused = house.lifecycle.authorize(None, Some(auth), ANYTHING).await;
        let Err(Error::Matrix(error)) = refused else { panic!("{refused:?}") };
        assert_eq!((error.status(), error.message), (403, "the user name or the password is wrong".to_owned()));
    }
    assert_eq!(house.lifecycle.authorize(None, Some(&right), ANYTHING).await.unwrap().user, session.user);
    // Who is logged in knows their own address.
    let refused = house.lifecycle.authorize(Some(&session), Some(&nobodys), ANYTHING).await;
    assert_eq!(kind(refused), ErrorKind::Forbidden);
    let info = asked(house.lifecycle.authorize(Some(&session), Some(&wrong), ANYTHING).await);
    assert_eq!(info.auth_error.unwrap().kind, ErrorKind::Forbidden);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_log_in_by_the_old_password_survives_its_change() {
    let house = Arc::new(House::of_ann().await);
    let user = house.session(&house.ann_on("ONE", false).await).await.user;
    let tasks: Vec<_> = (0..30)
        .map(|_| {
            let house = Arc::clone(&house);
            tokio::spawn(async move { house.log_in("ann", PASSWORD, &NewDevice::default()).await })
        })
        .collect();
    house.lifecycle.set_password(user, NEW, true).await.unwrap();
    for task in tasks {
        if let Ok(done) = task.await.unwrap() {
            assert!(!house.lets_in(&done.tokens.access_token).await);
        }
    }
    assert!(house.accounts.devices(user).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_closed_account_is_closed_for_good() {
    let house = House::of_ann().await;
    let (one, two) = (house.ann_on("ONE", true).await, house.ann_on("TWO", false).await);
    let session = house.session(&one).await;
    let mut batch = matron_storage::Batch::new();
    batch.put(&PROFILES, &(session.user, "displayname".to_owned()), &"\"Ann\"".to_owned());
    house.store.commit(batch).await.unwrap();
    let auth = by_password("ann", PASSWORD);
    let (login, _) = house.lifecycle.login_token(&session, Some(&auth), ANYTHING).await.unwrap();
    asked(house.lifecycle.deactivate(Some(&session), None, ANYTHING, false).await);
    asked(house.lifecycle.deactivate(Some(&session), Some(&by_password("ann", NEW)), ANYTHING, false).await);
    house.lifecycle.deactivate(Some(&session), Some(&auth), ANYTHING, false).await.unwrap();
    for token in [&one.tokens.access_token, &two.tokens.access_token] {
        assert!(!soft(house.accounts.authenticate(token).await));
    }
    assert!(!soft(house.accounts.refresh(&one.tokens.refresh_token.unwrap()).await));
    let device = NewDevice::default();
    assert_eq!(kind(house.log_in("ann", PASSWORD, &device).await), ErrorKind::UserDeactivated);
    assert_eq!(kind(house.lifecycle.log_in(LogIn::Token(&login), &device).await), ErrorKind::Forbidden);
    assert_eq!(kind(house.accounts.available("ann").await), ErrorKind::UserInUse);
    assert_eq!(kind(house.lifecycle.create_account("ann", NEW, false).await), ErrorKind::UserInUse);
    assert_eq!(kind(house.lifecycle.set_password(session.user, NEW, true).await), ErrorKind::NotFound);
    assert_eq!(kind(house.accounts.set_admin(session.user, true).await), ErrorKind::NotFound);
    let snapshot = house.store.snapshot();
    assert!(snapshot.scan(&PROFILES, PROFILES.all()).first().await.unwrap().is_none());
    let account = house.accounts.get(&snapshot, session.user).await.unwrap().unwrap();
    assert!(account.deactivated && !account.erased && account.password.is_none());
    house.lifecycle.deactivate_user(session.user, true).await.unwrap();
    let account = house.accounts.get(&house.store.snapshot(), session.user).await.unwrap().unwrap();
    assert!(account.erased);
    assert!(snapshot.scan(&TOKENS, TOKENS.all()).first().await.unwrap().is_none());
}

#[tokio::test]
async fn administrators_list_accounts() {
    let house = House::open().await;
    assert!(house.accounts.is_empty().await.unwrap());
    for name in ["ann", "bob", "carol"] {
        house.lifecycle.create_account(name, PASSWORD, name == "carol").await.unwrap();
    }
    assert_eq!(house.accounts.count().await.unwrap(), 3);
    let first = house.accounts.list(None, 2).await.unwrap();
    let rest = house.accounts.list(Some(first[1].0), 2).await.unwrap();
    let names: Vec<_> = first.iter().chain(&rest).map(|(_, id, _)| id.localpart().to_owned()).collect();
    assert_eq!(names, ["ann", "bob", "carol"]);
    assert!(rest[0].2.admin && !first[0].2.admin);
    let nobody = crate::schema::UserNum(999);
    assert_eq!(kind(house.lifecycle.set_password(nobody, NEW, true).await), ErrorKind::NotFound);
    assert_eq!(kind(house.lifecycle.deactivate_user(nobody, true).await), ErrorKind::NotFound);
    assert_eq!(kind(house.accounts.set_admin(nobody, true).await), ErrorKind::NotFound);
}
