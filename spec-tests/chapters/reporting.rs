//! "Reporting Content": who may report what. (What is kept is tested where it is kept.)

use serde_json::json;

use crate::{run, server};

#[test]
fn members_report_events_that_they_may_see() {
    run(async {
        let server = server().await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let room = ann.create_room(json!({ "preset": "public_chat" })).await;
        let event = ann.say(&room, "rude").await;
        let path = format!("/v3/rooms/{room}/report/{event}");
        bob.post(&path, json!({ "reason": "rude" })).await.refused(404, "M_NOT_FOUND");
        bob.join(&room).await;
        let _ = bob.post(&path, json!({ "reason": "rude", "score": -100 })).await.ok();
        let _ = bob.post(&path, json!({})).await.ok();
        bob.post(&format!("{path}x"), json!({})).await.refused(404, "M_NOT_FOUND");
        bob.post(&path, json!({ "reason": "x".repeat(9000) })).await.refused(400, "M_INVALID_PARAM");
    });
}

#[test]
fn who_ignores_somebody_reports_them_all_the_same() {
    run(async {
        let server = server().await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let room = ann.create_room(json!({ "preset": "public_chat" })).await;
        bob.join(&room).await;
        let event = ann.say(&room, "rude").await;
        let list = json!({ "ignored_users": { (ann.id.as_str()): {} } });
        let _ = bob.put(&format!("/v3/user/{}/account_data/m.ignored_user_list", bob.id), list).await.ok();
        bob.get(&format!("/v3/rooms/{room}/event/{event}")).await.refused(404, "M_NOT_FOUND");
        let _ = bob.post(&format!("/v3/rooms/{room}/report/{event}"), json!({ "reason": "rude" })).await.ok();
    });
}

#[test]
fn rooms_are_reported_by_everybody() {
    run(async {
        let server = server().await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let open = ann.create_room(json!({ "preset": "public_chat" })).await;
        let secret = ann.create_room(json!({})).await;
        let invite = ann.create_room(json!({ "invite": [bob.id] })).await;
        let _ = bob.post(&format!("/v3/rooms/{invite}/leave"), json!({})).await.ok();
        let report = async |room: &str| bob.post(&format!("/v3/rooms/{room}/report"), json!({ "reason": "x" })).await;
        let answer = report(&open).await.ok();
        for room in [&*invite, &*secret, "!unknown:localhost"] {
            assert_eq!(report(room).await.ok(), answer, "nobody learns which rooms there are");
        }
        let path = format!("/v3/rooms/{open}/report");
        bob.post(&path, json!({ "reason": "x".repeat(9000) })).await.refused(400, "M_INVALID_PARAM");
    });
}

#[test]
fn a_report_does_not_tell_who_is_there() {
    run(async {
        let server = server().await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let report = async |id: &str| ann.post(&format!("/v3/users/{id}/report"), json!({ "reason": "x" })).await;
        assert_eq!(report(&bob.id).await.ok(), report("@nobody:localhost").await.ok());
        ann.post(&format!("/v3/users/{}/report", bob.id), json!({})).await.refused(400, "M_MISSING_PARAM");
    });
}
