//! "Guest access": a room that lets no guests in any more lets those go who are there, and a guest may become an ordinary user.

use serde_json::json;
use spec_tests::{PASSWORD, Server, User};
use tempfile::TempDir;

use crate::run;

/// A server that lets guests in.
async fn house(folder: &TempDir) -> Server {
    Server::start_in(folder.path(), &[("MATRON_GUESTS__ENABLED", "true")]).await
}

async fn guest_of(server: &Server) -> User {
    let session = User::stranger(&server.url).post("/v3/register?kind=guest", json!({})).await.ok();
    let text = |key: &str| session[key].as_str().unwrap().to_owned();
    User::with_token(&server.url, &text("user_id"), &text("access_token"), &text("device_id"))
}

#[test]
fn guests_leave_with_the_permission() {
    run(async {
        let folder = TempDir::new().unwrap();
        let server = house(&folder).await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let guest = guest_of(&server).await;
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

#[test]
fn a_guest_becomes_an_ordinary_user_and_stays_in_their_rooms() {
    run(async {
        let folder = TempDir::new().unwrap();
        let server = house(&folder).await;
        let (ann, guest) = (server.user("ann").await, guest_of(&server).await);
        let room = ann.create_room(json!({ "preset": "public_chat" })).await;
        let access = format!("/v3/rooms/{room}/state/m.room.guest_access/");
        let _ = ann.put(&access, json!({ "guest_access": "can_join" })).await.ok();
        let _ = guest.post(&format!("/v3/rooms/{room}/join"), json!({})).await.ok();

        let name = guest.id[1..].split(':').next().unwrap();
        let mut wanted = json!({ "username": name, "password": PASSWORD, "auth": { "type": "m.login.dummy" } });
        let stranger = User::stranger(&server.url);
        stranger.post("/v3/register", wanted.clone()).await.refused(400, "M_USER_IN_USE");
        wanted["guest_access_token"] = json!(ann.token);
        stranger.post("/v3/register", wanted.clone()).await.refused(403, "M_FORBIDDEN");
        wanted["guest_access_token"] = json!(guest.token);
        assert_eq!(stranger.post("/v3/register", wanted).await.ok()["user_id"], guest.id.as_str());

        guest.get("/v3/account/whoami").await.refused(401, "M_UNKNOWN_TOKEN");
        let user = User::log_in(&server.url, &guest.id, PASSWORD).await;
        assert_eq!(user.get("/v3/account/whoami").await.ok().get("is_guest"), None);
        let _ = user.create_room(json!({})).await;
        let _ = ann.put(&access, json!({ "guest_access": "forbidden" })).await.ok();
        let _ = user.say(&room, "I am here to stay").await;
    });
}

#[test]
fn guests_see_of_rooms_what_strangers_see() {
    run(async {
        let folder = TempDir::new().unwrap();
        let settings = [("MATRON_GUESTS__ENABLED", "true"), ("MATRON_ROOM_LIST__WITHOUT_ACCOUNT", "true")];
        let server = Server::start_in(folder.path(), &settings).await;
        let (ann, guest) = (server.user("ann").await, guest_of(&server).await);
        let room = ann.create_room(json!({ "preset": "public_chat", "visibility": "public" })).await;
        for who in [&User::stranger(&server.url), &guest] {
            assert_eq!(who.get("/v3/publicRooms").await.ok()["chunk"][0]["room_id"], room);
            assert_eq!(who.get(&format!("/v1/room_summary/{room}")).await.ok()["room_id"], room);
        }

        let folder = TempDir::new().unwrap();
        let server = house(&folder).await;
        let guest = guest_of(&server).await;
        guest.get("/v3/publicRooms").await.refused(403, "M_GUEST_ACCESS_FORBIDDEN");
    });
}
