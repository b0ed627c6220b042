//! Media: what users upload, thumbnails of it, previews of pages; the bytes lie in files beside the store.

mod administration;
mod download;
mod files;
mod incoming;
mod name;
mod owner;
pub mod picture;
mod preview;
mod rows;
mod sweep;
mod thumbnail;
mod upload;

use std::sync::Arc;

use matron_storage::Store;
use object_store::ObjectStore;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::config::Config;
use crate::error::Result;
use crate::meters;
use crate::remote::http::Client;
use crate::schema::media::{Content, Medium};
use crate::turns::Turns;

pub use administration::Listed;
pub use download::{Asker, Found};
pub(crate) use files::{FileName, ListedFile, hex, list as list_files, unhex};
pub use files::{Pieces, objects};
pub use name::Name;
pub(crate) use owner::Owner;
pub use preview::{MAX_URL_BYTES, Page};
pub use thumbnail::{Served, Wanted};
pub use upload::Told;

use files::Files;

/// The most pictures that are decoded at once, whatever the machine has.
const MAX_PAINTERS: usize = 4;

/// The most pages that are fetched at once.
const MAX_FETCHERS: usize = 32;

/// The owner of media.
#[derive(Debug)]
pub struct Media {
    store: Arc<Store>,
    clock: Clock,
    config: Arc<Config>,
    /// Looks at pages that users name.
    pages: Client,
    files: Files,
    /// Whoever gives a file its first medium, or takes its last one, has the file's turn.
    file_turns: Turns,
    /// Whoever changes what a user has uploaded, or awaits, has the user's turn, and whoever changes what previews have theirs:
    /// after the file's, if both.
    user_turns: Turns,
    /// Whoever makes a thumbnail has its turn, and whoever fetches a page; others wait for what comes of it.
    thumbnail_turns: Turns,
    page_turns: Turns,
    /// Told whenever bytes came that were awaited.
    arrived: Notify,
    /// A picture takes much memory while it is decoded.
    painters: Arc<Semaphore>,
    /// Other servers keep us waiting.
    fetchers: Arc<Semaphore>,
    /// What is counted.
    pub meters: meters::Media,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Media {
    /// Needs what lies below, and two ways out: one for addresses that users name, one to the configured bucket. Opens the
    /// files. Blocks while their folder is made.
    ///
    /// # Errors
    /// The folder cannot be made or written, or the bucket's settings are wrong.
    pub fn new(
        store: Arc<Store>,
        clock: Clock,
        config: Arc<Config>,
        (pages, bucket): (Client, Client),
        stop: CancellationToken,
        tasks: TaskTracker,
    ) -> Result<Self> {
        let owner = Owner::new(config.server_name.as_str(), store.epoch());
        let files = Files::open(&config.media.storage, &bucket, owner, Arc::clone(&store))?;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Ok(Self {
            store,
            clock,
            config,
            pages,
            files,
            file_turns: Turns::new(),
            user_turns: Turns::new(),
            thumbnail_turns: Turns::new(),
            page_turns: Turns::new(),
            arrived: Notify::new(),
            painters: Arc::new(Semaphore::new(cores.min(MAX_PAINTERS))),
            fetchers: Arc::new(Semaphore::new(MAX_FETCHERS)),
            meters: meters::Media::default(),
            stop,
            tasks,
        })
    }

    /// Begins to serve: makes the place of media this server's, and deletes what was half written when it last stopped.
    /// Where the place cannot be reached, that waits until something is to be written there.
    ///
    /// # Errors
    /// The place is another server's, or not the one that has the media, or the disk does not let us.
    pub async fn begin(&self) -> Result<()> {
        self.files.begin().await
    }

    /// Whether the place of media was seen to be this server's. Nothing is written or deleted there before.
    #[must_use]
    pub fn has_place(&self) -> bool {
        self.files.are_ours()
    }

    /// The files, for backups.
    #[must_use]
    pub fn objects(&self) -> Arc<dyn ObjectStore> {
        self.files.objects()
    }

    /// The largest upload, in bytes.
    #[must_use]
    pub fn max_upload_bytes(&self) -> u64 {
        self.config.media.max_upload_bytes
    }
}

#[cfg(test)]
mod tests;
