//! Who is in which room stays true however it is asked; news wake those whom they concern; a new run knows of the last.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use matron_storage::{Batch, News, Observer as _, Options, Position, Snapshot, Store};
use proptest::prelude::*;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{NewsReceiver, Streams, Subject};
use crate::schema::accounts::ERASED;
use crate::schema::devices::DEVICE_LISTS;
use crate::schema::ephemeral::{RECEIPT_STREAM, ReceiptKey, ReceiptKind};
use crate::schema::rooms::{HEADS, MEMBERS, Member, Membership, RoomHead, STREAM, USER_ROOMS, UserRoom};
use crate::schema::{EventNum, RoomNum, UserNum};

const PATIENCE: Duration = Duration::from_secs(10);

fn house() -> (Arc<Streams>, Arc<Store>, NewsReceiver) {
    let (streams, news) = Streams::new(1);
    let store = Arc::new(Store::open(&Options::memory(), Arc::<Streams>::clone(&streams)).unwrap());
    (streams, store, news)
}

/// Wakes people by the news from now on.
fn serve(streams: &Arc<Streams>, store: &Arc<Store>, news: NewsReceiver) {
    let (streams, store) = (Arc::clone(streams), Arc::clone(store));
    tokio::spawn(async move { streams.serve(news, || store.snapshot()).await });
}

/// Somebody comes or goes, as an append writes it.
fn moving(batch: &mut Batch, room: RoomNum, user: UserNum, came: bool) {
    let at = batch.stamp();
    let membership = if came { Membership::Join } else { Membership::Leave };
    let event = EventNum(1);
    batch.put(&MEMBERS, &(room, user), &Member { membership, event });
    let (since, news, left) = (at, at, (!came).then_some(at));
    let own = UserRoom { membership, event, since, news, forgotten: false, left, stripped: None };
    batch.put(&USER_ROOMS, &(user, room), &own);
    let moved = if came { Subject::Came(room, user) } else { Subject::Went(room, user) };
    batch.announce(moved.into());
    batch.announce(Subject::Memberships(user).into());
    batch.announce(Subject::Room(room).into());
}

async fn step(store: &Store, room: RoomNum, user: UserNum, came: bool) {
    let mut batch = Batch::new();
    moving(&mut batch, room, user, came);
    store.commit(batch).await.unwrap();
}

async fn tell(store: &Store, subject: Subject) {
    let mut batch = Batch::new();
    batch.stamp();
    batch.announce(subject.into());
    store.commit(batch).await.unwrap();
}

/// Who is joined by the rows themselves.
async fn by_rows(snapshot: &Snapshot, room: RoomNum) -> BTreeSet<UserNum> {
    let rows = snapshot.scan(&MEMBERS, MEMBERS.under(&(room,))).collect().await.unwrap();
    let joined = rows.into_iter().filter(|(_, member)| member.membership == Membership::Join);
    joined.map(|((_, user), _)| user).collect()
}

async fn check(streams: &Streams, snapshot: &Snapshot, room: RoomNum) {
    let expected = by_rows(snapshot, room).await;
    let joined = streams.joined(snapshot, room).await.unwrap();
    assert_eq!(joined.iter().copied().collect::<BTreeSet<_>>(), expected);
    for user in 0..6 {
        let user = UserNum(user);
        assert_eq!(streams.is_joined(snapshot, room, user).await.unwrap(), expected.contains(&user));
        let rooms = streams.rooms_of(snapshot, user).await.unwrap();
        assert_eq!(rooms.contains(&room), expected.contains(&user));
    }
}

