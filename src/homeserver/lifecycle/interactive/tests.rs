use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use matron_matrix::Error as MatrixError;
use ruma::api::client::uiaa::{AuthFlow, AuthType, UiaaInfo};
use ruma::api::error::ErrorKind;

use super::{Interactive, LIFETIME, REMEMBERED};
use crate::clock::Clock;
use crate::error::Error;
use crate::lifecycle::Operation;
use crate::schema::UserNum;

const DELETE: Operation<'_> = Operation { name: "delete device", subject: "ONE", address: None };

fn asked(error: Error) -> UiaaInfo {
    let Error::Interactive(info) = error else { panic!("{error}") };
    *info
}

fn flows() -> Vec<AuthFlow> {
    vec![
        AuthFlow::new(vec![AuthType::RegistrationToken, AuthType::Dummy]),
        AuthFlow::new(vec![AuthType::RegistrationToken, AuthType::EmailIdentity]),
    ]
}

#[test]
fn all_stages_of_a_flow_are_needed_in_their_order_and_one_session_does_one_operation() {
    let interactive = Interactive::new(Clock::by(|| 1000));
    let for_user = (DELETE, Some(UserNum(1)));
    let info = asked(interactive.enter(None, for_user, flows()).unwrap().ask(None));
    let id = info.session.unwrap();
    let pass = |stage| interactive.enter(Some(&id), for_user, flows()).unwrap().pass(stage);
    for early in [AuthType::Dummy, AuthType::EmailIdentity, AuthType::Password] {
        let info = asked(pass(early).unwrap_err());
        assert!(info.completed.is_empty());
        assert_eq!(info.auth_error.unwrap().kind, ErrorKind::Unrecognized);
    }
    let info = asked(pass(AuthType::RegistrationToken).unwrap_err());
    assert_eq!(info.completed, [AuthType::RegistrationToken]);
    let info = asked(pass(AuthType::RegistrationToken).unwrap_err());
    assert_eq!(info.completed, [AuthType::RegistrationToken], "the same stage twice is no second stage");
    assert!(info.auth_error.is_none());
    pass(AuthType::EmailIdentity).unwrap();
    let info = asked(interactive.enter(Some(&id), for_user, flows()).unwrap().finish().unwrap_err());
    assert!(info.completed.is_empty(), "the session was used up");
    assert_ne!(info.session.unwrap(), id);
}

#[test]
fn what_has_nothing_to_do_with_the_stage_is_told_as_anywhere() {
    let interactive = Interactive::new(Clock::by(|| 1000));
    let shown = |error: MatrixError| {
        let stage = interactive.enter(None, (DELETE, None), flows()).unwrap();
        stage.shown::<()>(Err(error.into())).map(|_| ()).unwrap_err()
    };
    let info = asked(shown(MatrixError::threepid_auth_failed("not yet")));
    assert_eq!(info.auth_error.unwrap().kind, ErrorKind::ThreepidAuthFailed);
    let Error::Matrix(error) = shown(MatrixError::limit_exceeded(1000)) else { panic!("a question") };
    assert_eq!(error.status(), 429);
}

#[test]
fn a_session_is_good_for_nothing_else() {
    let interactive = Interactive::new(Clock::by(|| 1000));
    let id = asked(interactive.enter(None, (DELETE, Some(UserNum(1))), flows()).unwrap().ask(None)).session.unwrap();
    let others = [
        (Operation { subject: "TWO", ..DELETE }, Some(UserNum(1))),
        (Operation { name: "deactivate", ..DELETE }, Some(UserNum(1))),
        (DELETE, Some(UserNum(2))),
        (DELETE, None),
    ];
    for other in others {
        assert!(matches!(interactive.enter(Some(&id), other, flows()), Err(Error::Matrix(_))));
    }
}

#[test]
fn sessions_end() {
    let now = Arc::new(AtomicU64::new(1000));
    let clock = Arc::clone(&now);
    let interactive = Interactive::new(Clock::by(move || clock.load(Ordering::Relaxed)));
    let stage = interactive.enter(None, (DELETE, None), flows()).unwrap();
    let id = asked(stage.pass(AuthType::RegistrationToken).unwrap_err()).session.unwrap();
    now.fetch_add(LIFETIME, Ordering::Relaxed);
    let stage = interactive.enter(Some(&id), (DELETE, None), flows()).unwrap();
    let info = asked(stage.pass(AuthType::Dummy).unwrap_err());
    assert!(info.completed.is_empty());
}

#[test]
fn memory_is_bounded() {
    let interactive = Interactive::new(Clock::by(|| 1000));
    for _ in 0..REMEMBERED * 3 {
        drop(interactive.enter(None, (DELETE, None), flows()).unwrap().ask(None));
    }
    assert!(interactive.sessions.len() <= REMEMBERED * 2);
}

#[test]
fn a_stage_passed_elsewhere_is_not_lost_and_one_session_does_not_do_two_operations() {
    let interactive = Interactive::new(Clock::by(|| 1000));
    let for_user = (DELETE, Some(UserNum(1)));
    let id = asked(interactive.enter(None, for_user, flows()).unwrap().ask(None)).session.unwrap();
    let enter = || interactive.enter(Some(&id), for_user, flows()).unwrap();
    // The browser is faster than the client, whose request was there already.
    let slow = enter();
    interactive.pass(&id, AuthType::RegistrationToken, None).unwrap();
    assert_eq!(asked(slow.refuse()).completed, [AuthType::RegistrationToken]);
    interactive.pass(&id, AuthType::Dummy, None).unwrap();
    let (one, other) = (enter(), enter());
    one.finish().unwrap();
    assert!(matches!(other.finish(), Err(Error::Matrix(error)) if error.kind == ErrorKind::NotFound));
}
