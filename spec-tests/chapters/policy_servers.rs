//! "Policy Servers": nothing comes into a room that its policy server refuses, and nobody is kept from ending that.
//!
//! The policy server stands where the homeserver's own name leads, as behind a reverse proxy that passes it its path.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use spec_tests::{Answer, POLICY_ROOM_VERSION, PolicyServer, Server, User, unique};
use tempfile::TempDir;

use crate::run;

struct House {
    policy: PolicyServer,
    server: Server,
    _folder: TempDir,
}

impl House {
    async fn new() -> Self {
        let (policy, folder) = (PolicyServer::start().await, TempDir::new().unwrap());
        let authority = folder.path().join("authority.pem");
        std::fs::write(&authority, &policy.authority).unwrap();
        let authorities = format!("[\"{}\"]", authority.display());
        let settings = [
            ("MATRON_SERVER_NAME", policy.name.as_str()),
            ("MATRON_EXTRA_CA_FILES", &authorities),
            ("MATRON_OUTGOING__ALLOWED_NETWORKS", "[]"),
            ("MATRON_FEDERATION__ALLOWED_NETWORKS", "[\"127.0.0.1\"]"),
        ];
        let server = Server::start_in(folder.path(), &settings).await;
        Self { policy, server, _folder: folder }
    }

    /// A room whose policy server is this one.
    async fn room(&self, owner: &User) -> String {
        let version = POLICY_ROOM_VERSION.to_string();
        let room = owner.create_room(json!({ "preset": "public_chat", "room_version": version })).await;
        let _ = owner.put(&policy_of(&room), self.policy.content.clone()).await.ok();
        assert_eq!(self.policy.asked(), [] as [Value; 0], "not about the event that names it");
        room
    }
}

fn policy_of(room: &str) -> String {
    format!("/v3/rooms/{room}/state/m.room.policy/")
}

async fn try_to_say(user: &User, room: &str, text: &str) -> Answer {
    let path = format!("/v3/rooms/{room}/send/m.room.message/{}", unique("txn"));
    user.put(&path, json!({ "msgtype": "m.text", "body": text })).await
}

async fn said(user: &User, room: &str) -> Vec<String> {
    let page = user.get(&format!("/v3/rooms/{room}/messages?dir=b&limit=100")).await.ok();
    let events = page["chunk"].as_array().unwrap().iter().rev();
    events.filter_map(|event| event["content"]["body"].as_str()).map(ToOwned::to_owned).collect()
}

#[test]
fn what_it_signs_comes_in_and_what_it_refuses_does_not() {
    run(async {
        let house = House::new().await;
        let ann = house.server.user("ann").await;
        let room = house.room(&ann).await;
        let good = ann.say(&room, "good").await;
        let asked = house.policy.asked();
        assert_eq!(asked.len(), 1);
        assert_eq!((&asked[0]["content"]["body"], &asked[0]["room_id"]), (&json!("good"), &json!(room)));
        assert!(asked[0]["hashes"]["sha256"].is_string() && asked[0]["signatures"][&house.policy.name].is_object());
        assert_eq!(ann.get(&format!("/v3/rooms/{room}/event/{good}")).await.ok()["content"]["body"], "good");

        let refused = try_to_say(&ann, &room, "spam").await;
        refused.refused(400, "M_FORBIDDEN");
        assert_eq!(refused.body["error"], "this is spam");
        let busy = try_to_say(&ann, &room, "busy").await;
        busy.refused(429, "M_LIMIT_EXCEEDED");
        assert_eq!(busy.body["retry_after_ms"], 3000);
        for text in ["nothing", "forged"] {
            try_to_say(&ann, &room, text).await.refused(403, "M_FORBIDDEN");
        }
        for text in ["garbage", "long", "log out"] {
            try_to_say(&ann, &room, text).await.refused(502, "M_UNKNOWN");
        }
        assert_eq!(said(&ann, &room).await, ["good"]);

        // All events, not messages alone: bob's join, state, redactions.
        let bob = house.server.user("bob").await;
        let _ = house.policy.asked();
        bob.join(&room).await;
        let _ = ann.put(&format!("/v3/rooms/{room}/state/m.room.topic/"), json!({ "topic": "beds" })).await.ok();
        let _ = ann.put(&format!("/v3/rooms/{room}/state/m.room.policy/x"), json!({})).await.ok();
        let _ = ann.put(&format!("/v3/rooms/{room}/redact/{good}/1"), json!({})).await.ok();
        let kinds: Vec<_> = house.policy.asked().iter().map(|event| event["type"].clone()).collect();
        assert_eq!(kinds, ["m.room.member", "m.room.topic", "m.room.policy", "m.room.redaction"]);
    });
}

