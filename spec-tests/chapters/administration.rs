//! "Server Administration" and "Account moderation": what administrators do to accounts, and nobody else does.

use serde_json::json;
use spec_tests::User;

use crate::notices::administrator;
use crate::{run, server};

const LOCK: &str = "/v1/admin/lock";
const SUSPEND: &str = "/v1/admin/suspend";

fn of(path: &str, user: &User) -> String {
    format!("{path}/{}", user.id)
}

#[test]
fn administrators_lock_and_unlock() {
    run(async {
        let server = server().await;
        let (admin, ann) = (administrator(&server).await, server.user("ann").await);
        assert_eq!(admin.get(&of(LOCK, &ann)).await.ok(), json!({ "locked": false }));
        assert_eq!(admin.put(&of(LOCK, &ann), json!({ "locked": true })).await.ok(), json!({ "locked": true }));
        assert_eq!(admin.get(&of(LOCK, &ann)).await.ok(), json!({ "locked": true }));
        assert_eq!(admin.get(&of(SUSPEND, &ann)).await.ok(), json!({ "suspended": false }));
        let refused = ann.get("/v3/account/whoami").await;
        refused.refused(401, "M_USER_LOCKED");
        assert_eq!(refused.body["soft_logout"], true);
        assert_eq!(admin.put(&of(LOCK, &ann), json!({ "locked": false })).await.ok(), json!({ "locked": false }));
        assert_eq!(ann.get("/v3/account/whoami").await.ok()["user_id"], ann.id);
    });
}

#[test]
fn administrators_suspend_and_let_act_again() {
    run(async {
        let server = server().await;
        let (admin, ann) = (administrator(&server).await, server.user("ann").await);
        let room = ann.create_room(json!({})).await;
        // By the path from before it was in the spec, too.
        let old = of("/unstable/uk.timedout.msc4323/admin/suspend", &ann);
        assert_eq!(admin.get(&old).await.ok(), json!({ "suspended": false }));
        assert_eq!(admin.put(&old, json!({ "suspended": true })).await.ok(), json!({ "suspended": true }));
        assert_eq!(admin.get(&of(SUSPEND, &ann)).await.ok(), json!({ "suspended": true }));
        assert_eq!(admin.get(&of(LOCK, &ann)).await.ok(), json!({ "locked": false }));
        let topic = format!("/v3/rooms/{room}/state/m.room.topic");
        ann.put(&topic, json!({ "topic": "x" })).await.refused(403, "M_USER_SUSPENDED");
        assert!(ann.sync(None).await["rooms"]["join"][&room].is_object());
        // Who is suspended does not take it back.
        ann.put(&of(SUSPEND, &ann), json!({ "suspended": false })).await.refused(403, "M_FORBIDDEN");
        let _ = admin.put(&of(SUSPEND, &ann), json!({ "suspended": false })).await.ok();
        let _ = ann.put(&topic, json!({ "topic": "x" })).await.ok();
    });
}

#[test]
fn moderation_has_bounds() {
    run(async {
        let server = server().await;
        let (admin, other) = (administrator(&server).await, administrator(&server).await);
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        for (path, name) in [(LOCK, "locked"), (SUSPEND, "suspended")] {
            let yes = json!({ name: true });
            // Nobody else learns who has an account, or what a request should be like.
            for id in [&*bob.id, &*admin.id, &*ann.id, "@nobody:localhost", "@ann:elsewhere.example"] {
                let path = format!("{path}/{id}");
                ann.get(&path).await.refused(403, "M_FORBIDDEN");
                ann.put(&path, yes.clone()).await.refused(403, "M_FORBIDDEN");
                ann.put(&path, json!({ name: 7 })).await.refused(403, "M_FORBIDDEN");
            }
            admin.get(&of(path, &other)).await.refused(403, "M_FORBIDDEN");
            admin.put(&of(path, &other), yes.clone()).await.refused(403, "M_FORBIDDEN");
            assert_eq!(admin.get(&of(path, &admin)).await.ok(), json!({ name: false }));
            admin.put(&of(path, &admin), yes.clone()).await.refused(403, "M_FORBIDDEN");
            for (id, status, errcode) in [
                ("@ann:elsewhere.example", 400, "M_INVALID_PARAM"),
                ("ann", 400, "M_INVALID_PARAM"),
                ("@nobody:localhost", 404, "M_NOT_FOUND"),
            ] {
                admin.get(&format!("{path}/{id}")).await.refused(status, errcode);
                admin.put(&format!("{path}/{id}"), yes.clone()).await.refused(status, errcode);
            }
            admin.put(&of(path, &bob), json!({})).await.refused(400, "M_MISSING_PARAM");
            admin.put(&of(path, &bob), json!({ name: "true" })).await.refused(400, "M_BAD_JSON");
            assert_eq!(admin.get(&of(path, &bob)).await.ok(), json!({ name: false }));
        }
        let asked = bob.post("/v3/account/deactivate", json!({})).await;
        let proof = bob.proof(&asked.body["session"]);
        let _ = bob.post("/v3/account/deactivate", json!({ "auth": proof })).await.ok();
        admin.get(&of(LOCK, &bob)).await.refused(404, "M_NOT_FOUND");
        admin.put(&of(SUSPEND, &bob), json!({ "suspended": true })).await.refused(404, "M_NOT_FOUND");
    });
}

#[test]
fn administrators_are_told_what_they_may() {
    run(async {
        let server = server().await;
        let (admin, ann) = (administrator(&server).await, server.user("ann").await);
        let moderation = json!({ "lock": true, "suspend": true });
        let capabilities = admin.get("/v3/capabilities").await.ok();
        assert_eq!(capabilities["capabilities"]["m.account_moderation"], moderation);
        assert!(ann.get("/v3/capabilities").await.ok()["capabilities"].get("m.account_moderation").is_none());
    });
}

#[test]
fn who_somebody_is_is_told_to_them_and_to_administrators() {
    run(async {
        let server = server().await;
        let (admin, ann, bob) = (administrator(&server).await, server.user("ann").await, server.user("bob").await);
        let second = ann.log_in_again().await;
        let _ = second.sync(None).await;
        let path = of("/v3/admin/whois", &ann);
        bob.get(&path).await.refused(403, "M_FORBIDDEN");
        bob.get("/v3/admin/whois/@nobody:localhost").await.refused(403, "M_FORBIDDEN");
        admin.get("/v3/admin/whois/@nobody:localhost").await.refused(404, "M_NOT_FOUND");
        admin.get("/v3/admin/whois/@ann:elsewhere.example").await.refused(400, "M_INVALID_PARAM");
        // That a device was seen is written behind the requests.
        for _ in 0..200 {
            let told = admin.get(&path).await.ok();
            assert_eq!(told["user_id"], ann.id);
            let devices = told["devices"].as_object().unwrap();
            assert_eq!(devices.len(), 2, "{told}");
            let connections = devices[&second.device_id]["sessions"][0]["connections"].as_array().unwrap();
            if let Some(connection) = connections.first() {
                assert_eq!(connection["ip"], "127.0.0.1");
                assert!(connection["last_seen"].is_u64());
                assert_eq!(ann.get(&path).await.ok()["devices"][&second.device_id], devices[&second.device_id]);
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("the device was never seen");
    });
}
