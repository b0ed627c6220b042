//! The drill: a server is lost and comes back from its backup, and what is not whole is refused.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use matron_matrix::digest;
use matron_storage::{Batch, Options};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload};
use ruma::server_name;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::{Asked, Manifest, Place, Placed, Restored, Taken, in_order, object_path, restore, take, verify};
use crate::Homeserver;
use crate::clock::Clock;
use crate::config::Config;
use crate::devices::key_counts;
use crate::error::Result;
use crate::media::{FileName, Owner, hex, unhex};
use crate::schema::backup::LAST_BACKUP;
use crate::schema::devices::{CLAIM_HEADS, ClaimHead, KeyQueue, ONE_TIME_KEYS, OneTimeKey};
use crate::schema::media::FILE_MEDIA;
use crate::schema::{DeviceNum, Digest};
use crate::streams::{Token, TokenError};

const MEDIUM: &[u8] = b"a picture";
const MEDIUM_SHA256: &str = "92b2fa58028958317e408bd84ecfa70f5ee35b121991dbc232c49d166353708b";

fn quiet(_: String) {}

struct Drill {
    folder: TempDir,
    server: Arc<Homeserver>,
    media: Arc<InMemory>,
    place: Place,
    objects: Arc<InMemory>,
    time: Mutex<u64>,
}

impl Drill {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let server = start(folder.path().join("store")).await;
        let objects = Arc::new(InMemory::new());
        let media = Arc::new(InMemory::new());
        let place = Place::store(Arc::<InMemory>::clone(&objects));
        Self { folder, server, media, place, objects, time: Mutex::new(1_800_000_000_000) }
    }

    /// Lets the store go on by a position.
    async fn go_on(&self) {
        let mut batch = Batch::new();
        let _ = batch.stamp();
        batch.put(&LAST_BACKUP, &(), &0);
        self.server.store.commit(batch).await.unwrap();
    }

    /// Has the store know media in these files, two in each.
    async fn know(&self, files: impl IntoIterator<Item = Digest>) {
        let mut batch = Batch::new();
        for file in files {
            for name in ["one", "two"] {
                batch.put(&FILE_MEDIA, &(file, format!("localhost/{name}")), &());
            }
        }
        self.server.store.commit(batch).await.unwrap();
    }

    async fn take(&self, keep: Option<usize>) -> Taken {
        let now = {
            let mut time = self.time.lock().unwrap();
            *time += 1000;
            *time
        };
        let asked = Asked {
            server_name: "localhost".to_owned(),
            store: Arc::clone(&self.server.store),
            media: Some(Arc::<InMemory>::clone(&self.media)),
            has_backups: false,
            now,
            keep,
            bytes_per_second: None,
        };
        take(asked, &self.place, &quiet).await.unwrap()
    }

    fn new_store(&self) -> PathBuf {
        self.folder.path().join("restored")
    }

    async fn restore(&self, name: Option<&str>) -> Result<(Restored, InMemory)> {
        let media = InMemory::new();
        let restored = restore(&self.place, name, ("localhost", &self.new_store()), (&media, false), &quiet).await?;
        Ok((restored, media))
    }

    async fn count(&self) -> usize {
        let listed = self.objects.list(Some(&Path::from("objects")));
        futures_util::StreamExt::count(listed).await
    }
}

async fn start(store: PathBuf) -> Arc<Homeserver> {
    let config = Config::named(server_name!("localhost").to_owned());
    Homeserver::start(config, &Options::rocks(store, 16 << 20), Clock::system()).await.unwrap()
}

