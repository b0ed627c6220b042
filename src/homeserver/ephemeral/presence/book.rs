//! What is known of everybody's presence, and when it changes by itself. Pure: the time is an argument.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::Shown;
use crate::schema::{DeviceNum, UserNum};

/// A device that stopped syncing is gone after so long, in milliseconds.
const GONE_AFTER: u64 = 30_000;
/// Who does nothing for so long is idle.
const IDLE_AFTER: u64 = 5 * 60_000;
/// Who did something within so long is doing something now.
const ACTIVE_FOR: u64 = 60_000;
/// How many users are remembered: the longest unchanged of those who are offline are forgotten first.
const MOST_USERS: usize = 50_000;
/// How many devices of a user count.
const MOST_DEVICES: usize = 64;
/// How many of the longest unchanged are looked at for one to forget.
const LOOKS: usize = 64;

/// How present somebody is, least first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    #[default]
    Offline,
    Unavailable,
    Online,
}

impl State {
    const fn name(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Unavailable => "unavailable",
            Self::Online => "online",
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Device {
    state: State,
    /// How many of its syncs are under way.
    syncs: u32,
    /// When it was last heard of.
    seen: u64,
}

impl Device {
    /// When it is gone if nothing is heard of it; never while it syncs.
    const fn gone_at(&self) -> Option<u64> {
        if self.syncs == 0 { Some(self.seen + GONE_AFTER) } else { None }
    }

    fn is_gone(&self, now: u64) -> bool {
        self.gone_at().is_some_and(|at| at <= now)
    }
}

/// What others were told last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Told {
    state: State,
    active: bool,
    message: Option<String>,
}

#[derive(Debug, Default)]
struct User {
    devices: HashMap<DeviceNum, Device>,
    message: Option<String>,
    /// When they last did something, with whatever device.
    active: u64,
    told: Told,
    /// The number of the last change.
    changed: u64,
    /// The number of the last change of their name or picture.
    renamed: u64,
    /// When something of this ends.
    due: Option<u64>,
}

impl User {
    /// As the most present of the devices says; but who did nothing for long is idle.
    fn state_at(&self, now: u64) -> State {
        match self.devices.values().map(|device| device.state).max().unwrap_or_default() {
            State::Online if self.active + IDLE_AFTER <= now => State::Unavailable,
            state => state,
        }
    }

    fn is_active(&self, state: State, now: u64) -> bool {
        state == State::Online && now < self.active + ACTIVE_FOR
    }

    /// When something ends next if nothing happens.
    fn next_end(&self, now: u64) -> Option<u64> {
        let state = self.state_at(now);
        let gone = self.devices.values().filter_map(Device::gone_at);
        let idle = (state == State::Online).then_some(self.active + IDLE_AFTER);
        let rest = self.is_active(state, now).then_some(self.active + ACTIVE_FOR);
        gone.chain(idle).chain(rest).min()
    }
}

/// Everybody.
#[derive(Debug, Default)]
pub(super) struct Book {
    counter: u64,
    users: HashMap<UserNum, User>,
    /// Users by their last change.
    order: BTreeMap<u64, UserNum>,
    due: BTreeSet<(u64, UserNum)>,
    /// Who changed since this was last taken.
    changed: Vec<UserNum>,
}

impl Book {
    pub(super) const fn counter(&self) -> u64 {
        self.counter
    }

    pub(super) fn next_due(&self) -> Option<u64> {
        self.due.first().map(|(due, _)| *due)
    }

    pub(super) fn take_changed(&mut self) -> Vec<UserNum> {
        std::mem::take(&mut self.changed)
    }

    pub(super) fn knows(&self, user: UserNum) -> bool {
        self.users.contains_key(&user)
    }

    /// How a user is now; `offline` where nothing is known of them.
    pub(super) fn shown(&self, user: UserNum, now: u64) -> Shown {
        let Some(user) = self.users.get(&user) else {
            return Shown {
                presence: State::Offline.name(),
                currently_active: None,
                last_active_ago: None,
                status_msg: None,
                renamed: 0,
            };
        };
        let state = user.state_at(now);
        Shown {
            presence: state.name(),
            currently_active: (state == State::Online).then(|| user.is_active(state, now)),
            last_active_ago: (user.active > 0).then(|| now.saturating_sub(user.active)),
            status_msg: user.message.clone().filter(|_| state != State::Offline),
            renamed: user.renamed,
        }
    }

