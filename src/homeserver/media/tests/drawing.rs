//! Thumbnails, and those who do not wait for them.

use std::sync::Arc;
use std::time::Duration;

use ruma::media::Method;

use super::{World, user};
use crate::media::Wanted;
use crate::media::picture::tests::png;

#[tokio::test]
async fn what_was_begun_for_somebody_who_hung_up_is_drawn_to_its_end() {
    let world = World::new();
    let name = world.put(&user(1), &png(600, 400)).await.unwrap();
    let found = world.look(&name).await.unwrap();
    let wanted = Wanted { method: Method::Scale, width: 320, height: 240, animated: false };
    let painters = world.painters.available_permits();
    let media = Arc::clone(&world.media);
    let asking = tokio::spawn(async move { media.thumbnail(&found, &wanted).await.map(drop) });
    while world.painters.available_permits() == painters {
        tokio::task::yield_now().await;
    }
    asking.abort();
    assert!(asking.await.unwrap_err().is_cancelled());
    world.tasks.close();
    world.tasks.wait().await;
    assert_eq!(world.painters.available_permits(), painters);
    assert_eq!(world.files().len(), 2, "it is kept for the next who asks");
}

#[tokio::test]
async fn who_hangs_up_before_leaves_nothing_to_draw() {
    let world = World::new();
    let name = world.put(&user(1), &png(600, 400)).await.unwrap();
    let found = world.look(&name).await.unwrap();
    let wanted = Wanted { method: Method::Scale, width: 320, height: 240, animated: false };
    let painters = u32::try_from(world.painters.available_permits()).unwrap();
    let busy = Arc::clone(&world.painters).acquire_many_owned(painters).await.unwrap();
    let waited = tokio::time::timeout(Duration::from_millis(50), world.thumbnail(&found, &wanted)).await;
    assert!(waited.is_err() && world.tasks.is_empty());
    drop(busy);
    assert_eq!(world.files().len(), 1);
}
