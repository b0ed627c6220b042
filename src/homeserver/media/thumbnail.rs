//! Thumbnails: client-server API, "Thumbnails". Made when first asked for, off the threads that answer, and kept.

mod size;

use std::io::BufReader;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use matron_matrix::Error as MatrixError;
use matron_storage::Batch;
use ruma::media::Method;
use tokio::sync::OwnedSemaphorePermit;

use super::files::{FileName, Pieces};
use super::picture::{self, Made, Refusal};
use super::{Found, Media};
use crate::error::{Error, Result};
use crate::schema::media::{Content, FILE_MEDIA, Form, THUMBNAILS, Thumbnail};

/// How many thumbnails of one file are kept; others are made anew each time. Ordinary clients ask for a few.
const MAX_KEPT: usize = 32;

/// What thumbnail somebody wants.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// How it is to fill its size.
    pub method: Method,
    /// Its least width.
    pub width: u64,
    /// Its least height.
    pub height: u64,
    /// Whether it may move.
    pub animated: bool,
}

/// A thumbnail on its way out.
pub struct Served {
    /// Its type.
    pub content_type: &'static str,
    /// How many bytes it has.
    pub bytes: u64,
    /// A text that no other thumbnail has.
    pub tag: String,
    /// The bytes.
    pub pieces: Pieces,
}

impl Form {
    const fn content_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Gif => "image/gif",
            Self::WebP => "image/webp",
        }
    }
}

impl Media {
    /// A thumbnail of a medium.
    ///
    /// # Errors
    /// `M_INVALID_PARAM` for a size that is none, `M_TOO_LARGE` for a picture with too many pixels, `M_UNKNOWN` for what is
    /// no picture (of a sort that this server can read).
    pub async fn thumbnail(self: &Arc<Self>, found: &Found, wanted: &Wanted) -> Result<Served> {
        let (width, height, fit) = size::of(wanted)?;
        let name = FileName { digest: found.content.file, thumbnail: Some((width, height, fit)) };
        let key = (name.digest, width, height, fit);
        if let Some(kept) = self.kept(found, name).await? {
            return Ok(kept);
        }
        let _drawing = self.meters.drawing.enter();
        let _turn = self.thumbnail_turns.take(&key).await;
        if let Some(kept) = self.kept(found, name).await? {
            return Ok(kept);
        }
        // Who hangs up while others draw is gone. What was begun is drawn to its end, by a task of the server's: it is in the
        // hands of a thread, which nobody can call back.
        let painter = Arc::clone(&self.painters).acquire_owned().await.map_err(Error::internal)?;
        let (media, content) = (Arc::clone(self), found.content.clone());
        let made = self.tasks.spawn(async move { media.make(&content, name, painter).await });
        let (row, picture) = made.await.map_err(Error::internal)??;
        let Some(picture) = picture else { return self.serve(found, name, &row).await };
        self.meters.served.add(row.bytes);
        Ok(served(found, name, &row, futures_util::stream::once(std::future::ready(Ok(picture))).boxed()))
    }

    /// A thumbnail that was made before. Backups leave their files out: one that is not there is made again.
    async fn kept(&self, found: &Found, name: FileName) -> Result<Option<Served>> {
        let Some((width, height, fit)) = name.thumbnail else { return Ok(None) };
        let row = self.store.snapshot().get(&THUMBNAILS, &(name.digest, width, height, fit)).await?;
        let Some(row) = row else { return Ok(None) };
        if !row.is_original && !self.files.has(name).await? {
            return Ok(None);
        }
        self.serve(found, name, &row).await.map(Some)
    }

    async fn serve(&self, found: &Found, name: FileName, row: &Thumbnail) -> Result<Served> {
        let file = if row.is_original { FileName::content(name.digest) } else { name };
        let pieces = self.files.read(file, 0, row.bytes).await?;
        self.meters.served.add(row.bytes);
        Ok(served(found, name, row, pieces))
    }

    /// Makes a thumbnail, and keeps it for the next who asks. No bytes where the medium itself does.
    async fn make(
        &self,
        content: &Content,
        name: FileName,
        painter: OwnedSemaphorePermit,
    ) -> Result<(Thumbnail, Option<Bytes>)> {
        let Made { form, picture } = self.draw(content, name, painter).await?;
        let picture = picture.map(Bytes::from);
        let bytes = picture.as_ref().map_or(content.bytes, |picture| picture.len() as u64);
        let row = Thumbnail { form, is_original: picture.is_none(), bytes };
        self.remember(name, &row, picture.clone()).await?;
        Ok((row, picture))
    }

    /// Draws it, on a thread of its own, which holds the permit for as long as it takes.
    async fn draw(&self, content: &Content, name: FileName, painter: OwnedSemaphorePermit) -> Result<Made> {
        let (width, height, fit) = name.thumbnail.ok_or_else(|| Error::internal("a thumbnail without a size"))?;
        let source = self.files.local(FileName::content(content.file), content.bytes).await?;
        let most = self.config.media.max_pixels;
        let draw = move || {
            let made = picture::thumbnail(BufReader::new(source), (width, height), fit, most);
            drop(painter);
            made
        };
        // A decoder that panics has met a picture that is none.
        let made = tokio::task::spawn_blocking(draw).await.unwrap_or(Err(Refusal::NoPicture));
        let count = if made.is_ok() { &self.meters.drawn } else { &self.meters.refused };
        count.add(1);
        match made {
            Ok(made) => Ok(made),
            Err(Refusal::TooLarge) => {
                Err(MatrixError::too_large(format!("thumbnails are made of pictures of up to {most} pixels")).into())
            }
            Err(Refusal::NoPicture) => Err(MatrixError::unknown("no thumbnail can be made of this").into()),
        }
    }

    async fn remember(&self, name: FileName, row: &Thumbnail, picture: Option<Bytes>) -> Result<()> {
        let Some((width, height, fit)) = name.thumbnail else { return Ok(()) };
        // The content may have been deleted meanwhile, or is being deleted: then nothing is kept of it.
        let _turn = self.file_turns.take(&name.digest).await;
        let snapshot = self.store.snapshot();
        let is_held = snapshot.scan(&FILE_MEDIA, FILE_MEDIA.under(&(name.digest,))).first().await?.is_some();
        let kept = snapshot.scan(&THUMBNAILS, THUMBNAILS.under(&(name.digest,))).take(MAX_KEPT).await?;
        if !is_held || kept.len() >= MAX_KEPT {
            return Ok(());
        }
        if let Some(picture) = picture {
            let mut incoming = self.files.incoming();
            incoming.write(picture).await?;
            self.files.keep(incoming.finish().await?, name).await?;
        }
        let mut batch = Batch::new();
        batch.put(&THUMBNAILS, &(name.digest, width, height, fit), row);
        self.store.commit(batch).await?;
        Ok(())
    }
}

fn served(found: &Found, name: FileName, row: &Thumbnail, pieces: Pieces) -> Served {
    let tag = name
        .thumbnail
        .map_or_else(|| found.tag(), |(width, height, fit)| format!("{}-{width}x{height}-{}", found.tag(), fit as u8));
    Served { content_type: row.form.content_type(), bytes: row.bytes, tag, pieces }
}
