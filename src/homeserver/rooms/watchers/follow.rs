//! The room's writer finds the watchers among the members, and follows what changes of rules and members.

use std::collections::BTreeSet;

use matron_storage::Snapshot;

use super::Watchers;
use crate::error::Result;
use crate::rooms::Rooms;
use crate::rooms::working::Working;
use crate::schema::UserNum;
use crate::schema::rooms::{MEMBERS, Member, Membership};

/// So many users whose rules are special are looked up among the members at once.
const AT_ONCE: usize = 16;
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
        let mut special = self.special_members(rooms, &snapshot).await?;
        let touched: Vec<UserNum> = self.touched.members.keys().copied().collect();
        special.extend(rooms.accounts.special_among(&snapshot, &touched).await?);
        self.watchers = Some(Watchers::of_nobody(&snapshot));
        for user in special {
            self.watch(rooms, &snapshot, user).await?;
        }
        Ok(())
    }

    /// Those of the room's members whose rules are special. Both lists lie in the order of users, and the walk leaps to the
    /// next member each time, so that it costs no more than the shorter of them.
    async fn special_members(&self, rooms: &Rooms, snapshot: &Snapshot) -> Result<BTreeSet<UserNum>> {
        let (mut found, mut from) = (BTreeSet::new(), UserNum(0));
        loop {
            let rest = MEMBERS.range((self.num, from)..=(self.num, UserNum(u64::MAX)));
            let Some(((_, member), _)) = self.snapshot.scan(&MEMBERS, rest).first().await? else { return Ok(found) };
            let special = rooms.accounts.special_from(snapshot, member, AT_ONCE).await?;
            let keys: Vec<_> = special.iter().map(|user| (self.num, *user)).collect();
            let members = special.iter().zip(self.snapshot.get_many(&MEMBERS, &keys).await?);
            let is_joined = |row: Option<Member>| row.is_some_and(|row| row.membership == Membership::Join);
            found.extend(members.filter_map(|(user, row)| is_joined(row).then_some(*user)));
            let Some(last) = special.last().filter(|_| special.len() == AT_ONCE) else { return Ok(found) };
            from = UserNum(last.0.saturating_add(1));
        }
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
        let watchers = self.watchers(rooms).await?;
        if let Some(known) = watchers.ignorers.get(&sender) {
            return Ok(known.clone());
        }
        let as_of = watchers.as_of;
        let mut ignorers = Vec::new();
        for user in rooms.accounts.ignorers(&rooms.store.snapshot(), sender).await? {
            if self.is_joined(user).await? {
                ignorers.push(user);
            }
        }
        // Where rules changed meanwhile, the change may have come after what was read.
        let watchers = self.watchers(rooms).await?;
        if watchers.as_of == as_of {
            if watchers.ignorers.len() >= MOST_SENDERS {
                watchers.ignorers.clear();
            }
            watchers.ignorers.insert(sender, ignorers.clone());
        }
        Ok(ignorers)
    }

    async fn is_joined(&self, user: UserNum) -> Result<bool> {
        Ok(self.member(user).await?.is_some_and(|member| member.membership == Membership::Join))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use matron_storage::Batch;
    use ruma::RoomVersionId;

    use crate::rooms::tests::scene::Scene;
    use crate::schema::accounts::SPECIAL_RULES;
    use crate::schema::rooms::{MEMBERS, Member, Membership};
    use crate::schema::{EventNum, UserNum};

    #[tokio::test]
    async fn members_with_special_rules_are_found_wherever_they_lie() {
        let mut scene = Scene::new(RoomVersionId::V11).await;
        let rooms = Arc::clone(&scene.server.rooms);
        let (mut batch, mut expected) = (Batch::new(), BTreeSet::new());
        for nth in 0..2000 {
            let user = UserNum(1_000_000 + nth);
            let is_member = nth % 7 == 0 || (500..600).contains(&nth);
            let is_special = nth % 5 == 0 || nth < 100;
            let membership = if nth % 2 == 0 { Membership::Join } else { Membership::Ban };
            if is_member {
                let member = Member { membership, event: EventNum(0) };
                batch.put(&MEMBERS, &(scene.working.num, user), &member);
            }
            if is_special {
                batch.put(&SPECIAL_RULES, &user, &());
            }
            if is_member && is_special && membership == Membership::Join {
                expected.insert(user);
            }
        }
        scene.server.store.commit(batch).await.unwrap();
        let snapshot = scene.server.store.snapshot();
        scene.working.see(snapshot.clone());
        assert_eq!(scene.working.special_members(&rooms, &snapshot).await.unwrap(), expected);
    }
}
