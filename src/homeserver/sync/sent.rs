//! Which members a device has been sent, for lazy-loading: forgotten ones are sent again.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::locks::lock;
use crate::meters::Held;
use crate::schema::{DeviceNum, RoomNum, UserNum};

/// How many pairs of device and room are remembered, about, and bytes of what was sent to them.
const REMEMBERED: usize = 20_000;
const REMEMBERED_BYTES: u64 = 64 << 20;

/// What devices have been sent.
#[derive(Debug)]
pub struct SentMembers(Cache<(DeviceNum, RoomNum), Sent, Weigh>);

/// Members of one room.
#[derive(Debug, Clone, Default)]
struct Sent {
    users: Arc<Mutex<HashSet<UserNum>>>,
    /// As so many it is weighed. Where they become more, it is weighed anew.
    most: usize,
}

/// What was sent weighs in memory, about.
#[derive(Debug, Clone)]
struct Weigh;

impl Weighter<(DeviceNum, RoomNum), Sent> for Weigh {
    fn weight(&self, _: &(DeviceNum, RoomNum), sent: &Sent) -> u64 {
        128 + 24 * sent.most as u64
    }
}

impl SentMembers {
    pub(super) fn new() -> Self {
        Self(Cache::with_weighter(REMEMBERED, REMEMBERED_BYTES, Weigh))
    }

    pub(super) fn held(&self) -> Held {
        Held::of("members_sent", &self.0)
    }

    /// Begins anew: the device knows nothing of the room.
    pub(super) fn forget(&self, device: DeviceNum, room: RoomNum) {
        self.0.remove(&(device, room));
    }

    /// Those of `users` whom the device has not been sent; they are noted as sent.
    pub(super) fn unsent(&self, device: DeviceNum, room: RoomNum, users: HashSet<UserNum>) -> HashSet<UserNum> {
        let key = (device, room);
        let known = self.0.get(&key);
        let is_new = known.is_none();
        let mut sent = known.unwrap_or_default();
        let (unsent, all) = {
            let mut sent = lock(&sent.users);
            let unsent = users.into_iter().filter(|user| sent.insert(*user)).collect();
            (unsent, sent.len())
        };
        if is_new {
            sent.most = all.next_power_of_two();
            self.0.insert(key, sent);
        } else if all > sent.most {
            sent.most = all.next_power_of_two();
            // What was forgotten meanwhile stays so.
            let _ = self.0.replace(key, sent, false);
        }
        unsent
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::SentMembers;
    use crate::schema::{DeviceNum, RoomNum, UserNum};

    #[test]
    fn each_member_is_sent_once_and_weighs_something() {
        let (sent, device, room) = (SentMembers::new(), DeviceNum(1), RoomNum(1));
        let users = |numbers: std::ops::Range<u64>| numbers.map(UserNum).collect::<HashSet<_>>();
        assert_eq!(sent.unsent(device, room, users(0..3)), users(0..3));
        let light = sent.0.weight();
        assert_eq!(sent.unsent(device, room, users(0..1000)), users(3..1000));
        assert!(sent.0.weight() > light + 10_000);
        assert!(sent.unsent(device, room, users(0..1000)).is_empty());
        sent.forget(device, room);
        assert_eq!((sent.0.weight(), sent.unsent(device, room, users(0..1))), (0, users(0..1)));
    }
}
