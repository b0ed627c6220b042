//! Who may what, by the server's own list of endpoints, so that none is left out. Every one that asks for a token: as a
//! stranger, with a token that is none, with one that is too old, as somebody whose account is closed. Every one of a room: as
//! somebody who never was in it, and as somebody who is banned. Every one of somebody's own: as somebody else. Every one for
//! administrators: as somebody who is none.

use std::sync::Arc;

use matron_homeserver::Homeserver;
use matron_homeserver::clock::Clock;
use matron_homeserver::config::{Config, PasswordHashing, RateLimits, Registration};
use matron_storage::Options;
use reqwest::Method;
use serde_json::json;
use spec_tests::{Answer, PASSWORD, User};
use tokio::net::TcpListener;

use crate::{run, server};

/// Endpoints that ask for no token, or not of everybody, by their patterns.
const OPEN: [(&str, &str); 38] = [
    ("GET", "/_matrix/client/versions"),
    ("GET", "/.well-known/matrix/client"),
    ("GET", "/.well-known/matrix/support"),
    ("GET", "/v3/auth/{auth_type}/fallback/web"),
    ("POST", "/v3/auth/{auth_type}/fallback/web"),
    ("GET", "/_matrix/static/client/login/"),
    ("GET", "/v3/login"),
    ("POST", "/v3/login"),
    ("POST", "/v3/refresh"),
    ("POST", "/v3/register"),
    ("GET", "/v3/register/available"),
    ("GET", "/v1/register/m.login.registration_token/validity"),
    ("GET", "/v1/register/org.matrix.msc3231.login.registration_token/validity"),
    ("POST", "/v3/register/email/requestToken"),
    ("POST", "/v3/register/msisdn/requestToken"),
    ("POST", "/v3/account/3pid/email/requestToken"),
    ("POST", "/v3/account/3pid/msisdn/requestToken"),
    ("POST", "/v3/account/password/email/requestToken"),
    ("POST", "/v3/account/password/msisdn/requestToken"),
    ("POST", "/v3/account/password"),
    ("POST", "/v3/account/deactivate"),
    ("GET", "/v3/profile/{user_id}"),
    ("GET", "/v3/profile/{user_id}/{field}"),
    ("GET", "/v3/directory/room/{room_alias}"),
    ("GET", "/v3/directory/list/room/{room_id}"),
    ("GET", "/_matrix/media/v3/download/{server_name}/{media_id}"),
    ("GET", "/_matrix/media/v3/download/{server_name}/{media_id}/{filename}"),
    ("GET", "/_matrix/media/v3/thumbnail/{server_name}/{media_id}"),
    ("GET", "/_matrix/media/r0/download/{server_name}/{media_id}"),
    ("GET", "/_matrix/media/r0/download/{server_name}/{media_id}/{filename}"),
    ("GET", "/_matrix/media/r0/thumbnail/{server_name}/{media_id}"),
    ("GET", "/_matrix/federation/v1/openid/userinfo"),
    ("GET", "/_synapse/admin/v1/register"),
    ("POST", "/_synapse/admin/v1/register"),
    ("GET", "/_matron/email/validate"),
    ("POST", "/_matron/email/validate"),
    ("GET", "/_matron/email/unsubscribe"),
    ("POST", "/_matron/email/unsubscribe"),
];

/// Endpoints of one's own account: `{me}` is the caller.
const OWN: [(&str, &str); 17] = [
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
    ("PUT", "/v3/profile/{me}/m.tz"),
    ("DELETE", "/v3/profile/{me}/m.tz"),
    ("GET", "/v3/presence/{me}/status"),
    ("PUT", "/v3/presence/{me}/status"),
    ("POST", "/v3/user/{me}/openid/request_token"),
    ("GET", "/v3/admin/whois/{me}"),
];

/// Endpoints for administrators: `{them}` is somebody else.
const ADMINISTRATION: [(&str, &str); 9] = [
    ("POST", "/_synapse/admin/v1/send_server_notice"),
    ("PUT", "/_synapse/admin/v1/send_server_notice/1"),
    ("GET", "/_synapse/admin/v1/users/{them}/override_ratelimit"),
    ("POST", "/_synapse/admin/v1/users/{them}/override_ratelimit"),
    ("DELETE", "/_synapse/admin/v1/users/{them}/override_ratelimit"),
    ("GET", "/v1/admin/lock/{them}"),
    ("PUT", "/v1/admin/lock/{them}"),
    ("GET", "/v1/admin/suspend/{them}"),
    ("PUT", "/v1/admin/suspend/{them}"),
];

