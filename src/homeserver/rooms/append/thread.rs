//! Threads: how many events each has, which is its latest, who spoke in it.

use matron_storage::Position;

use super::Append;
use crate::error::Result;
use crate::schema::relations::{RELATIONS, SPEAKERS};
use crate::schema::rooms::{Arrival, EventHeader, THREAD_ORDER, THREADS, Thread};
use crate::schema::{Digest, EventNum, UserNum};

impl Append<'_> {
    /// Counts an event in a thread, whose latest it is if it came live.
    pub(super) async fn enter_thread(
        &mut self,
        root: EventNum,
        target: Digest,
        header: &EventHeader,
        arrival: Arrival,
    ) -> Result<()> {
        self.count_speaker(root, header.sender, 1).await?;
        let before = self.thread(root).await?;
        let Arrival::Live(position) = arrival else {
            if let Some(mut thread) = before {
                thread.events += 1;
                self.put_thread(root, thread);
            }
            return Ok(());
        };
        if let Some(before) = &before {
            self.batch.delete(&THREAD_ORDER, &(self.working.num, before.position));
        }
        let thread = Thread {
            events: before.as_ref().map_or(0, |before| before.events) + 1,
            latest: header.num,
            position,
            counts: before
                .map(|before| before.counts)
                .or_else(|| self.working.touched.first_counts.remove(&root))
                .unwrap_or_default(),
        };
        self.put_thread(root, thread);
        let mut aggregate = self.aggregate(target).await?;
        if !aggregate.thread {
            aggregate.thread = true;
            self.put_aggregate(target, aggregate);
        }
        Ok(())
    }

    /// Counts how many events of a thread a user sent.
    async fn count_speaker(&mut self, root: EventNum, user: UserNum, by: i64) -> Result<()> {
        let key = (self.working.num, root, user);
        let before = match self.working.touched.speakers.get(&(root, user)) {
            Some(count) => *count,
            None => self.working.snapshot.get(&SPEAKERS, &key).await?.unwrap_or(0),
        };
        let count = before.saturating_add_signed(by);
        self.working.touched.speakers.insert((root, user), count);
        if count == 0 {
            self.batch.delete(&SPEAKERS, &key);
        } else {
            self.batch.put(&SPEAKERS, &key, &count);
        }
        Ok(())
    }

    /// A thread without one of its events: another one may be its latest now.
    pub(super) async fn leave_thread(&mut self, root: EventNum, target: Digest, gone: &EventHeader) -> Result<()> {
        self.count_speaker(root, gone.sender, -1).await?;
        let Some(mut thread) = self.thread(root).await? else { return Ok(()) };
        thread.events = thread.events.saturating_sub(1);
        // Without any event left it is no thread to be listed, but its counters go on: the room's hold its events too.
        if thread.latest == gone.num
            && thread.events > 0
            && let Some((latest, position)) = self.latest_in_thread(target).await?
        {
            self.batch.delete(&THREAD_ORDER, &(self.working.num, thread.position));
            thread.latest = latest;
            thread.position = position;
        }
        self.put_thread(root, thread);
        Ok(())
    }

    /// The latest event of a thread that is left: the thread's rows name the root as their target.
    async fn latest_in_thread(&self, target: Digest) -> Result<Option<(EventNum, Position)>> {
        let place = |arrival: Arrival| match arrival {
            Arrival::Live(position) => Some(position),
            Arrival::Backfilled(_) => None,
        };
        let touched = &self.working.touched.relations;
        let fresh = touched.iter().filter_map(|((of, _, arrival), row)| {
            let row = row.as_ref().filter(|row| *of == target && row.rel_type == "m.thread")?;
            Some((row.event, place(*arrival)?))
        });
        if let Some(fresh) = fresh.max_by_key(|(_, position)| *position) {
            return Ok(Some(fresh));
        }
        let under = RELATIONS.under(&(self.working.num, target));
        let mut scan = self.working.snapshot.scan(&RELATIONS, under).reverse();
        while let Some(((_, _, depth, arrival), row)) = scan.next().await? {
            if row.rel_type == "m.thread"
                && !touched.contains_key(&(target, depth, arrival))
                && let Some(position) = place(arrival)
            {
                return Ok(Some((row.event, position)));
            }
        }
        Ok(None)
    }

    /// A thread as of the batch so far.
    pub(super) async fn thread(&self, root: EventNum) -> Result<Option<Thread>> {
        match self.working.touched.threads.get(&root) {
            Some(thread) => Ok(Some(thread.clone())),
            None => Ok(self.working.snapshot.get(&THREADS, &(self.working.num, root)).await?),
        }
    }

    pub(super) fn put_thread(&mut self, root: EventNum, thread: Thread) {
        self.batch.put(&THREADS, &(self.working.num, root), &thread);
        self.batch.put(&THREAD_ORDER, &(self.working.num, thread.position), &root);
        self.working.touched.threads.insert(root, thread);
    }
}
