//! "Guest access": a room that lets no guests in any more lets those go who are there.

use serde_json::json;
use spec_tests::{Server, User};

use crate::run;

#[test]
fn guests_leave_with_the_permission() {
    run(async {
        let folder = tempfile::TempDir::new().unwrap();
        let server = Server::start_in(folder.path(), &[("MATRON_GUESTS__ENABLED", "true")]).await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let mut guest = User::stranger(&server.url);
        let session = guest.post("/v3/register?kind=guest", json!({})).await.ok();
        guest.id = session["user_id"].as_str().unwrap().to_owned();
        guest.token = session["access_token"].as_str().unwrap().to_owned();
        let room = ann.create_room(json!({ "preset": "public_chat" })).await;
        let join = format!("/v3/rooms/{room}/join");
        guest.post(&join, json!({})).await.refused(403, "M_GUEST_ACCESS_FORBIDDEN");
        let member = format!("/v3/rooms/{room}/state/m.room.member/{}", guest.id);
        guest.put(&member, json!({ "membership": "join" })).await.refused(403, "M_GUEST_ACCESS_FORBIDDEN");
        let access = format!("/v3/rooms/{room}/state/m.room.guest_access/");
        let _ = ann.put(&access, json!({ "guest_access": "can_join" })).await.ok();
        let _ = guest.post(&join, json!({})).await.ok();
        bob.join(&room).await;
        let _ = guest.say(&room, "is anybody here?").await;
        guest.post("/v3/createRoom", json!({})).await.refused(403, "M_GUEST_ACCESS_FORBIDDEN");
        let _ = ann.put(&access, json!({ "guest_access": "forbidden" })).await.ok();
        let membership = async |user: &User| {
            let path = format!("/v3/rooms/{room}/state/m.room.member/{}", user.id);
            ann.get(&path).await.ok()["membership"].clone()
        };
        let gone = (json!("leave"), json!("join"));
        assert_eq!((membership(&guest).await, membership(&bob).await), gone);
        // A permission that is redacted is none.
        let allowed = ann.put(&access, json!({ "guest_access": "can_join" })).await.ok()["event_id"].clone();
        let _ = guest.post(&join, json!({})).await.ok();
        let redact = format!("/v3/rooms/{room}/redact/{}/1", allowed.as_str().unwrap());
        let _ = ann.put(&redact, json!({})).await.ok();
        assert_eq!((membership(&guest).await, membership(&bob).await), gone);
        guest.post(&join, json!({})).await.refused(403, "M_GUEST_ACCESS_FORBIDDEN");
    });
}