/// Endpoints that name a room or a user, and that everybody with an account may call: who is out forgets, a backup's rooms
/// are names, and reports are for all.
const ANYBODYS: [(&str, &str); 9] = [
    ("POST", "/v3/rooms/{room}/forget"),
    ("POST", "/v3/rooms/{room}/report"),
    ("POST", "/v3/users/{them}/report"),
    ("GET", "/v3/room_keys/keys/{room}"),
    ("PUT", "/v3/room_keys/keys/{room}"),
    ("DELETE", "/v3/room_keys/keys/{room}"),
    ("GET", "/v3/room_keys/keys/{room}/s"),
    ("PUT", "/v3/room_keys/keys/{room}/s"),
    ("DELETE", "/v3/room_keys/keys/{room}/s"),
];

/// Endpoints of a room, with a body that is right.
const ROOM: [(&str, &str, &str); 38] = [
    ("POST", "/v3/join/{room}", "{}"),
    ("POST", "/v3/rooms/{room}/join", "{}"),
    ("POST", "/v3/knock/{room}", "{}"),
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
    ("GET", "/v3/rooms/{room}/state/m.room.member/{them}", ""),
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
    ("GET", "/unstable/im.nheko.summary/summary/{room}", ""),
    ("GET", "/unstable/im.nheko.summary/rooms/{room}/summary", ""),
    ("PUT", "/v3/directory/list/room/{room}", r#"{"visibility":"public"}"#),
    ("GET", "/v1/rooms/{room}/timestamp_to_event?ts=1&dir=f", ""),
    ("POST", "/v3/rooms/{room}/report/{event}", r#"{"reason":"x"}"#),
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

    async fn call(&self, me: &User, method: &str, path: &str, body: &str) -> Answer {
        let method: Method = method.parse().unwrap();
        let body = self.fill(body, me);
        let body = (method != Method::GET).then_some(body.as_bytes());
        me.call(method, &self.fill(path, me), body).await
    }
}

fn is_open(method: &Method, pattern: &str) -> bool {
    OPEN.into_iter().any(|(open, path)| open == method.as_str() && parts(path) == parts(pattern))
}

/// All endpoints that ask for a token.
fn guarded() -> impl Iterator<Item = (Method, String)> {
    matron_api::endpoints().into_iter().filter(|(method, pattern)| !is_open(method, pattern))
}

/// The parts of a path without what names a version or a proposal: those of one endpoint are one.
fn parts(path: &str) -> Vec<&str> {
    let path = path.split('?').next().unwrap();
    let mut parts: Vec<_> = path.strip_prefix("/_matrix/client").unwrap_or(path).split('/').skip(1).collect();
    if matches!(parts.first().copied(), Some("r0" | "v1" | "v3" | "unstable")) {
        parts.remove(0);
    }
    if parts.first().is_some_and(|part| part.contains('.')) {
        parts.remove(0);
    }
    parts
}

/// Whether a path is one of a pattern.
fn is_of(path: &str, pattern: &str) -> bool {
    let (path, pattern) = (parts(path), parts(pattern));
    let same = |(part, wanted): (&&str, &&str)| part == wanted || (wanted.starts_with('{') && !part.is_empty());
    path.len() == pattern.len() && path.iter().zip(&pattern).all(same)
}

#[test]
fn no_endpoint_is_left_out() {
    let endpoints = matron_api::endpoints();
    for (open, path) in OPEN {
        let is_there =
            endpoints.iter().any(|(method, pattern)| method.as_str() == open && parts(pattern) == parts(path));
        assert!(is_there, "nothing is at {open} {path}");
    }
    let guarded: Vec<_> = guarded().collect();
    let rooms = ROOM.map(|(method, path, _)| (method, path));
    let lists: [&[(&str, &str)]; 4] = [&rooms, &OWN, &ADMINISTRATION, &ANYBODYS];
    let known: Vec<_> = lists.concat();
    for (method, path) in &known {
        let is_there = guarded.iter().any(|(served, pattern)| served.as_str() == *method && is_of(path, pattern));
        assert!(is_there, "nothing is at {method} {path}");
    }
    let names = |pattern: &str| ["{room_id", "{user_id", "/_synapse/"].iter().any(|name| pattern.contains(name));
    let is_known = |(method, pattern): &&(Method, String)| {
        known.iter().any(|(known, path)| *known == method.as_str() && is_of(path, pattern))
    };
    let named = guarded.iter().filter(|(_, pattern)| names(pattern));
    let untried: Vec<_> = named.filter(|endpoint| !is_known(endpoint)).collect();
    assert!(untried.is_empty(), "nobody else tries {untried:#?}");
}

/// A part of a path where its pattern has a name.
fn filled<'a>(part: &'a str, room: &'a str) -> &'a str {
    match part {
        "{room_id}" | "{room_id_or_alias}" => room,
        name if name.starts_with('{') => "x",
        part => part,
    }
}

/// Calls everything that asks for a token, by paths that mean something.
async fn knock_everywhere(caller: &User, room: &str, judge: impl Fn(&Answer, &str)) {
    for (method, pattern) in guarded() {
        let path = pattern.split('/').map(|part| filled(part, room)).collect::<Vec<_>>().join("/");
        let body = (method != Method::GET).then_some(b"{}".as_slice());
        judge(&caller.call(method.clone(), &path, body).await, &format!("{method} {pattern}"));
    }
}

#[track_caller]
fn refused(answer: &Answer, errcode: &str, what: &str) {
    assert_eq!((answer.status, &answer.body["errcode"]), (401, &json!(errcode)), "{what}: {}", answer.body);
}

#[test]
fn strangers_are_asked_who_they_are() {
    run(async {
        let place = Place::new().await;
        let stranger = User::stranger(&server().await.url);
        knock_everywhere(&stranger, &place.room, |answer, what| refused(answer, "M_MISSING_TOKEN", what)).await;
    });
}

#[test]
fn a_token_that_is_none_opens_nothing() {
    run(async {
        let place = Place::new().await;
        let mut liar = server().await.user("liar").await;
        liar.token = "not a token".to_owned();
        knock_everywhere(&liar, &place.room, |answer, what| refused(answer, "M_UNKNOWN_TOKEN", what)).await;
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
        knock_everywhere(&gone, &place.room, |answer, what| refused(answer, "M_UNKNOWN_TOKEN", what)).await;
    });
}

#[test]
fn a_token_that_is_too_old_opens_nothing() {
    run(async {
        // A server in this process, whose tokens are too old at once where clients can get new ones.
        let mut config = Config::named(ruma::server_name!("localhost").to_owned());
        config.password_hashing = PasswordHashing { memory_kib: 8, iterations: 1 };
        config.registration = Registration::Open;
        config.rate_limits.set(RateLimits::off());
        config.access_token_lifetime = 0;
        let house = Homeserver::start(config, &Options::memory(), Clock::system()).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut late = User::stranger(&format!("http://{}", listener.local_addr().unwrap()));
        let router = matron_api::service(Arc::clone(&house)).router;
        tokio::spawn(async move { axum::serve(listener, router).await });
        let auth = json!({ "type": "m.login.dummy" });
        let body = json!({ "username": "late", "password": PASSWORD, "auth": auth, "refresh_token": true });
        let session = late.post("/v3/register", body).await.ok();
        session["access_token"].as_str().unwrap().clone_into(&mut late.token);
        let judge = |answer: &Answer, what: &str| {
            refused(answer, "M_UNKNOWN_TOKEN", what);
            assert_eq!(answer.body["soft_logout"], true, "{what}");
        };
        knock_everywhere(&late, "!room:localhost", judge).await;
        house.stop().await;
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
    });
}

#[test]
fn what_is_one_users_own_is_no_other_users() {
    run(async {
        let place = Place::new().await;
        let (ann, bob) = (server().await.user("ann").await, server().await.user("bob").await);
        for (method, path) in OWN {
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
        for (method, path) in ADMINISTRATION {
            // About others, and about oneself.
            for path in [path.to_owned(), path.replace("{them}", &ann.id)] {
                let answer = place.call(&ann, method, &path, "{}").await;
                assert_eq!((answer.status, &answer.body["errcode"]), (403, &json!("M_FORBIDDEN")), "{method} {path}");
            }
        }
    });
}
