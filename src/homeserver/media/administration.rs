//! What administrators do with media: list a user's, put it out of reach, delete it.

use std::sync::Arc;

use matron_matrix::Error as MatrixError;
use matron_storage::{Batch, Error as StorageError};

use super::files::FileName;
use super::{Media, Medium, Name};
use crate::accounts::{Session, TRIES};
use crate::error::{Error, Result};
use crate::schema::media::{FILE_MEDIA, MEDIA, THUMBNAILS, USER_MEDIA};
use crate::schema::{Digest, UserNum};

/// How many of a user's media are deleted or put out of reach between two looks at the list.
const PAGE: usize = 100;

/// A medium in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: Name,
    /// What is known of it.
    pub medium: Medium,
}

fn check(by: &Session) -> Result<(), MatrixError> {
    if by.admin { Ok(()) } else { Err(MatrixError::forbidden("only administrators may do this")) }
}

impl Media {
    /// A user's media in the order in which they were made, from after `last` on.
    ///
    /// # Errors
    /// `M_FORBIDDEN` for everybody but administrators.
    pub async fn list(&self, by: &Session, user: UserNum, last: Option<&Listed>, limit: usize) -> Result<Vec<Listed>> {
        check(by)?;
        self.page(user, last.map(|last| (last.medium.created, last.name.key())), limit).await
    }

    async fn page(&self, user: UserNum, last: Option<(u64, String)>, limit: usize) -> Result<Vec<Listed>> {
        let snapshot = self.store.snapshot();
        // A name's last letter is no NUL: what follows is after it.
        let (created, after) = last.map_or((0, String::new()), |(created, key)| (created, key + "\0"));
        let range = USER_MEDIA.range((user, created, after)..(UserNum(user.0 + 1), 0, String::new()));
        let keys = snapshot.scan(&USER_MEDIA, range).take(limit).await?;
        let mut listed = Vec::with_capacity(keys.len());
        for ((_, _, key), ()) in keys {
            if let (Some(name), Some(medium)) = (Name::of_key(&key), snapshot.get(&MEDIA, &key).await?) {
                listed.push(Listed { name, medium });
            }
        }
        Ok(listed)
    }

    /// Puts a medium out of everybody's reach, or back into it. The bytes stay.
    ///
    /// # Errors
    /// `M_FORBIDDEN` for everybody but administrators, `M_NOT_FOUND`.
    pub async fn quarantine(&self, by: &Session, name: &Name, is_out_of_reach: bool) -> Result<()> {
        check(by)?;
        let quarantined = is_out_of_reach.then_some(by.user);
        for _ in 0..TRIES {
            let medium = self.store.snapshot().get(&MEDIA, &name.key()).await?;
            let medium = medium.ok_or_else(|| MatrixError::not_found("there is no such medium here"))?;
            let mut batch = Batch::new();
            batch.expect_value(&MEDIA, &name.key(), &medium);
            batch.put(&MEDIA, &name.key(), &Medium { quarantined, ..medium });
            match self.store.commit(batch).await {
                Err(StorageError::Conflict) => {}
                done => return done.map(|_| ()).map_err(Into::into),
            }
        }
        Err(Error::internal("a medium changes all the time"))
    }

    /// Puts all that a user has uploaded out of reach; answers how many media that are.
    ///
    /// # Errors
    /// `M_FORBIDDEN` for everybody but administrators.
    pub async fn quarantine_all(&self, by: &Session, user: UserNum) -> Result<usize> {
        check(by)?;
        let (mut last, mut count) = (None, 0);
        loop {
            let page = self.page(user, last, PAGE).await?;
            let Some(end) = page.last() else { return Ok(count) };
            last = Some((end.medium.created, end.name.key()));
            for listed in page {
                self.quarantine(by, &listed.name, true).await?;
                count += 1;
            }
        }
    }

    /// Deletes a medium, and its bytes where no other medium has the same.
    ///
    /// # Errors
    /// `M_FORBIDDEN` for everybody but administrators, `M_NOT_FOUND`.
    pub async fn delete(self: &Arc<Self>, by: &Session, name: &Name) -> Result<()> {
        check(by)?;
        if self.delete_key(name.key(), |_| true).await? {
            Ok(())
        } else {
            Err(MatrixError::not_found("there is no such medium here").into())
        }
    }

    /// Deletes all that a user has uploaded; answers how many media that were.
    ///
    /// # Errors
    /// `M_FORBIDDEN` for everybody but administrators.
    pub async fn delete_all(self: &Arc<Self>, by: &Session, user: UserNum) -> Result<usize> {
        check(by)?;
        let mut count = 0;
        loop {
            let page = self.page(user, None, PAGE).await?;
            if page.is_empty() {
                return Ok(count);
            }
            for listed in page {
                count += usize::from(self.delete_key(listed.name.key(), |_| true).await?);
            }
        }
    }

    /// Deletes a medium by its key, if it is as it must be for that, by a task of the server's; answers whether it was.
    pub(super) async fn delete_key(
        self: &Arc<Self>,
        key: String,
        must_be: impl Fn(&Medium) -> bool + Send + 'static,
    ) -> Result<bool> {
        let media = Arc::clone(self);
        let done = self.tasks.spawn(async move { media.delete_now(&key, must_be).await });
        done.await.map_err(Error::internal)?
    }

    async fn delete_now(&self, key: &String, must_be: impl Fn(&Medium) -> bool) -> Result<bool> {
        // Before the row is gone by which the file is known.
        self.files.must_be_ours().await?;
        for _ in 0..TRIES {
            let Some(medium) = self.store.snapshot().get(&MEDIA, key).await?.filter(&must_be) else { return Ok(false) };
            let turn = self.usage_turn(&medium).await;
            let mut batch = Batch::new();
            self.take_away(&mut batch, &self.store.snapshot(), key, &medium).await?;
            match self.store.commit(batch).await {
                Err(StorageError::Conflict) => continue,
                done => done?,
            };
            drop(turn);
            if let Some(content) = medium.content {
                self.drop_file(content.file).await?;
            }
            return Ok(true);
        }
        Err(Error::internal("a medium changes all the time"))
    }

    /// Deletes a file and its thumbnails, unless a medium holds it. What a crash leaves is swept later.
    pub(super) async fn drop_file(&self, digest: Digest) -> Result<()> {
        let _turn = self.file_turns.take(&digest).await;
        let snapshot = self.store.snapshot();
        if snapshot.scan(&FILE_MEDIA, FILE_MEDIA.under(&(digest,))).first().await?.is_some() {
            return Ok(());
        }
        let thumbnails = snapshot.scan(&THUMBNAILS, THUMBNAILS.under(&(digest,))).collect().await?;
        if !thumbnails.is_empty() {
            let mut batch = Batch::new();
            for (key, _) in &thumbnails {
                batch.delete(&THUMBNAILS, key);
            }
            self.store.commit(batch).await?;
        }
        for ((_, width, height, fit), thumbnail) in thumbnails {
            if !thumbnail.is_original {
                self.files.delete(FileName { digest, thumbnail: Some((width, height, fit)) }).await?;
            }
        }
        self.files.delete(FileName::content(digest)).await
    }
}
