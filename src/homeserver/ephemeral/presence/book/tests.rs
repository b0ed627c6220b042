//! What time and devices do to presence.

use std::collections::HashSet;

use super::{ACTIVE_FOR, Book, GONE_AFTER, IDLE_AFTER, MOST_USERS, State};
use crate::schema::{DeviceNum, UserNum};

const ANN: UserNum = UserNum(1);
const PHONE: DeviceNum = DeviceNum(1);
const LAPTOP: DeviceNum = DeviceNum(2);
const NOW: u64 = 1_700_000_000_000;

fn presence(book: &Book, now: u64) -> (&'static str, Option<bool>) {
    let shown = book.shown(ANN, now);
    (shown.presence, shown.currently_active)
}

#[test]
fn who_syncs_is_there_then_idle_then_gone() {
    let mut book = Book::default();
    book.begin_sync(ANN, PHONE, State::Online, NOW);
    assert_eq!(presence(&book, NOW), ("online", Some(true)));
    assert_eq!(book.take_changed(), [ANN]);
    book.expire(NOW + ACTIVE_FOR - 1);
    assert!(book.take_changed().is_empty());
    book.expire(NOW + ACTIVE_FOR);
    assert_eq!((presence(&book, NOW + ACTIVE_FOR), book.take_changed()), (("online", Some(false)), vec![ANN]));
    let idle = NOW + IDLE_AFTER;
    book.expire(idle);
    assert_eq!((presence(&book, idle), book.take_changed()), (("unavailable", None), vec![ANN]));
    book.act(ANN, PHONE, idle + 1);
    assert_eq!((presence(&book, idle + 1), book.take_changed()), (("online", Some(true)), vec![ANN]));
    assert_eq!(book.shown(ANN, idle + 8).last_active_ago, Some(7));
    book.end_sync(ANN, PHONE, idle + 2);
    book.expire(idle + 1 + GONE_AFTER);
    assert!(book.take_changed().is_empty());
    book.expire(idle + 2 + GONE_AFTER);
    assert_eq!((presence(&book, idle + 2 + GONE_AFTER), book.take_changed()), (("offline", None), vec![ANN]));
    assert_eq!(book.next_due(), None);
    assert!(book.changed(None).is_empty());
}

#[test]
fn whatever_device_is_used_nobody_is_idle_who_does_something() {
    let idle = NOW + IDLE_AFTER;
    let mut book = Book::default();
    // One that does not say how its user is; one that lies idle; one that said that nobody is there.
    for used in [DeviceNum(3), PHONE, LAPTOP] {
        book.begin_sync(ANN, PHONE, State::Online, NOW);
        book.begin_sync(ANN, LAPTOP, State::Unavailable, NOW);
        book.expire(idle);
        assert_eq!(presence(&book, idle), ("unavailable", None));
        book.act(ANN, used, idle);
        assert_eq!(presence(&book, idle), ("online", Some(true)), "{used:?}");
        book = Book::default();
    }
    book.set(ANN, PHONE, State::Unavailable, None, NOW);
    assert_eq!(book.shown(ANN, NOW).last_active_ago, None, "who goes away does nothing by that");
    book.act(ANN, LAPTOP, NOW + 1);
    assert_eq!(presence(&book, NOW + 1), ("online", Some(true)));
    book.set(ANN, PHONE, State::Offline, None, NOW + 2);
    book.act(ANN, PHONE, NOW + 3);
    assert_eq!(presence(&book, NOW + 3), ("offline", None));
}

#[test]
fn a_new_name_is_told_of_whoever_is_known() {
    let mut book = Book::default();
    book.rename(ANN);
    assert_eq!((book.counter(), book.take_changed()), (0, vec![]));
    book.begin_sync(ANN, PHONE, State::Online, NOW);
    let before = book.counter();
    assert_eq!((book.shown(ANN, NOW).renamed, book.take_changed()), (0, vec![ANN]));
    book.rename(ANN);
    assert_eq!((book.changed(Some(before)), book.take_changed()), (HashSet::from([ANN]), vec![ANN]));
    assert_eq!(book.shown(ANN, NOW).renamed, book.counter());
    // The next change is not one of the name.
    book.set(ANN, PHONE, State::Unavailable, None, NOW);
    assert!(book.shown(ANN, NOW).renamed < book.counter());
}

#[test]
fn the_most_present_device_counts() {
    let mut book = Book::default();
    book.set(ANN, PHONE, State::Unavailable, Some("at lunch".to_owned()), NOW);
    assert_eq!(presence(&book, NOW), ("unavailable", None));
    book.begin_sync(ANN, LAPTOP, State::Online, NOW);
    assert_eq!(presence(&book, NOW), ("online", Some(true)));
    assert_eq!(book.shown(ANN, NOW).status_msg.as_deref(), Some("at lunch"));
    book.set(ANN, LAPTOP, State::Offline, None, NOW);
    assert_eq!(presence(&book, NOW), ("unavailable", None));
    book.set(ANN, PHONE, State::Offline, None, NOW);
    assert_eq!(presence(&book, NOW), ("offline", None));
}

#[test]
fn a_change_is_told_once_to_each_who_counts() {
    let mut book = Book::default();
    book.begin_sync(ANN, PHONE, State::Online, NOW);
    let first = book.counter();
    book.end_sync(ANN, PHONE, NOW);
    book.begin_sync(ANN, PHONE, State::Online, NOW + 10);
    book.act(ANN, PHONE, NOW + 10);
    assert_eq!(book.counter(), first);
    assert!(book.changed(Some(first)).is_empty());
    assert_eq!(book.changed(Some(first - 1)), HashSet::from([ANN]));
    book.set(ANN, PHONE, State::Online, Some("back".to_owned()), NOW + 10);
    assert_eq!(book.changed(Some(first)), HashSet::from([ANN]));
}

#[test]
fn memory_is_bounded() {
    let mut book = Book::default();
    for nth in 0..MOST_USERS as u64 + 10 {
        book.begin_sync(UserNum(nth), PHONE, State::Online, NOW);
        book.set(UserNum(nth), PHONE, State::Offline, None, NOW);
        book.end_sync(UserNum(nth), PHONE, NOW);
        book.expire(NOW + GONE_AFTER);
    }
    assert!(book.users.len() <= MOST_USERS && book.order.len() <= MOST_USERS, "{}", book.users.len());
    assert!(book.due.is_empty());
}
