use http::{Method, header};
use matron_homeserver::accounts::Session;
use matron_homeserver::config::RateLimits;
use matron_homeserver::limiter::Budget;
use matron_homeserver::schema::accounts::RateLimitOverride;
use serde_json::{Value, json};

use super::{Answer, House};

const UPLOAD: &str = "/_matrix/media/v3/upload";

const fn budget(burst: u32, per_minute: u32) -> Budget {
    Budget { burst, per_minute }
}

/// Answers that say when to come back do so twice: for new clients and for old ones.
#[track_caller]
fn limited(answer: &Answer, seconds: u64) {
    answer.refused(429, "M_LIMIT_EXCEEDED");
    assert_eq!(answer.headers[header::RETRY_AFTER], seconds.to_string());
    assert_eq!(answer.body["retry_after_ms"], seconds * 1000);
}

impl House {
    async fn limited_to(limits: RateLimits) -> Self {
        Self::with(|config| config.rate_limits.set(limits)).await
    }

    /// Says something, and answers what came of it.
    async fn try_to_say(&self, token: &str, room: &str, text: &str) -> Answer {
        let body = json!({ "msgtype": "m.text", "body": text });
        self.put(&format!("/rooms/{room}/send/m.room.message/{text}"), token, body).await
    }

    async fn administrator(&self) -> Session {
        let token = self.register("admin").await;
        let session = self.server.accounts.authenticate(&token).await.unwrap();
        self.server.accounts.set_admin(session.user, true).await.unwrap();
        self.server.accounts.authenticate(&token).await.unwrap()
    }
}

#[tokio::test]
async fn limits_say_when_to_come_back() {
    let house = House::limited_to(RateLimits { log_in: budget(5, 60), ..RateLimits::default() }).await;
    let nonsense = || json!({ "type": "m.login.magic" });
    for _ in 0..5 {
        house.post("/login", "", nonsense()).await.refused(400, "M_UNKNOWN");
    }
    limited(&house.post("/login", "", nonsense()).await, 1);
    assert_eq!(house.get("/login", "").await.status, 200);
}

#[tokio::test]
async fn each_user_has_a_budget_per_class() {
    let limits = RateLimits { send: budget(2, 6), media: budget(1, 1), ..RateLimits::default() };
    let house = House::limited_to(limits).await;
    let (ann, bob) = (house.register("ann").await, house.register("bob").await);
    let room = house.room(&ann, json!({ "preset": "public_chat" })).await;
    house.post(&format!("/join/{room}"), &bob, json!({})).await.done();
    for text in ["one", "two"] {
        house.say(&ann, &room, text).await;
    }
    limited(&house.try_to_say(&ann, &room, "three").await, 10);
    limited(&house.put(&format!("/rooms/{room}/state/m.room.topic"), &ann, json!({ "topic": "x" })).await, 10);
    house.say(&bob, &room, "four").await;
    house.call_raw(Method::POST, UPLOAD, &ann, "bytes").await.done();
    limited(&house.call_raw(Method::POST, UPLOAD, &ann, "bytes").await, 60);
    house.call_raw(Method::POST, UPLOAD, &bob, "bytes").await.done();
    house.get("/sync", &ann).await.done();
}

#[tokio::test]
async fn a_member_event_is_limited_like_its_endpoint() {
    let house = House::limited_to(RateLimits { join: budget(3, 6), ..RateLimits::default() }).await;
    let ann = house.register("ann").await;
    let room = house.room(&ann, json!({})).await;
    let invite = || json!({ "membership": "invite" });
    for name in ["bob", "cat"] {
        let member = format!("/rooms/{room}/state/m.room.member/@{name}:localhost");
        house.put(&member, &ann, invite()).await.done();
    }
    let member = format!("/rooms/{room}/state/m.room%2Emember/@dan:localhost");
    limited(&house.put(&member, &ann, invite()).await, 10);
    house.put(&format!("/rooms/{room}/state/m.room.topic"), &ann, json!({ "topic": "x" })).await.done();
}

#[tokio::test]
async fn what_strangers_may_call_is_limited_too() {
    const PATH: &str = "/_synapse/admin/v1/register";
    let limits = RateLimits { other: budget(2, 60), ..RateLimits::default() };
    let house = House::with(|config| {
        config.rate_limits.set(limits);
        config.registration_shared_secret = Some("secret".to_owned());
    })
    .await;
    for _ in 0..2 {
        house.call_raw(Method::GET, PATH, "", "").await.done();
    }
    limited(&house.call_raw(Method::GET, PATH, "", "").await, 1);
    limited(&house.call_raw(Method::POST, PATH, "", "{}").await, 1);
    limited(&house.call_raw(Method::POST, "/_matron/email/validate", "", "").await, 1);
}

#[tokio::test]
async fn what_strangers_say_is_short() {
    let house = House::limited_to(RateLimits::off()).await;
    let long = |bytes: usize| " ".repeat(bytes);
    let log_in = "/_matrix/client/v3/login";
    house.call_raw(Method::POST, log_in, "", long(70 << 10)).await.refused(413, "M_TOO_LARGE");
    house.call_raw(Method::POST, log_in, "", long(60 << 10)).await.refused(400, "M_NOT_JSON");
    let page = "/_matrix/client/v3/auth/m.login.dummy/fallback/web";
    for form in ["/_synapse/admin/v1/register", "/_matron/email/validate", page] {
        house.call_raw(Method::POST, form, "", long(5 << 10)).await.refused(413, "M_TOO_LARGE");
    }
    let ann = house.register("ann").await;
    house
        .call_raw(Method::POST, "/_matrix/client/v3/createRoom", &ann, long(70 << 10))
        .await
        .refused(400, "M_NOT_JSON");
}

