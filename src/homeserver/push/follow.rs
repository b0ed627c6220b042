//! What push's follower does: judges each event of the stream for those who have a pusher, and hands what notifies them to
//! their queues. It waits for no gateway.
//!
//! Its position goes to disk every few seconds, in one batch with the pushes that could not be delivered by then. So a
//! healthy gateway costs no row, and a crash repeats some seconds of pushes and loses none: gateways and apps know an event
//! that they were told of by its id.

use std::collections::HashSet;
use std::ops::Bound;
use std::sync::Arc;

use matron_storage::{Position, Snapshot};
use tokio_util::task::TaskTracker;

use super::Push;
use super::audience::{Audience, joined_rooms};
use super::badge::Badge;
use super::desk::{Item, Name, Written};
use super::judge::Incoming;
use crate::error::{Error, Result};
use crate::follow::{Chunk, Follow, Output};
use crate::schema::accounts::{USER_STREAM, UserChange};
use crate::schema::push::{PUSHED, WAITING};
use crate::schema::rooms::{Arrival, HEADS, Membership, TIMELINE, USER_ROOMS};
use crate::schema::{EventNum, RoomNum, UserNum};
use crate::streams::Subject;
use crate::unread::ReadUpTo;

/// What the follower knows.
pub(super) struct Walker {
    push: Arc<Push>,
    tasks: TaskTracker,
    audience: Audience,
    /// What waits and is on its way to disk.
    written: Option<Written>,
    /// As of when the audience was read whole; later news of users go into it one by one.
    loaded: Position,
    /// Counts that may have fallen.
    fallen: HashSet<(UserNum, RoomNum)>,
}

impl Follow for Walker {
    /// The first of all begins now: nobody is told of what was.
    async fn begin(&mut self, output: &mut Output<'_>) -> Result<Position> {
        let former = self.push.store.snapshot().get(&PUSHED, &()).await?;
        output.batch().delete(&PUSHED, &());
        Ok(former.unwrap_or(self.loaded))
    }

    /// Whether somebody has a pusher, or got one lately.
    fn listens(&self, after: Position) -> bool {
        let news = || self.push.streams.users_since(after.max(self.loaded));
        let is_pusher = |news: &(Position, Subject)| matches!(news.1, Subject::Pushers(_));
        !self.audience.users.is_empty() || news().is_none_or(|news| news.iter().any(is_pusher))
    }

    async fn digest(&mut self, chunk: &Chunk, _: &mut Output<'_>) -> Result<()> {
        self.learn(chunk).await?;
        for (position, room) in &chunk.events {
            if self.audience.hears(*room) {
                match self.see(&chunk.snapshot, *room, *position).await {
                    // One that can be made nothing of must not keep all others waiting.
                    Err(error) if !matches!(error, Error::Storage(_)) => {
                        tracing::error!(%error, "an event is not pushed");
                    }
                    seen => seen?,
                }
            }
        }
        self.recount(&chunk.snapshot).await
    }

    /// Writes rows of what waits. Those that are ahead of their position do no harm: the same event is queued once.
    async fn put_down(&mut self, output: &mut Output<'_>) -> Result<()> {
        loop {
            let written = self.push.desk.write(output.batch());
            if written.whole {
                self.written = Some(written);
                return Ok(());
            }
            let committed = output.write().await;
            self.push.desk.wrote(written, committed.is_ok());
            committed?;
        }
    }

    fn was_put_down(&mut self, on_disk: bool) {
        if let Some(written) = self.written.take() {
            self.push.desk.wrote(written, on_disk);
        }
    }

