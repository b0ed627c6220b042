use ruma::OwnedUserId;

use super::{MOST_IN_ROOM, MOST_ROOMS, Notices};
use crate::schema::RoomNum;

fn user(name: &str) -> OwnedUserId {
    format!("@{name}:example.org").try_into().unwrap()
}

#[test]
fn only_changes_count() {
    let mut notices = Notices::default();
    let (room, ann) = (RoomNum(1), user("ann"));
    assert!(!notices.set(room, &ann, None));
    assert!(notices.set(room, &ann, Some(10)));
    assert!(!notices.set(room, &ann, Some(20)), "a renewal is no news");
    assert_eq!((notices.counter, notices.ends.len()), (1, 1));
    assert!(notices.set(room, &ann, None));
    assert!(!notices.set(room, &ann, None));
    assert_eq!((notices.counter, notices.ends.len()), (2, 0));
}

#[test]
fn notices_end_by_themselves() {
    let mut notices = Notices::default();
    notices.set(RoomNum(1), &user("ann"), Some(10));
    notices.set(RoomNum(1), &user("bob"), Some(20));
    notices.set(RoomNum(2), &user("ann"), Some(10));
    assert!(notices.expire(9).is_empty());
    assert_eq!(notices.expire(10).into_iter().collect::<Vec<_>>(), [RoomNum(1), RoomNum(2)]);
    assert_eq!(notices.rooms[&RoomNum(1)].users.len(), 1);
    assert_eq!(notices.rooms[&RoomNum(2)].changed, 5);
    assert!(notices.expire(10).is_empty());
}

#[test]
fn memory_is_bounded() {
    let mut notices = Notices::default();
    for n in 0..=MOST_IN_ROOM {
        notices.set(RoomNum(0), &user(&n.to_string()), Some(10));
    }
    assert_eq!(notices.rooms[&RoomNum(0)].users.len(), MOST_IN_ROOM);
    for n in 1..=MOST_ROOMS as u64 {
        notices.set(RoomNum(n), &user("ann"), Some(10));
    }
    assert_eq!((notices.rooms.len(), notices.ends.len()), (MOST_ROOMS, MOST_ROOMS));
    assert_eq!(notices.floor, MOST_IN_ROOM as u64);
}