#[test]
fn its_silence_stops_neither_the_room_nor_who_ends_it() {
    run(async {
        let house = House::new().await;
        let (ann, bob) = (house.server.user("ann").await, house.server.user("bob").await);
        let room = house.room(&ann).await;
        bob.join(&room).await;
        let begun = Instant::now();
        let silence = async {
            try_to_say(&bob, &room, "silence").await.refused(502, "M_UNKNOWN");
            begun.elapsed()
        };
        let meanwhile = async {
            for text in ["one", "two", "three"] {
                let _ = ann.say(&room, text).await;
            }
            assert_eq!(said(&ann, &room).await, ["one", "two", "three"]);
            begun.elapsed()
        };
        let (waited, went_on) = tokio::join!(silence, meanwhile);
        assert!(went_on < waited, "{went_on:?} {waited:?}");
        assert!(waited < Duration::from_secs(30), "{waited:?}");

        let _ = ann.put(&policy_of(&room), json!({})).await.ok();
        let _ = house.policy.asked();
        let _ = ann.say(&room, "silence").await;
        assert_eq!(house.policy.asked(), [] as [Value; 0]);
    });
}

#[test]
fn a_room_that_nobody_of_it_is_in_has_none() {
    run(async {
        let house = House::new().await;
        let ann = house.server.user("ann").await;
        let room = house.room(&ann).await;
        let mut elsewhere = house.policy.content.clone();
        elsewhere["via"] = json!("policy.invalid");
        let _ = ann.put(&policy_of(&room), elsewhere).await.ok();
        let _ = ann.say(&room, "spam").await;
        let mut keyless = house.policy.content.clone();
        keyless["public_keys"] = json!({});
        let _ = ann.put(&policy_of(&room), keyless).await.ok();
        let _ = ann.say(&room, "spam").await;
        assert_eq!(house.policy.asked(), [] as [Value; 0]);
    });
}

#[test]
fn inside_the_network_none_is_called_that_is_not_allowed() {
    run(async {
        let policy = PolicyServer::start().await;
        let folder = TempDir::new().unwrap();
        let settings = [("MATRON_SERVER_NAME", policy.name.as_str()), ("MATRON_OUTGOING__ALLOWED_NETWORKS", "[]")];
        let server = Server::start_in(folder.path(), &settings).await;
        let ann = server.user("ann").await;
        let room = ann.create_room(json!({ "preset": "public_chat" })).await;
        let _ = ann.put(&policy_of(&room), policy.content.clone()).await.ok();
        try_to_say(&ann, &room, "good").await.refused(502, "M_UNKNOWN");
        assert_eq!(policy.asked(), [] as [Value; 0]);
        // Whoever may set the policy ends that.
        let _ = ann.put(&policy_of(&room), json!({})).await.ok();
        let _ = ann.say(&room, "good").await;
    });
}

#[test]
fn whoever_closes_an_account_is_told_of_rooms_that_it_cannot_leave() {
    run(async {
        let policy = PolicyServer::start().await;
        let folder = TempDir::new().unwrap();
        let settings = [("MATRON_SERVER_NAME", policy.name.as_str()), ("MATRON_OUTGOING__ALLOWED_NETWORKS", "[]")];
        let server = Server::start_in(folder.path(), &settings).await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let room = ann.create_room(json!({ "preset": "public_chat" })).await;
        bob.join(&room).await;
        let _ = ann.put(&policy_of(&room), policy.content.clone()).await.ok();
        // The account is closed, and nobody can ask for that again by it: what is left is the administrators' to do.
        let asked = bob.post("/v3/account/deactivate", json!({})).await;
        let proof = bob.proof(&asked.body["session"]);
        let _ = bob.post("/v3/account/deactivate", json!({ "auth": proof })).await.ok();
        bob.get("/v3/account/whoami").await.refused(401, "M_UNKNOWN_TOKEN");
        let members = format!("/v3/rooms/{room}/joined_members");
        let close = ["user", "deactivate", bob.id.as_str()];
        let (done, said) = Server::run(folder.path(), &settings, &close).await;
        assert!(!done && said.contains("say no: 1;"), "{said}");
        assert!(ann.get(&members).await.ok()["joined"][&bob.id].is_object());
        let _ = ann.put(&policy_of(&room), json!({})).await.ok();
        let (done, said) = Server::run(folder.path(), &settings, &close).await;
        assert!(done, "{said}");
        assert!(ann.get(&members).await.ok()["joined"][&bob.id].is_null());
        server.logged("cannot leave a room").await;
    });
}