    async fn end(&mut self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Walker {
    /// Learns who has pushers, and takes up what waited when the last one stopped.
    pub async fn open(push: Arc<Push>) -> Result<Self> {
        let snapshot = push.store.snapshot();
        let now = snapshot.position();
        let audience = Audience::load(&push, &snapshot).await?;
        let (tasks, fallen) = (TaskTracker::new(), HashSet::new());
        let mut walker = Self { push, tasks, audience, written: None, loaded: now, fallen };
        walker.take_up(&snapshot).await?;
        Ok(walker)
    }

    /// Takes up what waited when the last follower stopped.
    async fn take_up(&mut self, snapshot: &Snapshot) -> Result<()> {
        let mut scan = snapshot.scan(&WAITING, WAITING.all());
        while let Some(((user, key, position), row)) = scan.next().await? {
            let recipient = self.audience.users.get(&user);
            let pusher = recipient.and_then(|known| known.pushers.iter().find(|(known, _)| *known == key));
            let event = snapshot.get(&TIMELINE, &(row.room, Arrival::Live(position))).await?;
            let (Some((_, pusher)), Some(event)) = (pusher, event) else {
                self.push.desk.drop_row((user, key), position);
                continue;
            };
            // It may have been read when no time was left to delete its row.
            if self.push.has_read(snapshot, user, (row.room, position, event.header.thread)).await? {
                self.push.desk.drop_row((user, key), position);
                continue;
            }
            let item = Item::of_row(position, event.header.thread, row);
            let pusher = Arc::clone(pusher);
            let unread = self.number(snapshot, user).await?;
            if self.push.desk.add((user, key), &pusher, item, unread) {
                self.deliver((user, key));
            }
        }
        Ok(())
    }

    /// Learns who has pushers, who is where, and who has read something.
    async fn learn(&mut self, chunk: &Chunk) -> Result<()> {
        let (push, snapshot) = (Arc::clone(&self.push), &chunk.snapshot);
        let news = match push.streams.users_since(chunk.after.max(self.loaded)) {
            Some(news) => news,
            None => {
                // More happened than memory holds.
                self.audience = Audience::load(&push, snapshot).await?;
                self.loaded = snapshot.position();
                Vec::new()
            }
        };
        let mut moved = HashSet::new();
        if chunk.after < self.loaded {
            // They may have been invited before the audience was read.
            moved.extend(self.audience.users.keys());
        }
        for (position, subject) in news.into_iter().filter(|(position, _)| *position <= chunk.to) {
            match subject {
                Subject::Pushers(user) => self.reload(snapshot, user).await?,
                Subject::Memberships(user) if self.audience.users.contains_key(&user) => {
                    moved.insert(user);
                }
                Subject::User(user) => self.may_have_read(snapshot, user, position).await?,
                _ => {}
            }
        }
        for user in moved {
            self.moved(chunk, user).await?;
        }
        Ok(())
    }

    async fn reload(&mut self, snapshot: &Snapshot, user: UserNum) -> Result<()> {
        let is_new = !self.audience.users.contains_key(&user);
        self.audience.reload(&self.push, snapshot, user).await?;
        let pushers = self.audience.users.get(&user).map_or(&[][..], |recipient| recipient.pushers.as_slice());
        self.push.desk.keep(user, pushers);
        for (key, pusher) in pushers {
            self.push.desk.renew((user, *key), pusher);
        }
        if is_new {
            // They were told none so far. One that is known is told again only where it falls.
            self.number(snapshot, user).await?;
        }
        Ok(())
    }

    /// A user's memberships changed: they hear another room, or one less, or are invited to one.
    async fn moved(&mut self, chunk: &Chunk, user: UserNum) -> Result<()> {
        let snapshot = &chunk.snapshot;
        let range = (Bound::Excluded((user, chunk.after)), Bound::Included((user, chunk.to)));
        let news = snapshot.scan(&USER_STREAM, USER_STREAM.range(range)).collect().await?;
        for ((_, position), news) in news {
            let (UserChange::Membership, Some(room)) = (news.change, news.room) else { continue };
            let row = snapshot.get(&USER_ROOMS, &(user, room)).await?;
            match row.as_ref().map(|row| row.membership) {
                Some(Membership::Join) => self.audience.join(user, room),
                membership => {
                    if self.audience.leave(user, room) {
                        self.fallen.insert((user, room));
                    }
                    let pushers = self.audience.users.get(&user).map(|recipient| &recipient.pushers);
                    for (key, _) in pushers.into_iter().flatten() {
                        self.push.desk.withdraw((user, *key), |item| item.room == room);
                    }
                    if membership == Some(Membership::Invite) {
                        self.invited(snapshot, user, room, position).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Somebody may have read something: in the rooms that changed at the same time, or in any.
    async fn may_have_read(&mut self, snapshot: &Snapshot, user: UserNum, position: Position) -> Result<()> {
        if self.audience.users.contains_key(&user) {
            let rooms = match self.push.streams.rooms_at(position) {
                Some(rooms) => rooms,
                None => joined_rooms(snapshot, user).await?,
            };
            self.fallen.extend(rooms.into_iter().map(|room| (user, room)));
        }
        Ok(())
    }

    async fn invited(&mut self, snapshot: &Snapshot, user: UserNum, room: RoomNum, position: Position) -> Result<()> {
        let place = (room, Arrival::Live(position));
        // An invite by another server lies elsewhere until the room is known here.
        let Some(event) = snapshot.get(&TIMELINE, &place).await? else { return Ok(()) };
        let push = Arc::clone(&self.push);
        let mut incoming = Incoming::of(&push, snapshot, room, position, event).await?;
        let Some(recipient) = self.audience.users.get_mut(&user) else { return Ok(()) };
        let rules = recipient.rules(&push, snapshot).await?;
        let told = push.judge_invite(snapshot, &recipient.session, &rules, &incoming).await?;
        let Some(actions) = told else { return Ok(()) };
        self.hand_over(snapshot, user, &mut incoming, &actions).await
    }

    /// Judges one event for all who hear it.
    async fn see(&mut self, snapshot: &Snapshot, room: RoomNum, position: Position) -> Result<()> {
        let push = Arc::clone(&self.push);
        let Some(event) = snapshot.get(&TIMELINE, &(room, Arrival::Live(position))).await? else { return Ok(()) };
        let listeners = self.audience.of(room).to_vec();
        if event.header.kind == "m.room.redaction" {
            // Of the others nobody knows how much is unread: their next push tells it.
            let known = listeners.iter().filter(|user| self.audience.is_unread(**user, room));
            self.fallen.extend(known.map(|user| (*user, room)));
        }
        if event.header.redacted_by.is_some() {
            return Ok(());
        }
        let mut incoming = Incoming::of(&push, snapshot, room, position, event).await?;
        let place = (room, position, incoming.event.header.thread);
        for user in listeners {
            if user == incoming.event.header.sender {
                // Who speaks has read.
                self.fallen.insert((user, room));
                continue;
            }
            let Some(recipient) = self.audience.users.get_mut(&user) else { continue };
            let rules = recipient.rules(&push, snapshot).await?;
            let told = push.judge(snapshot, &recipient.session, &rules, &incoming).await?;
            let Some(actions) = told else { continue };
            if !push.was_there(snapshot, user, &incoming).await? {
                continue;
            }
            // What comes together with its receipt is not told first.
            if push.streams.has_read(user, position) && push.has_read(snapshot, user, place).await? {
                continue;
            }
            self.hand_over(snapshot, user, &mut incoming, &actions).await?;
        }
        Ok(())
    }

    /// Hands an event to all pushers of a user.
    async fn hand_over(
        &mut self,
        snapshot: &Snapshot,
        user: UserNum,
        incoming: &mut Incoming,
        actions: &Arc<str>,
    ) -> Result<()> {
        let push = Arc::clone(&self.push);
        let told = incoming.told(&push, snapshot).await?;
        if let Some(badge) = self.audience.users.get_mut(&user).and_then(|recipient| recipient.badge.as_mut())
            && incoming.event.header.kind != "m.room.member"
        {
            badge.add(incoming.room, incoming.position);
        }
        let unread = self.number(snapshot, user).await?;
        let Some(recipient) = self.audience.users.get(&user) else { return Ok(()) };
        let place = (incoming.room, incoming.position, incoming.event.header.thread);
        for (key, pusher) in &recipient.pushers {
            let item = Item::new(place, push.clock.millis(), Arc::clone(actions), Some(Arc::clone(&told)));
            if push.desk.add((user, *key), pusher, item, unread) {
                self.deliver((user, *key));
            }
        }
        Ok(())
    }

    fn deliver(&self, name: Name) {
        self.tasks.spawn(Arc::clone(&self.push).deliver(name));
    }

    /// The number beside a user's icon. Counted the first time that it is asked for.
    async fn number(&mut self, snapshot: &Snapshot, user: UserNum) -> Result<u64> {
        let by_room = self.push.config.push.count_rooms;
        let Some(recipient) = self.audience.users.get_mut(&user) else { return Ok(0) };
        if let Some(badge) = &recipient.badge {
            return Ok(badge.number(by_room));
        }
        // It holds as long as these.
        recipient.rules(&self.push, snapshot).await?;
        let mut badge = Badge::new(snapshot.position());
        for room in joined_rooms(snapshot, user).await? {
            let unread = self.push.unread_in(snapshot, &recipient.session, room).await?;
            badge.set(room, unread, snapshot.position());
        }
        let number = badge.number(by_room);
        recipient.badge = Some(badge);
        Ok(number)
    }

    /// Counts anew what may have fallen, and tells of numbers that did, or that may have and are not known. What was read is
    /// not pushed any more.
    async fn recount(&mut self, snapshot: &Snapshot) -> Result<()> {
        let push = Arc::clone(&self.push);
        let by_room = push.config.push.count_rooms;
        let mut fell = HashSet::new();
        for (user, room) in std::mem::take(&mut self.fallen) {
            let Some(recipient) = self.audience.users.get_mut(&user) else { continue };
            // Mostly nothing waits, and then the store is not asked.
            if recipient.pushers.iter().any(|(key, _)| push.desk.waits((user, *key), room))
                && let Some(read) = push.read_in(snapshot, user, room).await?
            {
                for (key, _) in &recipient.pushers {
                    push.desk.withdraw((user, *key), |item| item.room == room && read.of(item.thread) >= item.position);
                }
            }
            match &mut recipient.badge {
                Some(badge) if badge.has(room) => {
                    let before = badge.number(by_room);
                    badge.set(room, push.unread_in(snapshot, &recipient.session, room).await?, snapshot.position());
                    if badge.number(by_room) < before {
                        fell.insert(user);
                    }
                }
                Some(_) => {}
                None => {
                    fell.insert(user);
                }
            }
        }
        for user in fell {
            let unread = self.number(snapshot, user).await?;
            let Some(recipient) = self.audience.users.get(&user) else { continue };
            for (key, pusher) in &recipient.pushers {
                if push.desk.set_unread((user, *key), pusher, unread) {
                    self.deliver((user, *key));
                }
            }
        }
        Ok(())
    }
}

impl Push {
    /// How far a user has read a room; none where they are not joined to it.
    async fn read_in(&self, snapshot: &Snapshot, user: UserNum, room: RoomNum) -> Result<Option<ReadUpTo>> {
        let own = snapshot.get(&USER_ROOMS, &(user, room)).await?;
        match own.filter(|own| own.membership == Membership::Join) {
            Some(own) => self.unread.read_up_to(snapshot, user, room, &own).await.map(Some),
            None => Ok(None),
        }
    }

    /// Whether a user has read an event of a room that they are joined to.
    async fn has_read(
        &self,
        snapshot: &Snapshot,
        user: UserNum,
        (room, position, thread): (RoomNum, Position, Option<EventNum>),
    ) -> Result<bool> {
        let read = self.read_in(snapshot, user, room).await?;
        Ok(read.is_some_and(|read| read.of(thread) >= position))
    }

    /// What is unread in a room for a user: nothing where they are not joined to it.
    async fn unread_in(&self, snapshot: &Snapshot, session: &crate::accounts::Session, room: RoomNum) -> Result<u64> {
        let own = snapshot.get(&USER_ROOMS, &(session.user, room)).await?;
        let Some(own) = own.filter(|own| own.membership == Membership::Join) else { return Ok(0) };
        let head = snapshot.get(&HEADS, &room).await?;
        let read = self.unread.read_up_to(snapshot, session.user, room, &own).await?;
        if head.is_none_or(|head| head.last <= read.all) {
            return Ok(0);
        }
        let mut view = self.rooms.view_of(snapshot, session, room).await?;
        Ok(self.unread.unread(&mut view, session, &own).await?.whole().notification_count)
    }
}

#[cfg(test)]
mod tests;
