//! Who may what: every endpoint that asks for a token, as a stranger, with a token that is none, as somebody whose account
//! is closed; every endpoint of a room as somebody who never was in it and as somebody who is banned; every endpoint for
//! administrators as somebody who is none.

use reqwest::Method;
use serde_json::json;
use spec_tests::User;

use crate::{run, server};

/// Endpoints of one's own account: `{me}` is the caller, `{them}` somebody else.
const OWN: [(&str, &str); 101] = [
    ("GET", "/v3/account/whoami"),
    ("GET", "/v3/account/3pid"),
    ("POST", "/v3/account/3pid/add"),
    ("POST", "/v3/account/3pid/delete"),
    ("POST", "/v3/account/3pid/bind"),
    ("POST", "/v3/account/3pid/unbind"),
    ("GET", "/v3/capabilities"),
    ("POST", "/v3/logout"),
    ("POST", "/v3/logout/all"),
    ("GET", "/v3/devices"),
    ("GET", "/v3/devices/X"),
    ("PUT", "/v3/devices/X"),
    ("DELETE", "/v3/devices/X"),
    ("POST", "/v3/delete_devices"),
    ("POST", "/v1/login/get_token"),
    ("GET", "/v3/sync"),
    ("POST", "/v3/user/{me}/filter"),
    ("GET", "/v3/user/{me}/filter/1"),
    ("GET", "/v3/user/{me}/account_data/m.test"),
    ("PUT", "/v3/user/{me}/account_data/m.test"),
    ("GET", "/v3/user/{me}/rooms/{room}/account_data/m.test"),
    ("PUT", "/v3/user/{me}/rooms/{room}/account_data/m.test"),
    ("GET", "/v3/user/{me}/rooms/{room}/tags"),
    ("PUT", "/v3/user/{me}/rooms/{room}/tags/t"),
    ("DELETE", "/v3/user/{me}/rooms/{room}/tags/t"),
    ("PUT", "/v3/profile/{me}/displayname"),
    ("PUT", "/v3/profile/{me}/avatar_url"),
    ("GET", "/v3/pushrules/"),
    ("GET", "/v3/pushrules/global/"),
    ("GET", "/v3/pushrules/global/override/.m.rule.master"),
    ("PUT", "/v3/pushrules/global/room/x"),
    ("DELETE", "/v3/pushrules/global/room/x"),
    ("GET", "/v3/pushrules/global/override/.m.rule.master/enabled"),
    ("PUT", "/v3/pushrules/global/override/.m.rule.master/enabled"),
    ("GET", "/v3/pushrules/global/override/.m.rule.master/actions"),
    ("PUT", "/v3/pushrules/global/override/.m.rule.master/actions"),
    ("GET", "/v3/pushers"),
    ("POST", "/v3/pushers/set"),
    ("GET", "/v3/notifications"),
    ("POST", "/v3/keys/upload"),
    ("POST", "/v3/keys/query"),
    ("POST", "/v3/keys/claim"),
    ("GET", "/v3/keys/changes?from=a&to=b"),
    ("POST", "/v3/keys/device_signing/upload"),
    ("POST", "/v3/keys/signatures/upload"),
    ("PUT", "/v3/sendToDevice/m.test/1"),
    ("GET", "/v3/room_keys/version"),
    ("POST", "/v3/room_keys/version"),
    ("GET", "/v3/room_keys/version/1"),
    ("PUT", "/v3/room_keys/version/1"),
    ("DELETE", "/v3/room_keys/version/1"),
    ("GET", "/v3/room_keys/keys?version=1"),
    ("PUT", "/v3/room_keys/keys?version=1"),
    ("DELETE", "/v3/room_keys/keys?version=1"),
    ("GET", "/v3/room_keys/keys/{room}?version=1"),
    ("PUT", "/v3/room_keys/keys/{room}?version=1"),
    ("DELETE", "/v3/room_keys/keys/{room}?version=1"),
    ("GET", "/v3/room_keys/keys/{room}/s?version=1"),
    ("PUT", "/v3/room_keys/keys/{room}/s?version=1"),
    ("DELETE", "/v3/room_keys/keys/{room}/s?version=1"),
    ("POST", "/v3/createRoom"),
    ("GET", "/v3/joined_rooms"),
    ("POST", "/v3/join/{room}"),
    ("POST", "/v3/knock/{room}"),
    ("PUT", "/v3/directory/room/%23a:localhost"),
    ("DELETE", "/v3/directory/room/%23a:localhost"),
    ("PUT", "/v3/directory/list/room/{room}"),
    ("GET", "/v3/publicRooms"),
    ("POST", "/v3/publicRooms"),
    ("POST", "/v3/user_directory/search"),
    ("POST", "/v3/search"),
    ("POST", "/v3/users/{them}/report"),
    ("GET", "/unstable/uk.half-shot.msc2666/user/mutual_rooms?user_id={them}"),
    ("PUT", "/v3/profile/{me}/m.tz"),
    ("DELETE", "/v3/profile/{me}/m.tz"),
    ("GET", "/unstable/im.nheko.summary/summary/{room}"),
    ("POST", "/v3/rooms/{room}/join"),
    ("POST", "/v3/rooms/{room}/forget"),
    ("POST", "/_matrix/media/v3/upload"),
    ("PUT", "/_matrix/media/v3/upload/localhost/x"),
    ("POST", "/_matrix/media/v1/create"),
    ("GET", "/_matrix/media/v3/config"),
    ("GET", "/_matrix/media/v3/preview_url?url=http://x/"),
    ("GET", "/v1/media/config"),
    ("GET", "/v1/media/preview_url?url=http://x/"),
    ("GET", "/v1/media/download/localhost/x"),
    ("GET", "/v1/media/download/localhost/x/name"),
    ("GET", "/v1/media/thumbnail/localhost/x?width=1&height=1"),
    ("GET", "/v3/presence/{me}/status"),
    ("PUT", "/v3/presence/{me}/status"),
    ("POST", "/v3/user/{me}/openid/request_token"),
    ("GET", "/v3/voip/turnServer"),
    ("GET", "/unstable/org.matrix.msc3814.v1/dehydrated_device"),
    ("PUT", "/unstable/org.matrix.msc3814.v1/dehydrated_device"),
    ("DELETE", "/unstable/org.matrix.msc3814.v1/dehydrated_device"),
    ("POST", "/unstable/org.matrix.msc3814.v1/dehydrated_device/X/events"),
    ("POST", "/_synapse/admin/v1/send_server_notice"),
    ("PUT", "/_synapse/admin/v1/send_server_notice/1"),
    ("GET", "/_synapse/admin/v1/users/{them}/override_ratelimit"),
    ("POST", "/_synapse/admin/v1/users/{them}/override_ratelimit"),
    ("DELETE", "/_synapse/admin/v1/users/{them}/override_ratelimit"),
];

