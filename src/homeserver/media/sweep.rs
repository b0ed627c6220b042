//! The sweeper: media whose time is over go, and files that belong to nothing.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use matron_storage::Batch;

use super::files::ListedFile;
use super::{Media, Medium};
use crate::error::Result;
use crate::schema::media::{FILE_MEDIA, MEDIA_EXPIRY, PREVIEW_EXPIRY, PREVIEWS};

/// How often what has a time is looked at, and all files.
const EVERY: Duration = Duration::from_mins(1);
const FILES_EVERY: Duration = Duration::from_hours(24);
/// How many go at once.
const PAGE: usize = 256;
/// How old a file must be to be taken for a leftover, in milliseconds: whatever else goes wrong with knowing what is ours, a
/// day is left to see it.
const LEFT_AFTER: u64 = 24 * 60 * 60 * 1000;

impl Media {
    /// Sweeps until the server stops: at its start too, since it may have ended in the middle of something.
    pub async fn keep_clean(self: Arc<Self>) {
        let (mut due, mut files) = (tokio::time::interval(EVERY), tokio::time::interval(FILES_EVERY));
        loop {
            let swept = tokio::select! {
                () = self.stop.cancelled() => return,
                _ = due.tick() => self.sweep_expired().await,
                _ = files.tick() => self.sweep_files().await,
            };
            match swept {
                Ok(()) => {}
                Err(error) if error.is_passing() => tracing::warn!(%error, "media are not swept for now"),
                Err(error) => tracing::error!(%error, "media are not swept"),
            }
        }
    }

    /// Deletes media and previews whose time is over.
    ///
    /// # Errors
    /// The place is another server's or away, or the store or the files cannot be written.
    pub async fn sweep_expired(self: &Arc<Self>) -> Result<()> {
        // Looked at each time: a server that lives on where its place was taken learns of it within a minute.
        self.files.claim().await?;
        let now = self.clock.millis();
        loop {
            let over = MEDIA_EXPIRY.range((0, String::new())..(now.saturating_add(1), String::new()));
            let over = self.store.snapshot().scan(&MEDIA_EXPIRY, over).take(PAGE).await?;
            let pages = over.len() == PAGE;
            for (row, ()) in over {
                if self.stop.is_cancelled() {
                    return Ok(());
                }
                let expires = row.0;
                // One whose bytes came at the last moment stays, and has no such row any more.
                let is_over = move |medium: &Medium| medium.expires == Some(expires);
                if !self.delete_key(row.1.clone(), is_over).await? {
                    let mut batch = Batch::new();
                    batch.delete(&MEDIA_EXPIRY, &row);
                    self.store.commit(batch).await?;
                }
            }
            if !pages {
                break;
            }
        }
        loop {
            let over = PREVIEW_EXPIRY.range((0, [0; 32])..(now.saturating_add(1), [0; 32]));
            let snapshot = self.store.snapshot();
            let over = snapshot.scan(&PREVIEW_EXPIRY, over).take(PAGE).await?;
            let mut batch = Batch::new();
            for (key, ()) in &over {
                batch.delete(&PREVIEW_EXPIRY, key);
                // One that was fetched anew since has a later row of its own.
                let preview = snapshot.get(&PREVIEWS, &key.1).await?;
                if let Some(preview) = preview.filter(|preview| preview.expires == key.0) {
                    batch.expect_value(&PREVIEWS, &key.1, &preview);
                    batch.delete(&PREVIEWS, &key.1);
                }
            }
            if !batch.is_empty() {
                self.store.commit(batch).await?;
            }
            if over.len() < PAGE {
                return Ok(());
            }
        }
    }

    /// Deletes the files that no medium holds: a crash came between file and row, or between row and file.
    ///
    /// # Errors
    /// The place is another server's, or the store or the files cannot be read or written.
    pub async fn sweep_files(&self) -> Result<()> {
        self.files.claim().await?;
        let now = self.clock.millis();
        let mut files = self.files.all();
        loop {
            let listed = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(()),
                listed = files.next() => listed,
            };
            let Some(listed) = listed else { return Ok(()) };
            let ListedFile { digest, path, written, .. } = listed?;
            if now.saturating_sub(written) < LEFT_AFTER {
                continue;
            }
            // An upload that is between its file and its row has the turn.
            let _turn = self.file_turns.take(&digest).await;
            let held = self.store.snapshot();
            if held.scan(&FILE_MEDIA, FILE_MEDIA.under(&(digest,))).first().await?.is_none() {
                tracing::info!(file = %path, "a file that belongs to nothing is deleted");
                self.files.delete_path(&path).await?;
            }
        }
    }
}