async fn upload_key(server: &Homeserver, device: DeviceNum) {
    let queue = KeyQueue { algorithm: "signed_curve25519".to_owned(), next: 0, end: 1 };
    let mut batch = Batch::new();
    batch.put(&CLAIM_HEADS, &device, &ClaimHead { queues: vec![queue], fallback: Vec::new() });
    let key = OneTimeKey { id: "signed_curve25519:AAAA".to_owned(), json: "{}".to_owned() };
    batch.put(&ONE_TIME_KEYS, &(device, 0, 0), &key);
    server.store.commit(batch).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_server_comes_back() {
    let drill = Drill::new().await;
    drill.server.lifecycle.create_account("alice", "correct horse", true).await.unwrap();
    upload_key(&drill.server, DeviceNum(7)).await;
    let medium = Path::from(format!("92/{MEDIUM_SHA256}"));
    drill.media.put(&medium, PutPayload::from_static(MEDIUM)).await.unwrap();
    drill.media.put(&Path::from("incoming/half"), PutPayload::from_static(b"half")).await.unwrap();
    let taken = drill.take(None).await;
    drill.server.lifecycle.create_account("late", "correct horse", false).await.unwrap();
    let last = drill.server.store.snapshot().position();
    let token = Token::Stream { position: last, to_device: last, boot: 0, typing: 0, presence: 0 };
    let token = token.render(drill.server.store.epoch());
    drill.server.stop().await;

    let verified = verify(&drill.place, None, &quiet).await.unwrap();
    assert_eq!(verified.wrong, Vec::<String>::new());
    let (back, media) = drill.restore(None).await.unwrap();
    assert_eq!(back, Restored { name: taken.name, damaged: Vec::new() });
    assert_eq!(media.get(&medium).await.unwrap().bytes().await.unwrap(), MEDIUM);
    assert!(media.head(&Path::from("incoming/half")).await.is_err());

    let restored = start(drill.new_store()).await;
    let names = restored.accounts.list(None, 10).await.unwrap();
    assert_eq!(names.iter().map(|(_, id, _)| id.as_str()).collect::<Vec<_>>(), ["@alice:localhost"]);
    // What clients hold from the time that is lost is known for it, and can mean nothing new.
    assert_eq!(Token::parse(&token, restored.store.epoch()), Err(TokenError::OtherEpoch));
    assert!(restored.store.snapshot().position() > last);
    let snapshot = restored.store.snapshot();
    let counts = key_counts(&snapshot, DeviceNum(7)).await.unwrap();
    assert!(counts.one_time.values().all(|count| *count == ruma::UInt::MIN));
    assert!(snapshot.scan(&ONE_TIME_KEYS, ONE_TIME_KEYS.all()).collect().await.unwrap().is_empty());
    // A place that is taken is left alone.
    assert!(drill.restore(None).await.is_err());
    restored.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_new_is_copied_and_old_backups_go() {
    let drill = Drill::new().await;
    for name in ["alice", "bob"] {
        drill.server.lifecycle.create_account(name, "correct horse", false).await.unwrap();
    }
    let first = drill.take(None).await;
    let second = drill.take(None).await;
    assert_ne!(first.name, second.name);
    assert!(second.copied < first.copied / 2, "{first:?} {second:?}");
    drill.server.lifecycle.create_account("carol", "correct horse", false).await.unwrap();
    let before = drill.count().await;
    let third = drill.take(Some(1)).await;
    assert_eq!(third.removed, 2);
    assert_eq!(drill.place.names().await.unwrap(), std::slice::from_ref(&third.name));
    assert!(drill.count().await < before + third.files);
    assert_eq!(verify(&drill.place, Some(&third.name), &quiet).await.unwrap().wrong, Vec::<String>::new());
    assert!(verify(&drill.place, Some(&first.name), &quiet).await.is_err());
    drill.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_or_missing_is_found_and_never_restored() {
    let drill = Drill::new().await;
    drill.server.lifecycle.create_account("alice", "correct horse", false).await.unwrap();
    drill.take(None).await;
    let (_, manifest) = drill.place.manifest(None).await.unwrap();
    let table = manifest.files.iter().find(|entry| super::take::is_table(&entry.path)).unwrap();
    let object = object_path(&table.sha256);
    let mut bytes = drill.objects.get(&object).await.unwrap().bytes().await.unwrap().to_vec();
    bytes[0] ^= 1;
    drill.objects.put(&object, bytes.into()).await.unwrap();
    let wrong = verify(&drill.place, None, &quiet).await.unwrap().wrong;
    assert!(wrong.len() == 1 && wrong[0].starts_with(&table.path), "{wrong:?}");
    assert!(drill.restore(None).await.is_err());
    assert!(!drill.new_store().exists());
    drill.objects.delete(&object).await.unwrap();
    assert_eq!(verify(&drill.place, None, &quiet).await.unwrap().wrong.len(), 1);
    assert!(drill.restore(None).await.is_err());
    assert!(!drill.new_store().exists());
    // The next backup brings back what the place lost.
    drill.take(None).await;
    assert_eq!(verify(&drill.place, None, &quiet).await.unwrap().wrong, Vec::<String>::new());
    drill.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotten_picture_keeps_no_server_from_coming_back() {
    let drill = Drill::new().await;
    let mut media = Vec::new();
    for nth in 0..3_u64 {
        let bytes = nth.to_be_bytes();
        let path = Path::from(FileName::content(digest::of(&bytes)).to_string());
        drill.media.put(&path, PutPayload::from_iter(bytes)).await.unwrap();
        media.push((path, object_path(&hex(&digest::of(&bytes)))));
    }
    drill.take(None).await;
    drill.server.stop().await;
    let [(sound, _), (rotten, rotten_object), (lost, lost_object)] = &media[..] else { panic!("three") };
    drill.objects.put(rotten_object, PutPayload::from_static(b"rottened")).await.unwrap();
    drill.objects.delete(lost_object).await.unwrap();
    let (back, restored) = drill.restore(None).await.unwrap();
    let mut damaged = back.damaged;
    damaged.sort_by_key(|line| !line.contains(rotten.as_ref()));
    assert!(damaged.len() == 2 && damaged[0].contains(rotten_object.as_ref()), "{damaged:?}");
    assert!(damaged[1].contains(lost.as_ref()) && damaged[1].contains("not there"), "{damaged:?}");
    assert!(restored.head(sound).await.is_ok());
    assert!(restored.head(rotten).await.is_err() && restored.head(lost).await.is_err());
    start(drill.new_store()).await.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_beside_the_media_is_none_of_theirs() {
    let drill = Drill::new().await;
    let name = FileName::content(unhex(MEDIUM_SHA256).unwrap()).to_string();
    // Another server's, whose prefix lies in ours; a disk's own folder; a thumbnail.
    for path in
        [format!("b/{name}"), format!("ab/{name}"), format!("lost+found/{MEDIUM_SHA256}"), format!("{name}-32x32-crop")]
    {
        drill.media.put(&Path::from(path), PutPayload::from_static(MEDIUM)).await.unwrap();
    }
    drill.know([unhex(MEDIUM_SHA256).unwrap()]).await;
    let taken = drill.take(None).await;
    let (_, manifest) = drill.place.manifest(None).await.unwrap();
    assert!(manifest.files.iter().all(|entry| entry.path.starts_with("store/")));
    assert!(taken.damaged.len() == 1 && taken.damaged[0].contains("not there"), "{:?}", taken.damaged);
    drill.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn media_of_all_sizes_are_taken_and_a_damaged_one_is_told() {
    let drill = Drill::new().await;
    // One request, and several parts, on both ways.
    let large: Vec<u8> = (0..20_000_000_u32).map(|nth| (nth % 251) as u8).collect();
    let mut media = Vec::new();
    for bytes in [Vec::new(), MEDIUM.to_vec(), large] {
        let sha256 = Sha256::digest(&bytes).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        let path = Path::from(format!("{}/{sha256}", &sha256[..2]));
        drill.media.put(&path, bytes.clone().into()).await.unwrap();
        media.push((path, bytes));
    }
    let false_name = Path::from(format!("00/{}", "0".repeat(64)));
    drill.media.put(&false_name, PutPayload::from_static(b"rotten")).await.unwrap();
    let taken = drill.take(None).await;
    assert!(taken.damaged.len() == 1 && taken.damaged[0].starts_with("media/00/"), "{:?}", taken.damaged);
    assert_eq!(verify(&drill.place, None, &quiet).await.unwrap().wrong, Vec::<String>::new());
    drill.server.stop().await;
    let (_, restored) = drill.restore(None).await.unwrap();
    for (path, bytes) in media {
        assert!(restored.get(&path).await.unwrap().bytes().await.unwrap() == bytes);
    }
    assert!(restored.get(&false_name).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn media_that_the_store_knows_and_nobody_has_are_told() {
    let drill = Drill::new().await;
    let there = unhex(MEDIUM_SHA256).unwrap();
    let path = Path::from(FileName::content(there).to_string());
    drill.media.put(&path, PutPayload::from_static(MEDIUM)).await.unwrap();
    drill.know([there, [7; 32]]).await;
    let taken = drill.take(None).await;
    assert_eq!(taken.damaged, [format!("media/07/{}: it is not there (mxc://localhost/one)", "07".repeat(32))]);
    assert_eq!(verify(&drill.place, None, &quiet).await.unwrap().wrong, Vec::<String>::new());
    // The disk of the media is away: not all of them are named. They are looked for page by page.
    drill.media.delete(&path).await.unwrap();
    drill.know((0..1500_u64).map(|nth| digest::of(&nth.to_be_bytes()))).await;
    let taken = drill.take(None).await;
    assert_eq!(taken.damaged.len(), 101);
    assert!(taken.damaged[100].starts_with("and others"), "{:?}", taken.damaged);
    drill.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_media_that_are_there_are_found_there() {
    let drill = Drill::new().await;
    let files: Vec<Digest> = (0..1500_u64).map(|nth| digest::of(&nth.to_be_bytes())).collect();
    for (nth, file) in (0..1500_u64).zip(&files) {
        let path = Path::from(FileName::content(*file).to_string());
        drill.media.put(&path, PutPayload::from_iter(nth.to_be_bytes())).await.unwrap();
    }
    drill.know(files).await;
    assert_eq!(drill.take(None).await.damaged, Vec::<String>::new());
    drill.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_that_are_asked_for_at_once_are_taken_one_after_the_other() {
    let drill = Drill::new().await;
    drill.server.lifecycle.create_account("alice", "correct horse", false).await.unwrap();
    drill.take(None).await;
    drill.server.lifecycle.create_account("bob", "correct horse", false).await.unwrap();
    let (_, last) = tokio::join!(drill.take(Some(1)), drill.take(Some(1)));
    assert_eq!(drill.place.names().await.unwrap(), [last.name]);
    assert_eq!(verify(&drill.place, None, &quiet).await.unwrap().wrong, Vec::<String>::new());
    drill.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backup_that_was_just_taken_stays_whatever_the_clock_says() {
    let drill = Drill::new().await;
    let ahead = drill.take(None).await;
    *drill.time.lock().unwrap() -= 24 * 60 * 60 * 1000;
    drill.go_on().await;
    let first = drill.take(Some(2)).await;
    assert!(first.name < ahead.name);
    assert_eq!(drill.place.names().await.unwrap(), [ahead.name, first.name.clone()]);
    assert_eq!(drill.place.manifest(None).await.unwrap().0, first.name);
    drill.go_on().await;
    let second = drill.take(Some(2)).await;
    assert_eq!((second.removed, drill.place.names().await.unwrap()), (1, vec![first.name, second.name.clone()]));
    drill.go_on().await;
    let third = drill.take(Some(1)).await;
    assert_eq!((third.removed, drill.place.names().await.unwrap()), (2, vec![third.name.clone()]));
    assert_eq!(verify(&drill.place, None, &quiet).await.unwrap().wrong, Vec::<String>::new());
    drill.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_servers_backups_are_left_alone() {
    let drill = Drill::new().await;
    drill.take(None).await;
    let media = InMemory::new();
    let other = restore(&drill.place, None, ("other.example", &drill.new_store()), (&media, false), &quiet).await;
    assert!(other.unwrap_err().to_string().contains("localhost"));
    let asked = Asked {
        server_name: "other.example".to_owned(),
        store: Arc::clone(&drill.server.store),
        media: None,
        has_backups: true,
        now: 1_900_000_000_000,
        keep: Some(1),
        bytes_per_second: None,
    };
    assert!(take(asked, &drill.place, &quiet).await.is_err());
    assert_eq!(drill.place.names().await.unwrap().len(), 1);
    drill.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_living_servers_media_are_taken_on_request_alone() {
    let drill = Drill::new().await;
    let living = Owner::new("localhost", drill.server.store.epoch());
    living.claim(&*drill.media, &drill.server.store).await.unwrap();
    drill.take(None).await;
    drill.server.stop().await;
    let store = drill.new_store();
    let restored =
        async |takes| restore(&drill.place, None, ("localhost", &store), (&*drill.media, takes), &quiet).await;
    assert!(restored(false).await.unwrap_err().to_string().contains("--take-media"));
    assert!(!store.exists());
    assert_eq!(Owner::of(&*drill.media).await.unwrap().as_ref(), Some(&living));
    restored(true).await.unwrap();
    assert!(living.claim(&*drill.media, &drill.server.store).await.is_err());
    let server = start(store.clone()).await;
    Owner::new("localhost", server.store.epoch()).claim(&*drill.media, &server.store).await.unwrap();
    server.stop().await;
}

#[test]
fn the_newest_is_of_the_last_life_and_there_the_furthest() {
    let placed = |epoch, position, name: &str| Placed { epoch, position, name: name.to_owned() };
    let order = in_order(vec![
        // The clock was ahead once, in the life before.
        placed(7, 900, "2026-03"),
        placed(7, 800, "2026-02"),
        placed(7, 850, "2026-09"),
        // Founded anew later.
        placed(3, 10, "2026-11"),
        placed(3, 20, "2026-10"),
    ]);
    assert_eq!(order, ["2026-02", "2026-09", "2026-03", "2026-11", "2026-10"]);
}

#[test]
fn a_manifest_leads_nowhere_else() {
    let hash = "0".repeat(64);
    let manifest = |path: &str, hash: &str| {
        let file = serde_json::json!({ "path": path, "bytes": u64::MAX, "sha256": hash });
        let json = serde_json::json!({
            "format": 1, "program": "0", "server_name": "a", "epoch": 1, "position": 1, "taken_at": 1,
            "files": [file, file],
        });
        Manifest::parse(json.to_string().as_bytes())
    };
    // How far the store was is told by the first bytes alone.
    let mut written = serde_json::to_vec(&Manifest::new("a".to_owned(), 1, 77, 1)).unwrap();
    assert_eq!(Manifest::moment_in(&written), Some((1, 77)));
    written.truncate(written.len() - 2);
    assert_eq!(Manifest::moment_in(&written), Some((1, 77)));
    assert_eq!(Manifest::moment_in(br#"{"files":[],"epoch":1,"position":77}"#), None);
    // Nobody's files are that large, but that is for who reads them to find.
    assert_eq!(manifest("store/000001.sst", &hash).unwrap().bytes(), u64::MAX);
    for path in ["/etc/passwd", "store/../../x", "store//x", "other/x", "store/", "media/a\\b", "store/."] {
        assert!(manifest(path, &hash).is_err(), "{path}");
    }
    assert!(manifest("store/000001.sst", "../../x").is_err());
    assert!(Manifest::parse(b"{}").is_err());
}
