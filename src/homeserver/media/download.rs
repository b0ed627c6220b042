//! Downloading: client-server API, "Content repository".

use std::time::Duration;

use matron_matrix::Error as MatrixError;
use tokio::time::Instant;

use super::files::{FileName, Pieces, hex};
use super::{Content, Media, Medium, Name};
use crate::error::Result;

/// The longest that a client may wait for bytes that are still to come.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// Who asks for a medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// Somebody with a token.
    User,
    /// Somebody without one: by the old addresses.
    Anybody,
}

/// A medium whose bytes are here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What they are.
    pub content: Content,
}

impl Found {
    /// A text that no other content has.
    #[must_use]
    pub fn tag(&self) -> String {
        hex(&self.content.file)
    }
}

impl Media {
    /// Finds a medium; waits for its bytes where they are still to come.
    ///
    /// # Errors
    /// `M_NOT_FOUND`, also where it is out of this asker's reach; `M_NOT_YET_UPLOADED`.
    pub async fn find(&self, name: &Name, wait: Duration, asker: Asker) -> Result<Found> {
        let deadline = Instant::now() + wait.min(LONGEST_WAIT);
        loop {
            // Begun before the row is read, so that nothing arrives unheard.
            let arrived = self.arrived.notified();
            let medium = self.row(&self.store.snapshot(), name).await?;
            let medium = medium.filter(|medium| is_served(medium, asker));
            let medium = medium.ok_or_else(|| MatrixError::not_found("there is no such medium here"))?;
            if let Some(content) = medium.content {
                return Ok(Found { content });
            }
            let is_over = tokio::select! {
                () = arrived => false,
                () = tokio::time::sleep_until(deadline) => true,
                () = self.stop.cancelled() => true,
            };
            if is_over {
                return Err(MatrixError::not_yet_uploaded("the bytes of this address are still to come").into());
            }
        }
    }

    /// The bytes of a medium from `start` up to but without `end`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn read(&self, found: &Found, start: u64, end: u64) -> Result<Pieces> {
        let end = end.min(found.content.bytes);
        let pieces = self.files.read(FileName::content(found.content.file), start, end).await?;
        self.meters.served.add(end.saturating_sub(start));
        Ok(pieces)
    }
}

fn is_served(medium: &Medium, asker: Asker) -> bool {
    medium.quarantined.is_none() && (asker == Asker::User || medium.open)
}
