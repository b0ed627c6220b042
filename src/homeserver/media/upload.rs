//! Uploading: client-server API, "Content repository", at once or to an address that was asked for before.

use std::fmt::Display;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use matron_matrix::Error as MatrixError;
use matron_storage::{Batch, Error as StorageError};

use super::files::FileName;
use super::incoming::Whole;
use super::{Media, Name};
use crate::accounts::{Session, TRIES};
use crate::error::{Error, Result};
use crate::schema::UserNum;
use crate::schema::media::{AWAITED, Content, MEDIA, MEDIA_EXPIRY, Medium, Origin};

/// How long the bytes of an address that was asked for may take, in milliseconds: what the spec recommends.
const AWAITED_FOR: u64 = 24 * 60 * 60 * 1000;
/// How many of a user's addresses may await their bytes at once.
const MAX_AWAITED: usize = 20;
/// The longest name of a file, in bytes, and the longest type.
const MAX_NAME_BYTES: usize = 1024;
const MAX_TYPE_BYTES: usize = 255;

/// What an uploader says of the bytes.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// What they are.
    pub content_type: Option<String>,
    /// What the file is called.
    pub file_name: Option<String>,
    /// How many there are.
    pub bytes: Option<u64>,
}

impl Told {
    fn check(&self) -> Result<(), MatrixError> {
        if self.file_name.as_ref().is_some_and(|name| name.len() > MAX_NAME_BYTES) {
            return Err(MatrixError::invalid_param(format!("a file's name may have {MAX_NAME_BYTES} bytes")));
        }
        let content_type = self.content_type.as_deref().unwrap_or_default();
        if content_type.len() > MAX_TYPE_BYTES || !content_type.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(MatrixError::invalid_param("the content type is none"));
        }
        Ok(())
    }

    fn content(self, whole: &Whole) -> Content {
        let content_type = self.content_type.filter(|content_type| !content_type.is_empty());
        Content {
            file: whole.digest,
            bytes: whole.bytes,
            content_type: content_type.unwrap_or_else(|| "application/octet-stream".to_owned()),
            file_name: self.file_name.filter(|name| !name.is_empty()),
        }
    }
}

impl Media {
    fn new_upload(&self, user: UserNum) -> Medium {
        Medium {
            origin: Origin::Upload,
            user: Some(user),
            created: self.clock.millis(),
            content: None,
            expires: None,
            open: self.config.media.open,
            quarantined: None,
        }
    }

    /// Takes an upload in and answers its name, when it is on disk.
    ///
    /// # Errors
    /// `M_TOO_LARGE`, `M_FORBIDDEN` where the user's quota is used up, `M_INVALID_PARAM`, `M_USER_SUSPENDED`.
    pub async fn upload<E: Display>(
        self: &Arc<Self>,
        session: &Session,
        told: Told,
        body: impl Stream<Item = Result<Bytes, E>> + Send + Unpin,
    ) -> Result<Name> {
        session.may_act()?;
        let whole = self.receive(session.user, &told, body).await?;
        let content = told.content(&whole);
        let name = Name::random(&self.config.server_name);
        self.keep(whole, name.clone(), (None, self.new_upload(session.user)), content).await?;
        Ok(name)
    }

    /// Gives a name whose bytes are to come, and says until when (milliseconds since 1970).
    ///
    /// # Errors
    /// `M_LIMIT_EXCEEDED` where too many of the user's names await their bytes, `M_USER_SUSPENDED`.
    pub async fn reserve(&self, session: &Session) -> Result<(Name, u64)> {
        session.may_act()?;
        let user = session.user;
        let _turn = self.user_turns.take(&user).await;
        let now = self.clock.millis();
        let awaited = self.store.snapshot().scan(&AWAITED, AWAITED.under(&(user,))).collect().await?;
        let mut ends: Vec<_> = awaited.into_iter().map(|(_, expires)| expires).filter(|at| *at > now).collect();
        if ends.len() >= MAX_AWAITED {
            ends.sort_unstable();
            return Err(MatrixError::limit_exceeded(ends.first().map_or(0, |first| first - now)).into());
        }
        let (name, expires) = (Name::random(&self.config.server_name), now + AWAITED_FOR);
        let key = name.key();
        let mut batch = Batch::new();
        batch.put(&MEDIA, &key, &Medium { expires: Some(expires), ..self.new_upload(user) });
        batch.put(&AWAITED, &(user, key.clone()), &expires);
        batch.put(&MEDIA_EXPIRY, &(expires, key), &());
        self.store.commit(batch).await?;
        Ok((name, expires))
    }

