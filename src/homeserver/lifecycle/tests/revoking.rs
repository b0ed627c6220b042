use super::*;

#[tokio::test]
async fn logging_in_again_on_a_device_keeps_it_and_revokes_its_tokens() {
    let house = House::of_ann().await;
    let first = house.ann_on("ONE", true).await;
    let before = house.session(&first).await;
    let second = house.ann_on("ONE", false).await;
    assert!(!soft(house.accounts.authenticate(&first.tokens.access_token).await));
    assert!(!soft(house.accounts.refresh(&first.tokens.refresh_token.unwrap()).await));
    let after = house.session(&second).await;
    assert_eq!(before.device, after.device, "the device and so its keys stay");
    assert_eq!(house.accounts.devices(after.user).await.unwrap().len(), 1);
}

#[tokio::test]
async fn logging_out_deletes_the_device_and_no_other() {
    let house = House::of_ann().await;
    let (one, two) = (house.ann_on("ONE", true).await, house.ann_on("TWO", false).await);
    let session = house.session(&one).await;
    house.accounts.still_valid(&session).await.unwrap();
    house.lifecycle.log_out(&session).await.unwrap();
    assert!(!soft(house.accounts.authenticate(&one.tokens.access_token).await));
    assert!(!soft(house.accounts.refresh(&one.tokens.refresh_token.unwrap()).await));
    assert!(!soft(house.accounts.still_valid(&session).await));
    assert!(house.lets_in(&two.tokens.access_token).await);
    let again = house.session(&house.ann_on("ONE", false).await).await;
    assert_ne!(session.device, again.device, "what the old device left reaches nobody");
    house.lifecycle.log_out(&session).await.unwrap();
    house.accounts.still_valid(&again).await.unwrap();
    house.lifecycle.log_out_everywhere(session.user).await.unwrap();
    assert!(!house.lets_in(&two.tokens.access_token).await);
    assert!(house.accounts.devices(session.user).await.unwrap().is_empty());
    let space = &crate::schema::accounts::DEVICE_TOKENS;
    assert!(house.store.snapshot().scan(space, space.all()).first().await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_slips_past_a_revocation() {
    let house = Arc::new(House::of_ann().await);
    let first = house.ann_on("ONE", true).await;
    let user = house.session(&first).await.user;
    let given = Arc::new(std::sync::Mutex::new(vec![first.tokens.clone()]));
    let mut tasks = Vec::new();
    for n in 0..4 {
        let (house, given) = (Arc::clone(&house), Arc::clone(&given));
        let refresh = first.tokens.refresh_token.clone().unwrap();
        tasks.push(tokio::spawn(async move {
            for _ in 0..20 {
                let tokens = if n % 2 == 0 {
                    house.accounts.refresh(&refresh).await.ok()
                } else {
                    let device = NewDevice { device_id: Some("ONE".to_owned()), refresh: true, ..NewDevice::default() };
                    house.log_in("ann", PASSWORD, &device).await.ok().map(|done| done.tokens)
                };
                if let Some(tokens) = tokens {
                    let _ = house.accounts.authenticate(&tokens.access_token).await;
                    given.lock().unwrap().push(tokens);
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    // Of all log-ins on one device the last one's tokens alone are good.
    let last = house.ann_on("ONE", false).await;
    let given = std::mem::take(&mut *given.lock().unwrap());
    for tokens in &given {
        assert!(!house.lets_in(&tokens.access_token).await);
        assert!(house.accounts.refresh(tokens.refresh_token.as_ref().unwrap()).await.is_err());
    }
    assert!(house.lets_in(&last.tokens.access_token).await);
    house.lifecycle.log_out_everywhere(user).await.unwrap();
    assert!(!house.lets_in(&last.tokens.access_token).await);
}

#[tokio::test]
async fn devices_are_deleted_after_the_password_only() {
    let house = House::of_ann().await;
    house.lifecycle.create_account("bob", "battery staple", false).await.unwrap();
    let (one, two) = (house.ann_on("ONE", false).await, house.ann_on("TWO", false).await);
    let session = house.session(&one).await;
    let devices = BTreeSet::from(["TWO".to_owned(), "NONE".to_owned()]);
    let delete = |auth| {
        let (house, devices, session) = (&house, &devices, &session);
        async move { house.lifecycle.delete_devices(session, devices, Option::as_ref(&auth), ANYTHING).await }
    };
    let info = asked(delete(None).await);
    assert!(info.session.is_some() && info.auth_error.is_none());
    let info = asked(delete(Some(by_password("ann", "battery staple"))).await);
    assert_eq!(info.auth_error.unwrap().kind, ErrorKind::Forbidden);
    let info = asked(delete(Some(AuthData::Dummy(Dummy::new()))).await);
    assert_eq!(info.auth_error.unwrap().kind, ErrorKind::Unrecognized);
    let info = asked(delete(Some(AuthData::fallback_acknowledgement("none".to_owned()))).await);
    assert!(info.completed.is_empty());
    assert_eq!(kind(delete(Some(by_password("bob", "battery staple"))).await), ErrorKind::Forbidden);
    assert!(house.lets_in(&two.tokens.access_token).await);
    delete(Some(by_password("@ann:localhost", PASSWORD))).await.unwrap();
    assert!(!house.lets_in(&two.tokens.access_token).await);
    assert!(house.lets_in(&one.tokens.access_token).await);
}

#[tokio::test]
async fn devices_have_names() {
    let house = House::of_ann().await;
    let device =
        NewDevice { device_id: Some("ONE".to_owned()), display_name: Some("x".repeat(1000)), ..NewDevice::default() };
    let session = house.session(&house.log_in("ann", PASSWORD, &device).await.unwrap()).await;
    let name = |info: crate::accounts::DeviceInfo| info.device.display_name.unwrap();
    assert_eq!(name(house.accounts.device(session.user, "ONE").await.unwrap()).len(), 256);
    house.lifecycle.rename_device(session.user, "ONE", "Ward 7").await.unwrap();
    assert_eq!(name(house.accounts.device(session.user, "ONE").await.unwrap()), "Ward 7");
    let renamed = house.lifecycle.rename_device(session.user, "ONE", &"x".repeat(257)).await;
    assert_eq!(kind(renamed), ErrorKind::InvalidParam);
    assert_eq!(kind(house.lifecycle.rename_device(session.user, "TWO", "x").await), ErrorKind::NotFound);
    let other = crate::schema::UserNum(session.user.0 + 1);
    assert_eq!(kind(house.accounts.device(other, "ONE").await), ErrorKind::NotFound);
    assert_eq!(kind(house.accounts.device(session.user, &"x".repeat(9000)).await), ErrorKind::NotFound);
}

#[tokio::test]
async fn locked_accounts_keep_their_tokens() {
    let house = House::of_ann().await;
    let done = house.ann_on("ONE", true).await;
    let session = house.session(&done).await;
    house.accounts.set_locked(session.user, true).await.unwrap();
    assert_eq!(kind(house.accounts.authenticate(&done.tokens.access_token).await), ErrorKind::UserLocked);
    assert_eq!(kind(house.log_in("ann", PASSWORD, &NewDevice::default()).await), ErrorKind::UserLocked);
    assert_eq!(
        kind(house.log_in("ann", "wrong password", &NewDevice::default()).await),
        ErrorKind::Forbidden,
        "that it is locked is told to its owner alone"
    );
    let refresh = done.tokens.refresh_token.clone().unwrap();
    assert_eq!(kind(house.accounts.refresh(&refresh).await), ErrorKind::UserLocked);
    house.accounts.authenticate_even_locked(&done.tokens.access_token).await.unwrap();
    house.accounts.set_locked(session.user, false).await.unwrap();
    assert!(house.lets_in(&done.tokens.access_token).await);
    house.accounts.set_admin(session.user, true).await.unwrap();
    assert!(house.session(&done).await.admin);
}

#[tokio::test]
async fn being_seen_is_written_now_and_then() {
    let house = House::of_ann().await;
    let session = house.session(&house.ann_on("ONE", false).await).await;
    let first = house.clock.millis();
    for wait in [0, 299_999, 1] {
        house.pass(wait);
        house.accounts.touch(&session, "::ffff:192.0.2.1".parse().ok(), "agent");
        for _ in 0..100 {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            let seen = house.accounts.device(session.user, "ONE").await.unwrap().last_seen;
            let expected = if wait == 1 { house.clock.millis() } else { first };
            if seen.as_ref().is_some_and(|seen| seen.at == expected) {
                assert_eq!(seen.unwrap().ip, "192.0.2.1");
                break;
            }
        }
    }
    let seen = house.accounts.device(session.user, "ONE").await.unwrap().last_seen.unwrap();
    assert_eq!(seen.at, house.clock.millis());
}

#[tokio::test]
async fn giving_and_revoking_tokens_at_once_conflicts() {
    let house = House::of_ann().await;
    let session = house.session(&house.ann_on("ONE", false).await).await;
    for revoke_first in [true, false] {
        let snapshot = house.store.snapshot();
        let (mut revoke, mut give) = (matron_storage::Batch::new(), matron_storage::Batch::new());
        let owner = (session.user, session.device);
        crate::accounts::revoke_device(&mut revoke, &snapshot, owner).await.unwrap();
        crate::accounts::delete_rows(
            &mut revoke,
            session.user,
            "ONE",
            &house.accounts.device_row(&snapshot, session.user, "ONE").await.unwrap().unwrap(),
        );
        let owner = (session.user, session.device, "ONE");
        let tokens = house.accounts.issue(&mut give, &snapshot, owner, false, None).await.unwrap();
        let (first, second) = if revoke_first { (revoke, give) } else { (give, revoke) };
        house.store.commit(first).await.unwrap();
        assert!(matches!(house.store.commit(second).await, Err(matron_storage::Error::Conflict)));
        assert_eq!(house.lets_in(&tokens.access_token).await, !revoke_first);
        // The second round begins with the device as it was.
        house.ann_on("ONE", false).await;
        let mut batch = matron_storage::Batch::new();
        let row = house.accounts.device_row(&house.store.snapshot(), session.user, "ONE").await.unwrap().unwrap();
        let restored = crate::schema::devices::Device { num: session.device, ..row };
        batch.put(&crate::schema::devices::DEVICES, &(session.user, "ONE".to_owned()), &restored);
        house.store.commit(batch).await.unwrap();
        house.ann_on("ONE", false).await;
    }
}

#[tokio::test]
async fn putting_a_dehydrated_device_away_revokes_what_there_is_of_its_tokens() {
    use crate::schema::devices::{DEHYDRATED, Dehydrated};

    let house = House::of_ann().await;
    let (own, other) = (house.ann_on("ONE", false).await, house.ann_on("TWO", true).await);
    let (own, device) = (house.session(&own).await, house.session(&other).await.device);
    let mut batch = matron_storage::Batch::new();
    let row = Dehydrated { device_id: "TWO".to_owned(), device, data: "{}".to_owned() };
    batch.put(&DEHYDRATED, &own.user, &row);
    house.store.commit(batch).await.unwrap();
    assert!(house.lets_in(&other.tokens.access_token).await);
    assert_eq!(house.devices.delete_dehydrated(&own).await.unwrap(), "TWO");
    assert!(!soft(house.accounts.authenticate(&other.tokens.access_token).await));
    assert!(!soft(house.accounts.refresh(&other.tokens.refresh_token.unwrap()).await));
    house.accounts.still_valid(&own).await.unwrap();
}

#[tokio::test]
async fn very_many_devices_go_in_batches_that_stay_small() {
    use crate::schema::devices::{DEVICES, Device, DeviceKeys, USER_KEYS, UserKeys};

    let house = House::of_ann().await;
    let user = house.session(&house.ann_on("ONE", false).await).await.user;
    let model = house.accounts.device_row(&house.store.snapshot(), user, "ONE").await.unwrap().unwrap();
    let mut batch = matron_storage::Batch::new();
    for nth in 0..2300 {
        let num = house.ids.new_device().await.unwrap();
        batch.put(&DEVICES, &(user, format!("D{nth}")), &Device { num, ..model.clone() });
    }
    house.store.commit(batch).await.unwrap();
    assert!(house.lifecycle.thin_out(user, |id, _| id != "ONE").await.unwrap());
    let left = house.accounts.devices(user).await.unwrap();
    assert!((200..=1001).contains(&left.len()), "{} are left for the last batch", left.len());

    // 1,000 bytes of keys for each of some.
    let key = |device_id: String| DeviceKeys { device_id, json: "k".repeat(1000) };
    let devices = left.into_iter().take(200).map(|device| key(device.device_id)).collect();
    let mut batch = matron_storage::Batch::new();
    batch.put(&USER_KEYS, &user, &UserKeys { devices, ..UserKeys::default() });
    house.store.commit(batch).await.unwrap();
    let mut batch = matron_storage::Batch::new();
    let snapshot = house.store.snapshot();
    house.lifecycle.forget_devices(&mut batch, &snapshot, user, |_, _| true).await.unwrap();
    assert!(batch.size() < 1 << 20, "a batch of {} bytes", batch.size());

    house.lifecycle.deactivate_user(user, false).await.unwrap();
    assert!(house.accounts.devices(user).await.unwrap().is_empty());
}

#[tokio::test]
async fn no_new_device_is_called_like_a_cross_signing_key() {
    use crate::schema::devices::{USER_KEYS, UserKeys};

    let house = House::of_ann().await;
    let user = house.session(&house.ann_on("ONE", false).await).await.user;
    let key = |public: &str| Some(format!(r#"{{"keys":{{"ed25519:{public}":"{public}"}}}}"#));
    let keys =
        UserKeys { master: key("MASTER"), self_signing: key("SELF"), user_signing: key("USER"), ..UserKeys::default() };
    let snapshot = house.store.snapshot();
    let (mut log_in, mut publish) = (matron_storage::Batch::new(), matron_storage::Batch::new());
    house.devices.check_new_id(&mut log_in, &snapshot, user, "MASTER").await.unwrap();
    publish.put(&USER_KEYS, &user, &keys);
    house.store.commit(publish).await.unwrap();
    log_in.put(&USER_KEYS, &user, &UserKeys::default());
    let late = house.store.commit(log_in).await;
    assert!(matches!(late, Err(matron_storage::Error::Conflict)), "the keys came first");

    let (auth, session) = (by_password("ann", PASSWORD), house.session(&house.ann_on("ONE", false).await).await);
    for id in ["MASTER", "SELF", "USER"] {
        let device = NewDevice { device_id: Some(id.to_owned()), ..NewDevice::default() };
        assert_eq!(kind(house.log_in("ann", PASSWORD, &device).await), ErrorKind::Forbidden);
        let (token, _) = house.lifecycle.login_token(&session, Some(&auth), ANYTHING).await.unwrap();
        assert_eq!(kind(house.lifecycle.log_in(LogIn::Token(&token), &device).await), ErrorKind::Forbidden);
        let other = NewDevice { device_id: Some(format!("{id}2")), ..NewDevice::default() };
        house.lifecycle.log_in(LogIn::Token(&token), &other).await.unwrap();
    }
    assert_eq!(house.accounts.devices(user).await.unwrap().len(), 4);
}
