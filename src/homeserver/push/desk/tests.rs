//! Queues: what waits, what is dropped, and what goes to disk.

use std::sync::Arc;
use std::time::Duration;

use matron_storage::{Batch, Position, Written};

use super::{Desk, GIVE_UP_AFTER, Item, LONGEST_PAUSE, LONGEST_WAIT, MOST_EVENTS, Name, wait_after};
use crate::config;
use crate::schema::push::{Pusher, PusherKind, WAITING};
use crate::schema::{DeviceNum, RoomNum, UserNum};

const NAME: Name = (UserNum(1), [7; 16]);

fn pusher(lang: &str) -> Arc<Pusher> {
    Arc::new(Pusher {
        app_id: "app".to_owned(),
        pushkey: "key".to_owned(),
        kind: PusherKind::Http,
        app_display_name: String::new(),
        device_display_name: String::new(),
        profile_tag: None,
        lang: lang.to_owned(),
        data: "{}".to_owned(),
        enabled: true,
        device: DeviceNum(1),
        device_id: "D".to_owned(),
        set: 0,
    })
}

fn item(position: u64, since: u64) -> Item {
    Item::new((RoomNum(1), Position::new(position), None), since, "[]".into(), None)
}

fn position_of(desk: &Desk, now: u64) -> Option<u64> {
    desk.next(NAME, now)?.item.map(|item| item.position.get())
}

#[test]
fn events_go_in_their_order_with_the_latest_number() {
    let desk = Desk::default();
    assert!(desk.add(NAME, &pusher("en"), item(1, 0), 1), "somebody must begin");
    assert!(!desk.add(NAME, &pusher("en"), item(2, 0), 2), "somebody has begun");
    assert!(!desk.add(NAME, &pusher("en"), item(2, 0), 2), "the same event once");
    let work = desk.next(NAME, 0).unwrap();
    assert_eq!((work.item.as_ref().unwrap().position, work.unread), (Position::new(1), 2));
    desk.finish(NAME, &work);
    assert_eq!(position_of(&desk, 0), Some(2));
    desk.finish(NAME, &desk.next(NAME, 0).unwrap());
    assert!(desk.next(NAME, 0).is_none());
    assert!(desk.add(NAME, &pusher("en"), item(3, 0), 1), "it begins anew");
}

#[test]
fn a_number_alone_is_told_once_and_not_beside_an_event() {
    let desk = Desk::default();
    assert!(desk.set_unread(NAME, &pusher("en"), 4));
    let work = desk.next(NAME, 0).unwrap();
    assert!(work.item.is_none() && work.unread == 4);
    assert!(!desk.set_unread(NAME, &pusher("en"), 5), "while it is told, it changes");
    desk.finish(NAME, &work);
    let work = desk.next(NAME, 0).unwrap();
    assert_eq!(work.unread, 5);
    desk.finish(NAME, &work);
    assert!(desk.next(NAME, 0).is_none());
    desk.add(NAME, &pusher("en"), item(1, 0), 1);
    desk.set_unread(NAME, &pusher("en"), 2);
    desk.finish(NAME, &desk.next(NAME, 0).unwrap());
    assert!(desk.next(NAME, 0).is_none(), "the event told it");
}

#[test]
fn what_is_old_or_too_much_or_withdrawn_is_dropped() {
    let desk = Desk::default();
    let most = MOST_EVENTS as u64;
    for nth in 0..most + 3 {
        desk.add(NAME, &pusher("en"), item(nth, nth), 1);
    }
    assert_eq!(position_of(&desk, 0), Some(3), "of more the newest");
    assert_eq!(position_of(&desk, GIVE_UP_AFTER + 10), Some(10));
    desk.withdraw(NAME, |item| item.position < Position::new(20));
    assert_eq!(position_of(&desk, 0), Some(20));
    let last = desk.next(NAME, GIVE_UP_AFTER + 1000).unwrap();
    assert!(last.item.is_none(), "the number is still told");
    desk.finish(NAME, &last);
    desk.add(NAME, &pusher("en"), item(most + 3, 0), 0);
    desk.withdraw(NAME, |_| true);
    let last = desk.next(NAME, 0).unwrap();
    assert!(last.item.is_none(), "also where what would have told it is withdrawn");
}

#[test]
fn what_was_read_while_an_event_was_told_is_told_after_it() {
    let desk = Desk::default();
    desk.add(NAME, &pusher("en"), item(1, 0), 1);
    let work = desk.next(NAME, 0).unwrap();
    assert!(!desk.set_unread(NAME, &pusher("en"), 0));
    desk.finish(NAME, &work);
    let work = desk.next(NAME, 0).unwrap();
    assert!(work.item.is_none() && work.unread == 0);
    desk.finish(NAME, &work);
    assert!(desk.next(NAME, 0).is_none());
}

