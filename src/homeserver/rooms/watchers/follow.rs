//! The room's writer finds the watchers among the members, and follows what changes of rules and members.

use std::collections::BTreeSet;

use matron_storage::Snapshot;

use super::Watchers;
use crate::error::Result;
use crate::rooms::Rooms;
use crate::rooms::working::Working;
use crate::schema::UserNum;
use crate::schema::rooms::{MEMBERS, Membership};

/// Up to so many members, it is asked of each whether their rules are special; of larger rooms, those with special rules
/// are asked whether they are members.
const FEW_MEMBERS: u64 = 256;
/// Of so many senders it is remembered who ignores them.
const MOST_SENDERS: usize = 256;

impl Working {
    /// The room's watchers as of now.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(in crate::rooms) async fn watchers(&mut self, rooms: &Rooms) -> Result<&mut Watchers> {
        // Taken first: what changes after it is among the changes of the next time.
        let snapshot = rooms.store.snapshot();
        let known = self.watchers.as_ref().map(|watchers| watchers.as_of);
        let changed = known.and_then(|as_of| rooms.streams.rules_changed_since(as_of));
        match changed {
            Some(changed) if changed.is_empty() => {}
            Some(changed) => {
                for user in changed {
                    self.watch(rooms, &snapshot, user).await?;
                }
                self.forget_ignorers();
                if let Some(watchers) = &mut self.watchers {
                    watchers.as_of = snapshot.position();
                }
            }
            None => self.find_watchers(rooms).await?,
        }
        Ok(self.watchers.get_or_insert_default())
    }

    /// Looks for the watchers of a room anew.
    async fn find_watchers(&mut self, rooms: &Rooms) -> Result<()> {
        let snapshot = rooms.store.snapshot();
        let special = if self.head.joined <= FEW_MEMBERS {
            let members = self.snapshot.scan(&MEMBERS, MEMBERS.under(&(self.num,))).collect().await?;
            let known = members.into_iter().map(|((_, user), _)| user);
            let users: BTreeSet<UserNum> = known.chain(self.touched.members.keys().copied()).collect();
            let users: Vec<UserNum> = users.into_iter().collect();
            rooms.accounts.special_among(&snapshot, &users).await?
        } else {
            rooms.accounts.all_special(&snapshot).await?
        };
        self.watchers = Some(Watchers::of_nobody(&snapshot));
        for user in special {
            self.watch(rooms, &snapshot, user).await?;
        }
        Ok(())
    }

    /// Watches out for a user as their rules ask, if they are joined.
    async fn watch(&mut self, rooms: &Rooms, snapshot: &Snapshot, user: UserNum) -> Result<()> {
        let specials =
            if self.is_joined(user).await? { Some(rooms.accounts.specials(snapshot, user).await?) } else { None };
        if let Some(watchers) = &mut self.watchers {
            watchers.set(user, specials);
        }
        Ok(())
    }

    /// A user of this server came or went.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(in crate::rooms) async fn member_moved(&mut self, rooms: &Rooms, user: UserNum, is_joined: bool) -> Result<()> {
        self.forget_ignorers();
        if self.watchers.is_none() {
            // They are found with all others at the next event.
            return Ok(());
        }
        let snapshot = rooms.store.snapshot();
        let special = is_joined && !rooms.accounts.special_among(&snapshot, &[user]).await?.is_empty();
        let specials = if special { Some(rooms.accounts.specials(&snapshot, user).await?) } else { None };
        if let Some(watchers) = &mut self.watchers {
            watchers.set(user, specials);
        }
        Ok(())
    }

    fn forget_ignorers(&mut self) {
        if let Some(watchers) = &mut self.watchers {
            watchers.ignorers.clear();
        }
    }

    /// The joined members who ignore a sender.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(in crate::rooms) async fn ignorers(&mut self, rooms: &Rooms, sender: UserNum) -> Result<Vec<UserNum>> {
        if let Some(known) = self.watchers(rooms).await?.ignorers.get(&sender) {
            return Ok(known.clone());
        }
        let mut ignorers = Vec::new();
        for user in rooms.accounts.ignorers(&rooms.store.snapshot(), sender).await? {
            if self.is_joined(user).await? {
                ignorers.push(user);
            }
        }
        let watchers = self.watchers(rooms).await?;
        if watchers.ignorers.len() >= MOST_SENDERS {
            watchers.ignorers.clear();
        }
        watchers.ignorers.insert(sender, ignorers.clone());
        Ok(ignorers)
    }

    async fn is_joined(&self, user: UserNum) -> Result<bool> {
        Ok(self.member(user).await?.is_some_and(|member| member.membership == Membership::Join))
    }
}
