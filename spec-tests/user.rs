//! Somebody who calls a server: an account, a device, and short ways to say things.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::Method;
use serde_json::{Value, json};

/// What every test account's password is.
pub const PASSWORD: &str = "correct horse battery staple";

/// A name that no other test uses, also not of another run against the same server.
#[must_use]
pub fn unique(name: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
    format!("{name}-{now:x}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// An answer: status and JSON body.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body; null where it is no JSON.
    pub body: Value,
}

impl Answer {
    /// The body of an answer that must be 200.
    #[must_use]
    #[track_caller]
    pub fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }

    /// The answer must be this refusal.
    #[track_caller]
    pub fn refused(&self, status: u16, errcode: &str) {
        let got = (self.status, self.body["errcode"].as_str().unwrap_or_default());
        assert_eq!(got, (status, errcode), "{}", self.body);
    }
}

/// Somebody with an account and a device.
#[derive(Debug, Clone)]
pub struct User {
    http: reqwest::Client,
    url: String,
    /// `@name:server`
    pub id: String,
    /// The access token; empty for strangers.
    pub token: String,
    /// The device's id.
    pub device_id: String,
}

impl User {
    /// Somebody without an account.
    #[must_use]
    pub fn stranger(url: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { http, url: url.to_owned(), id: String::new(), token: String::new(), device_id: String::new() }
    }

    /// Somebody who was logged in before.
    #[must_use]
    pub fn with_token(url: &str, id: &str, token: &str, device_id: &str) -> Self {
        let (id, token, device_id) = (id.to_owned(), token.to_owned(), device_id.to_owned());
        Self { id, token, device_id, ..Self::stranger(url) }
    }

    /// Makes an account.
    pub async fn register(url: &str, name: &str) -> Self {
        let mut user = Self::stranger(url);
        let body = json!({ "username": name, "password": PASSWORD, "auth": { "type": "m.login.dummy" } });
        let session = user.post("/v3/register", body).await.ok();
        user.enter(&session);
        user
    }

    /// Logs in on another device.
    pub async fn log_in_again(&self) -> Self {
        Self::log_in(&self.url, &self.id, PASSWORD).await
    }

    /// The same user and device, by connections of their own.
    #[must_use]
    pub fn on_its_own_connection(&self) -> Self {
        Self { http: Self::stranger(&self.url).http, ..self.clone() }
    }

    /// Logs in by name or whole id.
    pub async fn log_in(url: &str, name: &str, password: &str) -> Self {
        let mut user = Self::stranger(url);
        let identifier = json!({ "type": "m.id.user", "user": name });
        let body = json!({ "type": "m.login.password", "identifier": identifier, "password": password });
        let session = user.post("/v3/login", body).await.ok();
        user.enter(&session);
        user
    }

    fn enter(&mut self, session: &Value) {
        let text = |field: &str| session[field].as_str().unwrap().to_owned();
        (self.id, self.token, self.device_id) = (text("user_id"), text("access_token"), text("device_id"));
    }

    /// The same user after the server moved.
    #[must_use]
    pub fn at(mut self, url: &str) -> Self {
        url.clone_into(&mut self.url);
        self
    }

    /// What proves the user anew where an endpoint asks for it.
    #[must_use]
    pub fn proof(&self, session: &Value) -> Value {
        let identifier = json!({ "type": "m.id.user", "user": self.id });
        json!({ "type": "m.login.password", "identifier": identifier, "password": PASSWORD, "session": session })
    }

    /// Calls an endpoint below `/_matrix/client`, or one whose path begins with `/_`.
    pub async fn call(&self, method: Method, path: &str, body: Option<&[u8]>) -> Answer {
        let prefix = if path.starts_with("/_") || path.starts_with("/.") { "" } else { "/_matrix/client" };
        let mut request = self.http.request(method, format!("{}{prefix}{path}", self.url));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if let Some(body) = body {
            request = request.body(body.to_vec());
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let body = response.bytes().await.unwrap();
        Answer { status, body: serde_json::from_slice(&body).unwrap_or(Value::Null) }
    }

    /// `GET`
    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    /// `POST`
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body.to_string().as_bytes())).await
    }

    /// `PUT`
    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, Some(body.to_string().as_bytes())).await
    }

    /// `DELETE`
    pub async fn delete(&self, path: &str, body: Value) -> Answer {
        self.call(Method::DELETE, path, Some(body.to_string().as_bytes())).await
    }

    /// Makes a room and answers its id.
    pub async fn create_room(&self, body: Value) -> String {
        self.post("/v3/createRoom", body).await.ok()["room_id"].as_str().unwrap().to_owned()
    }

    /// Joins a room.
    pub async fn join(&self, room: &str) -> Value {
        self.post(&format!("/v3/join/{room}"), json!({})).await.ok()
    }

    /// Says something in a room and answers the event's id.
    pub async fn say(&self, room: &str, text: &str) -> String {
        let path = format!("/v3/rooms/{room}/send/m.room.message/{}", unique("txn"));
        let answer = self.put(&path, json!({ "msgtype": "m.text", "body": text })).await.ok();
        answer["event_id"].as_str().unwrap().to_owned()
    }

    /// Syncs once without waiting; `since` as answered before, or nothing.
    pub async fn sync(&self, since: Option<&str>) -> Value {
        let since = since.map(|since| format!("&since={since}")).unwrap_or_default();
        self.get(&format!("/v3/sync?timeout=0{since}")).await.ok()
    }
}
