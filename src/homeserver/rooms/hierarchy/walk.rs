//! A walk over a tree of rooms, and how far walks came whose next page may be asked for.

use std::collections::HashSet;
use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::From;
use crate::schema::{RoomNum, UserNum};

/// How many rooms of a tree are walked at most, over all pages.
const MOST_WALKED: usize = 10_000;
/// Bytes of walks that are remembered, about.
const REMEMBERED: u64 = 16 << 20;

/// How far a walk came.
#[derive(Debug, Clone)]
pub(in crate::rooms) struct Walk {
    /// Rooms that were looked at.
    seen: HashSet<RoomNum>,
    /// Rooms that are still to be, and how deep they lie; the next one last.
    open: Vec<(RoomNum, u64)>,
}

impl Walk {
    pub fn from(top: RoomNum) -> Self {
        Self { seen: HashSet::new(), open: vec![(top, 0)] }
    }

    /// The next room and its depth. Each comes once.
    pub fn take(&mut self) -> Option<(RoomNum, u64)> {
        loop {
            let (room, depth) = self.open.pop()?;
            if self.seen.len() < MOST_WALKED && self.seen.insert(room) {
                return Some((room, depth));
            }
        }
    }

    /// The room that was taken is the next one again.
    pub fn put_back(&mut self, room: RoomNum, depth: u64) {
        self.seen.remove(&room);
        self.open.push((room, depth));
    }

    /// Another room that is to be looked at before those that were found earlier.
    pub fn find(&mut self, room: RoomNum, depth: u64) {
        if self.open.len() < MOST_WALKED {
            self.open.push((room, depth));
        }
    }
}

/// What a walk weighs in memory, about.
#[derive(Debug, Clone)]
pub(in crate::rooms) struct Weigh;

impl Weighter<(UserNum, From), Arc<Walk>> for Weigh {
    fn weight(&self, _: &(UserNum, From), walk: &Arc<Walk>) -> u64 {
        (walk.seen.len() as u64 + walk.open.len() as u64) * 24 + 256
    }
}

/// Walks at the ends of pages. One that is forgotten is done again.
pub(in crate::rooms) type Walks = Cache<(UserNum, From), Arc<Walk>, Weigh>;

/// None yet.
pub(in crate::rooms) fn walks() -> Walks {
    Cache::with_weighter(256, REMEMBERED, Weigh)
}

#[cfg(test)]
mod tests {
    use super::Walk;
    use crate::schema::RoomNum;

    #[test]
    fn each_room_comes_once_the_last_found_first() {
        let [top, one, other] = [RoomNum(1), RoomNum(2), RoomNum(3)];
        let mut walk = Walk::from(top);
        assert_eq!(walk.take(), Some((top, 0)));
        for room in [other, top, one] {
            walk.find(room, 1);
        }
        assert_eq!(walk.take(), Some((one, 1)));
        walk.put_back(one, 1);
        walk.find(other, 2);
        assert_eq!([walk.take(), walk.take(), walk.take()], [Some((other, 2)), Some((one, 1)), None]);
    }
}
