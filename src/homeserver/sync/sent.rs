//! Which members a device has been sent, for lazy-loading: what an answer brings counts when its token comes back, since it
//! may be lost on its way.
//!
//! Whatever is forgotten here, or not certain, is sent again: clients put up with that, and not with members whom they
//! never see.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use matron_storage::Position;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use roaring::RoaringBitmap;

use crate::locks::lock;
use crate::meters::Held;
use crate::schema::{DeviceNum, RoomNum, UserNum};

/// Of how many devices it is remembered how far they are, and of how many rooms of devices whom they know.
const REMEMBERED: usize = 20_000;
/// Bytes that either takes, about.
const MOST_BYTES: u64 = 64 << 20;

/// The members that one answer brings, by room.
pub(super) type Brought = Vec<(RoomNum, HashSet<UserNum>)>;

/// Whom a device knows of a room: in a large one, each of its devices comes to know everybody who speaks.
#[derive(Debug, Default)]
struct Known {
    round: u64,
    users: RoaringBitmap,
}

impl Known {
    /// A user's number where it can be noted. No server comes to four thousand millions; a user beyond them is sent again.
    fn number(user: UserNum) -> Option<u32> {
        u32::try_from(user.0).ok()
    }

    fn has(&self, user: UserNum) -> bool {
        Self::number(user).is_some_and(|number| self.users.contains(number))
    }

    fn note(&mut self, round: u64, users: HashSet<UserNum>) {
        if self.round != round {
            *self = Self { round, users: RoaringBitmap::new() };
        }
        self.users.extend(users.into_iter().filter_map(Self::number));
    }

    /// Bytes of memory, about: in powers of two, so that few changes weigh anew.
    fn weight(&self) -> u64 {
        128 + self.users.serialized_size().next_power_of_two() as u64
    }
}

/// How far a device is.
#[derive(Debug)]
struct Progress {
    /// Another one whenever the device may know less than was noted: what was noted in a former round counts no more.
    round: u64,
    /// The latest token that the device had.
    since: Position,
    /// What its latest answer brought, and the token of that.
    pending: Option<(Position, Brought)>,
}

/// What is remembered under one key, and as how many bytes it was weighed. Where it becomes more, it is weighed anew.
#[derive(Debug, Default)]
struct Weighed<T> {
    value: Arc<Mutex<T>>,
    bytes: u64,
}

impl<T> Clone for Weighed<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), bytes: self.bytes }
    }
}

#[derive(Debug, Clone)]
struct Weigh;

impl<K, T> Weighter<K, Weighed<T>> for Weigh {
    fn weight(&self, _: &K, weighed: &Weighed<T>) -> u64 {
        weighed.bytes
    }
}

/// What so many users weigh on their way, about: in powers of two, as [`Known::weight`].
fn bytes_of(users: usize) -> u64 {
    128 + 24 * users.next_power_of_two() as u64
}

/// A device as it asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker {
    device: DeviceNum,
    round: u64,
}

/// Which members devices have been sent.
#[derive(Debug)]
pub(super) struct SentMembers {
    progress: Cache<DeviceNum, Weighed<Progress>, Weigh>,
    known: Cache<(DeviceNum, RoomNum), Weighed<Known>, Weigh>,
    rounds: AtomicU64,
}

impl SentMembers {
    pub fn new() -> Self {
        Self {
            progress: Cache::with_weighter(REMEMBERED, MOST_BYTES, Weigh),
            known: Cache::with_weighter(REMEMBERED, MOST_BYTES, Weigh),
            rounds: AtomicU64::new(1),
        }
    }

    pub fn held(&self) -> Vec<Held> {
        vec![Held::of("members_sent", &self.known), Held::of("devices_sent_members", &self.progress)]
    }

    /// A device asks, with a token or without one. What the answer brought that ended with this token has arrived; what
    /// another one brought may not have. Who comes with an older token than before was set back, and knows what they knew
    /// then; who has none knows nothing.
    pub fn ask(&self, device: DeviceNum, since: Option<Position>) -> Asker {
        let progress = self.progress_of(device);
        let mut progress = lock(&progress.value);
        let pending = progress.pending.take();
        match since {
            Some(since) if since >= progress.since => {
                progress.since = since;
                let asker = Asker { device, round: progress.round };
                if let Some((token, brought)) = pending
                    && token == since
                {
                    self.arrived(asker, brought);
                }
                asker
            }
            _ => {
                progress.round = self.new_round();
                progress.since = since.unwrap_or_default();
                Asker { device, round: progress.round }
            }
        }
    }

    /// An answer goes out that brings members, and ends with a token.
    pub fn answered(&self, asker: Asker, token: Position, brought: Brought) {
        if brought.is_empty() {
            return;
        }
        let Some(mut weighed) = self.progress.get(&asker.device) else { return };
        let bytes = bytes_of(brought.iter().map(|(_, users)| users.len()).sum());
        {
            let mut progress = lock(&weighed.value);
            if progress.round != asker.round {
                return;
            }
            progress.pending = Some((token, brought));
        }
        if bytes > weighed.bytes {
            weighed.bytes = bytes;
            // What was forgotten meanwhile stays so.
            let _ = self.progress.replace(asker.device, weighed, false);
        }
    }

    /// Those of `users` whom the device does not know for certain.
    pub fn unsent(&self, asker: Asker, room: RoomNum, mut users: HashSet<UserNum>) -> HashSet<UserNum> {
        if let Some(known) = self.known.get(&(asker.device, room)) {
            let known = lock(&known.value);
            if known.round == asker.round {
                users.retain(|user| !known.has(*user));
            }
        }
        users
    }

