use super::*;

#[tokio::test]
async fn passwords_let_in_by_every_name_and_wrong_ones_do_not() {
    let house = House::of_ann().await;
    for name in ["ann", "Ann", "@ann:localhost", "@ANN:localhost"] {
        let done = house.log_in(name, PASSWORD, &NewDevice::default()).await.unwrap();
        assert_eq!(done.user_id, "@ann:localhost");
        assert_eq!(done.device_id.as_str().len(), 10);
        assert_eq!(done.tokens.refresh_token, None);
        assert_eq!(house.session(&done).await.device_id, done.device_id);
    }
    for (name, password) in
        [("ann", "correct hors"), ("ann", ""), ("bob", PASSWORD), ("@ann:elsewhere", PASSWORD), ("", PASSWORD)]
    {
        assert_eq!(kind(house.log_in(name, password, &NewDevice::default()).await), ErrorKind::Forbidden);
    }
    let device = NewDevice { device_id: Some("x".repeat(256)), ..NewDevice::default() };
    assert_eq!(kind(house.log_in("ann", PASSWORD, &device).await), ErrorKind::InvalidParam);
}

#[tokio::test]
async fn only_access_tokens_let_in() {
    let house = House::of_ann().await;
    let done = house.ann_on("ONE", true).await;
    assert!(house.lets_in(&done.tokens.access_token).await);
    let refresh = done.tokens.refresh_token.unwrap();
    let session = house.accounts.authenticate(&done.tokens.access_token).await.unwrap();
    let auth = by_password("ann", PASSWORD);
    let (login, _) = house.lifecycle.login_token(&session, Some(&auth), ANYTHING).await.unwrap();
    for token in ["", "x", &refresh, &login, &done.tokens.access_token[1..], &"x".repeat(100_000)] {
        assert!(!soft(house.accounts.authenticate(token).await));
    }
    for token in ["", &done.tokens.access_token, &login] {
        assert!(!soft(house.accounts.refresh(token).await));
    }
    for token in ["", &done.tokens.access_token, &refresh] {
        let device = NewDevice::default();
        assert_eq!(kind(house.lifecycle.log_in(LogIn::Token(token), &device).await), ErrorKind::Forbidden);
    }
}

#[tokio::test]
async fn access_tokens_that_can_be_refreshed_end_softly() {
    let house = House::of_ann().await;
    let lasting = house.ann_on("ONE", false).await;
    let ending = house.ann_on("TWO", true).await;
    let lifetime = ending.tokens.expires_in.unwrap();
    house.pass(lifetime - 1);
    assert!(house.lets_in(&ending.tokens.access_token).await);
    house.pass(1);
    assert!(soft(house.accounts.authenticate(&ending.tokens.access_token).await));
    house.pass(1000 * lifetime);
    assert!(soft(house.accounts.authenticate(&ending.tokens.access_token).await));
    assert!(house.lets_in(&lasting.tokens.access_token).await);
    let next = house.accounts.refresh(&ending.tokens.refresh_token.unwrap()).await.unwrap();
    assert!(house.lets_in(&next.access_token).await);
}

#[tokio::test]
async fn a_refresh_token_is_good_until_its_successors_are_used() {
    let house = House::of_ann().await;
    let first = house.ann_on("ONE", true).await.tokens;
    let first_refresh = first.refresh_token.unwrap();
    // The answer was lost twice: the client asks again.
    let lost = house.accounts.refresh(&first_refresh).await.unwrap();
    let second = house.accounts.refresh(&first_refresh).await.unwrap();
    assert_ne!(lost.access_token, second.access_token);
    assert!(house.lets_in(&first.access_token).await, "the old pair is whole until the new one is used");
    assert!(house.lets_in(&second.access_token).await);
    assert!(!soft(house.accounts.refresh(&first_refresh).await), "used, so the old one is revoked");
    assert!(!soft(house.accounts.authenticate(&first.access_token).await));

    // By use of the refresh token alone.
    let second_refresh = second.refresh_token.unwrap();
    let third = house.accounts.refresh(&second_refresh).await.unwrap();
    let fourth = house.accounts.refresh(third.refresh_token.as_ref().unwrap()).await.unwrap();
    assert!(!soft(house.accounts.refresh(&second_refresh).await));
    assert!(!soft(house.accounts.authenticate(&second.access_token).await));
    assert!(house.lets_in(&third.access_token).await);
    assert!(house.lets_in(&fourth.access_token).await);
    assert!(!house.lets_in(&third.access_token).await);
}

