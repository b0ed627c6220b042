//! A user has one room for notices, and whoever speaks is in it.

use matron_storage::{Options, Snapshot};
use ruma::api::error::ErrorKind;
use ruma::{server_name, user_id};

use super::*;
use crate::Homeserver;
use crate::clock::Clock;
use crate::config::PasswordHashing;

/// A configuration by which somebody of this name speaks.
fn config(localpart: &str) -> Config {
    let mut config = Config::named(server_name!("localhost").to_owned());
    config.password_hashing = PasswordHashing { memory_kib: 8, iterations: 1 };
    config.notices = Some(Settings {
        localpart: localpart.to_owned(),
        display_name: "The server".to_owned(),
        room_name: "Notices".to_owned(),
    });
    config
}

struct House {
    server: Arc<Homeserver>,
    operator: Session,
    ann: UserNum,
}

impl House {
    async fn of_ann() -> Self {
        let server = Homeserver::start(config("_server"), &Options::memory(), Clock::system()).await.unwrap();
        server.lifecycle.create_account("ann", "correct horse", false).await.unwrap();
        let ann = server.ids.user(user_id!("@ann:localhost")).await.unwrap();
        let operator = Session::of_operator(&server.config.server_name).unwrap();
        Self { server, operator, ann }
    }

    /// Notices as they are after a start with another user to speak.
    fn notices_by(&self, localpart: &str) -> Notices {
        let server = &self.server;
        Notices::new(
            (Arc::clone(&server.store), Arc::clone(&server.ids), Arc::new(config(localpart))),
            Arc::clone(&server.accounts),
            Arc::clone(&server.rooms),
            Arc::clone(&server.lifecycle),
        )
    }

    async fn tell_ann(&self, notices: &Notices) {
        self.try_to_tell_ann(notices).await.unwrap();
    }

    async fn try_to_tell_ann(&self, notices: &Notices) -> Result<OwnedEventId> {
        let notice = Notice {
            user_id: user_id!("@ann:localhost").to_owned(),
            kind: TimelineEventType::RoomMessage,
            state_key: None,
            content: serde_json::from_str(r#"{"msgtype":"m.text","body":"The server rests."}"#).unwrap(),
        };
        notices.send(&self.operator, notice, None).await
    }

    fn snapshot(&self) -> Snapshot {
        self.server.store.snapshot()
    }

    /// Ann's room, to which she is invited, and which is tagged.
    async fn room(&self) -> RoomNum {
        let snapshot = self.snapshot();
        let room = snapshot.get(&NOTICE_ROOMS, &self.ann).await.unwrap().unwrap();
        let membership = self.server.rooms.membership(&snapshot, room, self.ann).await.unwrap();
        assert_eq!(membership, Some(Membership::Invite));
        let tags = self.server.accounts.account_data(&snapshot, self.ann, Some(room), "m.tag").await.unwrap();
        assert!(tags.unwrap().contains(TAG));
        room
    }

    async fn rooms(&self) -> usize {
        self.snapshot().scan(&ROOMS, ROOMS.all()).collect().await.unwrap().len()
    }
}

#[tokio::test]
async fn another_speaker_speaks_in_a_room_of_its_own() {
    let house = House::of_ann().await;
    house.tell_ann(&house.server.notices).await;
    let first = house.room().await;
    let other = house.notices_by("_other");
    house.tell_ann(&other).await;
    let second = house.room().await;
    assert_ne!(second, first);
    house.tell_ann(&other).await;
    assert_eq!((house.room().await, house.rooms().await), (second, 2));
}

#[tokio::test]
async fn a_stop_after_a_room_was_made_makes_no_second_one() {
    let house = House::of_ann().await;
    let notices = &house.server.notices;
    let settings = house.server.config.notices.clone().unwrap();
    let speaker = notices.speaker(&settings).await.unwrap();
    let (room, _) = notices.room(&settings, speaker, house.ann).await.unwrap();
    // As another run of the program goes on.
    house.tell_ann(&house.notices_by("_server")).await;
    assert_eq!((house.room().await, house.rooms().await), (room, 1));
}

#[tokio::test]
async fn nobody_gets_the_name_that_speaks() {
    let server = Homeserver::start(config("notices"), &Options::memory(), Clock::system()).await.unwrap();
    for name in ["notices", "Notices"] {
        let taken = server.lifecycle.create_account(name, "correct horse", false).await.unwrap_err();
        assert!(matches!(&taken, Error::Matrix(error) if error.kind == ErrorKind::UserInUse), "{taken}");
    }
    server.lifecycle.create_account("notices2", "correct horse", false).await.unwrap();
}

#[tokio::test]
async fn whom_somebody_can_log_in_as_does_not_speak() {
    let house = House::of_ann().await;
    // Before the configuration names it.
    house.server.lifecycle.create_account("notices", "correct horse", false).await.unwrap();
    let refused = house.try_to_tell_ann(&house.notices_by("notices")).await.unwrap_err();
    assert!(matches!(&refused, Error::Matrix(error) if error.kind == ErrorKind::Unknown), "{refused}");
    assert_eq!(house.rooms().await, 0);
}
