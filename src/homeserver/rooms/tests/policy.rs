//! Policy servers: what they sign is stored with their signature, what they refuse is not there, whoever sent it.

use std::sync::Arc;
use std::time::Duration;

use matron_matrix::canonical;
use matron_matrix::policy::{KEY_ID, PolicyServer};
use ruma::api::client::room::create_room::v3::{Request as NewRoom, RoomPreset};
use ruma::signatures::{Ed25519KeyPair, sign_event};
use ruma::{CanonicalJsonObject, CanonicalJsonValue, OwnedEventId, OwnedRoomId, RoomVersionId, ServerName};
use serde_json::{Value, json};

use super::scene::{FAR, Scene, Sent};
use crate::Homeserver;
use crate::accounts::Session;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::fixture::{house_by, session};
use crate::remote::addresses::Addresses;
use crate::remote::fixture::{Came, Far};
use crate::rooms::Rooms;
use crate::rooms::event::by_id;
use crate::rooms::intent::TransactionKey;
use crate::rooms::membership::Said;
use crate::schema::rooms::{HEADS, Standing};

const VERSION: RoomVersionId = RoomVersionId::V11;

/// A policy server, and what a room says of it.
struct Policy {
    far: Far,
    content: Value,
}

/// Signs all but what has the word `spam` in it; signs what has `forged` with another key.
fn judge(came: &Came, (key, forged): (&Ed25519KeyPair, &Ed25519KeyPair)) -> (String, String) {
    assert_eq!(came.asked, "POST /_matrix/policy/v1/sign");
    assert!(came.headers["authorization"].starts_with("X-Matrix origin=\""));
    if came.body.contains("spam") {
        let refusal = json!({ "errcode": "M_FORBIDDEN", "error": "this is spam" });
        return ("400 Bad Request".to_owned(), refusal.to_string());
    }
    let mut event: CanonicalJsonObject = serde_json::from_str(&came.body).unwrap();
    event.remove("signatures");
    let key = if came.body.contains("forged") { forged } else { key };
    let rules = matron_matrix::event::rules(&VERSION).unwrap();
    sign_event(&came.headers["host"], key, &mut event, &rules.redaction).unwrap();
    ("200 OK".to_owned(), serde_json::to_string(&event["signatures"]).unwrap())
}

impl Policy {
    async fn start() -> Self {
        let new = || Ed25519KeyPair::from_der(&Ed25519KeyPair::generate(), "policy_server".to_owned()).unwrap();
        let (key, forged) = (new(), new());
        let public = ruma::serde::Base64::<ruma::serde::base64::Standard, _>::new(key.public_key()).encode();
        let far = Far::start(&["127.0.0.1"], move |came| Some(judge(came, (&key, &forged)))).await;
        let content = json!({ "via": far.address.to_string(), "public_keys": { "ed25519": public } });
        Self { far, content }
    }

    fn name(&self) -> String {
        self.far.address.to_string()
    }

    /// A server of this name that can call it.
    async fn house(&self, name: &str) -> Arc<Homeserver> {
        let mut config = Config::named(ServerName::parse(name).unwrap());
        config.outgoing.authorities.push(self.far.authority.clone());
        config.outgoing.servers = Addresses::all();
        house_by(config).await
    }

    /// How often it was asked since this was asked last.
    fn asked(&self) -> usize {
        self.far.came().len()
    }
}

fn has_signature(json: &str, server: &str) -> bool {
    let event: CanonicalJsonObject = serde_json::from_str(json).unwrap();
    matron_matrix::signed::signature(&event, server, KEY_ID).is_some()
}

impl Scene {
    async fn policy(&mut self) -> Option<Arc<PolicyServer>> {
        let server = Arc::clone(&self.server);
        self.working.policy_server(&server.rooms).await.unwrap()
    }

    async fn place_state(&mut self, kind: &str, key: &str, sender: &str, content: Value) -> Sent {
        let root = self.working.head.state;
        let prev = self.founding.last().cloned();
        let prev: Vec<_> = prev.into_iter().collect();
        let sent = self.make(sender, kind, Some(key), content, &prev, root, None).await;
        self.live(&sent).await;
        self.founding.push(Arc::clone(&sent.0));
        sent
    }

