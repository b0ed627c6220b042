//! The page of metrics: what people do is counted there, and nobody is named.

use std::net::TcpListener;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use spec_tests::{Gateway, Server};
use tempfile::TempDir;

use crate::run;

/// A server whose metrics are served.
struct Watched {
    server: Server,
    url: String,
    _folder: TempDir,
}

impl Watched {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let bind = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let settings = [settings, &[("MATRON_METRICS__BIND", bind.as_str())]].concat();
        let server = Server::start_in(folder.path(), &settings).await;
        Self { server, url: format!("http://{bind}/metrics"), _folder: folder }
    }

    async fn page(&self) -> String {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        http.get(&self.url).send().await.unwrap().text().await.unwrap()
    }

    /// The number of a series: a name, with its labels if it has any.
    async fn number(&self, series: &str) -> f64 {
        number_in(&self.page().await, series)
    }

    /// Waits until a number is as it should be.
    async fn wait(&self, series: &str, is_right: impl Fn(f64) -> bool) {
        for _ in 0..200 {
            if is_right(self.number(series).await) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{series} is {}", self.number(series).await);
    }
}

fn number_in(page: &str, series: &str) -> f64 {
    let value = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("there is no {series}:\n{page}")).parse().unwrap()
}

#[test]
fn what_people_say_and_read_is_counted() {
    run(async {
        let watched = Watched::start(&[("MATRON_PRESENCE__ENABLED", "false")]).await;
        let (ann, bob) = (watched.server.user("ann").await, watched.server.user("bob").await);
        let room = ann.create_room(json!({ "preset": "public_chat", "name": "Hawthorn" })).await;
        bob.join(&room).await;
        let before = watched.page().await;
        for nth in 0..5 {
            ann.say(&room, &format!("round {nth}")).await;
        }
        let since = bob.sync(None).await["next_batch"].as_str().unwrap().to_owned();
        let since = bob.sync(Some(&since)).await["next_batch"].as_str().unwrap().to_owned();
        let _ = bob.get(&format!("/v3/sync?since={since}&timeout=50")).await.ok();
        let message = json!({ "messages": { (ann.id.as_str()): { "*": { "a": 1 } } } });
        let _ = bob.put("/v3/sendToDevice/m.test/1", message).await.ok();
        ann.log_in_again().await;
        let wrong = json!({ "type": "m.id.user", "user": ann.id });
        let wrong = json!({ "type": "m.login.password", "identifier": wrong, "password": "not this one" });
        ann.post("/v3/login", wrong).await.refused(403, "M_FORBIDDEN");
        let after = watched.page().await;

        let grew = |series: &str| number_in(&after, series) - number_in(&before, series);
        let send = "/_matrix/client/v3/rooms/{room_id}/send/{event_type}/{txn_id}";
        let sends = format!("method=\"PUT\",route=\"{send}\"");
        for (series, by) in [
            ("matron_events_placed_total{standing=\"live\"}", 5.0),
            ("matron_events_placed_total{standing=\"rejected\"}", 0.0),
            ("matron_append_seconds_count", 5.0),
            ("matron_sync_requests_total{kind=\"initial\"}", 1.0),
            ("matron_sync_requests_total{kind=\"incremental\"}", 2.0),
            ("matron_sync_timed_out_total", 1.0),
            ("matron_to_device_messages_total", 1.0),
            ("matron_log_ins_total{outcome=\"done\"}", 1.0),
            ("matron_log_ins_total{outcome=\"refused\"}", 1.0),
        ] {
            assert!((grew(series) - by).abs() < 0.5, "{series} grew by {}, not by {by}", grew(series));
        }
        assert!(
            (number_in(&after, &format!("matron_http_requests_total{{{sends},status=\"200\"}}")) - 5.0).abs() < 0.5
        );
        let slowest = format!("matron_http_request_duration_seconds_bucket{{le=\"+Inf\",{sends}}}");
        assert!((number_in(&after, &slowest) - 5.0).abs() < 0.5);
        assert!(grew("matron_store_batches_total") >= 7.0);
        assert!(grew("matron_store_rows_total") > grew("matron_store_batches_total"));
        assert!(grew("matron_store_write_seconds_count{synced=\"true\"}") >= 5.0);
        assert!(grew("matron_store_group_batches_sum") >= grew("matron_store_group_batches_count"));
        assert!(number_in(&after, "matron_cache_entries{cache=\"user_numbers\"}") >= 2.0);
        let free = number_in(&after, "matron_disk_free_bytes{folder=\"data\"}");
        assert!(free > 0.0 && free <= number_in(&after, "matron_disk_bytes{folder=\"data\"}"));
        assert!(!after.contains("folder=\"media\""), "one disk stands there once");
        for name in [ann.id.as_str(), bob.id.as_str(), room.as_str(), "Hawthorn"] {
            assert!(!after.contains(name), "{name} is on the page");
        }
        // Followers pass all that was written, whoever asks for it.
        for follower in ["search", "user_directory", "push"] {
            watched.wait(&format!("matron_follower_behind{{follower=\"{follower}\"}}"), |behind| behind < 1.0).await;
        }
        // Of the new device, say.
        let since = bob.sync(Some(&since)).await["next_batch"].as_str().unwrap().to_owned();
        let parked = bob.on_its_own_connection();
        let waits = tokio::spawn(async move { parked.get(&format!("/v3/sync?since={since}&timeout=20000")).await });
        watched.wait("matron_sync_parked_users", |parked| parked >= 1.0).await;
        ann.say(&room, "wake up").await;
        let _ = waits.await.unwrap().ok();
        watched.wait("matron_sync_parked_users", |parked| parked < 1.0).await;
    });
}

