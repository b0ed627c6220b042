//! Profiles: told to all, set by their owner, bounded.

use matron_storage::Batch;
use ruma::profile::{ProfileFieldName, ProfileFieldValue};
use ruma::user_id;
use serde_json::json;

use super::super::fixture::{Fixture, refusal};
use super::{PROFILES, SIZE};

fn field(name: &str, value: serde_json::Value) -> ProfileFieldValue {
    ProfileFieldValue::new(name, value).unwrap()
}

#[tokio::test]
async fn what_is_told_is_seen() {
    let server = Fixture::new().await;
    let alice = server.user("alice").await;
    let set = async |name, value| server.set_profile_field(&alice, &alice.user_id, &field(name, value)).await.unwrap();
    assert!(set("displayname", json!("Alice")).await);
    assert!(!set("displayname", json!("Alice")).await, "nothing changed");
    assert!(set("avatar_url", json!("mxc://example.org/abc")).await);
    assert!(!set("m.tz", json!("Europe/London")).await);
    assert!(!set("org.example.pet", json!({"name": null})).await);
    let whole = server.whole_profile(&alice.user_id).await.unwrap();
    let expected = json!({
        "displayname": "Alice",
        "avatar_url": "mxc://example.org/abc",
        "m.tz": "Europe/London",
        "org.example.pet": {"name": null},
    });
    assert_eq!(serde_json::to_value(&whole).unwrap(), expected);
    let profile = server.profile(&server.snapshot(), alice.user).await.unwrap();
    assert_eq!(profile.displayname.as_deref(), Some("Alice"));
    assert_eq!(profile.avatar_url.unwrap().as_str(), "mxc://example.org/abc");
    assert!(set("displayname", json!("")).await);
    assert!(server.delete_profile_field(&alice, &alice.user_id, &"avatar_url".into()).await.unwrap());
    assert!(!server.delete_profile_field(&alice, &alice.user_id, &"avatar_url".into()).await.unwrap());
    let gone = server.profile_field(&alice.user_id, &ProfileFieldName::DisplayName).await;
    assert_eq!(refusal(gone), "M_NOT_FOUND");
    assert_eq!(server.profile(&server.snapshot(), alice.user).await.unwrap(), super::Profile::default());
}

#[tokio::test]
async fn only_the_owner_sets_what_fits() {
    let server = Fixture::new().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let set =
        async |user_id, value: ProfileFieldValue| refusal(server.set_profile_field(&alice, user_id, &value).await);
    assert_eq!(set(&bob.user_id, field("displayname", json!("x"))).await, "M_FORBIDDEN");
    assert_eq!(set(&alice.user_id, field("avatar_url", json!("http://x"))).await, "M_INVALID_PARAM");
    assert_eq!(set(&alice.user_id, field("displayname", json!("x".repeat(1025)))).await, "M_PROFILE_TOO_LARGE");
    assert_eq!(set(&alice.user_id, field("org.example.x", json!("x".repeat(65_536)))).await, "M_PROFILE_TOO_LARGE");
    assert_eq!(set(&alice.user_id, field("Org.Example", json!(1))).await, "M_INVALID_PARAM");
    assert_eq!(set(&alice.user_id, field("", json!(1))).await, "M_INVALID_PARAM");
    assert_eq!(set(&alice.user_id, field(&"x".repeat(256), json!(1))).await, "M_KEY_TOO_LARGE");
    let others = server.delete_profile_field(&alice, &bob.user_id, &"displayname".into()).await;
    assert_eq!(refusal(others), "M_FORBIDDEN");
    assert_eq!(refusal(server.whole_profile(user_id!("@nobody:example.org")).await), "M_NOT_FOUND");
    assert!(server.whole_profile(&alice.user_id).await.unwrap().iter().next().is_none());
}

#[tokio::test]
async fn a_profile_is_bounded_as_a_whole() {
    let server = Fixture::new().await;
    let alice = server.user("alice").await;
    let large = json!("x".repeat(30_000));
    for name in ["a.a", "a.b"] {
        server.set_profile_field(&alice, &alice.user_id, &field(name, large.clone())).await.unwrap();
    }
    let third = field("a.c", large);
    assert_eq!(refusal(server.set_profile_field(&alice, &alice.user_id, &third).await), "M_PROFILE_TOO_LARGE");
    server.delete_profile_field(&alice, &alice.user_id, &"a.a".into()).await.unwrap();
    server.set_profile_field(&alice, &alice.user_id, &third).await.unwrap();
}

#[tokio::test]
async fn a_profile_is_measured_as_it_is_told() {
    let server = Fixture::new().await;
    let alice = server.user("alice").await;
    let set = async |name, value| server.set_profile_field(&alice, &alice.user_id, &field(name, value)).await;
    let told = async || serde_json::to_string(&server.whole_profile(&alice.user_id).await.unwrap()).unwrap().len();
    set("a", json!("x".repeat(65_527))).await.unwrap();
    assert_eq!(told().await, 65_535);
    assert_eq!(refusal(set("a", json!("x".repeat(65_528))).await), "M_PROFILE_TOO_LARGE");
    assert_eq!(refusal(set("b", json!(1)).await), "M_PROFILE_TOO_LARGE");
    set("a", json!("x".repeat(65_520))).await.unwrap();
    set("b", json!(1)).await.unwrap();
    assert_eq!(refusal(set("c", json!(1)).await), "M_PROFILE_TOO_LARGE");
    server.delete_profile_field(&alice, &alice.user_id, &"b".into()).await.unwrap();
    set("c", json!(1)).await.unwrap();
    assert_eq!(told().await, 65_534);
}

#[tokio::test]
async fn a_profile_of_an_older_store_is_measured_anew() {
    let server = Fixture::new().await;
    let alice = server.user("alice").await;
    // Many short fields, of which an older version counted 42000 bytes.
    let mut batch = Batch::new();
    for nth in 0..6000 {
        batch.put(&PROFILES, &(alice.user, format!("a{nth:05}")), &"1".to_owned());
    }
    batch.put(&PROFILES, &(alice.user, "b".to_owned()), &"\"long\"".to_owned());
    batch.put(&PROFILES, &(alice.user, SIZE.to_owned()), &"42007".to_owned());
    server.0.store.commit(batch).await.unwrap();
    let set = async |name, value| server.set_profile_field(&alice, &alice.user_id, &field(name, value)).await;
    assert_eq!(refusal(set("c", json!(1)).await), "M_PROFILE_TOO_LARGE");
    assert_eq!(refusal(set("b", json!("longer")).await), "M_PROFILE_TOO_LARGE");
    set("b", json!("less")).await.unwrap();
    set("b", json!(1)).await.unwrap();
    assert_eq!(refusal(set("b", json!("long")).await), "M_PROFILE_TOO_LARGE");
    for nth in 0..50 {
        server.delete_profile_field(&alice, &alice.user_id, &format!("a{nth:05}").as_str().into()).await.unwrap();
    }
    set("c", json!(1)).await.unwrap();
}
