//! "Server notices": what administrators tell a user, who cannot turn it down.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha1::Sha1;
use spec_tests::{SHARED_SECRET, Server, User, unique};

use crate::run;

const PATH: &str = "/_synapse/admin/v1/send_server_notice";

/// An account that may call the admin API.
pub async fn administrator(server: &Server) -> User {
    let register = "/_synapse/admin/v1/register";
    let mut user = User::stranger(&server.url);
    let nonce = user.get(register).await.ok()["nonce"].as_str().unwrap().to_owned();
    let name = unique("admin");
    let mut mac = Hmac::<Sha1>::new_from_slice(SHARED_SECRET.as_bytes()).unwrap();
    mac.update([&*nonce, &*name, "a long password", "admin"].join("\0").as_bytes());
    let mac = mac.finalize().into_bytes().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    let body = json!({ "nonce": nonce, "username": name, "password": "a long password", "admin": true, "mac": mac });
    let session = user.post(register, body).await.ok();
    session["user_id"].as_str().unwrap().clone_into(&mut user.id);
    session["access_token"].as_str().unwrap().clone_into(&mut user.token);
    user
}

fn notice(user: &User) -> Value {
    json!({ "user_id": user.id, "content": { "msgtype": "m.text", "body": "The server rests at night." } })
}

fn invite(sync: &Value) -> String {
    let invites = sync["rooms"]["invite"].as_object().unwrap();
    assert_eq!(invites.len(), 1, "{sync}");
    invites.keys().next().unwrap().clone()
}

#[test]
fn a_user_is_told_in_one_room_of_their_own() {
    run(async {
        let folder = tempfile::TempDir::new().unwrap();
        let settings = [("MATRON_SERVER_NOTICES__LOCALPART", "_server")];
        let server = Server::start_in(folder.path(), &settings).await;
        let (admin, ann) = (administrator(&server).await, server.user("ann").await);
        // Even notices' user is no door: nobody registers it.
        let body = json!({ "username": "_server", "password": "a long password", "auth": { "type": "m.login.dummy" } });
        ann.post("/v3/register", body).await.refused(400, "M_INVALID_USERNAME");

        ann.post(PATH, json!({})).await.refused(403, "M_FORBIDDEN");
        admin.post(PATH, json!({})).await.refused(400, "M_MISSING_PARAM");
        admin.post(PATH, json!({ "user_id": "@no:localhost", "content": {} })).await.refused(404, "M_NOT_FOUND");
        let sent = admin.post(PATH, notice(&ann)).await.ok();
        let first = ann.sync(None).await;
        let room = invite(&first);
        let state = first["rooms"]["invite"][&room]["invite_state"]["events"].as_array().unwrap().clone();
        assert!(state.iter().all(|event| event["sender"] == "@_server:localhost"), "{state:?}");
        let leave = format!("/v3/rooms/{room}/leave");
        ann.post(&leave, json!({})).await.refused(403, "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM");
        let member = format!("/v3/rooms/{room}/state/m.room.member/{}", ann.id);
        let left = json!({ "membership": "leave" });
        ann.put(&member, left).await.refused(403, "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM");
        ann.join(&room).await;
        let tags = ann.get(&format!("/v3/user/{}/rooms/{room}/tags", ann.id)).await.ok();
        assert!(tags["tags"]["m.server_notice"].is_object(), "{tags}");
        let event = format!("/v3/rooms/{room}/event/{}", sent["event_id"].as_str().unwrap());
        assert_eq!(ann.get(&event).await.ok()["content"]["body"], "The server rests at night.");
        let said = format!("/v3/rooms/{room}/send/m.room.message/1");
        ann.put(&said, json!({ "msgtype": "m.text", "body": "why?" })).await.refused(403, "M_FORBIDDEN");

        let _ = ann.post(&leave, json!({})).await.ok();
        let once = admin.put(&format!("{PATH}/1"), notice(&ann)).await.ok();
        assert_eq!(admin.put(&format!("{PATH}/1"), notice(&ann)).await.ok(), once);
        assert_eq!(invite(&ann.sync(None).await), room);
    });
}

#[test]
fn without_a_user_to_speak_there_are_no_notices() {
    run(async {
        let server = crate::server().await;
        let (admin, ann) = (administrator(&server).await, server.user("ann").await);
        admin.post(PATH, notice(&ann)).await.refused(400, "M_UNKNOWN");
        User::stranger(&server.url).post(PATH, notice(&ann)).await.refused(401, "M_MISSING_TOKEN");
    });
}
