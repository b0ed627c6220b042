//! The tree of rooms below a space: client-server API, "Discovering rooms within spaces".

use std::sync::Arc;

use matron_matrix::Error as MatrixError;
use matron_matrix::event::rules;
use matron_storage::Snapshot;
use ruma::{RoomId, RoomVersionId};

use self::walk::Walk;
use super::Rooms;
use super::event::{by_nums, readable};
use crate::accounts::Session;
use crate::error::{Error, Result};
use crate::schema::RoomNum;
use crate::schema::directory::{SPACE_CHILDREN, Summary};

mod child;
mod walk;

pub use child::Child;
pub(super) use walk::{Walks, walks};

/// The most rooms that one page may hold.
const MOST_ROOMS: usize = 50;
/// How deep a tree is walked at most.
const MOST_DEPTH: u64 = 32;
/// Bytes of children after which a page ends before it is full; the next one goes on there.
const MOST_BYTES: usize = 8 << 20;
/// How many rooms are looked at for one page, where many of them are hidden.
const MOST_LOOKED: usize = 1000;
/// How many children of one space are looked at, and how many of them at once.
const MOST_CHILDREN: usize = 10_000;
const CHUNK: usize = 64;
/// Up to so many rooms, and bytes of children, are walked again where memory has lost how far a walk came.
const MOST_AGAIN: usize = 500;
const MOST_BYTES_AGAIN: usize = 32 << 20;

/// What a client asks for.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// How many rooms at most.
    pub limit: Option<usize>,
    /// How deep below the space.
    pub max_depth: Option<u64>,
    /// Only children that the space suggests.
    pub suggested_only: bool,
    /// Where the page begins.
    pub from: Option<String>,
}

/// A room of the tree.
#[derive(Debug)]
pub struct Branch {
    /// What is told of it.
    pub summary: Summary,
    /// Its children, if it is a space.
    pub children: Vec<Child>,
}

/// A page of the tree, depth first.
#[derive(Debug, Default)]
pub struct Tree {
    /// The rooms.
    pub rooms: Vec<Branch>,
    /// Where the next page begins; none where there is nothing more.
    pub next: Option<String>,
}

/// A page's beginning: how many rooms were looked at before, of which walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct From {
    looked: usize,
    room: RoomNum,
    max_depth: u64,
    suggested_only: bool,
}

impl From {
    fn render(self) -> String {
        format!("h{}_{}_{}_{}", self.looked, self.room, self.max_depth, u8::from(self.suggested_only))
    }

    /// How many rooms were looked at before in the same walk; none where the text is of no such walk.
    fn looked(text: &str, walk: Self) -> Option<usize> {
        let looked = text.strip_prefix('h')?.split_once('_')?.0.parse().ok()?;
        (Self { looked, ..walk }.render() == text).then_some(looked)
    }
}

impl Rooms {
    /// A page of the tree below a room.
    ///
    /// # Errors
    /// `M_FORBIDDEN` where the asker may not see the room, or there is none; `M_INVALID_PARAM` where the page begins
    /// nowhere.
    pub async fn hierarchy(&self, session: &Session, room_id: &RoomId, asked: &Asked) -> Result<Tree> {
        let hidden = || MatrixError::forbidden("the room is not known, or you may not see it");
        let snapshot = self.store.snapshot();
        let top = self.ids.room(&snapshot, room_id.as_str()).await?.ok_or_else(hidden)?;
        let limit = asked.limit.unwrap_or(MOST_ROOMS).clamp(1, MOST_ROOMS);
        let max_depth = asked.max_depth.unwrap_or(MOST_DEPTH).min(MOST_DEPTH);
        let begins = From { looked: 0, room: top, max_depth, suggested_only: asked.suggested_only };
        let before = match &asked.from {
            Some(text) => From::looked(text, begins)
                .ok_or_else(|| MatrixError::invalid_param("the token is of no page of this tree"))?,
            None => 0,
        };
        let summary = self.summary_of(&snapshot, top).await?;
        if !self.may_preview(&snapshot, Some(session.user), top, &summary).await? {
            return Err(hidden().into());
        }
        let too_old = || MatrixError::invalid_param("the token is too old: begin anew");
        let (mut walk, mut looked) = match self.walks.get(&(session.user, From { looked: before, ..begins })) {
            Some(walk) => ((*walk).clone(), before),
            None if before > MOST_AGAIN => return Err(too_old().into()),
            None => (Walk::from(top), 0),
        };
        let (mut tree, mut bytes, mut bytes_again) = (Tree::default(), 0, 0);
        while let Some((room, depth)) = walk.take() {
            let summary = self.summary_of(&snapshot, room).await?;
            let is_seen = self.may_preview(&snapshot, Some(session.user), room, &summary).await?;
            let is_full = tree.rooms.len() == limit || bytes >= MOST_BYTES;
            if (is_seen && is_full) || looked >= before + MOST_LOOKED {
                walk.put_back(room, depth);
                let next = From { looked, ..begins };
                tree.next = Some(next.render());
                self.walks.insert((session.user, next), Arc::new(walk));
                break;
            }
            looked += 1;
            if !is_seen {
                continue;
            }
            let (children, read) = self.children(&snapshot, room, &summary, asked.suggested_only).await?;
            if depth < max_depth {
                for child in children.iter().rev() {
                    // Rooms that this server does not know are left out: no other server is asked yet.
                    if let Some(num) = self.ids.room(&snapshot, child.room_id()).await? {
                        walk.find(num, depth + 1);
                    }
                }
            }
            if looked > before {
                bytes += read;
                tree.rooms.push(Branch { summary, children });
            } else {
                bytes_again += read;
                if bytes_again >= MOST_BYTES_AGAIN {
                    return Err(too_old().into());
                }
            }
        }
        Ok(tree)
    }

