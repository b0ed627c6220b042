//! Administrators lock and suspend others: not themselves, not one another, and nobody else does.

use matron_storage::Batch;
use ruma::{UserId, user_id};

use super::super::fixture::{Fixture, refusal};
use crate::accounts::Session;
use crate::schema::devices::{DEVICES, Device, LAST_SEEN, LastSeen};

/// What is tried of moderating somebody, and how it is refused.
async fn tried(server: &Fixture, by: &Session, user_id: &UserId) -> [String; 3] {
    let seen = refusal(server.moderated(by, user_id).await);
    [seen, refusal(server.lock(by, user_id, true).await), refusal(server.suspend(by, user_id, true).await)]
}

async fn administrator(server: &Fixture, name: &str) -> Session {
    let session = server.user(name).await;
    server.set_admin(session.user, true).await.unwrap();
    Session { admin: true, ..session }
}

#[tokio::test]
async fn administrators_moderate_users() {
    let server = Fixture::new().await;
    let (admin, ann) = (administrator(&server, "admin").await, server.user("ann").await);
    let state = async || {
        let (user, account) = server.moderated(&admin, &ann.user_id).await.unwrap();
        assert_eq!(user, ann.user);
        (account.locked, account.suspended)
    };
    assert_eq!(state().await, (false, false));
    server.lock(&admin, &ann.user_id, true).await.unwrap();
    server.suspend(&admin, &ann.user_id, true).await.unwrap();
    assert_eq!(state().await, (true, true));
    server.lock(&admin, &ann.user_id, false).await.unwrap();
    assert_eq!(state().await, (false, true));
    server.suspend(&admin, &ann.user_id, false).await.unwrap();
    assert_eq!(state().await, (false, false));
}

#[tokio::test]
async fn nobody_else_does_and_nobody_learns_who_is_there() {
    let server = Fixture::new().await;
    let (admin, other) = (administrator(&server, "admin").await, administrator(&server, "other").await);
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let (nobody, far) = (user_id!("@nobody:example.org"), user_id!("@ann:elsewhere.example"));
    for user_id in [&*bob.user_id, &*ann.user_id, &*admin.user_id, nobody, far] {
        assert_eq!(tried(&server, &ann, user_id).await, ["M_FORBIDDEN"; 3], "{user_id}");
    }
    assert_eq!(tried(&server, &admin, &other.user_id).await, ["M_FORBIDDEN"; 3]);
    assert_eq!(tried(&server, &admin, far).await, ["M_INVALID_PARAM"; 3]);
    assert_eq!(tried(&server, &admin, nobody).await, ["M_NOT_FOUND"; 3]);
    let (_, own) = server.moderated(&admin, &admin.user_id).await.unwrap();
    assert!(own.admin);
    assert_eq!(refusal(server.lock(&admin, &admin.user_id, true).await), "M_FORBIDDEN");
    assert_eq!(refusal(server.suspend(&admin, &admin.user_id, false).await), "M_FORBIDDEN");
    let suspended = Session { suspended: true, ..admin.clone() };
    assert_eq!(refusal(server.lock(&suspended, &bob.user_id, true).await), "M_USER_SUSPENDED");
    assert_eq!(refusal(server.suspend(&suspended, &admin.user_id, false).await), "M_USER_SUSPENDED");
    for session in [&admin, &other, &ann, &bob] {
        let account = server.get(&server.snapshot(), session.user).await.unwrap().unwrap();
        assert!(!account.locked && !account.suspended, "{}", session.user_id);
    }
    server.0.lifecycle.deactivate_user(bob.user, false).await.unwrap();
    assert_eq!(tried(&server, &admin, &bob.user_id).await, ["M_NOT_FOUND"; 3]);
}

#[tokio::test]
async fn where_somebody_was_seen_is_told_to_them_and_to_administrators() {
    let server = Fixture::new().await;
    let (admin, ann) = (administrator(&server, "admin").await, server.user("ann").await);
    let bob = server.user("bob").await;
    let seen = LastSeen { at: 7, ip: "192.0.2.1".to_owned(), agent: "agent".to_owned() };
    let mut batch = Batch::new();
    let device = Device { num: ann.device, display_name: None, created: 1 };
    batch.put(&DEVICES, &(ann.user, ann.device_id.to_string()), &device);
    batch.put(&LAST_SEEN, &ann.device, &seen);
    server.0.store.commit(batch).await.unwrap();
    for by in [&ann, &admin] {
        let devices = server.who_is(by, &ann.user_id).await.unwrap();
        assert_eq!(devices.len(), 1);
        assert_eq!(devices[0].last_seen.as_ref(), Some(&seen));
    }
    assert!(server.who_is(&admin, &bob.user_id).await.unwrap().is_empty());
    let (nobody, far) = (user_id!("@nobody:example.org"), user_id!("@ann:elsewhere.example"));
    for user_id in [&*ann.user_id, nobody, far] {
        assert_eq!(refusal(server.who_is(&bob, user_id).await), "M_FORBIDDEN");
    }
    assert_eq!(refusal(server.who_is(&admin, nobody).await), "M_NOT_FOUND");
    assert_eq!(refusal(server.who_is(&admin, far).await), "M_INVALID_PARAM");
}
