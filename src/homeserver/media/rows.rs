//! The rows of media: reading one, and the batches that give and take content.

use matron_matrix::Error as MatrixError;
use matron_storage::{Batch, Snapshot};
use tokio::sync::MutexGuard;

use super::{Media, Name};
use crate::error::Result;
use crate::schema::UserNum;
use crate::schema::media::{
    AWAITED, Content, FILE_MEDIA, MEDIA, MEDIA_EXPIRY, Medium, Origin, PREVIEW_USAGE, USAGE, USER_MEDIA, Usage,
};

/// With one medium more.
fn more(usage: &Usage, bytes: u64) -> Usage {
    Usage { media: usage.media + 1, bytes: usage.bytes.saturating_add(bytes) }
}

/// With one medium less.
fn less(usage: &Usage, bytes: u64) -> Usage {
    Usage { media: usage.media.saturating_sub(1), bytes: usage.bytes.saturating_sub(bytes) }
}

/// The row of what the pictures of previews have, and what they have. Where there is no row yet, those are counted that a
/// version kept which had none: each of them has a time at which it goes.
async fn counted_previews(snapshot: &Snapshot) -> Result<(Option<Usage>, Usage)> {
    let row = snapshot.get(&PREVIEW_USAGE, &()).await?;
    if let Some(usage) = row.clone() {
        return Ok((row, usage));
    }
    let mut usage = Usage::default();
    let mut rows = snapshot.scan(&MEDIA_EXPIRY, MEDIA_EXPIRY.all());
    while let Some(((expires, key), ())) = rows.next().await? {
        let medium = snapshot.get(&MEDIA, &key).await?;
        let medium = medium.filter(|medium| medium.origin == Origin::Preview && medium.expires == Some(expires));
        if let Some(content) = medium.and_then(|medium| medium.content) {
            usage = more(&usage, content.bytes);
        }
    }
    Ok((None, usage))
}

impl Media {
    /// A medium's row. Those whose time is over are as good as gone.
    pub(super) async fn row(&self, snapshot: &Snapshot, name: &Name) -> Result<Option<Medium>> {
        let medium = snapshot.get(&MEDIA, &name.key()).await?;
        Ok(medium.filter(|medium| medium.expires.is_none_or(|expires| self.clock.millis() < expires)))
    }

    /// What a user has uploaded.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn usage(&self, user: UserNum) -> Result<Usage> {
        Ok(self.store.snapshot().get(&USAGE, &user).await?.unwrap_or_default())
    }

    /// What the pictures of previews have.
    pub(super) async fn preview_usage(&self, snapshot: &Snapshot) -> Result<Usage> {
        Ok(counted_previews(snapshot).await?.1)
    }

    /// The turn of whoever changes what a medium counts for: its user's uploads, or all previews.
    pub(super) async fn usage_turn(&self, medium: &Medium) -> Option<MutexGuard<'_, ()>> {
        match medium.user {
            Some(user) => self.user_turns.take(&user).await,
            None => self.user_turns.take(&medium.origin).await,
        }
    }

    /// Refuses what would exceed the user's quota.
    pub(super) fn check_quota(&self, usage: &Usage, bytes: u64) -> Result<(), MatrixError> {
        match self.config.media.user_quota_bytes {
            Some(quota) if usage.bytes.saturating_add(bytes) > quota => {
                Err(MatrixError::forbidden(format!("your uploads may have {quota} bytes in all")))
            }
            _ => Ok(()),
        }
    }

    /// Gives a medium its content, in a batch that expects it as it was. The file must be kept, and its turn ours.
    pub(super) async fn fill(
        &self,
        batch: &mut Batch,
        snapshot: &Snapshot,
        name: &Name,
        (old, new): (Option<&Medium>, Medium),
        content: Content,
    ) -> Result<()> {
        let key = name.key();
        batch.expect(&MEDIA, &key, old);
        batch.put(&FILE_MEDIA, &(content.file, key.clone()), &());
        if let (Origin::Upload, Some(user)) = (new.origin, new.user) {
            let read = snapshot.get(&USAGE, &user).await?;
            let usage = read.clone().unwrap_or_default();
            self.check_quota(&usage, content.bytes)?;
            batch.expect(&USAGE, &user, read.as_ref());
            batch.put(&USAGE, &user, &more(&usage, content.bytes));
            batch.put(&USER_MEDIA, &(user, new.created, key.clone()), &());
            if let Some(expires) = old.and_then(|old| old.expires) {
                batch.delete(&AWAITED, &(user, key.clone()));
                batch.delete(&MEDIA_EXPIRY, &(expires, key.clone()));
            }
        }
        if new.origin == Origin::Preview {
            let (read, usage) = counted_previews(snapshot).await?;
            batch.expect(&PREVIEW_USAGE, &(), read.as_ref());
            batch.put(&PREVIEW_USAGE, &(), &more(&usage, content.bytes));
        }
        if let Some(expires) = new.expires {
            batch.put(&MEDIA_EXPIRY, &(expires, key.clone()), &());
        }
        batch.put(&MEDIA, &key, &Medium { content: Some(content), ..new });
        Ok(())
    }

    /// Takes a medium away, in a batch that expects it as it is. Its file is left to [`Self::drop_file`].
    pub(super) async fn take_away(
        &self,
        batch: &mut Batch,
        snapshot: &Snapshot,
        key: &String,
        medium: &Medium,
    ) -> Result<()> {
        batch.expect_value(&MEDIA, key, medium);
        batch.delete(&MEDIA, key);
        if let Some(expires) = medium.expires {
            batch.delete(&MEDIA_EXPIRY, &(expires, key.clone()));
        }
        let user = medium.user.filter(|_| medium.origin == Origin::Upload);
        match (&medium.content, user) {
            (Some(content), user) => {
                batch.delete(&FILE_MEDIA, &(content.file, key.clone()));
                if medium.origin == Origin::Preview {
                    let (read, usage) = counted_previews(snapshot).await?;
                    batch.expect(&PREVIEW_USAGE, &(), read.as_ref());
                    batch.put(&PREVIEW_USAGE, &(), &less(&usage, content.bytes));
                }
                let Some(user) = user else { return Ok(()) };
                batch.delete(&USER_MEDIA, &(user, medium.created, key.clone()));
                let read = snapshot.get(&USAGE, &user).await?;
                batch.expect(&USAGE, &user, read.as_ref());
                batch.put(&USAGE, &user, &less(&read.unwrap_or_default(), content.bytes));
            }
            (None, Some(user)) => batch.delete(&AWAITED, &(user, key.clone())),
            (None, None) => {}
        }
        Ok(())
    }
}
