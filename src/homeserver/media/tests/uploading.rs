//! Uploading, at once and later, within quotas, and what is served of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{DAY, World, administrator, body, refusal, user, whole};
use crate::media::{Asker, Name, Told};
use crate::schema::media::Usage;

#[tokio::test]
async fn what_was_uploaded_is_there_in_whole_and_in_part() {
    let world = World::new();
    let bytes: Vec<u8> = (0..1_000_003_u32).map(|nth| (nth % 251) as u8).collect();
    let told = Told {
        content_type: Some("image/png".to_owned()),
        file_name: Some("bed 3.png".to_owned()),
        bytes: Some(bytes.len() as u64),
    };
    let name = world.upload(&user(1), told, body(&bytes)).await.unwrap();
    assert_eq!(world.get(&name).await.unwrap(), bytes);
    let found = world.look(&name).await.unwrap();
    assert_eq!(
        (found.content.content_type.as_str(), found.content.file_name.as_deref()),
        ("image/png", Some("bed 3.png"))
    );
    for (start, end) in [(0, 1), (999_999, 1_000_003), (131_071, 131_073), (5, 5), (100_000, 500_000)] {
        let part = whole(world.read(&found, start, end).await.unwrap()).await;
        assert_eq!(part, bytes[usize::try_from(start).unwrap()..usize::try_from(end).unwrap()]);
    }
    let empty = world.put(&user(1), b"").await.unwrap();
    assert_eq!(world.get(&empty).await.unwrap(), b"");
    let found = world.look(&empty).await.unwrap();
    assert_eq!(found.content.content_type, "application/octet-stream");
    assert_eq!(found.content.file_name, None);
}

#[tokio::test]
async fn the_same_bytes_are_kept_once() {
    let world = World::new();
    let (one, two) = (world.put(&user(1), b"same").await.unwrap(), world.put(&user(2), b"same").await.unwrap());
    assert_ne!(one, two);
    assert_eq!(world.files().len(), 1);
    world.delete(&administrator(), &one).await.unwrap();
    assert_eq!(refusal(world.look(&one).await), "M_NOT_FOUND");
    assert_eq!(world.get(&two).await.unwrap(), b"same");
    world.delete(&administrator(), &two).await.unwrap();
    assert!(world.files().is_empty());
    assert_eq!(refusal(world.delete(&administrator(), &two).await), "M_NOT_FOUND");
}

