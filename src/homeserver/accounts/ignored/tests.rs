//! The list and its other side always agree.

use std::collections::HashSet;

use super::super::fixture::{Fixture, refusal};
use crate::schema::accounts::IGNORED_BY;

#[tokio::test]
async fn the_ignored_are_known_both_ways() {
    let server = Fixture::new().await;
    let alice = server.user("alice").await;
    let (bob, carol) = (server.user("bob").await, server.user("carol").await);
    let ignore = async |content: &str| {
        server.put_account_data(&alice, &alice.user_id, None, "m.ignored_user_list", content).await
    };
    let now = async || {
        let snapshot = server.snapshot();
        let ignored = server.ignored(&snapshot, alice.user).await.unwrap();
        let by = snapshot.scan(&IGNORED_BY, IGNORED_BY.all()).collect().await.unwrap();
        let by: HashSet<_> =
            by.into_iter().filter(|((_, who), ())| *who == alice.user).map(|((of, _), ())| of).collect();
        assert_eq!(*ignored, by);
        by
    };
    assert_eq!(now().await, HashSet::new());
    ignore(r#"{"ignored_users":{"@bob:example.org":{},"@carol:example.org":{},"@alice:example.org":{},"nobody":{}}}"#)
        .await
        .unwrap();
    assert_eq!(now().await, HashSet::from([bob.user, carol.user]));
    ignore(r#"{"ignored_users":{"@carol:example.org":{}}}"#).await.unwrap();
    assert_eq!(now().await, HashSet::from([carol.user]));
    ignore(r#"{"ignored_users":{"@new:elsewhere.org":{}}}"#).await.unwrap();
    assert_eq!(now().await.len(), 1);
    ignore(&format!(r#"{{"ignored_users":{{"@{}:x.org":{{}}}}}}"#, "u".repeat(255))).await.unwrap();
    assert_eq!(now().await, HashSet::new());
    ignore(r#"{"ignored_users":7}"#).await.unwrap();
    assert_eq!(now().await, HashSet::new());
    let many: Vec<_> = (0..1001).map(|number| format!(r#""@u{number}:x.org":{{}}"#)).collect();
    let many = ignore(&format!(r#"{{"ignored_users":{{{}}}}}"#, many.join(","))).await;
    assert_eq!(refusal(many), "M_TOO_LARGE");
}