#[tokio::test]
async fn refreshing_for_ever_without_use_stays_bounded() {
    let house = House::of_ann().await;
    let first = house.ann_on("ONE", true).await.tokens;
    let refresh = first.refresh_token.unwrap();
    let mut last = None;
    for _ in 0..100 {
        last = Some(house.accounts.refresh(&refresh).await.unwrap());
    }
    let space = &crate::schema::accounts::TOKENS;
    let rows = house.store.snapshot().scan(space, space.all()).collect().await.unwrap();
    assert!(rows.len() <= 28, "{}", rows.len());
    assert!(house.lets_in(&first.access_token).await);
    assert!(house.lets_in(&last.unwrap().access_token).await);
}

#[tokio::test]
async fn log_in_tokens_are_good_once_for_two_minutes() {
    let house = House::of_ann().await;
    let session = house.session(&house.ann_on("ONE", false).await).await;
    let auth = by_password("ann", PASSWORD);
    assert!(asked(house.lifecycle.login_token(&session, None, ANYTHING).await).session.is_some());
    let (token, lifetime) = house.lifecycle.login_token(&session, Some(&auth), ANYTHING).await.unwrap();
    assert_eq!(lifetime, 120_000);
    let device = NewDevice::default();
    let tries = (0..10).map(|_| house.lifecycle.log_in(LogIn::Token(&token), &device));
    let mut let_in = 0;
    let mut tries: Vec<_> = tries.map(Box::pin).collect();
    let results = futures_of(&mut tries).await;
    for result in results {
        match result {
            Ok(done) => {
                assert_eq!(done.user_id, "@ann:localhost");
                let_in += 1;
            }
            result => assert_eq!(kind(result), ErrorKind::Forbidden),
        }
    }
    assert_eq!(let_in, 1);

    let (late, lifetime) = house.lifecycle.login_token(&session, Some(&auth), ANYTHING).await.unwrap();
    house.pass(lifetime);
    assert_eq!(kind(house.lifecycle.log_in(LogIn::Token(&late), &device).await), ErrorKind::Forbidden);
}

#[tokio::test]
async fn log_in_tokens_go_with_the_device_that_asked_and_with_the_password() {
    let house = House::of_ann().await;
    let (auth, device) = (by_password("ann", PASSWORD), NewDevice::default());
    let give = async |session: &Session, auth: &AuthData| {
        house.lifecycle.login_token(session, Some(auth), ANYTHING).await.map(|(token, _)| token)
    };
    let refused = async |token: &str| {
        let result = house.lifecycle.log_in(LogIn::Token(token), &device).await;
        assert_eq!(kind(result), ErrorKind::Forbidden);
    };
    let (one, two) = (house.ann_on("ONE", false).await, house.ann_on("TWO", false).await);
    let (first, second) = (house.session(&one).await, house.session(&two).await);
    let (of_first, of_second) = (give(&first, &auth).await.unwrap(), give(&second, &auth).await.unwrap());
    house.lifecycle.log_out(&first).await.unwrap();
    refused(&of_first).await;
    assert!(!soft(give(&first, &auth).await), "a device that is gone asks for none");
    house.lifecycle.log_in(LogIn::Token(&of_second), &device).await.unwrap();

    let of_second = give(&second, &auth).await.unwrap();
    house.lifecycle.log_out_everywhere(first.user).await.unwrap();
    refused(&of_second).await;

    let third = house.session(&house.ann_on("THREE", false).await).await;
    let of_third = give(&third, &auth).await.unwrap();
    house.lifecycle.change_password(Some(&third), Some(&auth), ANYTHING, "battery staple", false).await.unwrap();
    house.accounts.still_valid(&third).await.unwrap();
    refused(&of_third).await;
    let auth = by_password("ann", "battery staple");
    let of_third = give(&third, &auth).await.unwrap();
    house.lifecycle.log_in(LogIn::Token(&of_third), &device).await.unwrap();

    // One that is made while all devices go is not made.
    let mut batch = matron_storage::Batch::new();
    house.accounts.put_login_token(&mut batch, &house.store.snapshot(), &third).await.unwrap();
    house.lifecycle.log_out_everywhere(third.user).await.unwrap();
    assert!(matches!(house.store.commit(batch).await, Err(matron_storage::Error::Conflict)));
}

