use std::sync::Arc;

use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode, header};
use matron_homeserver::Homeserver;
use matron_homeserver::clock::Clock;
use matron_homeserver::config::{Config, PasswordHashing, RateLimits, Registration};
use matron_storage::Options;
use serde_json::{Value, json};
use tower::ServiceExt;

mod capabilities;
mod ephemeral;
mod fallback;
mod history;
mod limits;
mod member_events;
mod room_kinds;
mod rooms;
mod search;
mod suspension;
mod visibility;

const CLIENT: &str = "/_matrix/client/v3";
const PASSWORD: &str = "correct horse";

/// A server as its clients see it.
struct House {
    server: Arc<Homeserver>,
    service: axum::Router,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    #[track_caller]
    fn done(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }

    fn text(&self, field: &str) -> &str {
        self.body[field].as_str().unwrap_or_default()
    }

    #[track_caller]
    fn refused(&self, status: u16, errcode: &str) {
        assert_eq!((self.status.as_u16(), self.text("errcode")), (status, errcode), "{}", self.body);
    }
}

impl House {
    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::named(ruma::server_name!("localhost").to_owned());
        config.password_hashing = PasswordHashing { memory_kib: 8, iterations: 1 };
        config.registration = Registration::Open;
        config.rate_limits.set(RateLimits::off());
        change(&mut config);
        let server = Homeserver::start(config, &Options::memory(), Clock::by(|| 1_700_000_000_000)).await.unwrap();
        Self { service: crate::service(Arc::clone(&server)).router, server }
    }

    async fn call_raw(&self, method: Method, path: &str, token: &str, body: impl Into<Body>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if !token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let response = self.service.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 64 << 20).await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn call(&self, method: Method, path: &str, token: &str, body: &Value) -> Answer {
        self.call_raw(method, path, token, body.to_string()).await
    }

    async fn post(&self, path: &str, token: &str, body: Value) -> Answer {
        self.call(Method::POST, &format!("{CLIENT}{path}"), token, &body).await
    }

    async fn get(&self, path: &str, token: &str) -> Answer {
        self.call_raw(Method::GET, &format!("{CLIENT}{path}"), token, Body::empty()).await
    }

    async fn put(&self, path: &str, token: &str, body: Value) -> Answer {
        self.call(Method::PUT, &format!("{CLIENT}{path}"), token, &body).await
    }

    /// Makes a room and answers its id, ready for a path.
    async fn room(&self, token: &str, body: Value) -> String {
        let answer = self.post("/createRoom", token, body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.text("room_id").to_owned()
    }

    /// Says something and answers the event's id.
    async fn say(&self, token: &str, room: &str, text: &str) -> String {
        let body = json!({ "msgtype": "m.text", "body": text });
        let answer = self.put(&format!("/rooms/{room}/send/m.room.message/{text}"), token, body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.text("event_id").to_owned()
    }

    /// The messages that somebody can read in a room, newest first.
    async fn heard(&self, token: &str, room: &str) -> Vec<String> {
        let page = self.get(&format!("/rooms/{room}/messages?dir=b&limit=100"), token).await;
        assert_eq!(page.status, 200, "{}", page.body);
        let chunk = page.body["chunk"].as_array().unwrap();
        chunk.iter().filter_map(|event| event["content"]["body"].as_str()).map(ToOwned::to_owned).collect()
    }

    async fn register(&self, name: &str) -> String {
        let body = json!({ "username": name, "password": PASSWORD, "auth": { "type": "m.login.dummy" } });
        let answer = self.post("/register", "", body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.text("access_token").to_owned()
    }
}

fn auth(name: &str, password: &str) -> Value {
    json!({ "type": "m.login.password", "identifier": { "type": "m.id.user", "user": name }, "password": password })
}

#[tokio::test]
async fn malformed_log_ins_get_their_errcode() {
    let house = House::with(|_| {}).await;
    house.register("ann").await;
    house.post("/login", "", json!({})).await.refused(400, "M_MISSING_PARAM");
    house.post("/login", "", json!({ "type": 1 })).await.refused(400, "M_BAD_JSON");
    house.post("/login", "", json!([])).await.refused(400, "M_BAD_JSON");
    house.post("/login", "", json!({ "type": "m.login.magic" })).await.refused(400, "M_UNKNOWN");
    house.post("/login", "", json!({ "type": "m.login.password" })).await.refused(400, "M_MISSING_PARAM");
    let nobody = json!({ "type": "m.login.password", "password": PASSWORD });
    house.post("/login", "", nobody).await.refused(400, "M_MISSING_PARAM");
    let broken = house.call_raw(Method::POST, "/_matrix/client/v3/login", "", "{").await;
    broken.refused(400, "M_NOT_JSON");
    let by_mail = json!({ "type": "m.login.password", "password": PASSWORD,
        "identifier": { "type": "m.id.thirdparty", "medium": "email", "address": "ann@example.org" } });
    house.post("/login", "", by_mail).await.refused(403, "M_FORBIDDEN");
    for medium in ["email", "msisdn", "pigeon"] {
        let legacy =
            json!({ "type": "m.login.password", "password": PASSWORD, "medium": medium, "address": "ann@example.org" });
        house.post("/login", "", legacy).await.refused(403, "M_FORBIDDEN");
    }
    let half = json!({ "type": "m.login.password", "password": PASSWORD, "medium": "email" });
    house.post("/login", "", half).await.refused(400, "M_MISSING_PARAM");
    house.post("/login", "", auth("ann", "wrong password")).await.refused(403, "M_FORBIDDEN");
    assert_eq!(house.post("/login", "", auth("ann", PASSWORD)).await.status, 200);
    let legacy = json!({ "type": "m.login.password", "user": "ann", "password": PASSWORD, "device_id": "OLD" });
    assert_eq!(house.post("/login", "", legacy).await.text("device_id"), "OLD");
}

#[tokio::test]
async fn from_registration_to_log_out() {
    let house = House::with(|_| {}).await;
    let question = house.post("/register", "", json!({ "username": "ann", "password": PASSWORD })).await;
    assert_eq!(question.status, 401);
    assert_eq!(question.body["flows"], json!([{ "stages": ["m.login.dummy"] }]));
    let session = question.text("session");
    let body = json!({ "username": "ann", "password": PASSWORD, "refresh_token": true, "device_id": "ONE",
        "auth": { "type": "m.login.dummy", "session": session } });
    let registered = house.post("/register", "", body).await;
    assert_eq!(registered.text("user_id"), "@ann:localhost");
    assert_eq!(registered.body["expires_in_ms"], 3_600_000);
    let refresh = json!({ "refresh_token": registered.text("refresh_token") });
    let token = house.post("/refresh", "", refresh).await.text("access_token").to_owned();
    let whoami = json!({ "user_id": "@ann:localhost", "device_id": "ONE" });
    assert_eq!(house.get("/account/whoami", &token).await.body, whoami);
    assert_eq!(house.get("/account/3pid", &token).await.body, json!({ "threepids": [] }));
    assert_eq!(house.get("/devices", &token).await.body["devices"][0]["device_id"], "ONE");
    house.get("/devices", "").await.refused(401, "M_MISSING_TOKEN");
    house.get("/devices", "x").await.refused(401, "M_UNKNOWN_TOKEN");
    let one = json!({ "device_id": "ONE", "display_name": null, "last_seen_ip": null,
        "last_seen_ts": 1_700_000_000_000_u64 });
    let listed = json!({ "devices": [one] });
    assert_eq!(house.get("/devices", &token).await.body, listed);
    assert_eq!(house.get("/devices/ONE", &token).await.body, listed["devices"][0]);
    assert_eq!(house.post("/logout", &token, json!({})).await.body, json!({}));
    house.get("/account/whoami", &token).await.refused(401, "M_UNKNOWN_TOKEN");
    house.post("/refresh", "", json!({ "refresh_token": "x" })).await.refused(401, "M_UNKNOWN_TOKEN");

    let body = json!({ "username": "bob", "password": PASSWORD, "inhibit_login": true, "refresh_token": true,
        "auth": { "type": "m.login.dummy" } });
    assert_eq!(house.post("/register", "", body).await.done(), json!({ "user_id": "@bob:localhost" }));
}

#[tokio::test]
async fn devices_go_by_interactive_authentication() {
    let house = House::with(|_| {}).await;
    let token = house.register("ann").await;
    house.register("bob").await;
    let login = json!({ "type": "m.login.password", "identifier": { "type": "m.id.user", "user": "ann" },
        "password": PASSWORD, "device_id": "TWO", "initial_device_display_name": "Old phone" });
    assert_eq!(house.post("/login", "", login).await.status, 200);
    let path = format!("{CLIENT}/devices/TWO");
    assert_eq!(house.get("/devices/TWO", &token).await.text("display_name"), "Old phone");
    let renamed = house.call(Method::PUT, &path, &token, &json!({ "display_name": "New" })).await;
    assert_eq!((renamed.status, renamed.body), (StatusCode::OK, json!({})));
    assert_eq!(house.get("/devices/TWO", &token).await.text("display_name"), "New");
    house.get("/devices/NONE", &token).await.refused(404, "M_NOT_FOUND");

    let question = house.call_raw(Method::DELETE, &path, &token, Body::empty()).await;
    assert_eq!(question.status, 401);
    let with = |mut auth: Value| {
        auth["session"] = question.body["session"].clone();
        json!({ "auth": auth })
    };
    let wrong = house.call(Method::DELETE, &path, &token, &with(auth("ann", "wrong password"))).await;
    wrong.refused(401, "M_FORBIDDEN");
    assert_eq!(wrong.body["session"], question.body["session"]);
    house.call(Method::DELETE, &path, &token, &with(auth("bob", PASSWORD))).await.refused(403, "M_FORBIDDEN");
    let other = format!("{CLIENT}/devices/THREE");
    house.call(Method::DELETE, &other, &token, &with(auth("ann", PASSWORD))).await.refused(403, "M_FORBIDDEN");
    let done = house.call(Method::DELETE, &path, &token, &with(auth("ann", PASSWORD))).await;
    assert_eq!((done.status, done.body), (StatusCode::OK, json!({})));
    house.get("/devices/TWO", &token).await.refused(404, "M_NOT_FOUND");
    let many: Vec<_> = (0..1001).map(|n| n.to_string()).collect();
    house.post("/delete_devices", &token, json!({ "devices": many })).await.refused(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn locked_users_and_guests() {
    let house = House::with(|config| config.guests = true).await;
    let token = house.register("ann").await;
    let user = house.server.accounts.authenticate(&token).await.unwrap().user;
    house.server.accounts.set_locked(user, true).await.unwrap();
    let locked = house.get("/account/whoami", &token).await;
    locked.refused(401, "M_USER_LOCKED");
    assert_eq!(locked.body["soft_logout"], true);
    assert_eq!(house.post("/logout", &token, json!({})).await.status, 200);

    let guest = house.post("/register?kind=guest", "", json!({ "device_id": "MINE", "password": "x" })).await;
    assert_ne!(guest.text("device_id"), "MINE");
    let token = guest.text("access_token");
    assert_eq!(house.get("/account/whoami", token).await.body["is_guest"], true);
    let close = house.post("/account/deactivate", token, json!({})).await;
    close.refused(403, "M_GUEST_ACCESS_FORBIDDEN");
}

#[tokio::test]
async fn what_the_server_says_of_itself() {
    let house = House::with(|_| {}).await;
    let token = house.register("ann").await;
    let capabilities = house.get("/capabilities", &token).await.body;
    assert_eq!(capabilities["capabilities"]["m.room_versions"]["default"], "12");
    assert_eq!(capabilities["capabilities"]["m.room_versions"]["available"]["6"], "stable");
    assert_eq!(capabilities["capabilities"]["m.change_password"]["enabled"], true);
    let flows = house.get("/login", "").await.body;
    let token = json!({ "type": "m.login.token", "get_login_token": true });
    assert_eq!(flows["flows"], json!([{ "type": "m.login.password" }, token]));
    for path in ["/.well-known/matrix/client", "/.well-known/matrix/support"] {
        let answer = house.call_raw(Method::GET, path, "", Body::empty()).await;
        answer.refused(404, "M_NOT_FOUND");
        assert_eq!(answer.headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    }
    let house = House::with(|config| {
        config.public_url = Some("https://matrix.example.org".to_owned());
        config.support_page = Some("https://example.org/help".to_owned());
    })
    .await;
    let answer = house.call_raw(Method::GET, "/.well-known/matrix/client", "", Body::empty()).await;
    assert_eq!(answer.body, json!({ "m.homeserver": { "base_url": "https://matrix.example.org" } }));
    let answer = house.call_raw(Method::GET, "/.well-known/matrix/support", "", Body::empty()).await;
    assert_eq!(answer.body, json!({ "support_page": "https://example.org/help" }));
}

#[tokio::test]
async fn registration_by_shared_secret_is_guarded() {
    const PATH: &str = "/_synapse/admin/v1/register";
    let house = House::with(|_| {}).await;
    house.call_raw(Method::GET, PATH, "", Body::empty()).await.refused(404, "M_UNRECOGNIZED");
    let house = House::with(|config| config.registration_shared_secret = Some("secret".to_owned())).await;
    let nonce = house.call_raw(Method::GET, PATH, "", Body::empty()).await.body["nonce"].clone();
    let body = |mac: &str| json!({ "nonce": nonce, "username": "ann", "password": PASSWORD, "mac": mac });
    house.call(Method::POST, PATH, "", &json!({})).await.refused(400, "M_MISSING_PARAM");
    house.call(Method::POST, PATH, "", &body("xyz")).await.refused(400, "M_INVALID_PARAM");
    house.call(Method::POST, PATH, "", &body(&"00".repeat(20))).await.refused(403, "M_FORBIDDEN");
    house.call(Method::POST, PATH, "", &body(&"00".repeat(20))).await.refused(400, "M_UNKNOWN");
}
