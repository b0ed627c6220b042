//! Tags are each user's own, and none is lost.

use ruma::events::tag::TagInfo;
use ruma::{room_id, user_id};

use super::super::fixture::{Fixture, refusal};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tags_set_at_once_are_all_kept() {
    let server = Fixture::new().await;
    let alice = server.user("alice").await;
    let id = room_id!("!room:example.org");
    server.room(id).await;
    let tasks: Vec<_> = (0..6)
        .map(|number| {
            let (homeserver, alice) = (std::sync::Arc::clone(&server.0), alice.clone());
            tokio::spawn(async move {
                let info = TagInfo { order: Some(f64::from(number) / 10.0) };
                homeserver.accounts.put_tag(&alice, &alice.user_id, id, &format!("u.{number}"), &info).await
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(server.tags(&alice, &alice.user_id, id).await.unwrap().len(), 6);
    server.delete_tag(&alice, &alice.user_id, id, "u.3").await.unwrap();
    server.delete_tag(&alice, &alice.user_id, id, "u.none").await.unwrap();
    assert_eq!(server.tags(&alice, &alice.user_id, id).await.unwrap().len(), 5);
    let long = server.put_tag(&alice, &alice.user_id, id, &"x".repeat(256), &TagInfo::new()).await;
    assert_eq!(refusal(long), "M_INVALID_PARAM");
    let others = server.tags(&alice, user_id!("@bob:example.org"), id).await;
    assert_eq!(refusal(others), "M_FORBIDDEN");
}
