//! A room of another server, whose events come ready-made: tests put them in by `append`'s verbs, as federation will.

use std::sync::Arc;

use matron_matrix::event::{self, Pdu, Setting, Template};
use matron_matrix::{authorize, canonical};
use matron_storage::Batch;
use ruma::signatures::Ed25519KeyPair;
use ruma::{OwnedRoomId, RoomVersionId, UInt, UserId, server_name};
use serde_json::{Value, json};

use crate::Homeserver;
use crate::accounts::Session;
use crate::fixture::{house, session};
use crate::rooms::append::Append;
use crate::rooms::built::Built;
use crate::rooms::event::{Found, by_id};
use crate::rooms::receive::received;
use crate::rooms::tree::{EMPTY, NodeNum};
use crate::rooms::working::Working;

pub const FAR: &str = "@far:other.example";
pub const NEIGHBOUR: &str = "@neighbour:third.example";
pub const MODERATOR: &str = "@moderator:third.example";

/// An event as another server sends it.
pub type Sent = (Arc<Pdu>, Box<str>);

pub struct Scene {
    pub server: Arc<Homeserver>,
    pub working: Working,
    pub room_id: OwnedRoomId,
    /// A user of this server who is joined.
    pub me: Session,
    /// What founded the room, in order.
    pub founding: Vec<Arc<Pdu>>,
    key: Ed25519KeyPair,
    clock: u32,
}

impl Scene {
    /// A room that everybody may join and whose history all members see.
    pub async fn new(version: RoomVersionId) -> Self {
        Self::at(house().await, version).await
    }

    /// As [`Self::new`], at a server of one's own.
    pub async fn at(server: Arc<Homeserver>, version: RoomVersionId) -> Self {
        let me = session(&server, "me").await;
        let room_id = OwnedRoomId::try_from("!room:other.example").unwrap();
        let room = server.ids.new_room().await.unwrap();
        let working = Working::new(&server.rooms, room, room_id.clone(), &version).unwrap();
        let key = Ed25519KeyPair::from_der(&Ed25519KeyPair::generate(), "1".to_owned()).unwrap();
        let mut scene = Self { server, working, room_id, me, founding: Vec::new(), key, clock: 0 };
        let levels =
            json!({ "users": { FAR: 100, MODERATOR: 50 }, "redact": 50, "events_default": 0, "state_default": 0 });
        scene.found("m.room.create", "", FAR, json!({ "creator": FAR, "room_version": version.as_str() })).await;
        scene.found("m.room.member", FAR, FAR, json!({ "membership": "join" })).await;
        scene.found("m.room.power_levels", "", FAR, levels).await;
        scene.found("m.room.join_rules", "", FAR, json!({ "join_rule": "public" })).await;
        scene.found("m.room.history_visibility", "", FAR, json!({ "history_visibility": "shared" })).await;
        let me = scene.me.user_id.to_string();
        for user in [NEIGHBOUR, MODERATOR, &me] {
            scene.found("m.room.member", user, user, json!({ "membership": "join" })).await;
        }
        scene
    }

    async fn found(&mut self, kind: &str, key: &str, sender: &str, content: Value) {
        let prev: Vec<_> = self.founding.last().into_iter().cloned().collect();
        let root = self.working.head.state;
        let sent = self.make(sender, kind, Some(key), content, &prev, root, None).await;
        let built = self.built(&sent, root).await;
        let is_create = prev.is_empty();
        self.commit(async |append| {
            if is_create {
                append.found(built.num);
            }
            append.live(built, None).await.unwrap();
        })
        .await;
        self.founding.push(sent.0);
    }

    /// Makes an event with the authority that a state gives it.
    #[allow(clippy::too_many_arguments)]
    pub async fn make(
        &mut self,
        sender: &str,
        kind: &str,
        state_key: Option<&str>,
        content: Value,
        prev: &[Arc<Pdu>],
        root: NodeNum,
        redacts: Option<&Pdu>,
    ) -> Sent {
        self.clock += 1;
        let template = Template {
            sender: UserId::parse(sender).unwrap(),
            kind: kind.into(),
            state_key: state_key.map(ToOwned::to_owned),
            content: canonical::object(content).unwrap(),
            redacts: redacts.map(|event| event.event_id.clone()),
            origin_server_ts: ruma::MilliSecondsSinceUnixEpoch(UInt::from(self.clock)),
        };
        let mut auth_events = Vec::new();
        for (kind, key) in authorize::auth_types(&template, &self.working.rules.authorization).unwrap() {
            let found = self.working.state_event_at(&self.server.rooms, root, &kind, &key).await.unwrap();
            auth_events.extend(found.map(|(_, pdu)| pdu.event_id.clone()));
        }
        let setting = Setting {
            room_id: Some(&self.room_id),
            rules: &self.working.rules,
            prev_events: prev.iter().map(|event| event.event_id.clone()).collect(),
            auth_events,
            depth: prev.iter().map(|event| event.depth).max().unwrap_or(0) + 1,
        };
        event::build(&template, &setting, server_name!("other.example"), &self.key).unwrap()
    }

    /// A message that goes on from others, in the room's state of now.
    pub async fn message(&mut self, sender: &str, text: &str, prev: &[Arc<Pdu>]) -> Sent {
        let root = self.working.head.state;
        self.make(sender, "m.room.message", None, json!({ "msgtype": "m.text", "body": text }), prev, root, None).await
    }

    /// A redaction that goes on from others.
    pub async fn redaction(&mut self, sender: &str, target: &Pdu, prev: &[Arc<Pdu>]) -> Sent {
        let root = self.working.head.state;
        self.make(sender, "m.room.redaction", None, json!({}), prev, root, Some(target)).await
    }

    /// The last event that founded the room.
    pub fn last(&self) -> Arc<Pdu> {
        Arc::clone(self.founding.last().unwrap())
    }

    /// An event ready for its place.
    pub async fn built(&self, (pdu, json): &Sent, state_before: NodeNum) -> Built {
        let built = received(&self.server.rooms, &self.working, Arc::clone(pdu), json.clone(), state_before).await;
        built.unwrap().unwrap()
    }

    /// Does something to the room in one batch.
    pub async fn commit<T>(&mut self, step: impl AsyncFnOnce(&mut Append<'_>) -> T) -> T {
        let mut batch = Batch::new();
        let mut append = Append::new(&self.server.rooms, &mut self.working, &mut batch);
        let value = step(&mut append).await;
        append.finish().await.unwrap();
        let committed = self.server.store.commit(batch).await.unwrap();
        self.working.committed(&self.server.rooms, committed.first);
        value
    }

    /// Places an event live, in the room's state of now.
    pub async fn live(&mut self, sent: &Sent) {
        let built = self.built(sent, self.working.head.state).await;
        self.commit(async |append| append.live(built, None).await.unwrap()).await;
    }

    /// Places an event of the past, in the room's state of now.
    pub async fn backfilled(&mut self, sent: &Sent) {
        let built = self.built(sent, self.working.head.state).await;
        self.commit(async |append| append.backfilled(built).await.unwrap()).await;
    }

    /// Keeps an event of which no state is known.
    pub async fn outlier(&mut self, sent: &Sent) {
        let built = self.built(sent, EMPTY).await;
        let standing = crate::schema::rooms::Standing::Outlier;
        self.commit(async |append| append.outlier(built, standing).await.unwrap()).await;
    }

    /// An event as it is stored.
    pub async fn stored(&self, pdu: &Pdu) -> Option<Found> {
        by_id(&self.server.rooms, &self.server.store.snapshot(), &pdu.event_id).await.unwrap()
    }
}