#[tokio::test]
async fn what_is_configured_anew_holds_at_once() {
    let limits = RateLimits { send: budget(1, 1), ..RateLimits::default() };
    let house = House::limited_to(limits).await;
    let ann = house.register("ann").await;
    let room = house.room(&ann, json!({})).await;
    house.say(&ann, &room, "one").await;
    limited(&house.try_to_say(&ann, &room, "two").await, 60);
    house.server.config.rate_limits.set(RateLimits { send: budget(2, 60), ..limits });
    house.say(&ann, &room, "three").await;
    house.say(&ann, &room, "four").await;
    limited(&house.try_to_say(&ann, &room, "five").await, 1);
    house.server.config.rate_limits.set(RateLimits { enabled: false, ..limits });
    house.say(&ann, &room, "six").await;
}

#[tokio::test]
async fn a_limit_of_ones_own_is_for_sending_and_none_is_for_all() {
    let limits = RateLimits { send: budget(1, 1), media: budget(1, 1), ..RateLimits::default() };
    let house = House::limited_to(limits).await;
    let (ann, admin) = (house.register("ann").await, house.administrator().await);
    let room = house.room(&ann, json!({})).await;
    let set = async |limit: Option<(u32, u32)>| {
        let limit =
            limit.map(|(messages_per_second, burst_count)| RateLimitOverride { messages_per_second, burst_count });
        let id = ruma::user_id!("@ann:localhost");
        house.server.accounts.set_rate_limit_override(&admin, id, limit).await.unwrap();
    };
    house.say(&ann, &room, "one").await;
    limited(&house.try_to_say(&ann, &room, "two").await, 60);
    house.call_raw(Method::POST, UPLOAD, &ann, "bytes").await.done();

    set(Some((1, 3))).await;
    for text in ["three", "four", "five"] {
        house.say(&ann, &room, text).await;
    }
    limited(&house.try_to_say(&ann, &room, "six").await, 1);
    limited(&house.call_raw(Method::POST, UPLOAD, &ann, "bytes").await, 60);

    set(Some((0, 0))).await;
    for n in 0..20 {
        house.say(&ann, &room, &format!("seven-{n}")).await;
        house.call_raw(Method::POST, UPLOAD, &ann, "bytes").await.done();
    }
    set(None).await;
    limited(&house.try_to_say(&ann, &room, "eight").await, 60);
}

#[tokio::test]
async fn the_endpoint_for_a_users_own_limit() {
    let house = House::limited_to(RateLimits::default()).await;
    let ann = house.register("ann").await;
    let admin = house.register("root").await;
    let user = house.server.accounts.authenticate(&admin).await.unwrap().user;
    let at = |id: &str| format!("/_synapse/admin/v1/users/{id}/override_ratelimit");
    let path = at("@ann:localhost");
    let call = async |method: Method, path: &str, token: &str, body: &str| {
        house.call_raw(method, path, token, body.to_owned()).await
    };
    let numbers = |per_second: u32, burst: u32| json!({ "messages_per_second": per_second, "burst_count": burst });
    for method in [Method::GET, Method::POST, Method::DELETE] {
        call(method.clone(), &path, "", "").await.refused(401, "M_MISSING_TOKEN");
        call(method.clone(), &path, &ann, "").await.refused(403, "M_FORBIDDEN");
        call(method, &path, &admin, "").await.refused(403, "M_FORBIDDEN");
    }
    house.server.accounts.set_admin(user, true).await.unwrap();
    for method in [Method::GET, Method::POST, Method::DELETE] {
        call(method.clone(), &at("@nobody:localhost"), &admin, "").await.refused(404, "M_NOT_FOUND");
        call(method.clone(), &at("@ann:elsewhere.example"), &admin, "").await.refused(400, "M_UNKNOWN");
        call(method, &at("ann"), &admin, "").await.refused(400, "M_INVALID_PARAM");
    }
    for wrong in ["-1", "1.5", "\"1\"", "null", "true", "4294967296"] {
        let body = format!("{{\"messages_per_second\":{wrong}}}");
        call(Method::POST, &path, &admin, &body).await.refused(400, "M_INVALID_PARAM");
        let body = format!("{{\"burst_count\":{wrong}}}");
        call(Method::POST, &path, &admin, &body).await.refused(400, "M_INVALID_PARAM");
    }
    call(Method::POST, &path, &admin, "[]").await.refused(400, "M_BAD_JSON");
    call(Method::POST, &path, &admin, "{").await.refused(400, "M_NOT_JSON");

    let shown = async || call(Method::GET, &path, &admin, "").await.done();
    assert_eq!(shown().await, json!({}));
    for (body, answer) in [
        (numbers(5, 50).to_string(), numbers(5, 50)),
        ("{\"burst_count\":7}".to_owned(), numbers(0, 7)),
        ("{}".to_owned(), numbers(0, 0)),
        (String::new(), numbers(0, 0)),
    ] {
        assert_eq!(call(Method::POST, &path, &admin, &body).await.done(), answer);
        assert_eq!(shown().await, answer);
    }
    assert_eq!(call(Method::DELETE, &path, &admin, "").await.done(), Value::Object(serde_json::Map::new()));
    assert_eq!(shown().await, json!({}));
}