    /// Takes an event as federation will: judged beside the writer, then placed as that says.
    async fn receive(&mut self, sent: &Sent) -> Standing {
        let policy = self.policy().await.unwrap();
        let rules = self.working.rules.clone();
        let judged = self.server.rooms.recommended(&policy, &rules, &sent.0, sent.1.clone()).await;
        let (standing, json) = judged.unwrap();
        let sent = (Arc::clone(&sent.0), json);
        if standing == Standing::Live {
            self.live(&sent).await;
        } else {
            let built = self.built(&sent, self.working.head.state).await;
            self.commit(async |append| append.outlier(built, standing).await.unwrap()).await;
        }
        standing
    }
}

#[tokio::test]
async fn a_room_has_one_while_the_state_names_it_and_a_user_of_it_is_joined() {
    let policy = Policy::start().await;
    let mut scene = Scene::at(policy.house("localhost").await, VERSION).await;
    let (content, watcher) = (policy.content.clone(), format!("@watcher:{}", policy.name()));
    assert_eq!(scene.policy().await, None);
    scene.place_state("m.room.policy", "", FAR, content.clone()).await;
    assert_eq!(scene.policy().await, None, "nobody of it is here");
    scene.place_state("m.room.member", &watcher, &watcher, json!({ "membership": "join" })).await;
    assert_eq!(scene.policy().await.unwrap().name, policy.name());
    scene.place_state("m.room.policy", "other", FAR, json!({})).await;
    assert!(scene.policy().await.is_some());
    scene.place_state("m.room.policy", "", FAR, json!({ "via": policy.name() })).await;
    assert_eq!(scene.policy().await, None, "without a key it is none");
    scene.place_state("m.room.policy", "", FAR, content).await;
    assert!(scene.policy().await.is_some());
    scene.place_state("m.room.member", &watcher, &watcher, json!({ "membership": "leave" })).await;
    assert_eq!(scene.policy().await, None);
    assert_eq!(policy.asked(), 0);
}

#[tokio::test]
async fn events_of_others_are_asked_about_where_they_are_not_signed() {
    let policy = Policy::start().await;
    let mut scene = Scene::at(policy.house("localhost").await, VERSION).await;
    let watcher = format!("@watcher:{}", policy.name());
    scene.place_state("m.room.member", &watcher, &watcher, json!({ "membership": "join" })).await;
    scene.place_state("m.room.policy", "", FAR, policy.content.clone()).await;

    let good = scene.message(FAR, "good", &[scene.last()]).await;
    assert_eq!(scene.receive(&good).await, Standing::Live);
    let stored = scene.stored(&good.0).await.unwrap().event;
    assert!(has_signature(&stored.json, &policy.name()));
    assert_eq!((stored.header.standing, policy.asked()), (Standing::Live, 1));

    // What is signed is not asked about again; what is signed wrongly is.
    let signed: Box<str> = stored.json;
    let (server, rules) = (scene.policy().await.unwrap(), scene.working.rules.clone());
    let judge = async |json: Box<str>| scene.server.rooms.recommended(&server, &rules, &good.0, json).await.unwrap();
    assert_eq!(judge(signed.clone()).await, (Standing::Live, signed.clone()));
    assert_eq!(policy.asked(), 0);
    let mut wrong: CanonicalJsonObject = serde_json::from_str(&signed).unwrap();
    let Some(CanonicalJsonValue::Object(all)) = wrong.get_mut("signatures") else { panic!("it has signatures") };
    all.insert(policy.name(), CanonicalJsonValue::Object(canonical::object(json!({ KEY_ID: "abcd" })).unwrap()));
    assert_eq!(judge(serde_json::to_string(&wrong).unwrap().into()).await, (Standing::Live, signed));
    assert_eq!(policy.asked(), 1);

    for text in ["spam", "forged"] {
        let bad = scene.message(FAR, text, &[Arc::clone(&good.0)]).await;
        assert_eq!(scene.receive(&bad).await, Standing::SoftFailed, "{text}");
        let stored = scene.stored(&bad.0).await.unwrap();
        assert_eq!((stored.event.header.standing, stored.place.arrival), (Standing::SoftFailed, None));
        assert_eq!(stored.event.json, bad.1);
    }
    assert_eq!(policy.asked(), 2);
    let root = scene.working.head.state;
    let prev = [Arc::clone(&good.0)];
    let off = scene.make(FAR, "m.room.policy", Some(""), json!({ "spam": 1 }), &prev, root, None).await;
    assert_eq!(scene.receive(&off).await, Standing::Live, "nobody is asked about the event that ends it");
    assert_eq!((policy.asked(), scene.policy().await), (0, None));
}