#[test]
fn what_goes_out_and_in_is_counted() {
    run(async {
        let watched = Watched::start(&[]).await;
        let (ann, bob) = (watched.server.user("ann").await, watched.server.user("bob").await);
        let room = ann.create_room(json!({ "preset": "private_chat", "invite": [bob.id] })).await;
        bob.join(&room).await;
        let gateway = Gateway::start().await;
        gateway.fail(true);
        gateway.tell_of(&bob, "phone", &json!({})).await;
        ann.say(&room, "bed 4").await;
        watched.wait("matron_push_calls_total{outcome=\"failed\"}", |failed| failed >= 1.0).await;
        assert!(watched.number("matron_push_waiting").await >= 1.0);
        gateway.fail(false);
        watched.wait("matron_push_calls_total{outcome=\"delivered\"}", |delivered| delivered >= 1.0).await;
        watched.wait("matron_push_delay_seconds_count", |delivered| delivered >= 1.0).await;
        watched.wait("matron_push_waiting", |waiting| waiting < 1.0).await;

        let medium = ann.call(Method::POST, "/_matrix/media/v3/upload", Some(&[7; 1000])).await.ok();
        let medium = medium["content_uri"].as_str().unwrap().strip_prefix("mxc://").unwrap().to_owned();
        let _ = ann.get(&format!("/v1/media/download/{medium}")).await;
        let _ = ann.get(&format!("/v1/media/thumbnail/{medium}?width=8&height=8")).await;
        let page = watched.page().await;
        assert!((number_in(&page, "matron_media_uploaded_bytes_total") - 1000.0).abs() < 0.5);
        assert!((number_in(&page, "matron_media_served_bytes_total") - 1000.0).abs() < 0.5);
        assert!((number_in(&page, "matron_media_thumbnails_total{outcome=\"refused\"}") - 1.0).abs() < 0.5);
    });
}

#[test]
fn who_is_sent_away_is_counted() {
    run(async {
        let watched = Watched::start(&[("MATRON_RATE_LIMITS__ENABLED", "true")]).await;
        let ann = watched.server.user("ann").await;
        let room = ann.create_room(json!({})).await;
        let mut refused = 0;
        for _ in 0..60 {
            refused += u32::from(ann.post(&format!("/v3/join/{room}"), json!({})).await.status == 429);
        }
        assert!(refused > 0);
        let told = watched.number("matron_requests_limited_total{class=\"join\"}").await;
        assert!((told - f64::from(refused)).abs() < 0.5, "{told}, not {refused}");
    });
}
