use super::*;
use crate::lifecycle::Question;
use crate::limiter::Budget;

fn back(session: &str) -> AuthData {
    AuthData::fallback_acknowledgement(session.to_owned())
}

impl House {
    async fn question(&self, session: &str, stage: AuthType) -> Result<Question> {
        self.lifecycle.question(session, &stage).await
    }

    async fn answer(&self, session: &str, stage: AuthType, answer: &str) -> Result<()> {
        self.lifecycle.answer(session, &stage, answer, None).await
    }

    /// A session that a password is asked for.
    async fn asks(&self, session: Option<&Session>) -> String {
        asked(self.lifecycle.authorize(session, None, ANYTHING).await).session.unwrap()
    }
}

#[tokio::test]
async fn a_registration_token_is_given_in_a_browser() {
    let house = House::with(|config| {
        config.registration = config::Registration::Token(vec!["open sesame".to_owned()]);
        config.mail = Some(mail());
    })
    .await;
    let wanted = Registration {
        username: Some("ann".to_owned()),
        password: Some(PASSWORD.to_owned()),
        ..Registration::default()
    };
    let id = asked(house.lifecycle.register(&wanted, None).await).session.unwrap();
    assert_eq!(kind(house.question("nothing", AuthType::RegistrationToken).await), ErrorKind::NotFound);
    for early in [AuthType::Dummy, AuthType::EmailIdentity, AuthType::Password] {
        assert_eq!(kind(house.question(&id, early.clone()).await), ErrorKind::Unrecognized);
        assert_eq!(kind(house.answer(&id, early, "").await), ErrorKind::Unrecognized);
    }
    let token = || AuthType::RegistrationToken;
    assert_eq!(house.question(&id, token()).await.unwrap(), Question::RegistrationToken);
    assert_eq!(kind(house.answer(&id, token(), "guess").await), ErrorKind::Forbidden);
    assert!(asked(house.lifecycle.register(&wanted, Some(&back(&id))).await).completed.is_empty());
    house.answer(&id, token(), "open sesame").await.unwrap();
    assert_eq!(house.question(&id, token()).await.unwrap(), Question::Nothing);
    assert_eq!(asked(house.lifecycle.register(&wanted, Some(&back(&id))).await).completed, [token()]);

    assert_eq!(house.question(&id, AuthType::EmailIdentity).await.unwrap(), Question::Letter);
    assert_eq!(kind(house.answer(&id, AuthType::EmailIdentity, "").await), ErrorKind::Forbidden);
    assert_eq!(house.question(&id, AuthType::Dummy).await.unwrap(), Question::GoOn);
    house.answer(&id, AuthType::Dummy, "").await.unwrap();
    house.lifecycle.register(&wanted, Some(&back(&id))).await.unwrap();
    assert_eq!(kind(house.question(&id, AuthType::Dummy).await), ErrorKind::NotFound, "it was used up");
}

#[tokio::test]
async fn a_password_given_in_a_browser_is_good_for_its_operation_while_it_is_the_password() {
    let house = House::of_ann().await;
    let session = house.session(&house.ann_on("ONE", false).await).await;
    let id = house.asks(Some(&session)).await;
    let question = Question::Password { user_id: session.user_id.clone(), operation: "anything".to_owned() };
    assert_eq!(house.question(&id, AuthType::Password).await.unwrap(), question);
    assert_eq!(kind(house.answer(&id, AuthType::Password, "wrong password").await), ErrorKind::Forbidden);
    asked(house.lifecycle.authorize(Some(&session), Some(&back(&id)), ANYTHING).await);
    house.answer(&id, AuthType::Password, PASSWORD).await.unwrap();
    let other = Operation { name: "another thing", ..ANYTHING };
    let refused = house.lifecycle.authorize(Some(&session), Some(&back(&id)), other).await;
    assert_eq!(kind(refused), ErrorKind::Forbidden);
    let proven = house.lifecycle.authorize(Some(&session), Some(&back(&id)), ANYTHING).await.unwrap();
    assert_eq!(proven.user_id, session.user_id);
    asked(house.lifecycle.authorize(Some(&session), Some(&back(&id)), ANYTHING).await);

    let id = house.asks(Some(&session)).await;
    house.answer(&id, AuthType::Password, PASSWORD).await.unwrap();
    house.lifecycle.set_password(session.user, "battery staple", false).await.unwrap();
    let late = house.lifecycle.authorize(Some(&session), Some(&back(&id)), ANYTHING).await;
    assert_eq!(kind(late), ErrorKind::Forbidden);
}

#[tokio::test]
async fn strangers_have_nobody_give_a_password_in_a_browser() {
    let house = House::of_ann().await;
    let id = house.asks(None).await;
    assert_eq!(kind(house.question(&id, AuthType::Password).await), ErrorKind::Forbidden);
    assert_eq!(kind(house.answer(&id, AuthType::Password, PASSWORD).await), ErrorKind::Forbidden);
    let info = asked(house.lifecycle.authorize(None, Some(&back(&id)), ANYTHING).await);
    assert!(info.completed.is_empty());
}

#[tokio::test]
async fn guesses_in_a_browser_count() {
    let failed_per_account = Budget { burst: 2, per_minute: 1 };
    let house = House::with(|config| {
        config.rate_limits.set(config::RateLimits { failed_per_account, ..config::RateLimits::default() });
    })
    .await;
    house.lifecycle.create_account("ann", PASSWORD, false).await.unwrap();
    let session = house.session(&house.ann_on("ONE", false).await).await;
    let id = house.asks(Some(&session)).await;
    for _ in 0..2 {
        assert_eq!(kind(house.answer(&id, AuthType::Password, "wrong password").await), ErrorKind::Forbidden);
    }
    let refused = house.answer(&id, AuthType::Password, PASSWORD).await;
    assert!(matches!(kind(refused), ErrorKind::LimitExceeded(_)));
}