#[tokio::test]
async fn uploads_end_at_their_limit() {
    let world = World::with(|config| config.media.max_upload_bytes = 100_000);
    assert_eq!(refusal(world.put(&user(1), &vec![7; 100_001]).await), "M_TOO_LARGE");
    let told = Told { bytes: Some(100_001), ..Told::default() };
    assert_eq!(refusal(world.upload(&user(1), told, body(b"")).await), "M_TOO_LARGE");
    world.put(&user(1), &vec![7; 100_000]).await.unwrap();
    let broken = futures_util::stream::iter([Ok(Bytes::from_static(b"half")), Err("gone")]);
    assert_eq!(refusal(world.upload(&user(1), Told::default(), broken).await), "M_UNKNOWN");
    for told in [
        Told { file_name: Some("n".repeat(1025)), ..Told::default() },
        Told { content_type: Some("a\nb".to_owned()), ..Told::default() },
        Told { content_type: Some("t".repeat(256)), ..Told::default() },
    ] {
        assert_eq!(refusal(world.upload(&user(1), told, body(b"x")).await), "M_INVALID_PARAM");
    }
    assert_eq!(world.files().len(), 1);
    assert_eq!(std::fs::read_dir(world.folder.path().join("media/incoming")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_quota_is_for_all_that_a_user_has() {
    let world = World::with(|config| config.media.user_quota_bytes = Some(10));
    let ann = user(1);
    let first = world.put(&ann, b"123456").await.unwrap();
    assert_eq!(refusal(world.put(&ann, b"12345").await), "M_FORBIDDEN");
    assert_eq!(refusal(world.put(&ann, b"123456").await), "M_FORBIDDEN", "the same bytes count again");
    world.put(&ann, b"1234").await.unwrap();
    assert_eq!(world.usage(ann.user).await.unwrap(), Usage { media: 2, bytes: 10 });
    world.put(&user(2), b"12345").await.unwrap();
    let (name, _) = world.reserve(&ann).await.unwrap();
    assert_eq!(refusal(world.upload_to(&ann, &name, Told::default(), body(b"1")).await), "M_FORBIDDEN");
    world.delete(&administrator(), &first).await.unwrap();
    assert_eq!(world.usage(ann.user).await.unwrap(), Usage { media: 1, bytes: 4 });
    world.upload_to(&ann, &name, Told::default(), body(b"1")).await.unwrap();
}

#[tokio::test]
async fn many_uploads_at_once_are_all_counted() {
    let world = World::with(|config| config.media.user_quota_bytes = Some(30));
    let uploads = (0..50_u8).map(|nth| {
        let media = Arc::clone(&world.media);
        tokio::spawn(async move { media.upload(&user(1), Told::default(), body(&[nth])).await.is_ok() })
    });
    let mut done = 0;
    for upload in uploads.collect::<Vec<_>>() {
        done += u64::from(upload.await.unwrap());
    }
    assert_eq!(done, 30);
    assert_eq!(world.usage(user(1).user).await.unwrap(), Usage { media: 30, bytes: 30 });
}

#[tokio::test]
async fn bytes_may_come_later() {
    let world = World::new();
    let (ann, bob) = (user(1), user(2));
    let (name, expires) = world.reserve(&ann).await.unwrap();
    assert_eq!(expires, world.now.load(std::sync::atomic::Ordering::Relaxed) + DAY);
    assert_eq!(refusal(world.look(&name).await), "M_NOT_YET_UPLOADED");
    let put = |by: &crate::accounts::Session| {
        let (media, by, name) = (Arc::clone(&world.media), by.clone(), name.clone());
        async move { media.upload_to(&by, &name, Told::default(), body(b"late")).await }
    };
    assert_eq!(refusal(put(&bob).await), "M_FORBIDDEN");
    let waiting = {
        let (media, name) = (Arc::clone(&world.media), name.clone());
        tokio::spawn(async move { media.find(&name, Duration::from_secs(30), Asker::User).await })
    };
    tokio::task::yield_now().await;
    put(&ann).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().content.bytes, 4);
    assert_eq!(refusal(put(&ann).await), "M_CANNOT_OVERWRITE_MEDIA");
    assert_eq!(refusal(put(&bob).await), "M_FORBIDDEN");
    let never = Name::random(ruma::server_name!("example.org"));
    assert_eq!(refusal(world.upload_to(&ann, &never, Told::default(), body(b"")).await), "M_NOT_FOUND");
    let at_once = world.put(&ann, b"x").await.unwrap();
    let again = world.upload_to(&ann, &at_once, Told::default(), body(b"y")).await;
    assert_eq!(refusal(again), "M_CANNOT_OVERWRITE_MEDIA");
    world.wait(2 * DAY);
    assert_eq!(world.get(&name).await.unwrap(), b"late");
}

#[tokio::test]
async fn of_two_who_upload_to_one_address_one_does() {
    let world = World::new();
    let (name, _) = world.reserve(&user(1)).await.unwrap();
    let upload = |bytes: &'static [u8]| {
        let (media, name) = (Arc::clone(&world.media), name.clone());
        tokio::spawn(async move { media.upload_to(&user(1), &name, Told::default(), body(bytes)).await })
    };
    let (one, two) = (upload(b"one"), upload(b"two"));
    let (one, two) = (one.await.unwrap(), two.await.unwrap());
    let kept: &[u8] = if one.is_ok() { b"one" } else { b"two" };
    assert_eq!(refusal(if one.is_ok() { two } else { one }), "M_CANNOT_OVERWRITE_MEDIA");
    assert_eq!(world.get(&name).await.unwrap(), kept);
    // The other's bytes may lie there for a day.
    world.grow_old();
    world.sweep_files().await.unwrap();
    assert_eq!(world.files().len(), 1);
    assert_eq!(world.usage(user(1).user).await.unwrap().media, 1);
}

#[tokio::test]
async fn so_many_addresses_await_their_bytes_and_no_more() {
    let world = World::new();
    let mut names = Vec::new();
    for _ in 0..20 {
        names.push(world.reserve(&user(1)).await.unwrap().0);
    }
    assert_eq!(refusal(world.reserve(&user(1)).await), "M_LIMIT_EXCEEDED");
    world.reserve(&user(2)).await.unwrap();
    world.upload_to(&user(1), &names[0], Told::default(), body(b"x")).await.unwrap();
    world.reserve(&user(1)).await.unwrap();
    assert_eq!(refusal(world.reserve(&user(1)).await), "M_LIMIT_EXCEEDED");
    world.wait(DAY);
    assert_eq!(refusal(world.look(&names[1]).await), "M_NOT_FOUND");
    assert_eq!(refusal(world.upload_to(&user(1), &names[1], Told::default(), body(b"x")).await), "M_NOT_FOUND");
    world.reserve(&user(1)).await.unwrap();
}

#[tokio::test]
async fn without_a_token_only_what_is_open_is_served() {
    let (closed, open) = (World::new(), World::with(|config| config.media.open = true));
    for (world, refused) in [(&closed, true), (&open, false)] {
        let name = world.put(&user(1), b"x").await.unwrap();
        let found = world.find(&name, Duration::ZERO, Asker::Anybody).await;
        assert_eq!(found.is_err(), refused);
        let (name, _) = world.reserve(&user(1)).await.unwrap();
        let wanted = if refused { "M_NOT_FOUND" } else { "M_NOT_YET_UPLOADED" };
        assert_eq!(refusal(world.find(&name, Duration::ZERO, Asker::Anybody).await), wanted);
    }
}

#[tokio::test]
async fn administrators_list_quarantine_and_delete() {
    let world = World::new();
    let (ann, admin) = (user(1), administrator());
    let mut names = Vec::new();
    for nth in 0..5_u8 {
        world.wait(1);
        names.push(world.put(&ann, &[nth]).await.unwrap());
    }
    let others = world.put(&user(2), b"other").await.unwrap();
    let first = world.list(&admin, ann.user, None, 3).await.unwrap();
    let rest = world.list(&admin, ann.user, first.last(), 10).await.unwrap();
    let listed: Vec<_> = first.into_iter().chain(rest).map(|listed| listed.name).collect();
    assert_eq!(listed, names);
    world.quarantine(&admin, &names[0], true).await.unwrap();
    assert_eq!(refusal(world.look(&names[0]).await), "M_NOT_FOUND");
    world.quarantine(&admin, &names[0], false).await.unwrap();
    assert_eq!(world.get(&names[0]).await.unwrap(), [0]);
    assert_eq!(world.quarantine_all(&admin, ann.user).await.unwrap(), 5);
    for name in &names {
        assert_eq!(refusal(world.look(name).await), "M_NOT_FOUND");
    }
    assert_eq!(world.delete_all(&admin, ann.user).await.unwrap(), 5);
    assert_eq!(world.list(&admin, ann.user, None, 10).await.unwrap(), []);
    assert_eq!(world.usage(ann.user).await.unwrap(), Usage::default());
    assert_eq!(world.get(&others).await.unwrap(), b"other");
    assert_eq!(world.files().len(), 1);
}

#[tokio::test]
async fn nobody_else_may_do_so() {
    let world = World::new();
    let ann = user(1);
    let name = world.put(&ann, b"mine").await.unwrap();
    assert_eq!(refusal(world.list(&ann, ann.user, None, 1).await), "M_FORBIDDEN");
    assert_eq!(refusal(world.quarantine(&ann, &name, true).await), "M_FORBIDDEN");
    assert_eq!(refusal(world.quarantine_all(&ann, ann.user).await), "M_FORBIDDEN");
    assert_eq!(refusal(world.delete(&ann, &name).await), "M_FORBIDDEN");
    assert_eq!(refusal(world.delete_all(&ann, ann.user).await), "M_FORBIDDEN");
    assert_eq!(world.get(&name).await.unwrap(), b"mine");
}