    /// The children of a room in their order, as many as are told; none where it is no space. And how many bytes of events
    /// were read for them.
    async fn children(
        &self,
        snapshot: &Snapshot,
        room: RoomNum,
        summary: &Summary,
        suggested_only: bool,
    ) -> Result<(Vec<Child>, usize)> {
        let (mut children, mut looked, mut read, mut kept) = (Vec::new(), 0, 0, 0);
        if summary.room_type.as_deref() != Some("m.space") {
            return Ok((children, read));
        }
        let rules = rules(&RoomVersionId::try_from(summary.version.as_str()).map_err(Error::internal)?)?;
        let mut rows = snapshot.scan(&SPACE_CHILDREN, SPACE_CHILDREN.under(&(room,)));
        while looked < MOST_CHILDREN {
            let mut nums = Vec::with_capacity(CHUNK);
            while nums.len() < CHUNK
                && let Some((_, num)) = rows.next().await?
            {
                nums.push(num);
            }
            if nums.is_empty() {
                break;
            }
            looked += nums.len();
            for event in by_nums(snapshot, &nums).await? {
                read += event.json.len();
                children.extend(Child::of(&readable(event, &rules)?, suggested_only));
            }
            if read - kept > child::MOST_BYTES {
                Child::keep_first(&mut children);
                kept = read;
            }
        }
        Child::keep_first(&mut children);
        Ok((children, read))
    }
}

#[cfg(test)]
mod tests {
    use matron_matrix::{Error as MatrixError, canonical};
    use matron_storage::Batch;
    use proptest::prelude::*;
    use ruma::api::client::room::create_room::v3::Request as NewRoom;
    use ruma::api::error::ErrorKind;
    use ruma::events::TimelineEventType;
    use serde_json::json;

    use super::{Asked, From, MOST_AGAIN, MOST_BYTES_AGAIN};
    use crate::Error;
    use crate::fixture::{house, session};
    use crate::rooms::event::by_id;
    use crate::schema::RoomNum;
    use crate::schema::directory::SPACE_CHILDREN;

    #[tokio::test]
    async fn a_walk_that_is_forgotten_is_done_again_only_where_it_is_short() {
        let server = house().await;
        let ann = session(&server, "ann").await;
        let room_id = server.rooms.create(&ann, NewRoom::new()).await.unwrap();
        let room = server.ids.room(&server.store.snapshot(), room_id.as_str()).await.unwrap().unwrap();
        let page = async |looked: usize| {
            let from = From { looked, room, max_depth: 32, suggested_only: false }.render();
            server.rooms.hierarchy(&ann, &room_id, &Asked { from: Some(from), ..Asked::default() }).await
        };
        assert!(page(MOST_AGAIN).await.unwrap().rooms.is_empty());
        let refused = page(MOST_AGAIN + 1).await;
        assert!(matches!(refused, Err(Error::Matrix(MatrixError { kind: ErrorKind::InvalidParam, .. }))));
        server.stop().await;
    }

    #[tokio::test]
    async fn a_walk_over_many_children_is_not_done_again() {
        let server = house().await;
        let ann = session(&server, "ann").await;
        let mut request = NewRoom::new();
        request.creation_content = Some(serde_json::from_value(json!({ "type": "m.space" })).unwrap());
        let room_id = server.rooms.create(&ann, request).await.unwrap();
        let room = server.ids.room(&server.store.snapshot(), room_id.as_str()).await.unwrap().unwrap();
        let content = canonical::object(json!({ "via": ["localhost"], "x": "x".repeat(50_000) })).unwrap();
        let kind = TimelineEventType::SpaceChild;
        let child = server.rooms.send_state(&ann, &room_id, kind, "!0:localhost".to_owned(), content).await.unwrap();
        let child = by_id(&server.rooms, &server.store.snapshot(), &child).await.unwrap().unwrap();
        let page = async || {
            let from = From { looked: 1, room, max_depth: 32, suggested_only: false }.render();
            server.rooms.hierarchy(&ann, &room_id, &Asked { from: Some(from), ..Asked::default() }).await
        };
        assert!(page().await.unwrap().rooms.is_empty());
        // The same event over and over, as if there were so many.
        let mut batch = Batch::new();
        for nth in 1..=MOST_BYTES_AGAIN / 50_000 {
            batch.put(&SPACE_CHILDREN, &(room, format!("!{nth}:localhost")), &child.event.header.num);
        }
        server.store.commit(batch).await.unwrap();
        let refused = page().await;
        assert!(matches!(refused, Err(Error::Matrix(MatrixError { kind: ErrorKind::InvalidParam, .. }))));
        server.stop().await;
    }

    proptest! {
        #[test]
        fn tokens_are_of_their_own_walk(looked: usize, room: u64, max_depth: u64, suggested_only: bool, text: String) {
            let walk = From { looked: 0, room: RoomNum(room), max_depth, suggested_only };
            let token = From { looked, ..walk }.render();
            prop_assert_eq!(From::looked(&token, walk), Some(looked));
            prop_assert_eq!(From::looked(&token, From { max_depth: max_depth ^ 1, ..walk }), None);
            prop_assert_eq!(From::looked(&token, From { suggested_only: !suggested_only, ..walk }), None);
            let _ = From::looked(&text, walk);
        }
    }
}
