use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use super::*;
use crate::lifecycle::SharedSecretRegistration;
use crate::limiter::Budget;

fn wanted(username: &str) -> Registration {
    Registration {
        username: Some(username.to_owned()),
        password: Some(PASSWORD.to_owned()),
        device: Some(NewDevice::default()),
        ..Registration::default()
    }
}

fn dummy() -> AuthData {
    AuthData::Dummy(Dummy::new())
}

#[tokio::test]
async fn open_registration_asks_and_lets_in() {
    let house = House::open().await;
    let info = asked(house.lifecycle.register(&wanted("Ann"), None).await);
    let auth = AuthData::Dummy(Dummy { session: info.session });
    let done = house.lifecycle.register(&wanted("Ann"), Some(&auth)).await.unwrap();
    assert_eq!(done.user_id, "@ann:localhost");
    assert!(house.lets_in(&done.device.unwrap().tokens.access_token).await);
    house.log_in("ann", PASSWORD, &NewDevice::default()).await.unwrap();

    let nameless = Registration { username: None, device: None, ..wanted("") };
    let done = house.lifecycle.register(&nameless, Some(&dummy())).await.unwrap();
    assert_eq!(done.device, None);
    assert_eq!(done.user_id.localpart().len(), 16);
}

#[tokio::test]
async fn bad_wishes_are_told_before_any_question() {
    let house = House::of_ann().await;
    let register = |wanted| {
        let house = &house;
        async move { kind(house.lifecycle.register(&wanted, None).await) }
    };
    assert_eq!(register(wanted("ann")).await, ErrorKind::UserInUse);
    assert_eq!(register(wanted("ANN")).await, ErrorKind::UserInUse);
    assert_eq!(register(wanted("@ann:localhost")).await, ErrorKind::InvalidUsername);
    assert_eq!(register(wanted("_bridge")).await, ErrorKind::InvalidUsername);
    let weak = Registration { password: Some("1234567".to_owned()), ..wanted("bob") };
    assert_eq!(register(weak).await, ErrorKind::WeakPassword);
    let without = Registration { password: None, ..wanted("bob") };
    asked(house.lifecycle.register(&without, None).await);
    assert_eq!(kind(house.lifecycle.register(&without, Some(&dummy())).await), ErrorKind::MissingParam);
    assert_eq!(house.accounts.count().await.unwrap(), 1);
}

#[tokio::test]
async fn closed_is_closed() {
    let house = House::with(|config| config.registration = config::Registration::Closed).await;
    assert_eq!(kind(house.lifecycle.register(&wanted("ann"), None).await), ErrorKind::Forbidden);
    assert_eq!(kind(house.lifecycle.register(&wanted("ann"), Some(&dummy())).await), ErrorKind::Forbidden);
    assert_eq!(kind(house.lifecycle.username_available("ann").await), ErrorKind::Forbidden);
    assert_eq!(kind(house.lifecycle.registration_token_valid("", None)), ErrorKind::Forbidden);
    assert_eq!(kind(house.lifecycle.register_guest(None, None).await), ErrorKind::Forbidden);
    assert_eq!(kind(house.lifecycle.registration_nonce()), ErrorKind::Unrecognized);
}

#[tokio::test]
async fn registration_tokens() {
    let tokens = vec!["open sesame".to_owned(), String::new()];
    let house = House::with(|config| {
        config.registration = config::Registration::Token(tokens);
        config.rate_limits.set(config::RateLimits::default());
    })
    .await;
    let by = |token: &str| AuthData::RegistrationToken(RegistrationToken::new(token.to_owned()));
    for auth in [dummy(), by(""), by("open"), by("open sesame "), by_password("ann", PASSWORD)] {
        asked(house.lifecycle.register(&wanted("ann"), Some(&auth)).await);
    }
    assert!(house.lifecycle.registration_token_valid("open sesame", None).unwrap());
    assert!(!house.lifecycle.registration_token_valid("", None).unwrap());
    house.lifecycle.register(&wanted("ann"), Some(&by("open sesame"))).await.unwrap();
    let address = "192.0.2.1".parse().ok();
    for _ in 0..60 {
        assert!(!house.lifecycle.registration_token_valid("guess", address).unwrap());
    }
    let guess = house.lifecycle.registration_token_valid("open sesame", address);
    assert!(matches!(kind(guess), ErrorKind::LimitExceeded(_)));
}

#[tokio::test]
async fn a_token_comes_before_what_may_follow_it() {
    let house = House::with(|config| {
        config.registration = config::Registration::Token(vec!["open sesame".to_owned()]);
        config.mail = Some(mail());
    })
    .await;
    let info = asked(house.lifecycle.register(&wanted("ann"), None).await);
    let stages: Vec<_> = info.flows.into_iter().map(|flow| flow.stages).collect();
    let with = |last| vec![AuthType::RegistrationToken, last];
    assert_eq!(stages, [with(AuthType::Dummy), with(AuthType::EmailIdentity)]);
    let session = info.session;
    let dummy = AuthData::Dummy(Dummy { session: session.clone() });
    assert!(asked(house.lifecycle.register(&wanted("ann"), Some(&dummy)).await).completed.is_empty());
    let token = AuthData::RegistrationToken(RegistrationToken { token: "open sesame".to_owned(), session });
    let info = asked(house.lifecycle.register(&wanted("ann"), Some(&token)).await);
    assert_eq!(info.completed, [AuthType::RegistrationToken]);
    house.lifecycle.register(&wanted("ann"), Some(&dummy)).await.unwrap();
}