#[derive(Debug, Clone)]
enum Step {
    Move {
        room: u64,
        user: u64,
        came: bool,
    },
    /// A reader takes a snapshot, and looks at it later.
    Hold,
    Look {
        room: u64,
        held: usize,
    },
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u64..2, 0_u64..6, any::<bool>()).prop_map(|(room, user, came)| Step::Move { room, user, came }),
        1 => Just(Step::Hold),
        3 => (0_u64..2, 0_usize..4).prop_map(|(room, held)| Step::Look { room, held }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn who_is_joined_is_what_the_rows_of_the_snapshot_say(steps in prop::collection::vec(any_step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (streams, store, _news) = house();
            let mut held = vec![store.snapshot()];
            for step in steps {
                match step {
                    Step::Move { room, user, came } => self::step(&store, RoomNum(room), UserNum(user), came).await,
                    Step::Hold => held.push(store.snapshot()),
                    Step::Look { room, held: back } => {
                        let snapshot = held.iter().rev().nth(back).cloned().unwrap_or_else(|| store.snapshot());
                        check(&streams, &snapshot, RoomNum(room)).await;
                        check(&streams, &store.snapshot(), RoomNum(room)).await;
                    }
                }
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_is_joined_stays_true_while_others_come_and_go() {
    let (streams, store, _news) = house();
    let room = RoomNum(1);
    let movers = (0..3_u64).map(|nth| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for turn in 0..100_u64 {
                step(&store, room, UserNum(nth * 2 + turn % 2), turn % 3 != 0).await;
            }
        })
    });
    let readers = (0..4).map(|_| {
        let (streams, store) = (Arc::clone(&streams), Arc::clone(&store));
        tokio::spawn(async move {
            for turn in 0..100 {
                let snapshot = store.snapshot();
                if turn % 5 == 0 {
                    tokio::task::yield_now().await;
                }
                check(&streams, &snapshot, room).await;
            }
        })
    });
    let all: Vec<_> = movers.chain(readers).collect();
    for task in all {
        task.await.unwrap();
    }
    let snapshot = store.snapshot();
    let newest: BTreeSet<_> = streams.members.newest(room).unwrap().iter().copied().collect();
    assert_eq!(newest, by_rows(&snapshot, room).await);
}

#[tokio::test]
async fn after_a_move_in_doubt_all_members_are_read_anew() {
    let (streams, store, _news) = house();
    let room = RoomNum(1);
    let [ann, bob, cid] = [1, 2, 3].map(UserNum);
    step(&store, room, ann, true).await;
    let before = store.snapshot();
    check(&streams, &before, room).await;
    assert!(streams.members.newest(room).is_some());

    let position = before.position().next();
    let moved = [Subject::Came(room, bob), Subject::Memberships(bob), Subject::Room(room)];
    let news = moved.map(|subject| News { position, topic: subject.into() });
    streams.doubted(&news);
    assert!(streams.members.newest(room).is_none());
    check(&streams, &before, room).await;
    assert!(streams.members.newest(room).is_none(), "who walked before does not know");
    assert_eq!(streams.rooms_moved_since(before.position()), None);
    assert!(streams.anybody_moved(before.position()) && streams.room_changed(room, before.position()));

    step(&store, room, cid, true).await;
    let after = store.snapshot();
    check(&streams, &after, room).await;
    let newest: BTreeSet<_> = streams.members.newest(room).unwrap().iter().copied().collect();
    assert_eq!(newest, BTreeSet::from([ann, cid]), "it was not");
}

#[tokio::test]
async fn who_may_have_been_erased_is_looked_up() {
    let (streams, store, news) = house();
    let [ann, bob] = [1, 2].map(UserNum);
    let mut batch = Batch::new();
    let position = batch.stamp();
    batch.put(&ERASED, &bob, &position);
    let position = store.commit(batch).await.unwrap().end;
    let doubted = [ann, bob].map(|user| News { position, topic: Subject::Erased(user).into() });
    streams.doubted(&doubted);
    assert!(streams.erased().is_empty(), "nothing is certain of it");
    streams.committed(&doubted, position);
    serve(&streams, &store, news);
    let found = async {
        while streams.erased().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, found).await.unwrap();
    assert_eq!(streams.erased().iter().collect::<Vec<_>>(), [(&bob, &position)]);
}

#[tokio::test]
async fn a_change_of_devices_wakes_those_alone_who_share_a_room() {
    let (streams, store, news) = house();
    let [ann, bob, carol] = [1, 2, 3].map(UserNum);
    for (room, user) in [(1, ann), (1, bob), (2, carol)] {
        step(&store, RoomNum(room), user, true).await;
    }
    let tickets = [ann, bob, carol].map(|user| streams.park(user));
    let [mut own, mut other, mut stranger] = tickets.each_ref().map(|ticket| Box::pin(ticket.woken()));
    serve(&streams, &store, news);
    tell(&store, Subject::DeviceList(ann)).await;
    timeout(PATIENCE, own.as_mut()).await.unwrap();
    timeout(PATIENCE, other.as_mut()).await.unwrap();
    let later = tickets[0].woken();
    tell(&store, Subject::User(ann)).await;
    timeout(PATIENCE, later).await.unwrap();
    assert!(timeout(Duration::ZERO, stranger.as_mut()).await.is_err(), "who shares no room is woken");
}

#[tokio::test]
async fn members_of_a_large_room_are_woken_though_nobody_knew_them() {
    let (streams, store, news) = house();
    let room = RoomNum(1);
    let mut batch = Batch::new();
    for user in 0..100 {
        moving(&mut batch, room, UserNum(user), true);
    }
    let head = RoomHead {
        state: 0,
        extremities: Vec::new(),
        depth: 1,
        last: Position::ZERO,
        counts: Vec::new(),
        joined: 20_000,
        invited: 0,
        next_backfilled: -1,
    };
    batch.put(&HEADS, &room, &head);
    store.commit(batch).await.unwrap();
    serve(&streams, &store, news);

    // Few who wait are asked for one by one.
    let (member, stranger) = (streams.park(UserNum(7)), streams.park(UserNum(1007)));
    let (mut woken, mut asleep) = (Box::pin(member.woken()), Box::pin(stranger.woken()));
    tell(&store, Subject::Room(room)).await;
    timeout(PATIENCE, woken.as_mut()).await.unwrap();
    assert!(timeout(Duration::ZERO, asleep.as_mut()).await.is_err());
    assert!(streams.members.newest(room).is_none());

    // For many, the room is read aside.
    let crowd: Vec<_> = (0..200).map(|user| streams.park(UserNum(user))).collect();
    let mut wakings: Vec<_> = crowd.iter().map(|ticket| Box::pin(ticket.woken())).collect();
    tell(&store, Subject::Room(room)).await;
    for (user, woken) in wakings.iter_mut().enumerate().take(100) {
        timeout(PATIENCE, woken.as_mut()).await.unwrap_or_else(|_| panic!("{user} sleeps on"));
    }
    assert!(timeout(Duration::ZERO, wakings[150].as_mut()).await.is_err());
    assert!(streams.members.newest(room).is_some());
}

#[tokio::test]
async fn those_in_a_room_that_many_have_left_are_found_out_aside() {
    let (streams, store, news) = house();
    let room = RoomNum(1);
    let mut batch = Batch::new();
    for user in 0..3000 {
        let membership = if user < 2 { Membership::Join } else { Membership::Leave };
        batch.put(&MEMBERS, &(room, UserNum(user)), &Member { membership, event: EventNum(1) });
    }
    store.commit(batch).await.unwrap();
    assert!(streams.joined_at_once(&store.snapshot(), room).await.unwrap().is_none());
    assert!(streams.members.newest(room).is_none());
    serve(&streams, &store, news);
    let (member, gone) = (streams.park(UserNum(1)), streams.park(UserNum(7)));
    for _ in 0..2 {
        let (mut woken, mut asleep) = (Box::pin(member.woken()), Box::pin(gone.woken()));
        tell(&store, Subject::Room(room)).await;
        timeout(PATIENCE, woken.as_mut()).await.unwrap();
        assert!(timeout(Duration::ZERO, asleep.as_mut()).await.is_err());
        assert!(streams.members.newest(room).is_some(), "the next time it is known");
    }
}

#[tokio::test]
async fn a_new_run_knows_what_changed_in_rooms_before_it() {
    let (_, store, _news) = house();
    let rooms = [1, 2, 3].map(RoomNum);
    let user = UserNum(1);
    let mut positions = vec![store.snapshot().position()];
    for room in [1, 2] {
        let mut batch = Batch::new();
        let position = batch.stamp();
        batch.put(&STREAM, &position, &RoomNum(room));
        positions.push(store.commit(batch).await.unwrap().end);
    }
    let mut batch = Batch::new();
    let (receipt, list) = (batch.stamp(), batch.stamp());
    let key = ReceiptKey { user, kind: ReceiptKind::Public, thread: String::new() };
    batch.put(&RECEIPT_STREAM, &(rooms[2], receipt), &key);
    batch.put(&DEVICE_LISTS, &list, &user);
    positions.push(store.commit(batch).await.unwrap().end);

    let (again, _news) = Streams::new(2);
    let snapshot = store.snapshot();
    again.begin(&snapshot).await.unwrap();
    let changed = |since| again.changed_of(&rooms, since).unwrap().into_iter().collect::<HashSet<_>>();
    assert_eq!(changed(positions[0]), HashSet::from([rooms[0], rooms[1]]));
    assert_eq!(changed(positions[1]), HashSet::from([rooms[1]]));
    assert!(changed(positions[3]).is_empty());
    assert_eq!(again.changed_of(&rooms[..1], positions[0]), Some(vec![rooms[0]]));
    assert_eq!(again.changed_of(&rooms[..1], positions[1]), Some(Vec::new()));
    assert!(again.room_changed(rooms[1], positions[1]) && !again.room_changed(rooms[0], positions[1]));
    // Of receipts each room is asked once.
    for (room, since, moved) in [(2, 2, true), (2, 3, false), (0, 0, false), (2, 2, true)] {
        assert_eq!(again.receipts_moved(&snapshot, rooms[room], positions[since]).await.unwrap(), moved);
    }
    assert!(again.device_lists_changed(positions[2]) && !again.device_lists_changed(positions[3]));
    // What else there was before is not known: it may have been anything.
    let (before, now) = (positions[2], positions[3]);
    assert!(again.is_before(before) && again.user_changed(user, before) && again.anybody_moved(before));
    assert!(again.state_changed(rooms[0], before) && again.has_read(user, before));
    assert!(again.rooms_moved_since(before).is_none() && again.rooms_at(positions[1]).is_none());
    assert!(!again.is_before(now) && !again.user_changed(user, now) && !again.anybody_moved(now));
    assert_eq!(again.rooms_moved_since(now), Some(Vec::new()));
}

#[tokio::test]
async fn who_asks_meanwhile_does_not_wait_for_a_whole_crowd() {
    let (streams, store, news) = house();
    let (room, crowd) = (RoomNum(1), 1000);
    let mut batch = Batch::new();
    for user in 0..crowd {
        moving(&mut batch, room, UserNum(user), true);
    }
    store.commit(batch).await.unwrap();
    streams.joined(&store.snapshot(), room).await.unwrap();
    serve(&streams, &store, news);
    tokio::task::yield_now().await;
    let (told, asked) = (Arc::new(AtomicU64::new(0)), Arc::new(Notify::new()));
    let mut waiting = JoinSet::new();
    for user in 0..crowd {
        let (streams, told, asked) = (Arc::clone(&streams), Arc::clone(&told), Arc::clone(&asked));
        waiting.spawn(async move {
            let ticket = streams.park(UserNum(user));
            ticket.woken().await;
            assert!(ticket.is_of_crowd());
            if told.fetch_add(1, Ordering::Relaxed) == 0 {
                asked.notify_one();
            }
        });
    }
    while streams.waiting() < usize::try_from(crowd).unwrap() {
        tokio::task::yield_now().await;
    }
    tell(&store, Subject::Room(room)).await;
    asked.notified().await;
    assert!(told.load(Ordering::Relaxed) < crowd / 4);
    timeout(PATIENCE, waiting.join_all()).await.unwrap();

    let ticket = streams.park(UserNum(0));
    let woken = ticket.woken();
    tell(&store, Subject::Room(room)).await;
    timeout(PATIENCE, woken).await.unwrap();
    assert!(!ticket.is_of_crowd(), "nobody else waits");
}
