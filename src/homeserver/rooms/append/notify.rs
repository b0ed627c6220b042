//! What an event means for unread counts: its class, the running counts, the marks of those for whom it may differ.
//!
//! See `unread` for how this is read.

use std::collections::BTreeSet;

use matron_matrix::event::Pdu;
use matron_matrix::push::{EventFacts, class_of, count, mentioned};
use matron_storage::Position;
use ruma::UserId;

use super::Append;
use crate::error::Result;
use crate::rooms::power;
use crate::schema::rooms::{CountsAt, MARKS, Mark, Membership, SPOKEN, THREAD_COUNTS, THREAD_MOVES};
use crate::schema::{EventNum, UserNum};
use crate::streams::Subject;

impl Append<'_> {
    /// Counts an event in its class, if plain members are notified by it, and marks those for whom it may differ.
    pub(super) async fn count(
        &mut self,
        pdu: &Pdu,
        sender: UserNum,
        thread: Option<EventNum>,
        position: Position,
    ) -> Result<Option<u8>> {
        let may_notify_room = pdu.content.get().contains("m.mentions")
            && power::current(self.rooms, self.working)
                .await
                .is_ok_and(|levels| levels.user_can_trigger_room_notification(&pdu.sender));
        let kind = pdu.kind.to_string();
        let class = class_of(&EventFacts {
            kind: &kind,
            state_key: pdu.state_key.as_deref(),
            content: &pdu.content,
            joined: self.working.head.joined,
            may_notify_room,
        });
        if let Some(class) = class {
            count(&mut self.working.head.counts, class);
            if let Some(root) = thread {
                self.count_in_thread(root, class, position).await?;
            }
        }
        let class = class.map(matron_matrix::push::Class::number);
        self.mark(pdu, sender, Mark { thread, class, ignored: false }, position).await?;
        if pdu.state_key.is_none() && self.is_ours(&pdu.sender) {
            let thread = thread.unwrap_or(EventNum(0));
            self.batch.put(&SPOKEN, &(self.working.num, sender, thread), &position);
            self.batch.announce(Subject::Read(sender).into());
        }
        Ok(class)
    }

    async fn count_in_thread(
        &mut self,
        root: EventNum,
        class: matron_matrix::push::Class,
        position: Position,
    ) -> Result<()> {
        self.move_thread(root, position).await?;
        let Some(mut thread) = self.thread(root).await? else {
            // The thread begins with this event: its row is made with the relation, from these counts.
            let mut counts = Vec::new();
            count(&mut counts, class);
            self.batch.put(&THREAD_COUNTS, &(self.working.num, root, position), &CountsAt { counts: counts.clone() });
            self.working.touched.first_counts.insert(root, counts);
            return Ok(());
        };
        count(&mut thread.counts, class);
        let counts = CountsAt { counts: thread.counts.clone() };
        self.batch.put(&THREAD_COUNTS, &(self.working.num, root, position), &counts);
        self.put_thread(root, thread);
        Ok(())
    }

    /// The thread's counter moves at `position`, and no more where it did last.
    async fn move_thread(&mut self, root: EventNum, position: Position) -> Result<()> {
        let room = self.working.num;
        let before = match self.working.touched.thread_moves.insert(root, position) {
            Some(before) => Some(before),
            None => {
                let under = THREAD_COUNTS.under(&(room, root));
                let last = self.working.snapshot.scan(&THREAD_COUNTS, under).reverse().first().await?;
                last.map(|((_, _, position), _)| position)
            }
        };
        if let Some(before) = before {
            self.batch.delete(&THREAD_MOVES, &(room, before));
        }
        self.batch.put(&THREAD_MOVES, &(room, position), &root);
        Ok(())
    }

    /// Marks the event for those members of this server for whom it may do something else than its class says. What it
    /// does for them is evaluated when it is read.
    async fn mark(&mut self, pdu: &Pdu, sender: UserNum, mark: Mark, position: Position) -> Result<()> {
        let mut marked = self.mentioned_members(pdu).await?;
        let watchers = self.working.watchers(self.rooms).await?;
        marked.extend(watchers.of_any_event());
        // Of what has no class the default rules keep everybody, before keywords and senders are looked at.
        if mark.class.is_some() {
            marked.extend(watchers.of_event(pdu.sender.as_str(), &pdu.content));
        }
        marked.remove(&sender);
        let mut ignored = BTreeSet::new();
        if mark.class.is_some() || !marked.is_empty() {
            ignored.extend(self.working.ignorers(self.rooms, sender).await?);
        }
        if mark.class.is_some() {
            marked.extend(&ignored);
        }
        // Who says something has read up to it, but not who changes the state: their own event notifies them of nothing.
        if mark.class.is_some() && pdu.state_key.is_some() && self.is_ours(&pdu.sender) {
            marked.insert(sender);
        }
        for user in marked {
            let mark = Mark { ignored: ignored.contains(&user), ..mark };
            self.batch.put(&MARKS, &(user, self.working.num, position), &mark);
        }
        Ok(())
    }

    /// The members of this server whom an event names.
    async fn mentioned_members(&self, pdu: &Pdu) -> Result<BTreeSet<UserNum>> {
        let mut members = BTreeSet::new();
        for user_id in mentioned(&pdu.content).iter().filter(|user_id| self.is_ours(user_id)) {
            if let Some(user) = self.rooms.ids.find_user(user_id).await?
                && self.working.member(user).await?.is_some_and(|member| member.membership == Membership::Join)
            {
                members.insert(user);
            }
        }
        Ok(members)
    }

    fn is_ours(&self, user_id: &UserId) -> bool {
        user_id.server_name() == self.rooms.config.server_name
    }
}