    /// Takes in the bytes of a name that was given before, and answers when they are on disk.
    ///
    /// # Errors
    /// As [`Self::upload`], and `M_NOT_FOUND` where the name was not given or its time is over, `M_FORBIDDEN` where it was
    /// given to somebody else, `M_CANNOT_OVERWRITE_MEDIA` where the bytes are there.
    pub async fn upload_to<E: Display>(
        self: &Arc<Self>,
        session: &Session,
        name: &Name,
        told: Told,
        body: impl Stream<Item = Result<Bytes, E>> + Send + Unpin,
    ) -> Result<()> {
        session.may_act()?;
        let old = self.awaited(session, name).await?;
        let whole = self.receive(session.user, &told, body).await?;
        let content = told.content(&whole);
        let new = Medium { expires: None, ..old.clone() };
        let kept = self.keep(whole, name.clone(), (Some(old), new), content).await;
        if matches!(kept, Err(Error::Storage(StorageError::Conflict))) {
            // Somebody was faster, or the time is over: the row says which.
            self.awaited(session, name).await?;
        }
        kept?;
        self.arrived.notify_waiters();
        Ok(())
    }

    /// A name that was given to this user, and whose bytes are to come.
    async fn awaited(&self, session: &Session, name: &Name) -> Result<Medium> {
        let medium = self.row(&self.store.snapshot(), name).await?;
        let medium = medium.filter(|medium| medium.origin == Origin::Upload);
        let medium = medium.ok_or_else(|| MatrixError::not_found("no such address was given, or its time is over"))?;
        if medium.user != Some(session.user) {
            return Err(MatrixError::forbidden("this address was given to somebody else").into());
        }
        if medium.content.is_some() {
            return Err(MatrixError::cannot_overwrite_media("the bytes of this address are there").into());
        }
        Ok(medium)
    }

    /// The body as a file aside, within the limits.
    async fn receive<E: Display>(
        &self,
        user: UserNum,
        told: &Told,
        mut body: impl Stream<Item = Result<Bytes, E>> + Send + Unpin,
    ) -> Result<Whole> {
        let most = self.max_upload_bytes();
        let too_large = || MatrixError::too_large(format!("an upload may have {most} bytes"));
        told.check()?;
        let length = told.bytes.unwrap_or(0);
        if length > most {
            return Err(too_large().into());
        }
        self.check_quota(&self.usage(user).await?, length)?;
        let mut incoming = self.files.incoming();
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|error| MatrixError::unknown(format!("the body ended too early: {error}")))?;
            if incoming.bytes() + piece.len() as u64 > most {
                return Err(too_large().into());
            }
            incoming.write(piece).await?;
        }
        let whole = incoming.finish().await?;
        self.meters.uploaded.add(whole.bytes);
        Ok(whole)
    }

    /// Moves a whole file to its place, then says so in the store. A task of the server's does it: it is not left half done
    /// by a client that hangs up.
    pub(super) async fn keep(
        self: &Arc<Self>,
        whole: Whole,
        name: Name,
        change: (Option<Medium>, Medium),
        content: Content,
    ) -> Result<()> {
        let media = Arc::clone(self);
        let done = self.tasks.spawn(async move { media.keep_now(whole, &name, change, content).await });
        done.await.map_err(Error::internal)?
    }

    async fn keep_now(
        &self,
        whole: Whole,
        name: &Name,
        (old, new): (Option<Medium>, Medium),
        content: Content,
    ) -> Result<()> {
        let file = whole.digest;
        // Nobody sweeps the file between its keeping and its first medium.
        let _turn = self.file_turns.take(&file).await;
        self.files.keep(whole, FileName::content(file)).await?;
        let _turn = self.usage_turn(&new).await;
        for _ in 0..TRIES {
            let snapshot = self.store.snapshot();
            if snapshot.get(&MEDIA, &name.key()).await? != old {
                return Err(StorageError::Conflict.into());
            }
            let mut batch = Batch::new();
            self.fill(&mut batch, &snapshot, name, (old.as_ref(), new.clone()), content.clone()).await?;
            match self.store.commit(batch).await {
                Err(StorageError::Conflict) => {}
                done => return done.map(|_| ()).map_err(Into::into),
            }
        }
        Err(Error::internal("a user's usage changes all the time"))
    }
}
