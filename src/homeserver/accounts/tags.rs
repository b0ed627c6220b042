//! Tags: a room's labels, each user's own, which are a piece of account data. Client-server API, "Room Tagging".

use matron_matrix::Error as MatrixError;
use ruma::events::tag::{TagEventContent, TagInfo, TagName, Tags};
use ruma::{RoomId, UserId};

use super::account_data::only_own;
use super::{Accounts, Session};
use crate::error::{Error, Result};
use crate::schema::{RoomNum, UserNum};

#[cfg(test)]
mod tests;

/// The type of the account data that tags are.
pub const TAG: &str = "m.tag";

/// The longest tag.
const MAX_TAG_BYTES: usize = 255;

impl Accounts {
    /// A room's tags, for their owner. Empty where the room has none or is not known.
    ///
    /// # Errors
    /// `M_FORBIDDEN` where they are another user's.
    pub async fn tags(&self, session: &Session, user_id: &UserId, room_id: &RoomId) -> Result<Tags> {
        only_own(session, user_id)?;
        let snapshot = self.store.snapshot();
        let Some(room) = self.ids.room(&snapshot, room_id.as_str()).await? else { return Ok(Tags::new()) };
        let content = self.account_data(&snapshot, session.user, Some(room), TAG).await?;
        Ok(tags_of(content.as_deref()))
    }

    /// Adds a tag to a room, or changes it.
    ///
    /// # Errors
    /// `M_FORBIDDEN` where it is for another user, `M_NOT_FOUND` where nobody knows the room, `M_INVALID_PARAM` or
    /// `M_TOO_LARGE` where there is too much of it.
    pub async fn put_tag(
        &self,
        session: &Session,
        user_id: &UserId,
        room_id: &RoomId,
        tag: &str,
        info: &TagInfo,
    ) -> Result<()> {
        only_own(session, user_id)?;
        if tag.len() > MAX_TAG_BYTES {
            return Err(MatrixError::invalid_param("a tag has 255 bytes at most").into());
        }
        let room = self.known_room(Some(room_id)).await?;
        let room = room.ok_or_else(|| Error::internal("a room that is named is none"))?;
        self.check_kept(session.user, tag.len()).await?;
        self.add_tag(session.user, room, tag, info).await
    }

    /// Adds a tag to a user's room, or changes it.
    ///
    /// # Errors
    /// The store cannot be written.
    pub(crate) async fn add_tag(&self, user: UserNum, room: RoomNum, tag: &str, info: &TagInfo) -> Result<()> {
        self.change_account_data(user, Some(room), TAG, |content| {
            let mut tags = tags_of(content);
            tags.insert(TagName::from(tag), info.clone());
            content_of(tags).map(Some)
        })
        .await
    }

    /// Takes a tag from a room. It need not be there.
    ///
    /// # Errors
    /// `M_FORBIDDEN` where it is another user's.
    pub async fn delete_tag(&self, session: &Session, user_id: &UserId, room_id: &RoomId, tag: &str) -> Result<()> {
        only_own(session, user_id)?;
        let Some(room) = self.ids.room(&self.store.snapshot(), room_id.as_str()).await? else { return Ok(()) };
        self.change_account_data(session.user, Some(room), TAG, |content| {
            let mut tags = tags_of(content);
            if tags.remove(&TagName::from(tag)).is_none() {
                return Ok(None);
            }
            content_of(tags).map(Some)
        })
        .await
    }
}

/// Tags of another form than the spec's count as none.
fn tags_of(content: Option<&str>) -> Tags {
    let content: Option<TagEventContent> = content.and_then(|content| serde_json::from_str(content).ok());
    content.map(|content| content.tags).unwrap_or_default()
}

fn content_of(tags: Tags) -> Result<String> {
    serde_json::to_string(&TagEventContent::new(tags)).map_err(Error::internal)
}
