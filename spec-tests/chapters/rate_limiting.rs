//! "Rate limiting": who asks too often is told when to come back; how administrators make exceptions.

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use spec_tests::{Server, User, unique};
use tempfile::TempDir;

use crate::notices::administrator;
use crate::run;

/// A server with limits so small that tests reach them, and so slow to recover that no test waits for it.
async fn strict(folder: &TempDir) -> Server {
    let settings = [
        ("MATRON_RATE_LIMITS__ENABLED", "true"),
        ("MATRON_RATE_LIMITS__SEND", "{ burst = 3, per_minute = 1 }"),
        ("MATRON_RATE_LIMITS__MEDIA", "{ burst = 2, per_minute = 1 }"),
        ("MATRON_RATE_LIMITS__FAILED_PER_ACCOUNT", "{ burst = 3, per_minute = 1 }"),
        ("MATRON_RATE_LIMITS__FAILED_PER_ADDRESS", "{ burst = 5, per_minute = 1 }"),
        ("MATRON_TRUSTED_PROXIES", "[\"127.0.0.1\"]"),
    ];
    Server::start_in(folder.path(), &settings).await
}

/// What a 429 says, in its header and in its body.
async fn told_to_wait(response: Response) {
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    let header: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["errcode"], "M_LIMIT_EXCEEDED");
    assert!((1..=60).contains(&header), "{header}");
    assert_eq!(body["retry_after_ms"], header * 1000);
}

/// Says something, and answers the status.
async fn say(user: &User, room: &str) -> u16 {
    let path = format!("/v3/rooms/{room}/send/m.room.message/{}", unique("txn"));
    user.put(&path, json!({ "msgtype": "m.text", "body": "x" })).await.status
}

async fn upload(user: &User) -> u16 {
    user.post("/_matrix/media/v3/upload", json!({})).await.status
}

fn override_of(user: &User) -> String {
    format!("/_synapse/admin/v1/users/{}/override_ratelimit", user.id)
}

#[test]
fn each_user_has_limits_and_administrators_change_them_for_one() {
    run(async {
        let folder = TempDir::new().unwrap();
        let mut server = strict(&folder).await;
        let (admin, ann, bob) = (administrator(&server).await, server.user("ann").await, server.user("bob").await);
        let room = ann.create_room(json!({ "preset": "public_chat" })).await;
        let _ = bob.join(&room).await;
        for _ in 0..3 {
            assert_eq!(say(&ann, &room).await, 200);
        }
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("{}/_matrix/client/v3/rooms/{room}/send/m.room.message/next", server.url);
        told_to_wait(http.put(url).bearer_auth(&ann.token).body("{}").send().await.unwrap()).await;
        // The keys by which others read what was said are shared all the same.
        for status in [200, 200, 200, 429] {
            let path = format!("/v3/sendToDevice/m.test/{}", unique("txn"));
            assert_eq!(ann.put(&path, json!({ "messages": {} })).await.status, status);
        }
        assert_eq!((upload(&ann).await, upload(&ann).await, upload(&ann).await), (200, 200, 429));
        // Whoever reads goes on, and so does everybody else.
        let _ = ann.sync(None).await;
        assert_eq!(say(&bob, &room).await, 200);

        let own = override_of(&ann);
        assert_eq!(admin.get(&own).await.ok(), json!({}));
        let more = json!({ "messages_per_second": 1, "burst_count": 5 });
        assert_eq!(admin.post(&own, more.clone()).await.ok(), more);
        for _ in 0..5 {
            assert_eq!(say(&ann, &room).await, 200);
        }
        assert_eq!(upload(&ann).await, 429, "it is for sending alone");
        let none = json!({ "messages_per_second": 0, "burst_count": 0 });
        assert_eq!(admin.post(&own, json!({})).await.ok(), none);

        // It outlives the server.
        server.restart().await;
        let (admin, ann, bob) = (admin.at(&server.url), ann.at(&server.url), bob.at(&server.url));
        assert_eq!(admin.get(&own).await.ok(), none);
        for _ in 0..10 {
            assert_eq!((say(&ann, &room).await, upload(&ann).await), (200, 200));
        }
        assert_eq!(admin.get(&override_of(&bob)).await.ok(), json!({}));
        for status in [200, 200, 200, 429] {
            assert_eq!(say(&bob, &room).await, status);
        }
        assert_eq!(admin.delete(&own, json!({})).await.ok(), json!({}));
        for status in [200, 200, 200, 429] {
            assert_eq!(say(&ann, &room).await, status);
        }
    });
}

/// Tries to log in from an address.
async fn log_in(server: &Server, from: &str, user: &str, password: &str) -> Response {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let identifier = json!({ "type": "m.id.user", "user": user });
    let body = json!({ "type": "m.login.password", "identifier": identifier, "password": password });
    let request = http.post(format!("{}/_matrix/client/v3/login", server.url));
    request.header("x-forwarded-for", from).body(body.to_string()).send().await.unwrap()
}

#[test]
fn wrong_passwords_run_out_by_account_and_by_address() {
    run(async {
        let folder = TempDir::new().unwrap();
        let server = strict(&folder).await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let right = spec_tests::PASSWORD;
        // Whoever knows the password may come often.
        for _ in 0..5 {
            assert_eq!(log_in(&server, "203.0.113.1", &ann.id, right).await.status(), 200);
        }
        // One account, from everywhere.
        for from in ["203.0.113.1", "203.0.113.2", "203.0.113.3"] {
            assert_eq!(log_in(&server, from, &ann.id, "wrong").await.status(), 403);
        }
        told_to_wait(log_in(&server, "203.0.113.4", &ann.id, right).await).await;
        assert_eq!(log_in(&server, "203.0.113.4", &bob.id, right).await.status(), 200);
        // One address, all sorts of accounts, whether they exist or not.
        for n in 0..5 {
            assert_eq!(log_in(&server, "203.0.113.5", &unique(&format!("nobody{n}")), "wrong").await.status(), 403);
        }
        told_to_wait(log_in(&server, "203.0.113.5", &bob.id, right).await).await;
        assert_eq!(log_in(&server, "203.0.113.6", &bob.id, right).await.status(), 200);
    });
}
