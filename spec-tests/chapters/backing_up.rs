//! Operating, "Backup and restore": the drill with an object store. A server that is talked to is backed up into a bucket, is
//! lost, and comes back from there alone.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use spec_tests::{ObjectStore, Server, User};
use tempfile::TempDir;

use crate::run;

const PLACE: &str = "s3://vault/matron/night";

/// Settings under which backups lie in a bucket, and media in a folder or in another bucket.
fn settings(store: &ObjectStore, media: bool) -> Vec<(&str, &str)> {
    let mut settings = vec![
        ("MATRON_BACKUP__PLACE", PLACE),
        ("MATRON_BACKUP__S3__ENDPOINT", store.url.as_str()),
        ("MATRON_BACKUP__S3__ACCESS_KEY_ID", ObjectStore::KEY),
        ("MATRON_BACKUP__S3__SECRET_ACCESS_KEY", ObjectStore::SECRET),
    ];
    if media {
        settings.extend([
            ("MATRON_MEDIA__STORAGE", "s3"),
            ("MATRON_MEDIA__S3__BUCKET", "wards"),
            ("MATRON_MEDIA__S3__ENDPOINT", store.url.as_str()),
            ("MATRON_MEDIA__S3__ACCESS_KEY_ID", ObjectStore::KEY),
            ("MATRON_MEDIA__S3__SECRET_ACCESS_KEY", ObjectStore::SECRET),
        ]);
    }
    settings
}

/// Runs a command that must succeed, or must not.
async fn command(succeeds: bool, folder: &TempDir, settings: &[(&str, &str)], arguments: &[&str]) -> String {
    let (status, said) = Server::run(folder.path(), settings, arguments).await;
    assert_eq!(status, succeeds, "{arguments:?}: {said}");
    said
}

fn pattern(length: u32, salt: u8) -> Vec<u8> {
    (0..length).map(|nth| ((nth % 251) as u8).wrapping_add(salt)).collect()
}

async fn upload(user: &User, url: &str, bytes: &[u8]) -> String {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = http.post(format!("{url}/_matrix/media/v3/upload")).bearer_auth(&user.token).body(bytes.to_vec());
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    answer["content_uri"].as_str().unwrap().strip_prefix("mxc://").unwrap().to_owned()
}

async fn download(user: &User, url: &str, medium: &str) -> Vec<u8> {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{url}/_matrix/client/v1/media/download/{medium}");
    let answer = http.get(url).bearer_auth(&user.token).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.bytes().await.unwrap().to_vec()
}

/// The bodies of all messages in a room.
async fn messages(user: &User, room: &str) -> Vec<String> {
    let (mut from, mut bodies) = (String::new(), Vec::new());
    loop {
        let page = user.get(&format!("/v3/rooms/{room}/messages?dir=f&limit=100{from}")).await.ok();
        let chunk = page["chunk"].as_array().unwrap();
        bodies.extend(chunk.iter().filter_map(|event| event["content"]["body"].as_str()).map(str::to_owned));
        let Some(end) = page["end"].as_str().filter(|_| !chunk.is_empty()) else { return bodies };
        from = format!("&from={end}");
    }
}

