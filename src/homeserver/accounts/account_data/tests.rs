//! What is set comes back, once, in order, and to its owner alone.

use ruma::room_id;

use super::super::fixture::{Fixture, refusal};
use super::Piece;
use crate::schema::accounts::USER_STREAM;

#[tokio::test]
async fn what_is_set_is_got() {
    let server = Fixture::new().await;
    let alice = server.user("alice").await;
    let id = room_id!("!room:example.org");
    server.room(id).await;
    let missing = server.get_account_data(&alice, &alice.user_id, None, "org.example").await;
    assert_eq!(refusal(missing), "M_NOT_FOUND");
    server.put_account_data(&alice, &alice.user_id, None, "org.example", r#"{"a":1}"#).await.unwrap();
    server.put_account_data(&alice, &alice.user_id, Some(id), "org.example", r#"{"b":2}"#).await.unwrap();
    let global = server.get_account_data(&alice, &alice.user_id, None, "org.example").await.unwrap();
    let room = server.get_account_data(&alice, &alice.user_id, Some(id), "org.example").await.unwrap();
    assert_eq!((global.as_str(), room.as_str()), (r#"{"a":1}"#, r#"{"b":2}"#));
}

#[tokio::test]
async fn what_may_not_be_set_is_refused() {
    let server = Fixture::new().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let unknown = room_id!("!unknown:example.org");
    let put = async |user_id, room, kind: &str, content: &str| {
        refusal(server.put_account_data(&alice, user_id, room, kind, content).await)
    };
    assert_eq!(put(&bob.user_id, None, "org.example", "{}").await, "M_FORBIDDEN");
    assert_eq!(put(&alice.user_id, None, "m.push_rules", "{}").await, "405 M_BAD_JSON");
    assert_eq!(put(&alice.user_id, Some(unknown), "m.fully_read", "{}").await, "405 M_BAD_JSON");
    assert_eq!(put(&alice.user_id, None, "org.example", "[1]").await, "M_BAD_JSON");
    assert_eq!(put(&alice.user_id, None, "org.example", "null").await, "M_BAD_JSON");
    assert_eq!(put(&alice.user_id, Some(unknown), "org.example", "{}").await, "M_NOT_FOUND");
    assert_eq!(put(&alice.user_id, None, &"x".repeat(256), "{}").await, "M_INVALID_PARAM");
    let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(100_000));
    assert_eq!(put(&alice.user_id, None, "org.example", &large).await, "M_TOO_LARGE");
    let others = server.get_account_data(&alice, &bob.user_id, None, "m.push_rules").await;
    assert_eq!(refusal(others), "M_FORBIDDEN");
    assert_eq!(server.all_account_data(&server.snapshot(), alice.user).await.unwrap().len(), 1);
}

#[tokio::test]
async fn sync_gets_each_change_once() {
    let server = Fixture::new().await;
    let alice = server.user("alice").await;
    let room = server.room(room_id!("!room:example.org")).await;
    let start = server.snapshot().position();
    for number in 0..5 {
        let content = format!(r#"{{"n":{number}}}"#);
        server.set_account_data(alice.user, None, "org.example", &content).await.unwrap();
    }
    let middle = server.snapshot().position();
    server.set_account_data(alice.user, Some(room), "org.example", r#"{"r":1}"#).await.unwrap();
    let snapshot = server.snapshot();
    let global = Piece { room: None, kind: "org.example".to_owned(), content: r#"{"n":4}"#.to_owned() };
    let of_room = Piece { room: Some(room), kind: "org.example".to_owned(), content: r#"{"r":1}"#.to_owned() };
    let since = async |position| server.account_data_since(&snapshot, alice.user, position).await.unwrap();
    assert_eq!(since(start).await, [global, of_room.clone()]);
    assert_eq!(since(middle).await, std::slice::from_ref(&of_room));
    assert_eq!(since(snapshot.position()).await, []);
    assert_eq!(server.room_account_data(&snapshot, alice.user, room).await.unwrap(), [of_room]);
    let stream = snapshot.scan(&USER_STREAM, USER_STREAM.under(&(alice.user,))).collect().await.unwrap();
    assert_eq!(stream.len(), 2, "an older entry of the same piece is gone");
    assert!(server.0.streams.user_changed(alice.user, middle));
}

#[tokio::test]
async fn a_sync_from_the_beginning_has_push_rules() {
    let server = Fixture::new().await;
    let alice = server.user("alice").await;
    let all = server.all_account_data(&server.snapshot(), alice.user).await.unwrap();
    assert_eq!(all.len(), 1);
    assert!(all[0].kind == "m.push_rules" && all[0].content.contains(".m.rule.master"));
    let got = server.get_account_data(&alice, &alice.user_id, None, "m.push_rules").await.unwrap();
    assert_eq!(got, all[0].content);
}

#[tokio::test]
async fn nobody_keeps_more_than_a_sync_can_tell() {
    let server = Fixture::new().await;
    let alice = server.user("alice").await;
    let put = async |number: usize, size: usize| {
        let content = format!(r#"{{"a":"{}"}}"#, "x".repeat(size));
        server.put_account_data(&alice, &alice.user_id, None, &format!("org.example.{number}"), &content).await
    };
    let mut number = 0;
    let refused = loop {
        assert!(number < 300, "so much is kept");
        match put(number, 80_000).await {
            Ok(()) => number += 1,
            refused => break refusal(refused),
        }
    };
    assert_eq!(refused, "M_TOO_LARGE");
    // Other things of theirs may become less, and then there is room again.
    for less in 0..20 {
        put(less, 1).await.unwrap();
    }
    put(number, 80_000).await.unwrap();
}
