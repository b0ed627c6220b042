//! The append door: authorize, hash, sign, store, without HTTP; the CPU of this very process.

use std::path::Path;
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::fill;
use crate::http::cpu_seconds;
use crate::table::Table;

const EVENTS: usize = 40_000;

/// 32 senders over 1,000 rooms.
pub async fn measure(folder: &Path, table: &mut Table) {
    let server = fill::open(&folder.join("door")).await;
    let owner = fill::session(&server, 1).await;
    let mut rooms = Vec::new();
    for _ in 0..1000 {
        rooms.push(fill::num(&server, &fill::room(&server, &owner).await).await);
    }
    let mut runs = Vec::new();
    for _ in 0..3 {
        let before = cpu_seconds(std::process::id());
        let mut senders = JoinSet::new();
        for sender in 0..32 {
            let (server, rooms, owner) = (Arc::clone(&server), rooms.clone(), owner.clone());
            senders.spawn(async move {
                for nth in 0..EVENTS / 32 {
                    let room = rooms[(sender + nth * 32) % rooms.len()];
                    let intent = fill::message(&server, &owner, "bed 3 is free, the porter is on the way");
                    server.rooms.submit(room, intent).await.unwrap();
                }
            });
        }
        senders.join_all().await;
        runs.push(EVENTS as f64 / (cpu_seconds(std::process::id()) - before));
    }
    table.row("append door, 32 senders, 1,000 rooms", "≥ 15,000", &runs, "events/CPU-s");
    server.stop().await;
    drop(server);
    let _ = std::fs::remove_dir_all(folder.join("door"));
}
