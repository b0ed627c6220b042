use std::sync::Arc;

use futures_util::TryStreamExt as _;
use matron_storage::{Options, Store};
use object_store::path::Path;
use tempfile::TempDir;

use super::{FileName, Files};
use crate::config::MediaStorage;
use crate::error::{Error, Result};
use crate::media::incoming::Whole;
use crate::media::owner::Owner;
use crate::remote::{addresses::Addresses, http::Client, trust};
use crate::schema::media::Fit;

fn open(folder: &TempDir) -> Files {
    open_by(folder, 7)
}

/// As the store of this epoch opens them.
fn open_by(folder: &TempDir, epoch: u64) -> Files {
    let storage = MediaStorage::Folder(folder.path().join("media"));
    let client = Client::new(&trust::client(&[]).unwrap(), Addresses::all().into());
    let store = Arc::new(Store::open(&Options::memory(), matron_storage::nobody()).unwrap());
    Files::open(&storage, &client, Owner::new("example.org", epoch), store).unwrap()
}

async fn incoming(files: &Files, bytes: &'static [u8]) -> Whole {
    let mut incoming = files.incoming();
    incoming.write(bytes.into()).await.unwrap();
    incoming.finish().await.unwrap()
}

async fn keep(files: &Files, bytes: &'static [u8]) -> FileName {
    let whole = incoming(files, bytes).await;
    let name = FileName::content(whole.digest);
    files.keep(whole, name).await.unwrap();
    name
}

async fn read(files: &Files, name: FileName, bytes: u64) -> Result<Vec<u8>> {
    let pieces: Vec<_> = files.read(name, 0, bytes).await?.try_collect().await.unwrap();
    Ok(pieces.concat())
}

#[tokio::test]
async fn files_are_named_by_their_digest() {
    let folder = TempDir::new().unwrap();
    let files = open(&folder);
    let name = keep(&files, b"hello").await;
    let path = "2c/2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    assert_eq!(name.to_string(), path);
    assert_eq!(std::fs::read(folder.path().join("media").join(path)).unwrap(), b"hello");
    let thumbnail = FileName { thumbnail: Some((320, 240, Fit::ScaleAnimated)), ..name };
    assert_eq!(thumbnail.to_string(), format!("{path}-320x240-scale-animated"));
    assert_eq!(FileName::digest_of(&thumbnail.path()), Some(name.digest));
    for elsewhere in [format!("wards/{path}"), path.replace("2c/", "2d/"), path.replace("2c/", "")] {
        assert_eq!(FileName::digest_of(&Path::from(elsewhere.clone())), None, "{elsewhere}");
    }
    files.delete(name).await.unwrap();
    files.delete(name).await.unwrap();
}

#[tokio::test]
async fn what_is_gone_is_told_from_a_place_that_is_away() {
    let folder = TempDir::new().unwrap();
    let files = open(&folder);
    let name = keep(&files, b"hello").await;
    assert_eq!(read(&files, name, 5).await.unwrap(), b"hello");
    files.delete(name).await.unwrap();
    let gone = read(&files, name, 5).await.unwrap_err();
    assert!(matches!(&gone, Error::Matrix(error) if error.kind.errcode().to_string() == "M_NOT_FOUND"), "{gone:?}");
    let other = open_by(&folder, 8);
    other.owner.take(&*other.objects).await.unwrap();
    assert!(read(&files, name, 5).await.unwrap_err().is_passing());
}

#[tokio::test]
async fn a_thumbnail_that_is_drawn_otherwise_takes_the_place_of_the_old_one() {
    let folder = TempDir::new().unwrap();
    let files = open(&folder);
    let thumbnail = FileName { thumbnail: Some((32, 32, Fit::Crop)), ..keep(&files, b"a picture").await };
    for drawn in [b"once".as_slice(), b"otherwise"] {
        files.keep(incoming(&files, drawn).await, thumbnail).await.unwrap();
        assert_eq!(read(&files, thumbnail, drawn.len() as u64).await.unwrap(), drawn);
    }
}

#[tokio::test]
async fn what_was_on_its_way_in_at_a_crash_is_gone_at_the_next_start() {
    let folder = TempDir::new().unwrap();
    let files = open(&folder);
    let name = keep(&files, b"kept").await;
    let incoming = folder.path().join("media/incoming");
    std::fs::write(incoming.join("half"), b"ha").unwrap();
    drop(files);
    let files = open(&folder);
    files.begin().await.unwrap();
    assert_eq!(std::fs::read_dir(&incoming).unwrap().count(), 0);
    let pieces: Vec<_> = files.read(name, 1, 3).await.unwrap().try_collect().await.unwrap();
    assert_eq!(pieces.concat(), b"ep");
}

#[tokio::test]
async fn in_anothers_place_nothing_is_written_or_deleted() {
    let folder = TempDir::new().unwrap();
    let files = open(&folder);
    let name = keep(&files, b"kept").await;
    let half = folder.path().join("media/incoming/half");
    std::fs::write(&half, b"ha").unwrap();
    let restored = open_by(&folder, 8);
    assert!(restored.begin().await.is_err() && !restored.are_ours());
    let mut incoming = restored.incoming();
    incoming.write(b"new".as_slice().into()).await.unwrap();
    let whole = incoming.finish().await.unwrap();
    let new = FileName::content(whole.digest);
    assert!(restored.keep(whole, new).await.is_err());
    assert!(restored.delete(name).await.is_err());
    assert!(half.exists() && !files.has(new).await.unwrap());
    // What is there can be read.
    assert!(restored.read(name, 0, 4).await.is_ok());
    // The place is taken while its former owner runs.
    restored.owner.take(&*restored.objects).await.unwrap();
    assert!(files.claim().await.is_err() && !files.are_ours());
    assert!(files.delete(name).await.is_err());
    restored.delete(name).await.unwrap();
}

#[tokio::test]
async fn what_is_given_up_halfway_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let files = open(&folder);
    let mut incoming = files.incoming();
    for _ in 0..10 {
        incoming.write(vec![0; 100_000].into()).await.unwrap();
    }
    drop(incoming);
    // The last piece may still be being written.
    for _ in 0..1000 {
        if std::fs::read_dir(folder.path().join("media/incoming")).unwrap().count() == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("half a file is left");
}

#[tokio::test]
async fn the_folder_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = TempDir::new().unwrap();
    let files = open(&folder);
    let name = keep(&files, b"private").await;
    let media = folder.path().join("media");
    for (path, wanted) in [(media.clone(), 0o700), (media.join("00"), 0o700), (media.join(name.to_string()), 0o600)] {
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, wanted, "{}", path.display());
    }
}
