//! `kill -9` at a random moment of the load, again and again.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use spec_tests::Server;

use super::load::{Door, Load, Verdict};

/// Kills a server so many times, or until something is wrong.
pub async fn rounds(folder: &Path, count: usize, verdict: &Arc<Verdict>) -> (usize, Load) {
    let mut server = Server::start_in(folder, &[]).await;
    let mut load = Load::new(&Door::calm(&server, verdict)).await;
    let mut done = 0;
    while done < count && verdict.is_good() {
        let over = AtomicBool::new(false);
        let door = Door::stormy(&server, verdict);
        let kill = async {
            tokio::time::sleep(Duration::from_millis(rand::random_range(20..1500))).await;
            server.kill();
            over.store(true, Ordering::Relaxed);
        };
        tokio::join!(load.run(&door, &over), kill);
        server.restart().await;
        load.check(&Door::calm(&server, verdict)).await;
        done += 1;
    }
    load.check_all(&Door::calm(&server, verdict)).await;
    (done, load)
}