    /// The device is told the whole room anew.
    pub fn forget(&self, asker: Asker, room: RoomNum) {
        self.known.remove(&(asker.device, room));
    }

    fn arrived(&self, asker: Asker, brought: Brought) {
        for (room, users) in brought {
            let key = (asker.device, room);
            let found = self.known.get(&key);
            let is_new = found.is_none();
            let mut weighed = found.unwrap_or_default();
            let bytes = {
                let mut known = lock(&weighed.value);
                known.note(asker.round, users);
                known.weight()
            };
            if is_new {
                weighed.bytes = bytes;
                self.known.insert(key, weighed);
            } else if bytes > weighed.bytes {
                weighed.bytes = bytes;
                let _ = self.known.replace(key, weighed, false);
            }
        }
    }

    fn progress_of(&self, device: DeviceNum) -> Weighed<Progress> {
        self.progress.get(&device).unwrap_or_else(|| {
            let fresh = Progress { round: self.new_round(), since: Position::ZERO, pending: None };
            let fresh = Weighed { value: Arc::new(Mutex::new(fresh)), bytes: bytes_of(0) };
            self.progress.insert(device, fresh.clone());
            fresh
        })
    }

    fn new_round(&self) -> u64 {
        self.rounds.fetch_add(1, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use matron_storage::Position;

    use super::{Asker, SentMembers};
    use crate::schema::{DeviceNum, RoomNum, UserNum};

    const DEVICE: DeviceNum = DeviceNum(1);
    const ROOM: RoomNum = RoomNum(1);

    fn users(numbers: &[u64]) -> HashSet<UserNum> {
        numbers.iter().copied().map(UserNum).collect()
    }

    fn at(position: u64) -> Position {
        Position::new(position)
    }

    /// Answers with members, and says which of them it brings.
    fn answer(sent: &SentMembers, asker: Asker, token: u64, speakers: &[u64]) -> HashSet<UserNum> {
        let brought = sent.unsent(asker, ROOM, users(speakers));
        sent.answered(asker, at(token), vec![(ROOM, brought.clone())]);
        brought
    }

    #[test]
    fn members_are_known_when_the_answer_that_brought_them_has_arrived() {
        let sent = SentMembers::new();
        let asker = sent.ask(DEVICE, None);
        assert_eq!(answer(&sent, asker, 5, &[1]), users(&[1]));
        // It was lost: the device begins anew, and then has it.
        let asker = sent.ask(DEVICE, None);
        assert_eq!(answer(&sent, asker, 6, &[1]), users(&[1]));
        let asker = sent.ask(DEVICE, Some(at(6)));
        assert_eq!(answer(&sent, asker, 7, &[1, 2]), users(&[2]));
        // Lost again, and asked for again.
        for token in [8, 9] {
            let asker = sent.ask(DEVICE, Some(at(6)));
            assert_eq!(answer(&sent, asker, token, &[1, 2, 3]), users(&[2, 3]));
        }
        let asker = sent.ask(DEVICE, Some(at(9)));
        assert_eq!(answer(&sent, asker, 10, &[1, 2, 3, 4]), users(&[4]));
        // An answer that brings nothing changes nothing.
        let asker = sent.ask(DEVICE, Some(at(10)));
        sent.answered(asker, at(11), Vec::new());
        let asker = sent.ask(DEVICE, Some(at(11)));
        assert_eq!(answer(&sent, asker, 12, &[4, 5]), users(&[5]));
    }

    #[test]
    fn who_is_set_back_is_told_again() {
        let sent = SentMembers::new();
        let asker = sent.ask(DEVICE, None);
        answer(&sent, asker, 5, &[1]);
        let asker = sent.ask(DEVICE, Some(at(5)));
        answer(&sent, asker, 6, &[2]);
        assert_eq!(answer(&sent, sent.ask(DEVICE, Some(at(6))), 7, &[1, 2]), users(&[]));
        assert_eq!(answer(&sent, sent.ask(DEVICE, Some(at(5))), 8, &[1, 2]), users(&[1, 2]));
        // What was on its way to the device as it was before does not arrive any more.
        let former = sent.ask(DEVICE, Some(at(8)));
        let asker = sent.ask(DEVICE, None);
        answer(&sent, former, 9, &[3]);
        assert_eq!(answer(&sent, asker, 9, &[1]), users(&[1]));
        assert_eq!(answer(&sent, sent.ask(DEVICE, Some(at(9))), 10, &[1, 3]), users(&[3]));
        sent.forget(asker, ROOM);
        assert_eq!(answer(&sent, sent.ask(DEVICE, Some(at(10))), 11, &[1]), users(&[1]));
    }

    #[test]
    fn members_weigh_something() {
        let sent = SentMembers::new();
        let many: Vec<_> = (0..1000).collect();
        answer(&sent, sent.ask(DEVICE, None), 5, &many);
        let pending = sent.progress.weight();
        assert!(pending > 10_000);
        let asker = sent.ask(DEVICE, Some(at(5)));
        let light = sent.known.weight();
        assert!(light > 1000);
        let more: Vec<_> = (0..5000).collect();
        answer(&sent, asker, 6, &more);
        let asker = sent.ask(DEVICE, Some(at(6)));
        assert!(sent.progress.weight() > 3 * pending);
        assert!(sent.known.weight() > 3 * light && sent.known.weight() < 30_000);
        sent.forget(asker, ROOM);
        assert_eq!(sent.known.weight(), 0);
    }
}