/// A room of a server that calls its own policy server, which is known by the same name.
struct Ward {
    server: Arc<Homeserver>,
    policy: Policy,
    room_id: OwnedRoomId,
    ann: Session,
    bob: Session,
}

impl Ward {
    async fn new() -> Self {
        let policy = Policy::start().await;
        let server = policy.house(&policy.name()).await;
        let (ann, bob) = (session(&server, "ann").await, session(&server, "bob").await);
        let mut request = NewRoom::new();
        request.preset = Some(RoomPreset::PublicChat);
        request.room_version = Some(VERSION);
        let room_id = server.rooms.create(&ann, request).await.unwrap();
        server.rooms.join(&bob, &room_id, None, None).await.unwrap();
        let ward = Self { server, policy, room_id, ann, bob };
        ward.set(ward.policy.content.clone()).await.unwrap();
        assert_eq!(ward.policy.asked(), 0);
        ward
    }

    fn rooms(&self) -> &Arc<Rooms> {
        &self.server.rooms
    }

    /// Sets the room's policy.
    async fn set(&self, content: Value) -> Result<OwnedEventId> {
        let content = canonical::object(content).unwrap();
        self.rooms().send_state(&self.ann, &self.room_id, "m.room.policy".into(), String::new(), content).await
    }

    async fn say(&self, who: &Session, text: &str, transaction: &str) -> Result<OwnedEventId> {
        let key = TransactionKey::new(who.device, "PUT", transaction, transaction);
        let content = canonical::object(json!({ "msgtype": "m.text", "body": text })).unwrap();
        self.rooms().send(who, &self.room_id, "m.room.message".into(), content, key).await
    }

    async fn stored(&self, id: &OwnedEventId) -> crate::rooms::event::Found {
        by_id(self.rooms(), &self.server.store.snapshot(), id).await.unwrap().unwrap()
    }

    async fn ends(&self) -> Vec<String> {
        let snapshot = self.server.store.snapshot();
        let room = self.server.ids.room(&snapshot, self.room_id.as_str()).await.unwrap().unwrap();
        let head = snapshot.get(&HEADS, &room).await.unwrap().unwrap();
        head.extremities.into_iter().map(|end| end.id).collect()
    }

    /// Says something that the policy server thinks about while `meanwhile` goes on.
    async fn slowly(&self, who: &Session, meanwhile: impl AsyncFnOnce()) -> Result<OwnedEventId> {
        let held = self.policy.far.slow.write().await;
        let said = self.say(who, "slow", "slow");
        let meanwhile = async {
            while self.policy.far.came().iter().all(|came| !came.body.contains("slow")) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            meanwhile().await;
            drop(held);
        };
        tokio::join!(said, meanwhile).0
    }
}

#[tokio::test]
async fn what_is_said_here_is_signed_before_it_is_placed_or_not_placed() {
    let ward = Ward::new().await;
    let before = ward.ends().await;
    let id = ward.say(&ward.bob, "good", "1").await.unwrap();
    let found = ward.stored(&id).await;
    assert_eq!(found.event.header.standing, Standing::Live);
    let event: CanonicalJsonObject = serde_json::from_str(&found.event.json).unwrap();
    let rules = matron_matrix::event::rules(&VERSION).unwrap();
    assert_eq!(matron_matrix::event::event_id(&event, &rules).unwrap(), id);
    let keys = matron_matrix::signed::signatures_of(&event, &ward.policy.name());
    assert_eq!(keys.len(), 2, "its own signature and the policy server's: {keys:?}");
    assert_eq!(ward.policy.asked(), 1);
    assert_eq!(ward.say(&ward.bob, "good", "1").await.unwrap(), id, "a repeat asks nobody");
    assert_eq!((ward.policy.asked(), ward.ends().await), (0, vec![id.to_string()]));
    assert_ne!(before, ward.ends().await);

    let Error::Declined { status, error } = ward.say(&ward.bob, "spam", "2").await.unwrap_err() else {
        panic!("it is passed on")
    };
    assert_eq!((status, error.to_string().as_str()), (400, "M_FORBIDDEN: this is spam"));
    let Error::Matrix(error) = ward.say(&ward.bob, "forged", "3").await.unwrap_err() else { panic!("a rule says no") };
    assert_eq!(error.kind.errcode().as_str(), "M_FORBIDDEN");
    assert_eq!(ward.ends().await, [id.to_string()], "nothing was placed");
    // State too, but for the event that names the policy server.
    let member = canonical::object(json!({ "membership": "join", "displayname": "spam" })).unwrap();
    let key = ward.bob.user_id.to_string();
    let renamed = ward.rooms().send_state(&ward.bob, &ward.room_id, "m.room.member".into(), key, member).await;
    assert!(matches!(renamed, Err(Error::Declined { .. })), "{renamed:?}");
    assert_eq!(ward.policy.asked(), 3);
    ward.set(json!({ "spam": 1 })).await.unwrap();
    ward.say(&ward.bob, "spam", "4").await.unwrap();
    assert_eq!(ward.policy.asked(), 0);
}

