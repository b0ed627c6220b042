//! Bans and a space's children, of which a room may have any number: as many as fit go over in the upgrade's own batch, the
//! others behind it, in pieces. A row says how far they are, so that they go on after a stop.
//!
//! Whoever upgrades may not have the power to ban or to set children; the founder of a room without levels has. So that
//! power stays with them (unless creators outrank all) until everything is over.

use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use futures_util::future::join_all;
use matron_storage::{Batch, Snapshot};
use ruma::UserId;
use ruma::events::TimelineEventType;
use serde_json::{Map, Value};

use super::levels::lowered;
use super::template;
use crate::behind;
use crate::error::{Error, Result};
use crate::rooms::Rooms;
use crate::rooms::intent::Intent;
use crate::schema::directory::SPACE_CHILDREN;
use crate::schema::rooms::{MEMBERS, MOVING, Membership, Moving};
use crate::schema::{EventNum, RoomNum, UserNum};

/// How many go over in the upgrade's own batch, and in each piece after it.
const AT_FIRST: usize = 500;
const AT_ONCE: usize = 200;
/// How many bytes of content they may have together.
const MOST_BYTES: usize = 256 << 10;

/// A state event of the new room: its type, state key and content.
pub(super) type StateCopy = (TimelineEventType, String, Map<String, Value>);

/// Up to where the children and bans of a room were looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The last child; none where there are none to look at.
    pub child: Option<String>,
    /// The last member.
    pub ban: UserNum,
}

impl Cursor {
    /// Before all.
    pub fn new(is_space: bool) -> Self {
        Self { child: is_space.then(String::new), ban: UserNum(0) }
    }
}

/// Some of what is to go over, and where to go on.
pub(super) struct Piece {
    pub copies: Vec<StateCopy>,
    /// None where that was all.
    pub rest: Option<Cursor>,
    most: usize,
    bytes: usize,
}

impl Piece {
    fn add(&mut self, kind: TimelineEventType, key: String, content: Map<String, Value>) {
        self.bytes += key.len() + serde_json::to_string(&content).map_or(0, |json| json.len());
        self.copies.push((kind, key, content));
    }

    const fn is_full(&self) -> bool {
        self.copies.len() >= self.most || self.bytes >= MOST_BYTES
    }
}

impl Rooms {
    /// The first piece of what goes over from a room that `upgrader` upgrades.
    pub(super) async fn first_piece(
        &self,
        snapshot: &Snapshot,
        old: RoomNum,
        upgrader: &UserId,
        is_space: bool,
    ) -> Result<Piece> {
        self.piece(snapshot, old, upgrader, (Cursor::new(is_space), AT_FIRST)).await
    }

    async fn piece(
        &self,
        snapshot: &Snapshot,
        old: RoomNum,
        upgrader: &UserId,
        (from, most): (Cursor, usize),
    ) -> Result<Piece> {
        let mut piece = Piece { copies: Vec::new(), rest: None, most, bytes: 0 };
        if let Some(child) = from.child {
            let after = SPACE_CHILDREN.range((Excluded((old, child)), Unbounded));
            let mut scan = snapshot.scan(&SPACE_CHILDREN, after);
            while let Some(((room, key), event)) = scan.next().await?
                && room == old
            {
                // Those that were taken out have no `via` any more.
                let content = self.content_of(snapshot, event).await?;
                if content.get("via").is_some_and(Value::is_array) {
                    piece.add(TimelineEventType::SpaceChild, key.clone(), content);
                }
                if piece.is_full() {
                    piece.rest = Some(Cursor { child: Some(key), ban: from.ban });
                    return Ok(piece);
                }
            }
        }
        let mut scan = snapshot.scan(&MEMBERS, MEMBERS.range((Excluded((old, from.ban)), Unbounded)));
        while let Some(((room, user), member)) = scan.next().await?
            && room == old
        {
            if member.membership != Membership::Ban {
                continue;
            }
            let user_id = self.ids.user_id(user).await?;
            if *user_id == *upgrader {
                continue;
            }
            let mut content = self.content_of(snapshot, member.event).await?;
            content.retain(|field, _| field == "reason");
            content.insert("membership".to_owned(), "ban".into());
            piece.add(TimelineEventType::RoomMember, user_id.to_string(), content);
            if piece.is_full() {
                piece.rest = Some(Cursor { child: None, ban: user });
                return Ok(piece);
            }
        }
        Ok(piece)
    }