#[tokio::test]
async fn log_in_tokens_that_nobody_used_are_swept_by_the_next() {
    let house = House::of_ann().await;
    let session = house.session(&house.ann_on("ONE", false).await).await;
    let auth = by_password("ann", PASSWORD);
    for _ in 0..5 {
        let (_, lifetime) = house.lifecycle.login_token(&session, Some(&auth), ANYTHING).await.unwrap();
        house.pass(lifetime);
    }
    let space = &crate::schema::accounts::TOKENS;
    let rows = house.store.snapshot().scan(space, space.all()).collect().await.unwrap();
    assert_eq!(rows.len(), 2, "the session's, and the last one");
}

/// Polls all at once and waits for all.
async fn futures_of<F: Future + Unpin>(futures: &mut [F]) -> Vec<F::Output> {
    let mut outputs: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        let mut waiting = false;
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if output.is_none() {
                match std::pin::Pin::new(future).poll(context) {
                    std::task::Poll::Ready(done) => *output = Some(done),
                    std::task::Poll::Pending => waiting = true,
                }
            }
        }
        if waiting { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    outputs.into_iter().flatten().collect()
}

#[tokio::test]
async fn wrong_passwords_run_out_but_not_right_ones() {
    let house = House::with(|config| config.rate_limits.set(config::RateLimits::default())).await;
    house.lifecycle.create_account("ann", PASSWORD, false).await.unwrap();
    house.lifecycle.create_account("bob", PASSWORD, false).await.unwrap();
    let device = NewDevice { address: "192.0.2.1".parse().ok(), ..NewDevice::default() };
    for _ in 0..20 {
        house.log_in("ann", PASSWORD, &device).await.unwrap();
    }
    for name in ["ann", "ANN", "@ann:localhost", "@Ann:LOCALHOST", "ann", "ann", "ann", "ann", "ann", "ann"] {
        assert_eq!(kind(house.log_in(name, "wrong password", &device).await), ErrorKind::Forbidden);
    }
    for name in ["ann", "ANN", "@ann:localhost"] {
        assert!(matches!(kind(house.log_in(name, PASSWORD, &device).await), ErrorKind::LimitExceeded(_)));
    }
    house.log_in("bob", PASSWORD, &device).await.unwrap();
    let session = house.session(&house.log_in("bob", PASSWORD, &device).await.unwrap()).await;
    house.pass(5000);
    house.log_in("ann", PASSWORD, &device).await.unwrap();
    // Guesses by way of interactive authentication count as well.
    let auth = by_password("bob", "wrong password");
    for _ in 0..10 {
        let info = asked(house.lifecycle.authorize(Some(&session), Some(&auth), ANYTHING).await);
        assert_eq!(info.auth_error.unwrap().kind, ErrorKind::Forbidden);
    }
    let refused = house.lifecycle.authorize(Some(&session), Some(&auth), ANYTHING).await;
    assert!(matches!(kind(refused), ErrorKind::LimitExceeded(_)));
}

#[tokio::test]
async fn a_changed_cost_hashes_again_at_the_next_log_in() {
    let house = House::of_ann().await;
    let (user, account) = house.accounts.find(ruma::user_id!("@ann:localhost")).await.unwrap().unwrap();
    let cheaper = argon2::Argon2::new(
        argon2::Algorithm::Argon2id,
        argon2::Version::V0x13,
        argon2::Params::new(16, 1, 1, None).unwrap(),
    );
    let hash = argon2::PasswordHasher::hash_password(&cheaper, PASSWORD.as_bytes()).unwrap().to_string();
    let mut batch = matron_storage::Batch::new();
    let old = crate::schema::accounts::Account { password: Some(hash), ..account };
    batch.put(&crate::schema::accounts::ACCOUNTS, &user, &old);
    house.store.commit(batch).await.unwrap();
    let done = house.ann_on("ONE", false).await;
    assert!(house.lets_in(&done.tokens.access_token).await);
    let (_, account) = house.accounts.find(&done.user_id).await.unwrap().unwrap();
    assert!(account.password.unwrap().contains("m=8,t=1"));
    house.ann_on("ONE", false).await;
}
