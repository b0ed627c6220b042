//! Members of a room for whom an event may do something else than its class says, found without looking at the others.
//!
//! Most members have no rules that look deeper than classes: a room's writer knows those few who have, by their keywords,
//! by the senders whom they have rules for, and by whom they ignore. What changed since is looked up when the next event
//! comes, so that an event costs the same in a room of two and in one of 20,000.

use std::collections::{BTreeSet, HashMap};

use matron_matrix::push::{Keywords, Specials, body};
use matron_storage::{Position, Snapshot};
use serde_json::value::RawValue;

use crate::schema::UserNum;

mod follow;

/// What a watcher costs, with the few keywords and senders that they mostly have.
const BYTES_PER_WATCHER: u64 = 512;

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

    /// Bytes that it takes, about.
    pub fn weight(&self) -> u64 {
        self.specials.len() as u64 * BYTES_PER_WATCHER
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