#[test]
fn letters_wait_as_long_as_they_are_to() {
    let week = 7 * 24 * 60 * 60 * 1000;
    let letters = Arc::new(Pusher { kind: PusherKind::Email, ..Pusher::clone(&pusher("en")) });
    for (email_after, wait) in [(week, week), (0, LONGEST_PAUSE)] {
        let desk = Desk::new(&config::Push { email_after, ..config::Push::default() });
        desk.add(NAME, &letters, item(1, 0), 1);
        assert_eq!(position_of(&desk, wait + GIVE_UP_AFTER), Some(1));
        assert_eq!(position_of(&desk, wait + GIVE_UP_AFTER + 1), None);
    }
}

#[test]
fn rows_are_written_once_and_deleted_once() {
    let desk = Desk::default();
    desk.add(NAME, &pusher("en"), item(1, 0), 1);
    desk.add(NAME, &pusher("en"), item(2, 0), 1);
    let mut batch = Batch::new();
    let written = desk.write(&mut batch);
    assert!(written.whole && written.rows.len() == 2);
    let work = desk.next(NAME, 0).unwrap();
    desk.finish(NAME, &work);
    desk.wrote(written, true);
    let written = desk.write(&mut Batch::new());
    assert_eq!((written.rows.len(), written.done.len()), (0, 1), "what was delivered meanwhile");
    desk.wrote(written, false);
    assert_eq!(desk.write(&mut Batch::new()).done.len(), 1, "what was not committed is tried again");
    desk.finish(NAME, &desk.next(NAME, 0).unwrap());
    assert_eq!(desk.write(&mut Batch::new()).done.len(), 1);
    let mut batch = Batch::new();
    assert!(desk.write(&mut batch).whole && batch.is_empty());
}

#[test]
fn what_waits_again_keeps_its_row() {
    let desk = Desk::default();
    desk.add(NAME, &pusher("en"), item(1, 0), 1);
    let written = desk.write(&mut Batch::new());
    desk.wrote(written, true);
    desk.withdraw(NAME, |_| true);
    desk.add(NAME, &pusher("en"), item(1, 0), 1);
    let mut batch = Batch::new();
    desk.write(&mut batch);
    let row = batch.written(&WAITING, &(NAME.0, NAME.1, Position::new(1))).unwrap();
    assert!(matches!(row, Written::Value(_)), "{row:?}");
}

#[test]
fn a_pusher_that_is_set_again_during_a_call_has_one_who_sees_to_it() {
    let desk = Desk::default();
    assert!(desk.add(NAME, &pusher("en"), item(1, 0), 1));
    let called = desk.next(NAME, 0).unwrap();
    desk.keep(NAME.0, &[]);
    assert!(!desk.add(NAME, &pusher("cy"), item(2, 0), 1), "who calls goes on");
    desk.finish(NAME, &called);
    assert_eq!(position_of(&desk, 0), Some(2));
    let called = desk.next(NAME, 0).unwrap();
    desk.remove(NAME);
    assert!(!desk.set_unread(NAME, &pusher("cy"), 3));
    desk.finish(NAME, &called);
    assert_eq!(desk.next(NAME, 0).unwrap().unread, 3);
    desk.keep(NAME.0, &[]);
    assert!(desk.next(NAME, 0).is_none(), "nothing is left of the one before");
    assert!(desk.add(NAME, &pusher("cy"), item(3, 0), 1), "it begins anew");
}

#[tokio::test]
async fn a_pusher_that_is_set_anew_is_not_kept_waiting() {
    let desk = Desk::default();
    desk.add(NAME, &pusher("en"), item(1, 0), 1);
    assert!(desk.fail(NAME).is_some());
    let hurry = desk.hurry(NAME).unwrap();
    desk.renew(NAME, &pusher("en"));
    desk.renew(NAME, &pusher("cy"));
    hurry.notified().await;
    assert_eq!(desk.next(NAME, 0).unwrap().pusher.lang, "cy");
    desk.keep(NAME.0, &[]);
    assert!(desk.next(NAME, 0).is_none(), "one that is gone leaves nothing");
}

#[test]
fn waits_double_to_an_end() {
    assert!(wait_after(0, 0) < Duration::from_secs(1) && wait_after(0, 255) < Duration::from_millis(1250));
    let mut last = Duration::ZERO;
    for failures in 0..12 {
        let wait = wait_after(failures, 128);
        assert!(wait > last, "{failures}");
        last = wait;
    }
    for failures in [12, 31, 32, 1000, u32::MAX] {
        assert_eq!(wait_after(failures, 128), LONGEST_WAIT.mul_f64(1.0));
    }
}
