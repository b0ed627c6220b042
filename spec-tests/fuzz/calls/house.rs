//! A homeserver in memory, with two users and a room, and what its answers taught.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::{Body, to_bytes};
use http::{Method, Request, StatusCode, header};
use matron_homeserver::Homeserver;
use matron_homeserver::clock::Clock;
use matron_homeserver::config::{Config, PasswordHashing, RateLimits, Registration};
use matron_storage::Options;
use serde_json::{Value, json};
use tower::ServiceExt;

/// As many words as are kept of answers.
const MOST_WORDS: usize = 64;

/// Answers that name something that requests can name again.
const TELLING: [&str; 14] = [
    "access_token",
    "refresh_token",
    "device_id",
    "event_id",
    "room_id",
    "next_batch",
    "prev_batch",
    "start",
    "end",
    "filter_id",
    "session",
    "version",
    "login_token",
    "content_uri",
];

/// What requests are made of beside their own bytes.
pub struct Words {
    /// Access tokens: the first user's, the second's.
    pub tokens: Vec<String>,
    /// Everything that can stand in paths, queries and bodies.
    pub words: Vec<String>,
}

pub struct House {
    server: Arc<Homeserver>,
    service: axum::Router,
    pub words: Words,
}

impl House {
    pub async fn new() -> Self {
        let mut config = Config::named(ruma::server_name!("localhost").to_owned());
        config.password_hashing = PasswordHashing { memory_kib: 8, iterations: 1 };
        config.registration = Registration::Open;
        config.registration_shared_secret = Some("secret".to_owned());
        config.guests = true;
        config.rate_limits.set(RateLimits::off());
        let now = AtomicU64::new(1_700_000_000_000);
        let clock = Clock::by(move || now.fetch_add(1, Ordering::Relaxed));
        let server = Homeserver::start(config, &Options::memory(), clock).await.expect("a homeserver");
        let service = matron_api::service(Arc::clone(&server)).router;
        let words = Words { tokens: Vec::new(), words: Vec::new() };
        let mut house = Self { server, service, words };
        for name in ["ann", "bob"] {
            let body = json!({ "username": name, "password": "password", "auth": { "type": "m.login.dummy" } });
            let answer = house.set_up("/register", 0, body).await;
            house.words.tokens.push(answer["access_token"].as_str().expect("a token").to_owned());
            house.words.words.push(format!("@{name}:localhost"));
            house.words.words.push(answer["device_id"].as_str().expect("a device").to_owned());
        }
        let body = json!({ "preset": "public_chat", "room_alias_name": "alias", "invite": ["@bob:localhost"] });
        let room = house.set_up("/createRoom", 1, body).await["room_id"].as_str().expect("a room").to_owned();
        let _ = house.set_up(&format!("/join/{room}"), 2, json!({})).await;
        house.words.words.push(room);
        let known = ["#alias:localhost", "localhost", "", "m.room.message", "m.room.member"];
        house.words.words.extend(known.map(ToOwned::to_owned));
        house
    }

    async fn set_up(&mut self, path: &str, user: usize, body: Value) -> Value {
        let mut request = Request::builder().method(Method::POST).uri(format!("/_matrix/client/v3{path}"));
        if let Some(token) = user.checked_sub(1).and_then(|user| self.words.tokens.get(user)) {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        self.call(request.body(body.to_string().into()).expect("a request")).await
    }

    /// Calls, and judges the answer.
    pub async fn call(&mut self, request: Request<Body>) -> Value {
        let said = format!("{} {}", request.method(), request.uri());
        let is_head = request.method() == Method::HEAD;
        let response = self.service.clone().oneshot(request).await.expect("an answer");
        let status = response.status();
        // Pages for people, and parts of media that are not there, have no errcode.
        let kind = response.headers().get(header::CONTENT_TYPE);
        let is_page = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
        let is_free = is_page || is_head || status == StatusCode::RANGE_NOT_SATISFIABLE;
        let bytes = to_bytes(response.into_body(), 64 << 20).await.expect("a body");
        assert!(!status.is_server_error(), "{said}: {status} {}", String::from_utf8_lossy(&bytes));
        let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if status.is_client_error() && !is_free {
            let tells = body["errcode"].is_string() || body["flows"].is_array();
            assert!(tells, "{said}: {status} {}", String::from_utf8_lossy(&bytes));
        }
        self.learn(&body);
        body
    }

    fn learn(&mut self, body: &Value) {
        let mut open = vec![body];
        while let Some(value) = open.pop() {
            match value {
                Value::Array(items) => open.extend(items),
                Value::Object(fields) => {
                    for (name, value) in fields {
                        match value.as_str() {
                            Some(word) if TELLING.contains(&name.as_str()) && self.words.words.len() < MOST_WORDS => {
                                self.words.words.push(word.to_owned());
                                // Paths name a medium by its server and its id.
                                self.words.words.extend(word.strip_prefix("mxc://localhost/").map(ToOwned::to_owned));
                            }
                            _ => open.push(value),
                        }
                    }
                }
                _ => {}
            }
        }
    }

    pub async fn close(self) {
        self.server.stop().await;
    }
}
