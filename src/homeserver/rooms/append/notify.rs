//! What an event means for unread counts: its class, the running counts, the marks of those for whom it may differ.
//!
//! See `unread` for how this is read.

use matron_matrix::event::Pdu;
use matron_matrix::push::{EventFacts, class_of, count, mentioned};
use matron_storage::Position;

use super::Append;
use crate::error::Result;
use crate::rooms::power;
use crate::schema::rooms::{CountsAt, MARKS, Mark, Membership, SPOKEN, THREAD_COUNTS};
use crate::schema::{EventNum, UserNum};

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
        self.mark_mentioned(pdu, sender, Mark { thread, class }, position).await?;
        if pdu.state_key.is_none() && pdu.sender.server_name() == self.rooms.config.server_name {
            let thread = thread.unwrap_or(EventNum(0));
            self.batch.put(&SPOKEN, &(self.working.num, sender, thread), &position);
        }
        Ok(class)
    }

    async fn count_in_thread(
        &mut self,
        root: EventNum,
        class: matron_matrix::push::Class,
        position: Position,
    ) -> Result<()> {
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

    /// Marks the event for members of this server whom it names. What it means for them is evaluated when it is read.
    async fn mark_mentioned(&mut self, pdu: &Pdu, sender: UserNum, mark: Mark, position: Position) -> Result<()> {
        for user_id in mentioned(&pdu.content) {
            if user_id.server_name() != self.rooms.config.server_name {
                continue;
            }
            let Some(user) = self.rooms.ids.find_user(&user_id).await? else { continue };
            let joined = self.member(user).await?.is_some_and(|member| member.membership == Membership::Join);
            if user != sender && joined {
                self.batch.put(&MARKS, &(user, self.working.num, position), &mark);
            }
        }
        Ok(())
    }
}
