use super::*;

/// A house with a guest in it.
async fn with_guest() -> (House, LoggedIn) {
    let house = House::with(|config| config.guests = true).await;
    let guest = house.lifecycle.register_guest(None, None).await.unwrap();
    (house, guest)
}

/// What a guest says who wants an account of this name.
fn wanted(token: &str, username: &str) -> Registration {
    Registration {
        username: Some(username.to_owned()),
        password: Some(PASSWORD.to_owned()),
        device: Some(NewDevice::default()),
        guest_access_token: Some(token.to_owned()),
        address: None,
    }
}

async fn register(house: &House, wanted: &Registration) -> Result<LoggedIn> {
    let made = house.lifecycle.register(wanted, Some(&AuthData::Dummy(Dummy::new()))).await?;
    Ok(made.device.unwrap())
}

#[tokio::test]
async fn guests_are_marked_and_have_no_password() {
    let (house, guest) = with_guest().await;
    let session = house.session(&guest).await;
    assert!(session.guest && !session.admin);
    let name = guest.user_id.localpart();
    assert_eq!(kind(house.log_in(name, "", &NewDevice::default()).await), ErrorKind::Forbidden);
    assert_eq!(kind(house.lifecycle.set_password(session.user, PASSWORD, true).await), ErrorKind::NotFound);
    let authorized = house.lifecycle.authorize(Some(&session), Some(&by_password(name, "")), ANYTHING).await;
    assert_eq!(kind(authorized), ErrorKind::Forbidden);
}

#[tokio::test]
async fn a_guest_becomes_an_ordinary_user_and_the_guests_token_ends() {
    let (house, guest) = with_guest().await;
    let (name, token) = (guest.user_id.localpart(), &guest.tokens.access_token);
    let before = house.session(&guest).await;
    asked(house.lifecycle.register(&wanted(token, name), None).await);
    assert!(house.session(&guest).await.guest, "a question changes nothing");
    let opened = register(&house, &wanted(token, &name.to_uppercase())).await.unwrap();
    let after = house.session(&opened).await;
    assert_eq!((&after.user_id, after.user, after.guest), (&guest.user_id, before.user, false));
    assert_ne!(after.device, before.device);
    assert!(!soft(house.accounts.authenticate(token).await));
    assert_eq!(house.accounts.devices(after.user).await.unwrap().len(), 1);
    house.log_in(name, PASSWORD, &NewDevice::default()).await.unwrap();
    let again = register(&house, &wanted(&opened.tokens.access_token, name)).await;
    assert_eq!(kind(again), ErrorKind::Forbidden);
}

#[tokio::test]
async fn nobody_gets_an_account_that_is_not_theirs() {
    let (house, guest) = with_guest().await;
    let other = house.lifecycle.register_guest(None, None).await.unwrap();
    house.lifecycle.create_account("ann", PASSWORD, false).await.unwrap();
    let ann = house.ann_on("ONE", false).await;
    let (name, token) = (guest.user_id.localpart(), guest.tokens.access_token.as_str());
    for (token, name) in [
        (token, "ann"),
        (token, "bob"),
        (token, other.user_id.localpart()),
        (other.tokens.access_token.as_str(), name),
        (ann.tokens.access_token.as_str(), "ann"),
        ("no token", name),
    ] {
        assert_eq!(kind(register(&house, &wanted(token, name)).await), ErrorKind::Forbidden, "{name}");
    }
    let nameless = Registration { username: None, ..wanted(token, "") };
    assert_eq!(kind(register(&house, &nameless).await), ErrorKind::MissingParam);
    let without = Registration { guest_access_token: None, ..wanted("", name) };
    assert_eq!(kind(register(&house, &without).await), ErrorKind::UserInUse);
    house.accounts.set_locked(house.session(&guest).await.user, true).await.unwrap();
    assert_eq!(kind(register(&house, &wanted(token, name)).await), ErrorKind::Forbidden);
}

#[tokio::test]
async fn a_guests_device_stays_where_it_is_the_one_that_is_logged_in() {
    let (house, guest) = with_guest().await;
    let (name, token) = (guest.user_id.localpart(), &guest.tokens.access_token);
    let before = house.session(&guest).await;
    let device = NewDevice { device_id: Some(guest.device_id.to_string()), ..NewDevice::default() };
    let kept = Registration { device: Some(device), ..wanted(token, name) };
    let after = house.session(&register(&house, &kept).await.unwrap()).await;
    assert_eq!((after.device, after.guest), (before.device, false));
    assert!(!house.lets_in(token).await);

    let guest = house.lifecycle.register_guest(None, None).await.unwrap();
    let token = &guest.tokens.access_token;
    let alone = Registration { device: None, ..wanted(token, guest.user_id.localpart()) };
    let made = house.lifecycle.register(&alone, Some(&AuthData::Dummy(Dummy::new()))).await.unwrap();
    assert_eq!((made.user_id, made.device), (guest.user_id.clone(), None));
    assert!(!house.lets_in(token).await);
    house.log_in(guest.user_id.localpart(), PASSWORD, &NewDevice::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_upgrades_one_wins() {
    let (house, guest) = with_guest().await;
    let one = wanted(&guest.tokens.access_token, guest.user_id.localpart());
    let other = Registration { password: Some("battery staple".to_owned()), ..one.clone() };
    let (first, second) = tokio::join!(register(&house, &one), register(&house, &other));
    assert_ne!(first.is_ok(), second.is_ok());
    let (won, password) = if first.is_ok() { (first, PASSWORD) } else { (second, "battery staple") };
    assert!(house.lets_in(&won.unwrap().tokens.access_token).await);
    house.log_in(guest.user_id.localpart(), password, &NewDevice::default()).await.unwrap();
}
