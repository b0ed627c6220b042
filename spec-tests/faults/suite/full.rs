//! A full disk: writes fail, reads go on, and nothing is lost when there is space again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::load::{Door, Load, Verdict};
use super::rig::Rig;

/// How soon the server must take writes again.
const PATIENCE: Duration = Duration::from_secs(10);

/// Fills the disk under load and empties it, twice; then the server dies while the disk is full.
pub async fn fills_and_empties(rig: &mut Rig) {
    let verdict = Arc::new(Verdict::default());
    let door = Door::calm(rig.server(), &verdict);
    let mut load = Load::new(&door).await;
    let somebody = door.person("somebody").await;
    let room = door.post(&somebody.token, "/v3/createRoom", &json!({})).await.unwrap();
    let room = room["room_id"].as_str().unwrap();
    for _ in 0..2 {
        let over = AtomicBool::new(false);
        let (disk, stormy) = (&rig.disk, Door::stormy(rig.server(), &verdict));
        let fill = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            disk.full(true);
            tokio::time::sleep(Duration::from_millis(500)).await;
            over.store(true, Ordering::Relaxed);
        };
        tokio::join!(load.run(&stormy, &over), fill);
        look_while_full(&door, &somebody.id, &somebody.token, room).await;
        rig.disk.full(false);
        recovers(&door, rig).await;
        load.check(&door).await;
    }
    rig.disk.full(true);
    rig.kill();
    // A start with nothing free: all is there to read, and who dies once more has spoiled nothing.
    for _ in 0..2 {
        rig.start().await.unwrap();
        look_while_full(&Door::calm(rig.server(), &verdict), &somebody.id, &somebody.token, room).await;
        rig.kill();
    }
    rig.start().await.unwrap();
    let door = Door::calm(rig.server(), &verdict);
    look_while_full(&door, &somebody.id, &somebody.token, room).await;
    let reason = reason(rig).await;
    assert!(reason.contains("is the disk full?"), "/ready says {reason:?}");
    rig.disk.full(false);
    recovers(&door, rig).await;
    load.check_all(&door).await;
    rig.kill();
    rig.start().await.unwrap();
    load.check_all(&Door::calm(rig.server(), &verdict)).await;
    assert!(verdict.is_good(), "{load}\n{verdict}");
}

/// Waits until the server takes writes again, by itself.
async fn recovers(door: &Door, rig: &Rig) {
    let begun = Instant::now();
    while status(door, Method::GET, "", "/ready", None).await != 200 {
        assert!(begun.elapsed() < PATIENCE, "the server does not recover: {}", rig.server().log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What `/ready` says in words.
async fn reason(rig: &Rig) -> String {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    http.get(format!("{}/ready", rig.server().url)).send().await.unwrap().text().await.unwrap()
}

/// Every write answers 503, every read 200, and the server says that it is not ready.
async fn look_while_full(door: &Door, id: &str, token: &str, room: &str) {
    let (body, empty) = (json!({ "msgtype": "m.text", "body": "no room" }), json!({}));
    for (method, path, body) in [
        (Method::PUT, format!("/v3/rooms/{room}/send/m.room.message/full"), &body),
        (Method::PUT, format!("/v3/rooms/{room}/state/org.example.full"), &empty),
        (Method::PUT, format!("/v3/user/{id}/account_data/org.example.full"), &empty),
        (Method::POST, "/v3/createRoom".to_owned(), &empty),
    ] {
        let answer = status(door, method, token, &path, Some(body)).await;
        assert_eq!(answer, 503, "{path} on a full disk");
    }
    for path in ["/v3/sync", "/v3/joined_rooms", &format!("/v3/rooms/{room}/messages?dir=b")] {
        assert_eq!(status(door, Method::GET, token, path, None).await, 200, "{path} on a full disk");
    }
    assert_eq!(status(door, Method::GET, "", "/ready", None).await, 503, "/ready on a full disk");
    assert_eq!(status(door, Method::GET, "", "/health", None).await, 200, "/health on a full disk");
}

async fn status(door: &Door, method: Method, token: &str, path: &str, body: Option<&Value>) -> u16 {
    door.raw(method, token, path, body).await.map_or(0, |answer| answer.status)
}