fn flip_a_byte(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

/// The bytes of all objects of the backups.
fn bytes_there(store: &ObjectStore) -> u64 {
    store.objects("vault/matron/night/objects/").iter().map(|object| object.metadata().unwrap().len()).sum()
}

/// Loses a server that is talked to while backups are taken, and brings it back.
async fn drill(media_in_bucket: bool) {
    let (folder, store) = (TempDir::new().unwrap(), ObjectStore::start(&["vault", "wards"]).await);
    let settings = settings(&store, media_in_bucket);
    let mut server = Server::start_in(folder.path(), &settings).await;
    let ann = server.user("ann").await;
    let room = ann.create_room(json!({ "name": "ward 7" })).await;
    let large = pattern(20_000_000, 0);
    let medium = upload(&ann, &server.url, &large).await;

    // Somebody goes on talking.
    let done = Arc::new(AtomicBool::new(false));
    let talking = tokio::spawn({
        let (ann, room, done) = (ann.on_its_own_connection(), room.clone(), Arc::clone(&done));
        async move {
            let mut said = 0;
            while !done.load(Ordering::Relaxed) {
                ann.say(&room, &format!("message {said}")).await;
                said += 1;
            }
            said
        }
    });
    let said = command(true, &folder, &settings, &["db", "backup"]).await;
    assert!(said.contains("MiB are new"), "{said}");
    let first = bytes_there(&store);
    assert!(first > 20_000_000);
    // Only what is new goes there: not the large medium again.
    let second_medium = upload(&ann, &server.url, &pattern(3_000_000, 3)).await;
    command(true, &folder, &settings, &["db", "backup"]).await;
    let grown = bytes_there(&store) - first;
    assert!((3_000_000..15_000_000).contains(&grown), "{grown}");
    done.store(true, Ordering::Relaxed);
    let count = talking.await.unwrap();
    ann.say(&room, "the last before the backup").await;
    command(true, &folder, &settings, &["db", "backup"]).await;
    let since = ann.sync(None).await["next_batch"].as_str().unwrap().to_owned();
    ann.say(&room, "lost").await;
    server.kill();

    let listed = command(true, &folder, &settings, &["db", "backups"]).await;
    assert_eq!(listed.lines().filter(|line| line.contains(" files ")).count(), 3, "{listed}");
    let said = command(true, &folder, &settings, &["db", "verify"]).await;
    assert!(said.contains("is sound"), "{said}");

    // An empty folder, and nothing else of the lost machine.
    let (other, other_store) = (TempDir::new().unwrap(), ObjectStore::start(&["wards"]).await);
    let mut elsewhere = settings.clone();
    for (name, value) in &mut elsewhere {
        if *name == "MATRON_MEDIA__S3__ENDPOINT" {
            *value = other_store.url.as_str();
        }
    }
    command(true, &other, &elsewhere, &["db", "restore"]).await;
    let restored = Server::start_in(other.path(), &elsewhere).await;
    let ann = ann.at(&restored.url);
    let mut expected: Vec<_> = (0..count).map(|nth| format!("message {nth}")).collect();
    expected.push("the last before the backup".to_owned());
    assert_eq!(messages(&ann, &room).await, expected);
    assert!(download(&ann, &restored.url, &medium).await == large);
    assert!(download(&ann, &restored.url, &second_medium).await == pattern(3_000_000, 3));
    // A token of the lost server is of another epoch: it is answered with everything, not with what came since.
    let answer = ann.sync(Some(&since)).await;
    let joined = &answer["rooms"]["join"][&room];
    let mut state =
        joined["state"]["events"].as_array().into_iter().chain(joined["timeline"]["events"].as_array()).flatten();
    assert!(state.any(|event| event["type"] == "m.room.name"), "{answer}");
    ann.say(&room, "it goes on").await;
    drop(restored);
    let said = command(true, &other, &elsewhere, &["db", "check"]).await;
    assert!(said.contains("the store is sound"), "{said}");
}

#[test]
fn a_copy_leaves_a_living_servers_media_alone() {
    run(async {
        let (folder, store) = (TempDir::new().unwrap(), ObjectStore::start(&["vault", "wards"]).await);
        let settings = settings(&store, true);
        let mut server = Server::start_in(folder.path(), &settings).await;
        let ann = server.user("ann").await;
        let medium = upload(&ann, &server.url, &pattern(1000, 0)).await;
        command(true, &folder, &settings, &["db", "backup"]).await;
        let late = upload(&ann, &server.url, &pattern(1000, 1)).await;
        let kept = store.objects("/wards/");

        // Beside the living server, by its own settings and by others.
        let other = TempDir::new().unwrap();
        let said = command(false, &other, &settings, &["db", "restore"]).await;
        assert!(said.contains("--take-media"), "{said}");
        assert!(!other.path().join("data/store").exists());
        let elsewhere = [settings.as_slice(), &[("MATRON_MEDIA__STORAGE", "folder")]].concat();
        command(true, &other, &elsewhere, &["db", "restore"]).await;
        command(true, &other, &elsewhere, &["db", "check"]).await;
        // Even where somebody forgets what media.storage was.
        command(true, &other, &settings, &["db", "check"]).await;
        let said = command(false, &other, &settings, &["serve"]).await;
        assert!(said.contains("the place of media belongs to localhost"), "{said}");
        assert_eq!(store.objects("/wards/"), kept);
        assert!(download(&ann, &server.url, &late).await == pattern(1000, 1));

        // It is lost after all; and when it comes up again, another one has its place.
        server.kill();
        let other = TempDir::new().unwrap();
        command(true, &other, &settings, &["db", "restore", "--take-media"]).await;
        let restored = Server::start_in(other.path(), &settings).await;
        assert!(download(&ann.at(&restored.url), &restored.url, &medium).await == pattern(1000, 0));
        let said = command(false, &folder, &settings, &["serve"]).await;
        assert!(said.contains("the place of media belongs to localhost"), "{said}");
    });
}

#[test]
fn a_lost_server_comes_back_from_a_bucket() {
    run(drill(false));
}

#[test]
fn media_of_a_bucket_come_back_into_another_one() {
    run(drill(true));
}

#[test]
fn a_medium_that_a_bucket_lost_or_changed_is_found_and_left_out() {
    run(async {
        let (folder, store) = (TempDir::new().unwrap(), ObjectStore::start(&["vault"]).await);
        let settings = settings(&store, false);
        let server = Server::start_in(folder.path(), &settings).await;
        let ann = server.user("ann").await;
        upload(&ann, &server.url, &pattern(9_000_000, 0)).await;
        command(true, &folder, &settings, &["db", "backup"]).await;
        let largest = store.objects("night/objects/").into_iter().max_by_key(|path| path.metadata().unwrap().len());
        let largest = largest.unwrap();
        flip_a_byte(&largest);
        let said = command(false, &folder, &settings, &["db", "verify"]).await;
        let name = largest.file_name().unwrap().to_str().unwrap();
        assert!(said.contains("is not sound") && said.contains("its SHA-256 is") && said.contains(name), "{said}");
        let other = TempDir::new().unwrap();
        // It is a medium alone: the server comes back without it.
        let said = command(false, &other, &settings, &["db", "restore"]).await;
        assert!(said.contains("its SHA-256 is") && said.contains(name), "{said}");
        assert!(other.path().join("data/store").exists());
        std::fs::remove_file(&largest).unwrap();
        let said = command(false, &folder, &settings, &["db", "verify"]).await;
        assert!(said.contains("it is not there") && said.contains(name), "{said}");
        let other = TempDir::new().unwrap();
        let said = command(false, &other, &settings, &["db", "restore"]).await;
        assert!(said.contains("it is not there") && said.contains(name), "{said}");
        assert!(other.path().join("data/store").exists());
        // The next backup brings back what was taken away.
        command(true, &folder, &settings, &["db", "backup", "--keep", "1"]).await;
        command(true, &folder, &settings, &["db", "verify"]).await;
        let listed = command(true, &folder, &settings, &["db", "backups"]).await;
        assert_eq!(listed.lines().filter(|line| line.contains(" files ")).count(), 1, "{listed}");
    });
}

#[test]
fn an_interrupted_backup_is_none() {
    run(async {
        let (folder, store) = (TempDir::new().unwrap(), ObjectStore::start(&["vault"]).await);
        let settings = settings(&store, false);
        let mut server = Server::start_in(folder.path(), &settings).await;
        let ann = server.user("ann").await;
        for salt in 0..4 {
            upload(&ann, &server.url, &pattern(3_000_000, salt)).await;
        }
        let slow = Server::run(folder.path(), &settings, &["db", "backup", "--pace", "1"]);
        let begun = Instant::now();
        let interrupted = async {
            while store.objects("night/objects/").len() < 5 {
                assert!(begun.elapsed() < Duration::from_mins(1), "nothing is copied");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            server.kill();
        };
        let ((status, said), ()) = tokio::join!(slow, interrupted);
        assert!(!status, "{said}");
        assert_eq!(store.objects("night/backups/"), Vec::<std::path::PathBuf>::new());
        let said = command(false, &folder, &settings, &["db", "verify"]).await;
        assert!(said.contains("there is no backup"), "{said}");
        // What was copied is not copied again; by the command line itself, since no server runs.
        command(true, &folder, &settings, &["db", "backup"]).await;
        let said = command(true, &folder, &settings, &["db", "verify"]).await;
        assert!(said.contains("is sound"), "{said}");
    });
}

#[test]
fn a_bucket_that_does_not_open_is_told() {
    run(async {
        let (folder, store) = (TempDir::new().unwrap(), ObjectStore::start(&["vault", "wards"]).await);
        let mut settings = settings(&store, true);
        let server = Server::start_in(folder.path(), &settings).await;
        let said = command(false, &folder, &settings, &["db", "backup", "--to", "s3://wards/backups"]).await;
        assert!(said.contains("overlaps with the media"), "{said}");
        drop(server);
        settings.iter_mut().find(|(name, _)| *name == "MATRON_BACKUP__S3__SECRET_ACCESS_KEY").unwrap().1 = "wrong";
        let said = command(false, &folder, &settings, &["db", "backups"]).await;
        assert!(said.contains("403") || said.contains("denied") || said.contains("SignatureDoesNotMatch"), "{said}");
    });
}
