//! How much a user has not read in all their rooms, kept up event by event: the number beside an app's icon.

use std::collections::HashMap;

use matron_storage::Position;

use crate::schema::RoomNum;

/// What is unread in a room, and up to where that was counted.
#[derive(Debug, Clone, Copy)]
struct Counted {
    unread: u64,
    as_of: Position,
}

/// A user's unread notifications, by room.
#[derive(Debug)]
pub(super) struct Badge {
    as_of: Position,
    rooms: HashMap<RoomNum, Counted>,
    messages: u64,
    unread_rooms: u64,
}

impl Badge {
    /// Nothing is unread as of a position.
    pub fn new(as_of: Position) -> Self {
        Self { as_of, rooms: HashMap::new(), messages: 0, unread_rooms: 0 }
    }

    /// What is unread in a room was counted as of a position.
    pub fn set(&mut self, room: RoomNum, unread: u64, as_of: Position) {
        let old = self.rooms.insert(room, Counted { unread, as_of }).map_or(0, |counted| counted.unread);
        self.messages = self.messages.saturating_sub(old).saturating_add(unread);
        match (old, unread) {
            (0, 1..) => self.unread_rooms += 1,
            (1.., 0) => self.unread_rooms -= 1,
            _ => {}
        }
    }

    /// An event of a room notified the user. One that was counted already counts once.
    pub fn add(&mut self, room: RoomNum, position: Position) {
        let counted = self.rooms.get(&room).copied().unwrap_or(Counted { unread: 0, as_of: self.as_of });
        if position > counted.as_of {
            self.set(room, counted.unread + 1, position);
        }
    }

    /// Whether anything is unread in a room.
    pub fn has(&self, room: RoomNum) -> bool {
        self.rooms.get(&room).is_some_and(|counted| counted.unread > 0)
    }

    /// The number: of messages, or of rooms.
    pub const fn number(&self, by_room: bool) -> u64 {
        if by_room { self.unread_rooms } else { self.messages }
    }
}

#[cfg(test)]
mod tests {
    use matron_storage::Position;
    use proptest::prelude::*;

    use super::Badge;
    use crate::schema::RoomNum;

    /// Positions grow as in a stream.
    fn at(nth: u64) -> Position {
        Position::new(nth)
    }

    #[test]
    fn what_was_counted_counts_once() {
        let mut badge = Badge::new(at(5));
        badge.add(RoomNum(1), at(4));
        assert_eq!(badge.number(false), 0);
        badge.add(RoomNum(1), at(6));
        badge.set(RoomNum(1), 3, at(9));
        badge.add(RoomNum(1), at(8));
        assert_eq!(badge.number(false), 3);
        badge.add(RoomNum(1), at(10));
        badge.add(RoomNum(2), at(11));
        assert_eq!((badge.number(false), badge.number(true)), (5, 2));
        badge.set(RoomNum(1), 0, at(12));
        assert_eq!((badge.number(false), badge.has(RoomNum(1)), badge.has(RoomNum(2))), (1, false, true));
    }

    proptest! {
        #[test]
        fn the_number_is_the_sum(steps in prop::collection::vec((0_u64..4, any::<bool>(), 0_u64..5), 0..60)) {
            let mut badge = Badge::new(at(0));
            let mut model = std::collections::BTreeMap::new();
            for (nth, (room, adds, count)) in steps.into_iter().enumerate() {
                let position = at(nth as u64 + 1);
                if adds {
                    badge.add(RoomNum(room), position);
                    *model.entry(room).or_insert(0) += 1;
                } else {
                    badge.set(RoomNum(room), count, position);
                    model.insert(room, count);
                }
                prop_assert_eq!(badge.number(false), model.values().sum::<u64>());
                prop_assert_eq!(badge.number(true), model.values().filter(|count| **count > 0).count() as u64);
            }
        }
    }
}