    async fn content_of(&self, snapshot: &Snapshot, event: EventNum) -> Result<Map<String, Value>> {
        Ok(self.authority(snapshot, event).await?.content_as()?)
    }

    /// Goes on with the upgrades that a stop came between.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn resume_upgrades(self: &Arc<Self>) -> Result<()> {
        for (new, _) in self.store.snapshot().scan(&MOVING, MOVING.all()).collect().await? {
            self.move_behind(new);
        }
        Ok(())
    }

    /// Moves what did not fit into an upgrade's batch, if there is anything.
    pub(super) fn move_behind(self: &Arc<Self>, new: RoomNum) {
        let rooms = Arc::clone(self);
        behind::run(&self.tasks, "moving what a replaced room had", move || {
            let rooms = Arc::clone(&rooms);
            async move { rooms.move_rest(new).await }
        });
    }

    async fn move_rest(self: &Arc<Self>, new: RoomNum) -> Result<()> {
        // At a stop it ends between two pieces.
        while !self.tasks.is_closed() {
            let Some(moving) = self.store.snapshot().get(&MOVING, &new).await? else { return Ok(()) };
            self.move_piece(new, moving).await?;
        }
        Ok(())
    }

    /// Moves a piece. What a stop makes it do twice changes nothing the second time.
    async fn move_piece(self: &Arc<Self>, new: RoomNum, moving: Moving) -> Result<()> {
        let upgrader = self.ids.user_id(moving.user).await?;
        let from = Cursor { child: moving.child.clone(), ban: moving.ban };
        let piece = self.piece(&self.store.snapshot(), moving.old, &upgrader, (from, AT_ONCE)).await?;
        let mut intents = Vec::with_capacity(piece.copies.len());
        for (kind, key, content) in piece.copies {
            // What the new room says of them itself by now stays.
            if !self.is_said(new, &kind, &key).await? {
                let template = template(&upgrader, self.clock.now(), kind, &key, content.into())?;
                intents.push(Intent { unless_same: true, ..Intent::new(template) });
            }
        }
        self.submit_all(new, intents).await?;
        let mut batch = Batch::new();
        if let Some(Cursor { child, ban }) = piece.rest {
            batch.put(&MOVING, &new, &Moving { child, ban, ..moving });
        } else {
            self.lower(new, &upgrader, &moving).await?;
            batch.delete(&MOVING, &new);
        }
        self.store.commit(batch).await?;
        Ok(())
    }

    /// Submits all at once, so that the writer takes them together. What the room's rules refuse does not go over.
    async fn submit_all(self: &Arc<Self>, room: RoomNum, intents: Vec<Intent>) -> Result<()> {
        let mut refused = None;
        let mut count = 0_usize;
        let mut submitted = Vec::with_capacity(intents.len());
        for intent in intents {
            submitted.push(self.submit(room, intent));
        }
        for done in join_all(submitted).await {
            match done {
                Ok(_) => {}
                Err(Error::Matrix(error)) => {
                    count += 1;
                    refused = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        if let Some(error) = refused {
            tracing::warn!(%error, count, %room, "bans or children of a replaced room do not go over");
        }
        Ok(())
    }

    /// Whether the new room has that child, or that ban, already.
    async fn is_said(&self, new: RoomNum, kind: &TimelineEventType, key: &str) -> Result<bool> {
        let snapshot = self.store.snapshot();
        if *kind == TimelineEventType::SpaceChild {
            return Ok(snapshot.get(&SPACE_CHILDREN, &(new, key.to_owned())).await?.is_some());
        }
        let user = UserId::parse(key).map_err(Error::internal)?;
        let Some(user) = self.ids.find_user(&user).await? else { return Ok(false) };
        Ok(self.membership(&snapshot, new, user).await? == Some(Membership::Ban))
    }

    /// Takes from the upgrader the power that they needed, unless the room gave them another meanwhile.
    async fn lower(self: &Arc<Self>, new: RoomNum, upgrader: &UserId, moving: &Moving) -> Result<()> {
        let Some(raised) = moving.raised else { return Ok(()) };
        let kind = TimelineEventType::RoomPowerLevels;
        let now: Option<Map<String, Value>> = self.current(&self.store.snapshot(), new, &kind.to_string()).await?;
        let Some(levels) = now.and_then(|levels| lowered(levels, upgrader, raised, moving.level)) else {
            return Ok(());
        };
        let template = template(upgrader, self.clock.now(), kind, "", levels)?;
        self.submit_all(new, vec![Intent { unless_same: true, ..Intent::new(template) }]).await
    }
}