#[tokio::test]
async fn that_too_many_letters_were_tried_is_no_question() {
    let failed_per_address = Budget { burst: 2, per_minute: 1 };
    let house = House::with(|config| {
        config.mail = Some(mail());
        config.rate_limits.set(config::RateLimits { failed_per_address, ..config::RateLimits::default() });
    })
    .await;
    let address = "192.0.2.1".parse().ok();
    let wanted = Registration { address, ..wanted("ann") };
    for _ in 0..2 {
        let info = asked(house.lifecycle.register(&wanted, Some(&by_letter())).await);
        assert_eq!(info.auth_error.unwrap().kind, ErrorKind::ThreepidAuthFailed);
    }
    let made = house.lifecycle.register(&wanted, Some(&by_letter())).await;
    assert!(matches!(kind(made), ErrorKind::LimitExceeded(_)));
    let operation = Operation { name: "account/password", subject: "", address };
    let set = house.lifecycle.change_password(None, Some(&by_letter()), operation, "battery staple", true).await;
    assert!(matches!(kind(set), ErrorKind::LimitExceeded(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_one_gets_the_name() {
    let house = Arc::new(House::open().await);
    let tasks: Vec<_> = (0..20)
        .map(|n| {
            let house = Arc::clone(&house);
            tokio::spawn(async move {
                let device = (n % 2 == 0).then(NewDevice::default);
                let wanted = Registration { device, ..wanted("ann") };
                house.lifecycle.register(&wanted, Some(&dummy())).await
            })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => won += 1,
            result => assert_eq!(kind(result), ErrorKind::UserInUse),
        }
    }
    assert_eq!(won, 1);
    assert_eq!(house.accounts.count().await.unwrap(), 1);
}

fn signed(nonce: &str, username: &str, admin: bool, secret: &str) -> SharedSecretRegistration {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).unwrap();
    let role = if admin { "admin" } else { "notadmin" };
    mac.update(format!("{nonce}\0{username}\0{PASSWORD}\0{role}").as_bytes());
    SharedSecretRegistration {
        nonce: nonce.to_owned(),
        username: username.to_owned(),
        display_name: Some("Ann \"A\"".to_owned()),
        password: PASSWORD.to_owned(),
        admin,
        user_type: None,
        mac: mac.finalize().into_bytes().to_vec(),
        device: Some(NewDevice::default()),
        address: None,
    }
}

#[tokio::test]
async fn a_shared_secret_registers_with_each_nonce_once() {
    let house = House::with(|config| {
        config.registration = config::Registration::Closed;
        config.registration_shared_secret = Some("secret".to_owned());
    })
    .await;
    let nonce = house.lifecycle.registration_nonce().unwrap();
    let good = signed(&nonce, "ann", true, "secret");
    let done = house.lifecycle.register_by_secret(&good).await.unwrap();
    let session = house.session(&done.device.unwrap()).await;
    assert!(session.admin);
    let name = (session.user, "displayname".to_owned());
    let name = house.store.snapshot().get(&crate::schema::accounts::PROFILES, &name).await.unwrap();
    assert_eq!(name.unwrap(), r#""Ann \"A\"""#);
    let again = house.lifecycle.register_by_secret(&signed(&nonce, "bob", true, "secret")).await;
    assert_eq!(kind(again), ErrorKind::Unknown, "the nonce was used");

    let nonce = house.lifecycle.registration_nonce().unwrap();
    let wrong = house.lifecycle.register_by_secret(&signed(&nonce, "bob", false, "guess")).await;
    assert_eq!(kind(wrong), ErrorKind::Forbidden);
    let again = house.lifecycle.register_by_secret(&signed(&nonce, "bob", false, "secret")).await;
    assert_eq!(kind(again), ErrorKind::Unknown, "a nonce is used by a wrong proof as well");

    let tampers: [fn(&mut SharedSecretRegistration); 6] = [
        |r| r.admin = true,
        |r| r.username.push('x'),
        |r| r.password.push('x'),
        |r| r.user_type = Some("bot".to_owned()),
        |r| r.mac.truncate(10),
        |r| r.mac.clear(),
    ];
    for tamper in tampers {
        let nonce = house.lifecycle.registration_nonce().unwrap();
        let mut tampered = signed(&nonce, "bob", false, "secret");
        tamper(&mut tampered);
        assert_eq!(kind(house.lifecycle.register_by_secret(&tampered).await), ErrorKind::Forbidden);
    }
    let nonce = house.lifecycle.registration_nonce().unwrap();
    house.pass(60_000);
    let late = house.lifecycle.register_by_secret(&signed(&nonce, "bob", false, "secret")).await;
    assert_eq!(kind(late), ErrorKind::Unknown);
    assert_eq!(kind(house.lifecycle.register_by_secret(&signed("", "bob", false, "secret")).await), ErrorKind::Unknown);
    assert_eq!(house.accounts.count().await.unwrap(), 1);
}
