//! `/user_directory/search` among 30,000 users of one open room.

use std::time::Instant;

use serde_json::json;
use spec_tests::User;
use tokio::task::JoinSet;

use crate::bench::Bench;
use crate::meter::quantile;
use crate::pace::millis_since;
use crate::running::Running;
use crate::table::{Goal, thousands};

/// So many users for events of the whole world: 30,000.
const SHARE: usize = 66;
const AT_ONCE: usize = 32;
const ROUNDS: usize = 5;
const SEARCHES: usize = 100;
const FIRST: [&str; 12] =
    ["Ann", "Bob", "Carol", "Dev", "Eve", "Farid", "Grace", "Hugo", "Ines", "Jörg", "Kofi", "Léa"];
const LAST: [&str; 10] =
    ["Adams", "Brown", "Chen", "Dubois", "Evans", "Fischer", "García", "Hughes", "Ibrahim", "Jones"];

pub async fn measure(bench: &mut Bench) {
    let running = bench.server().await;
    let users = bench.world.size.events / SHARE;
    let room = running.user(0).create_room(json!({ "preset": "public_chat" })).await;
    fill(&running, &room, users).await;
    running.meter.quiet().await;
    let mut wire = running.wire(1).await;
    let mut taken = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..=ROUNDS {
        for (kind, taken) in taken.iter_mut().enumerate() {
            let mut each = Vec::with_capacity(SEARCHES);
            for nth in 0..SEARCHES {
                let (first, last) = (FIRST[nth % FIRST.len()], LAST[nth % LAST.len()]);
                let term = match kind {
                    0 => first.chars().take(1).collect(),
                    1 => format!("{first} {last}"),
                    _ => format!("staff{}", nth * 7),
                };
                let body = json!({ "search_term": term, "limit": 10 }).to_string();
                let begun = Instant::now();
                let found = wire.post("/v3/user_directory/search", &body).await;
                each.push(millis_since(begun));
                // Not every name is among the users of a smaller world.
                assert!(kind == 2 || found.text("user_id").is_some(), "{body} finds nobody");
            }
            if round > 0 {
                taken.push(quantile(&each, 0.99));
            }
        }
    }
    for (what, taken) in ["one letter", "first and last name", "user name"].into_iter().zip(taken) {
        let what = format!("`/user_directory/search` of {} by {what}, p99", thousands(users as f64));
        bench.table.row(what, Goal::AtMost(5.0), "ms", &taken);
    }
}

async fn fill(running: &Running, room: &str, users: usize) {
    let mut begun = JoinSet::new();
    for nth in 0..users {
        let (url, room) = (running.server.url.clone(), room.to_owned());
        begun.spawn(async move {
            let user = User::register(&url, &format!("staff{nth}")).await;
            let name = format!("{} {}", FIRST[nth % FIRST.len()], LAST[nth / FIRST.len() % LAST.len()]);
            let path = format!("/v3/profile/{}/displayname", user.id);
            let _ = user.put(&path, json!({ "displayname": name })).await.ok();
            let _ = user.join(&room).await;
        });
        if begun.len() >= AT_ONCE {
            begun.join_next().await;
        }
    }
    begun.join_all().await;
}