    pub(super) fn changed(&self, counter: Option<u64>) -> HashSet<UserNum> {
        let Some(counter) = counter else {
            let there = self.users.iter().filter(|(_, user)| user.told.state != State::Offline);
            return there.map(|(user, _)| *user).collect();
        };
        let after = (std::ops::Bound::Excluded(counter), std::ops::Bound::Unbounded);
        self.order.range(after).map(|(_, user)| *user).collect()
    }

    /// A user says how they are. Saying that one is there is doing something.
    pub(super) fn set(&mut self, user: UserNum, device: DeviceNum, state: State, message: Option<String>, now: u64) {
        let entry = self.users.entry(user).or_default();
        entry.message = message;
        if state == State::Online {
            entry.active = entry.active.max(now);
        }
        let syncs = entry.devices.get(&device).map_or(0, |known| known.syncs);
        if state == State::Offline && syncs == 0 {
            entry.devices.remove(&device);
        } else {
            entry.devices.insert(device, Device { state, syncs, seen: now });
        }
        self.settle(user, now);
    }

    /// A device begins to sync. One that comes back is used by somebody.
    pub(super) fn begin_sync(&mut self, user: UserNum, device: DeviceNum, state: State, now: u64) {
        let entry = self.users.entry(user).or_default();
        let fresh = Device { state: State::Offline, syncs: 0, seen: now };
        let known = entry.devices.entry(device).or_insert(fresh);
        if state == State::Online && known.state != State::Online {
            entry.active = entry.active.max(now);
        }
        known.state = state;
        known.syncs += 1;
        known.seen = now;
        self.settle(user, now);
    }

    pub(super) fn end_sync(&mut self, user: UserNum, device: DeviceNum, now: u64) {
        if let Some(known) = self.users.get_mut(&user).and_then(|user| user.devices.get_mut(&device)) {
            known.syncs = known.syncs.saturating_sub(1);
            known.seen = now;
        }
        self.settle(user, now);
    }

    /// A user did something with a device: who was idle is not any more, whatever their other devices say. Who is offline
    /// stays so.
    pub(super) fn act(&mut self, user: UserNum, device: DeviceNum, now: u64) {
        let Some(entry) = self.users.get_mut(&user) else { return };
        entry.active = now;
        for (num, known) in &mut entry.devices {
            if *num == device {
                known.seen = now;
            }
            if known.state == State::Unavailable {
                known.state = State::Online;
            }
        }
        self.settle(user, now);
    }

    /// A user has another name or picture: whoever is told how they are is told of it.
    pub(super) fn rename(&mut self, user: UserNum) {
        self.number(user);
        if let Some(entry) = self.users.get_mut(&user) {
            entry.renamed = entry.changed;
        }
    }

    /// Lets end what is due.
    pub(super) fn expire(&mut self, now: u64) {
        while let Some((due, user)) = self.due.first().copied().filter(|(due, _)| *due <= now) {
            self.due.remove(&(due, user));
            self.settle(user, now);
        }
    }

    /// Gives a user's change its number, if it is one that others are told of, and notes when the next is due.
    fn settle(&mut self, num: UserNum, now: u64) {
        let Some(user) = self.users.get_mut(&num) else { return };
        user.devices.retain(|_, device| !device.is_gone(now));
        while user.devices.len() > MOST_DEVICES {
            let Some(oldest) = user.devices.iter().min_by_key(|(_, device)| device.seen).map(|(num, _)| *num) else {
                break;
            };
            user.devices.remove(&oldest);
        }
        if let Some(due) = user.due.take() {
            self.due.remove(&(due, num));
        }
        user.due = user.next_end(now);
        if let Some(due) = user.due {
            self.due.insert((due, num));
        }
        let state = user.state_at(now);
        let message = user.message.clone().filter(|_| state != State::Offline);
        let told = Told { state, active: user.is_active(state, now), message };
        if told == user.told {
            return;
        }
        user.told = told;
        self.number(num);
        self.forget_some();
    }

    /// Gives a user's change the next number.
    fn number(&mut self, num: UserNum) {
        let Some(user) = self.users.get_mut(&num) else { return };
        self.order.remove(&user.changed);
        self.counter += 1;
        user.changed = self.counter;
        self.order.insert(self.counter, num);
        self.changed.push(num);
    }

    fn forget_some(&mut self) {
        if self.users.len() <= MOST_USERS {
            return;
        }
        let gone = |user: &&UserNum| self.users.get(user).is_some_and(|user| user.devices.is_empty());
        if let Some(user) = self.order.values().take(LOOKS).find(gone).copied()
            && let Some(forgotten) = self.users.remove(&user)
        {
            self.order.remove(&forgotten.changed);
        }
    }
}

#[cfg(test)]
mod tests;
