//! Members of a room for whom an event may do something else than its class says, found without looking at the others.
//!
//! Most members have no rules that look deeper than classes: a room's writer knows those few who have, by their keywords,
//! by the senders whom they have rules for, and by whom they ignore. What changed since is looked up when the next event
//! comes, so that an event costs the same in a room of two and in one of 20,000.

use std::collections::{BTreeSet, HashMap};

use matron_matrix::push::{Keywords, Specials, body};
use matron_storage::{Position, Snapshot};
use serde_json::value::RawValue;

use super::Rooms;
use super::working::Working;
use crate::error::Result;
use crate::schema::UserNum;
use crate::schema::rooms::{MEMBERS, Membership};

/// Up to so many members, it is asked of each whether their rules are special; of larger rooms, those with special rules
/// are asked whether they are members.
const FEW_MEMBERS: u64 = 256;
/// Of so many senders it is remembered who ignores them.
const MOST_SENDERS: usize = 256;

/// Whom a room's events may concern beyond their class.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    specials: HashMap<UserNum, Specials>,
    keywords: Keywords<UserNum>,
    /// By the sender's id in lower case, as rules are matched.
    senders: HashMap<String, BTreeSet<UserNum>>,
    /// Members all of whose events are evaluated.
    custom: BTreeSet<UserNum>,
    /// Members who ignore a sender.
    ignorers: HashMap<UserNum, Vec<UserNum>>,
    /// Changes of rules up to here are known.
    as_of: Position,
}

impl Watchers {
    /// Of a room without members.
    pub fn of_nobody(snapshot: &Snapshot) -> Self {
        Self { as_of: snapshot.position(), ..Self::default() }
    }

    /// Those whose rules may single an event out of its class.
    pub fn of_event(&self, sender: &str, content: &RawValue) -> BTreeSet<UserNum> {
        let mut users = BTreeSet::new();
        if !self.senders.is_empty()
            && let Some(watching) = self.senders.get(&sender.to_lowercase())
        {
            users.extend(watching);
        }
        if !self.keywords.is_empty()
            && let Some(body) = body(content)
        {
            users.extend(self.keywords.hits(&body));
        }
        users
    }

    /// Those all of whose events are evaluated.
    pub const fn of_any_event(&self) -> &BTreeSet<UserNum> {
        &self.custom
    }

    /// A member's rules are these now; none where they are no member, or their rules are nothing special.
    fn set(&mut self, user: UserNum, specials: Option<Specials>) {
        if let Some(old) = self.specials.remove(&user) {
            old.keywords.iter().for_each(|pattern| self.keywords.remove(pattern, user));
            for sender in old.senders {
                let sender = sender.as_str().to_lowercase();
                if let Some(watching) = self.senders.get_mut(&sender) {
                    watching.remove(&user);
                    if watching.is_empty() {
                        self.senders.remove(&sender);
                    }
                }
            }
            self.custom.remove(&user);
        }
        let Some(new) = specials.filter(|specials| !specials.is_empty()) else { return };
        new.keywords.iter().for_each(|pattern| self.keywords.add(pattern, user));
        for sender in &new.senders {
            self.senders.entry(sender.as_str().to_lowercase()).or_default().insert(user);
        }
        if new.custom {
            self.custom.insert(user);
        }
        self.specials.insert(user, new);
    }
}

impl Working {
    /// The room's watchers as of now.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) async fn watchers(&mut self, rooms: &Rooms) -> Result<&mut Watchers> {
        let known = self.watchers.as_ref().map(|watchers| watchers.as_of);
        let changed = known.and_then(|as_of| rooms.streams.rules_changed_since(as_of));
        match changed {
            Some(changed) if changed.is_empty() => {}
            Some(changed) => {
                let snapshot = rooms.store.snapshot();
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
    pub(super) async fn member_moved(&mut self, rooms: &Rooms, user: UserNum, is_joined: bool) -> Result<()> {
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
    pub(super) async fn ignorers(&mut self, rooms: &Rooms, sender: UserNum) -> Result<Vec<UserNum>> {
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
