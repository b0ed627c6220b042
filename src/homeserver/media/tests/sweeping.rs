//! What the sweeper takes, and what it leaves.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use ruma::media::Method;

use super::{DAY, World, administrator, body, refusal, user};
use crate::media::picture::tests::png;
use crate::media::{Owner, Told, Wanted};
use crate::schema::media::{AWAITED, MEDIA, MEDIA_EXPIRY};

/// How many rows the sweeper left that say what is still to come.
async fn rows(world: &World) -> (usize, usize, usize) {
    let snapshot = world.store.snapshot();
    (
        snapshot.scan(&MEDIA, MEDIA.all()).collect().await.unwrap().len(),
        snapshot.scan(&MEDIA_EXPIRY, MEDIA_EXPIRY.all()).collect().await.unwrap().len(),
        snapshot.scan(&AWAITED, AWAITED.all()).collect().await.unwrap().len(),
    )
}

impl World {
    /// Leaves a file that no row knows, written so many milliseconds ago.
    fn leave(&self, name: &str, age: u64) {
        let path = self.folder.path().join("media/ab").join(name);
        std::fs::write(&path, b"lost").unwrap();
        self.date(&path, age);
    }

    /// Lets all files be as old as those are that a sweep may take.
    pub(super) fn grow_old(&self) {
        for file in self.files() {
            let folder = file.get(..2).unwrap_or_default();
            self.date(&self.folder.path().join("media").join(folder).join(&file), DAY);
        }
    }

    fn date(&self, path: &Path, age: u64) {
        let written = UNIX_EPOCH + Duration::from_millis(self.clock.millis() - age);
        std::fs::File::options().write(true).open(path).unwrap().set_modified(written).unwrap();
    }
}

#[tokio::test]
async fn addresses_that_nobody_used_go() {
    let world = World::new();
    let (used, _) = world.reserve(&user(1)).await.unwrap();
    let (unused, _) = world.reserve(&user(1)).await.unwrap();
    world.upload_to(&user(1), &used, Told::default(), body(b"x")).await.unwrap();
    world.sweep_expired().await.unwrap();
    assert_eq!(rows(&world).await, (2, 1, 1));
    world.wait(DAY);
    world.sweep_expired().await.unwrap();
    assert_eq!(rows(&world).await, (1, 0, 0));
    assert_eq!(refusal(world.look(&unused).await), "M_NOT_FOUND");
    assert_eq!(world.get(&used).await.unwrap(), b"x");
}

#[tokio::test]
async fn in_a_place_that_was_taken_nothing_goes() {
    let world = World::new();
    let name = world.put(&user(1), b"x").await.unwrap();
    world.reserve(&user(1)).await.unwrap();
    world.wait(DAY);
    Owner::new("example.org", 8).take(&*world.objects()).await.unwrap();
    assert!(world.sweep_expired().await.is_err());
    assert!(!world.has_place());
    assert!(world.put(&user(1), b"y").await.is_err());
    assert!(world.delete(&administrator(), &name).await.is_err());
    assert_eq!(rows(&world).await, (2, 1, 1));
    assert_eq!(world.get(&name).await.unwrap(), b"x");
}

#[tokio::test]
async fn files_that_belong_to_nothing_go() {
    let world = World::new();
    let picture = png(64, 64);
    let name = world.put(&user(1), &picture).await.unwrap();
    let found = world.look(&name).await.unwrap();
    let wanted = Wanted { method: Method::Crop, width: 32, height: 32, animated: false };
    world.thumbnail(&found, &wanted).await.unwrap();
    let files = world.files();
    assert_eq!(files.len(), 2);
    // As a crash leaves them: a file without its row, a thumbnail of it, one of today, and something that is not ours.
    let orphan = format!("ab{}", "0".repeat(62));
    world.leave(&orphan, DAY);
    world.leave(&format!("{orphan}-32x32-crop"), 9 * DAY);
    let young = format!("ab{}", "1".repeat(62));
    world.leave(&young, DAY - 1);
    world.leave("README", 9 * DAY);
    world.sweep_files().await.unwrap();
    let mut left = [files.clone(), vec![young, "README".to_owned()]].concat();
    left.sort_unstable();
    assert_eq!(world.files(), left);
    world.wait(1);
    world.sweep_files().await.unwrap();
    let mut left = [files, vec!["README".to_owned()]].concat();
    left.sort_unstable();
    assert_eq!(world.files(), left);
    assert_eq!(world.get(&name).await.unwrap(), picture);
}