#[tokio::test]
async fn the_room_goes_on_while_its_policy_server_thinks() {
    let ward = Ward::new().await;
    let base = ward.say(&ward.ann, "base", "1").await.unwrap();
    let slow = ward.slowly(&ward.bob, async || {
        let quick = ward.say(&ward.ann, "quick", "2").await.unwrap();
        assert_eq!(ward.ends().await, [quick.to_string()]);
    });
    let slow = slow.await.unwrap();
    let (ends, found) = (ward.ends().await, ward.stored(&slow).await);
    assert_eq!(ends.len(), 2, "a fork: both go on from the same event");
    assert_eq!(found.event.header.prev, [ward.stored(&base).await.event.header.num]);
    let joined = ward.say(&ward.ann, "joined", "3").await.unwrap();
    assert_eq!(ward.ends().await, [joined.to_string()]);
    assert_eq!(ward.stored(&joined).await.event.header.prev.len(), 2);
}

#[tokio::test]
async fn what_the_room_forbids_meanwhile_is_not_sent() {
    let ward = Ward::new().await;
    let banned = ward.slowly(&ward.bob, async || {
        ward.rooms().ban(&ward.ann, &ward.room_id, &ward.bob.user_id, Said::default()).await.unwrap();
    });
    let Error::Matrix(error) = banned.await.unwrap_err() else { panic!("a rule says no") };
    assert_eq!(error.kind.errcode().as_str(), "M_FORBIDDEN");
    assert_eq!(ward.ends().await.len(), 1);
}

#[tokio::test]
async fn who_changes_meanwhile_is_asked_anew() {
    let ward = Ward::new().await;
    // The old key has signed it; the new one has not, and never will.
    let changed = ward.slowly(&ward.bob, async || {
        let content = json!({ "via": ward.policy.name(), "public_keys": { "ed25519": "" } });
        ward.set(content).await.unwrap();
    });
    let Error::Matrix(error) = changed.await.unwrap_err() else { panic!("a rule says no") };
    assert_eq!(error.kind.errcode().as_str(), "M_FORBIDDEN");
    ward.set(ward.policy.content.clone()).await.unwrap();
    // Where nobody is asked any more, what was asked about goes.
    let _ = ward.policy.asked();
    let gone = ward.slowly(&ward.ann, async || drop(ward.set(json!({})).await.unwrap()));
    assert!(has_signature(&ward.stored(&gone.await.unwrap()).await.event.json, &ward.policy.name()));
}

#[tokio::test]
async fn rooms_are_made_and_closed_with_its_signature() {
    let ward = Ward::new().await;
    let mut request = NewRoom::new();
    request.room_version = Some(VERSION);
    let first = json!({ "type": "m.room.policy", "state_key": "", "content": ward.policy.content.clone() });
    request.initial_state = vec![serde_json::from_value(first).unwrap()];
    request.name = Some("good".to_owned());
    let made = ward.rooms().create(&ward.ann, request.clone()).await.unwrap();
    assert_eq!(ward.policy.asked(), 1, "about what comes after the event that names it");
    request.name = Some("spam".to_owned());
    let refused = ward.rooms().create(&ward.ann, request).await;
    assert!(matches!(refused, Err(Error::Declined { .. })), "{refused:?}");
    let _ = ward.policy.asked();
    ward.rooms().upgrade(&ward.ann, &made, &RoomVersionId::V11, Vec::new()).await.unwrap();
    assert_eq!(ward.policy.asked(), 2, "the tombstone and the levels of the closed room");
}
