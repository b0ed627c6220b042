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
fn rooms_are_reported_by_whom_they_are_shown_to() {
    run(async {
        let server = server().await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let open = ann.create_room(json!({ "preset": "public_chat" })).await;
        let secret = ann.create_room(json!({})).await;
        let report = async |room: &str| bob.post(&format!("/v3/rooms/{room}/report"), json!({ "reason": "x" })).await;
        let _ = report(&open).await.ok();
        let (hidden, unknown) = (report(&secret).await, report("!unknown:localhost").await);
        hidden.refused(404, "M_NOT_FOUND");
        assert_eq!(hidden.body, unknown.body, "nobody learns which rooms there are");
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