/// Endpoints of a room, with a body that is right.
const ROOM: [(&str, &str, &str); 32] = [
    ("POST", "/v3/rooms/{room}/leave", "{}"),
    ("POST", "/v3/rooms/{room}/invite", r#"{"user_id":"{them}"}"#),
    ("POST", "/v3/rooms/{room}/kick", r#"{"user_id":"{them}"}"#),
    ("POST", "/v3/rooms/{room}/ban", r#"{"user_id":"{them}"}"#),
    ("POST", "/v3/rooms/{room}/unban", r#"{"user_id":"{them}"}"#),
    ("PUT", "/v3/rooms/{room}/send/m.room.message/1", r#"{"msgtype":"m.text","body":"x"}"#),
    ("PUT", "/v3/rooms/{room}/state/m.room.topic", r#"{"topic":"x"}"#),
    ("PUT", "/v3/rooms/{room}/state/m.room.topic/", r#"{"topic":"x"}"#),
    ("PUT", "/v3/rooms/{room}/state/m.test/k", "{}"),
    ("PUT", "/v3/rooms/{room}/redact/{event}/1", "{}"),
    ("GET", "/v3/rooms/{room}/state", ""),
    ("GET", "/v3/rooms/{room}/state/m.room.create", ""),
    ("GET", "/v3/rooms/{room}/state/m.room.create/", ""),
    ("GET", "/v3/rooms/{room}/members", ""),
    ("GET", "/v3/rooms/{room}/joined_members", ""),
    ("GET", "/v3/rooms/{room}/messages?dir=b", ""),
    ("GET", "/v3/rooms/{room}/context/{event}", ""),
    ("GET", "/v3/rooms/{room}/event/{event}", ""),
    ("GET", "/v3/rooms/{room}/aliases", ""),
    ("PUT", "/v3/rooms/{room}/typing/{me}", r#"{"typing":true,"timeout":1000}"#),
    ("POST", "/v3/rooms/{room}/receipt/m.read/{event}", "{}"),
    ("POST", "/v3/rooms/{room}/read_markers", r#"{"m.read":"{event}"}"#),
    ("GET", "/v1/rooms/{room}/hierarchy", ""),
    ("GET", "/v1/room_summary/{room}", ""),
    ("GET", "/v1/rooms/{room}/timestamp_to_event?ts=1&dir=f", ""),
    ("POST", "/v3/rooms/{room}/report/{event}", r#"{"reason":"x"}"#),
    ("POST", "/v3/rooms/{room}/report", r#"{"reason":"x"}"#),
    ("GET", "/v1/rooms/{room}/relations/{event}", ""),
    ("GET", "/v1/rooms/{room}/relations/{event}/m.annotation", ""),
    ("GET", "/v1/rooms/{room}/relations/{event}/m.annotation/m.reaction?recurse=true", ""),
    ("GET", "/v1/rooms/{room}/threads", ""),
    ("POST", "/v3/rooms/{room}/upgrade", r#"{"new_version":"11"}"#),
];

/// A room that somebody else made, with an event in it.
struct Place {
    room: String,
    event: String,
    owner: User,
}

impl Place {
    async fn new() -> Self {
        let owner = server().await.user("owner").await;
        let room = owner.create_room(json!({ "preset": "private_chat" })).await;
        let event = owner.say(&room, "not for everybody").await;
        Self { room, event, owner }
    }

    fn fill(&self, text: &str, me: &User) -> String {
        text.replace("{room}", &self.room)
            .replace("{event}", &self.event)
            .replace("{me}", &me.id)
            .replace("{them}", &self.owner.id)
    }

    async fn call(&self, me: &User, method: &str, path: &str, body: &str) -> spec_tests::Answer {
        let method: Method = method.parse().unwrap();
        let body = self.fill(body, me);
        let body = (method != Method::GET).then_some(body.as_bytes());
        me.call(method, &self.fill(path, me), body).await
    }
}

fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    OWN.into_iter().chain(ROOM.into_iter().map(|(method, path, _)| (method, path)))
}

#[test]
fn strangers_are_asked_who_they_are() {
    run(async {
        let place = Place::new().await;
        let mut stranger = User::stranger(&server().await.url);
        stranger.id = "@stranger:localhost".to_owned();
        for (method, path) in all() {
            let answer = place.call(&stranger, method, path, "{}").await;
            assert_eq!((answer.status, &answer.body["errcode"]), (401, &json!("M_MISSING_TOKEN")), "{method} {path}");
        }
    });
}

#[test]
fn a_token_that_is_none_opens_nothing() {
    run(async {
        let place = Place::new().await;
        let mut liar = server().await.user("liar").await;
        liar.token = "not a token".to_owned();
        for (method, path) in all() {
            let answer = place.call(&liar, method, path, "{}").await;
            assert_eq!((answer.status, &answer.body["errcode"]), (401, &json!("M_UNKNOWN_TOKEN")), "{method} {path}");
        }
    });
}

#[test]
fn a_closed_account_opens_nothing() {
    run(async {
        let place = Place::new().await;
        let gone = server().await.user("gone").await;
        let asked = gone.post("/v3/account/deactivate", json!({})).await;
        let proof = gone.proof(&asked.body["session"]);
        let _ = gone.post("/v3/account/deactivate", json!({ "auth": proof })).await.ok();
        for (method, path) in all() {
            let answer = place.call(&gone, method, path, "{}").await;
            assert_eq!(answer.status, 401, "{method} {path}: {}", answer.body);
        }
    });
}

/// Nobody outside gets anything of a room out, or into it.
async fn outside(place: &Place, outsider: &User) {
    for (method, path, body) in ROOM {
        let answer = place.call(outsider, method, path, body).await;
        assert!(matches!(answer.status, 403 | 404), "{method} {path}: {} {}", answer.status, answer.body);
        assert!(!answer.body.to_string().contains("not for everybody"), "{method} {path}");
    }
    let news = outsider.sync(None).await;
    assert!(!news.to_string().contains("not for everybody"), "{news}");
}

#[test]
fn who_never_was_in_a_room_reaches_nothing_of_it() {
    run(async {
        let place = Place::new().await;
        let other = server().await.user("other").await;
        outside(&place, &other).await;
        assert_eq!(place.call(&other, "POST", "/v3/join/{room}", "{}").await.status, 403);
        assert_eq!(place.call(&other, "POST", "/v3/knock/{room}", "{}").await.status, 403);
    });
}

#[test]
fn who_is_banned_reaches_nothing_of_a_room() {
    run(async {
        let place = Place::new().await;
        let banned = server().await.user("banned").await;
        let _ = place.owner.post(&format!("/v3/rooms/{}/ban", place.room), json!({ "user_id": banned.id })).await.ok();
        for (method, path, body) in ROOM {
            let answer = place.call(&banned, method, path, body).await;
            assert!(matches!(answer.status, 403 | 404), "{method} {path}: {} {}", answer.status, answer.body);
        }
        assert_eq!(place.call(&banned, "POST", "/v3/join/{room}", "{}").await.status, 403);
    });
}

#[test]
fn what_is_one_users_own_is_no_other_users() {
    run(async {
        let place = Place::new().await;
        let (ann, bob) = (server().await.user("ann").await, server().await.user("bob").await);
        for (method, path) in OWN.into_iter().filter(|(_, path)| path.contains("{me}")) {
            let path = path.replace("{me}", &bob.id);
            let body = match &*path {
                path if path.contains("avatar_url") => r#"{"avatar_url":"mxc://a/b"}"#,
                path if path.contains("/presence/") => r#"{"presence":"online"}"#,
                path if path.contains("m.tz") => r#"{"m.tz":"Europe/London"}"#,
                _ => r#"{"displayname":"x"}"#,
            };
            let answer = place.call(&ann, method, &path, body).await;
            assert_eq!(answer.status, 403, "{method} {path}: {}", answer.body);
        }
    });
}

#[test]
fn what_is_for_administrators_is_for_nobody_else() {
    run(async {
        let place = Place::new().await;
        let ann = server().await.user("ann").await;
        for (method, path) in OWN.into_iter().filter(|(_, path)| path.starts_with("/_synapse/admin/")) {
            // About others, and about oneself.
            for path in [path.to_owned(), path.replace("{them}", &ann.id)] {
                let answer = place.call(&ann, method, &path, "{}").await;
                assert_eq!((answer.status, &answer.body["errcode"]), (403, &json!("M_FORBIDDEN")), "{method} {path}");
            }
        }
    });
}
