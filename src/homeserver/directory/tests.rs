//! Who is in which open room: whatever happens to rooms, the rows are those that a look at every room gives.

use std::collections::BTreeSet;
use std::sync::Arc;

use matron_matrix::canonical;
use matron_matrix::event::Template;
use matron_storage::Options;
use proptest::prelude::*;
use ruma::OwnedRoomId;
use ruma::api::client::room::create_room::v3::{Request as NewRoom, RoomPreset};
use serde_json::json;

use crate::Homeserver;
use crate::accounts::Session;
use crate::clock::Clock;
use crate::config::Config;
use crate::fixture::session;
use crate::rooms::intent::Intent;
use crate::rooms::membership::Said;
use crate::schema::directory::OPEN_MEMBERS;
use crate::schema::{RoomNum, UserNum};

#[derive(Debug, Clone)]
enum Step {
    /// A user joins a room, or leaves it.
    Move { user: usize, room: usize, join: bool },
    /// A room's join rule or history visibility becomes another.
    Rule { room: usize, rule: usize },
    /// The follower comes to where the rooms are.
    CatchUp,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_usize..4, 0_usize..2, any::<bool>()).prop_map(|(user, room, join)| Step::Move { user, room, join }),
        2 => (0_usize..2, 0_usize..4).prop_map(|(room, rule)| Step::Rule { room, rule }),
        1 => Just(Step::CatchUp),
    ]
}

struct World {
    server: Arc<Homeserver>,
    users: Vec<Session>,
    rooms: Vec<(RoomNum, OwnedRoomId)>,
}

impl World {
    async fn new() -> Self {
        let config = Config::named(ruma::server_name!("localhost").to_owned());
        let server = Homeserver::start(config, &Options::memory(), Clock::system()).await.unwrap();
        let (mut users, mut rooms) = (Vec::new(), Vec::new());
        for name in ["ann", "bob", "cid", "dee"] {
            users.push(session(&server, name).await);
        }
        for preset in [RoomPreset::PublicChat, RoomPreset::PrivateChat] {
            let mut request = NewRoom::new();
            request.preset = Some(preset);
            request.invite = users[1..].iter().map(|user| user.user_id.clone()).collect();
            let id = server.rooms.create(&users[0], request).await.unwrap();
            let num = server.ids.room(&server.store.snapshot(), id.as_str()).await.unwrap().unwrap();
            rooms.push((num, id));
        }
        Self { server, users, rooms }
    }

    async fn take(&self, step: &Step) {
        match step {
            Step::Move { user, room, join } => {
                let (user, (_, id)) = (&self.users[*user], &self.rooms[*room]);
                // Who may not join a closed room again stays outside.
                if *join {
                    let _ = self.server.rooms.join(user, id, None, None).await;
                } else {
                    let _ = self.server.rooms.leave(user, id, Said::default()).await;
                }
            }
            Step::Rule { room, rule } => {
                let (kind, content) = match rule {
                    0 => ("m.room.join_rules", json!({ "join_rule": "public" })),
                    1 => ("m.room.join_rules", json!({ "join_rule": "invite" })),
                    2 => ("m.room.history_visibility", json!({ "history_visibility": "world_readable" })),
                    _ => ("m.room.history_visibility", json!({ "history_visibility": "shared" })),
                };
                let template = Template {
                    sender: self.users[0].user_id.clone(),
                    kind: kind.into(),
                    state_key: Some(String::new()),
                    content: canonical::object(content).unwrap(),
                    redacts: None,
                    origin_server_ts: self.server.clock.now(),
                };
                self.server.rooms.submit(self.rooms[*room].0, Intent::new(template)).await.unwrap();
            }
            Step::CatchUp => self.server.directory.follower.catch_up().await,
        }
    }

    async fn check(&self) {
        self.server.directory.follower.catch_up().await;
        let snapshot = self.server.store.snapshot();
        let rows = snapshot.scan(&OPEN_MEMBERS, OPEN_MEMBERS.all()).collect().await.unwrap();
        let rows: BTreeSet<(UserNum, RoomNum)> = rows.into_iter().map(|(row, ())| row).collect();
        let mut expected = BTreeSet::new();
        for (room, _) in &self.rooms {
            let summary = self.server.rooms.summary_of(&snapshot, *room).await.unwrap();
            if summary.join_rule == "public" || summary.world_readable {
                let joined = self.server.streams.joined(&snapshot, *room).await.unwrap();
                expected.extend(joined.iter().map(|user| (*user, *room)));
            }
        }
        assert_eq!(rows, expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn rows_are_those_of_the_rooms(steps in prop::collection::vec(step(), 1..20)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new().await;
            for step in &steps {
                world.take(step).await;
            }
            world.check().await;
            world.server.stop().await;
        });
    }
}
