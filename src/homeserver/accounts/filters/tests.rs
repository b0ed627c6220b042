//! A filter is kept once, for its owner.

use ruma::api::client::filter::FilterDefinition;
use serde_json::json;

use super::super::fixture::{Fixture, refusal};
use crate::schema::accounts::FILTERS;

fn filter(json: &str) -> FilterDefinition {
    serde_json::from_str(json).unwrap()
}

#[tokio::test]
async fn a_filter_comes_back_by_its_id() {
    let server = Fixture::new().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let wanted = filter(r#"{"room":{"timeline":{"limit":10,"types":["m.room.*"]}}}"#);
    let id = server.create_filter(&alice, &alice.user_id, &wanted).await.unwrap();
    assert_eq!(server.create_filter(&alice, &alice.user_id, &wanted).await.unwrap(), id);
    let other = server.create_filter(&alice, &alice.user_id, &filter("{}")).await.unwrap();
    assert_ne!(other, id);
    let snapshot = server.snapshot();
    let rows = snapshot.scan(&FILTERS, FILTERS.under(&(alice.user,))).collect().await.unwrap();
    assert_eq!(rows.len(), 2, "the same filter is kept once");
    for _ in 0..2 {
        let got = server.get_filter(&alice, &alice.user_id, &id).await.unwrap();
        assert_eq!(serde_json::to_value(&*got).unwrap(), serde_json::to_value(&wanted).unwrap());
    }
    assert_eq!(refusal(server.get_filter(&bob, &alice.user_id, &id).await), "M_FORBIDDEN");
    assert_eq!(refusal(server.create_filter(&bob, &alice.user_id, &wanted).await), "M_FORBIDDEN");
    assert_eq!(refusal(server.get_filter(&bob, &bob.user_id, &id).await), "M_NOT_FOUND");
    for id in ["", "AAAAAAAAAAA", "0", "{}", &"A".repeat(500)] {
        assert_eq!(refusal(server.get_filter(&alice, &alice.user_id, id).await), "M_NOT_FOUND", "{id}");
    }
}

#[tokio::test]
async fn a_filter_is_bounded() {
    let server = Fixture::new().await;
    let alice = server.user("alice").await;
    // Some 60,000 bytes of room ids in each list.
    let rooms =
        |mark: usize| -> Vec<_> { (0..1000).map(|nth| format!("!{mark:02}{nth:04}{}:l", "x".repeat(48))).collect() };
    let long = filter(&json!({ "room": { "rooms": vec!["!a:l"; 1001] } }).to_string());
    assert_eq!(refusal(server.create_filter(&alice, &alice.user_id, &long).await), "M_INVALID_PARAM");
    let large = |mark: usize| filter(&json!({ "room": { "not_rooms": rooms(mark) } }).to_string());
    let larger = filter(&json!({ "room": { "rooms": rooms(0), "not_rooms": rooms(1) } }).to_string());
    assert_eq!(refusal(server.create_filter(&alice, &alice.user_id, &larger).await), "M_TOO_LARGE");
    // Nor does anybody keep many that are large.
    for mark in 0..17 {
        server.create_filter(&alice, &alice.user_id, &large(mark)).await.unwrap();
    }
    let large = large(17);
    assert_eq!(refusal(server.create_filter(&alice, &alice.user_id, &large).await), "M_TOO_LARGE");
    let bob = server.user("bob").await;
    server.create_filter(&bob, &bob.user_id, &large).await.unwrap();
}
