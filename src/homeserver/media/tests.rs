//! Media as their owners use them, and as somebody who wants more would.

mod drawing;
mod previewing;
mod sweeping;
mod uploading;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use matron_storage::{Options, Store};
use ruma::{owned_device_id, server_name};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Asker, Found, Media, Name, Told};
use crate::accounts::Session;
use crate::clock::Clock;
use crate::config::{Config, MediaStorage};
use crate::error::{Error, Result};
use crate::remote::{http::Client, trust};
use crate::schema::{DeviceNum, UserNum};
use crate::streams::Streams;

/// A day, in milliseconds.
const DAY: u64 = 24 * 60 * 60 * 1000;

struct World {
    media: Arc<Media>,
    now: Arc<AtomicU64>,
    folder: tempfile::TempDir,
}

impl std::ops::Deref for World {
    type Target = Arc<Media>;

    fn deref(&self) -> &Arc<Media> {
        &self.media
    }
}

impl World {
    fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::TempDir::new().unwrap();
        let mut config = Config::named(server_name!("example.org").to_owned());
        config.media.storage = MediaStorage::Folder(folder.path().join("media"));
        change(&mut config);
        let config = Arc::new(config);
        let (streams, _) = Streams::new(0);
        let store = Arc::new(Store::open(&Options::memory(), streams).unwrap());
        let now = Arc::new(AtomicU64::new(1_700_000_000_000));
        let time = Arc::clone(&now);
        let clock = Clock::by(move || time.load(Ordering::Relaxed));
        let client = Client::new(&trust::client(&[]).unwrap(), config.outgoing.addresses.clone().into());
        let media =
            Media::new(store, clock, config, (client.clone(), client), CancellationToken::new(), TaskTracker::new())
                .unwrap();
        Self { media: Arc::new(media), now, folder }
    }

    fn new() -> Self {
        Self::with(|_| {})
    }

    fn wait(&self, milliseconds: u64) {
        self.now.fetch_add(milliseconds, Ordering::Relaxed);
    }

    async fn put(&self, by: &Session, bytes: &[u8]) -> Result<Name> {
        self.upload(by, Told::default(), body(bytes)).await
    }

    async fn look(&self, name: &Name) -> Result<Found> {
        self.find(name, Duration::ZERO, Asker::User).await
    }

    async fn get(&self, name: &Name) -> Result<Vec<u8>> {
        let found = self.look(name).await?;
        let pieces = self.read(&found, 0, found.content.bytes).await?;
        Ok(pieces.try_collect::<Vec<_>>().await.unwrap().concat())
    }

    /// The files that are there, without those on their way in.
    fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        let shards = std::fs::read_dir(self.folder.path().join("media")).unwrap().map(|shard| shard.unwrap().path());
        for shard in shards.filter(|shard| shard.is_dir()) {
            for file in std::fs::read_dir(shard).unwrap() {
                files.push(file.unwrap().file_name().into_string().unwrap());
            }
        }
        files.sort_unstable();
        files
    }
}

/// A body that comes in pieces.
fn body(bytes: &[u8]) -> impl futures_util::Stream<Item = Result<Bytes, Infallible>> + Send + Unpin + use<> {
    let pieces: Vec<_> = bytes.chunks(50_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    futures_util::stream::iter(pieces)
}

fn user(number: u64) -> Session {
    let user_id = format!("@user{number}:example.org").try_into().unwrap();
    let (user, device) = (UserNum(number), DeviceNum(number));
    Session {
        user_id,
        user,
        device_id: owned_device_id!("DEVICE"),
        device,
        guest: false,
        admin: false,
        suspended: false,
        rate_limit: None,
    }
}

fn administrator() -> Session {
    Session { admin: true, ..user(99) }
}

/// The errcode of a refusal.
#[track_caller]
fn refusal<T: std::fmt::Debug>(result: Result<T>) -> String {
    match result {
        Err(Error::Matrix(error)) => error.kind.errcode().to_string(),
        Err(Error::Upstream(error)) => format!("502 {}", error.kind.errcode()),
        other => panic!("it was not refused: {other:?}"),
    }
}

/// The whole of some pieces.
async fn whole(pieces: super::Pieces) -> Vec<u8> {
    pieces.map(Result::unwrap).collect::<Vec<_>>().await.concat()
}
