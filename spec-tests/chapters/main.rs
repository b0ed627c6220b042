//! The client-server API, chapter by chapter, against a real server.
#![allow(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod administration;
mod backing_up;
mod bad_input;
mod content_repository;
mod deactivation;
mod dehydrated;
mod device_management;
mod filtering;
mod guests;
mod ignoring_users;
mod inviting;
mod jump_to_date;
mod lazy_loading;
mod notices;
mod openid;
mod policy_servers;
mod presence;
mod profiles;
mod pushing;
mod rate_limiting;
mod relating;
mod reporting;
mod room_history;
mod room_list;
mod search;
mod spaces;
mod syncing;
mod third_party;
mod third_party_networks;
mod unread_counts;
mod upgrading;
mod user_directory;
mod watching;
mod who_may_what;

use std::sync::{Arc, Weak};

use spec_tests::Server;
use tokio::sync::Mutex;

/// One server for all tests that run at the time: each makes users of its own. It ends with the last of them.
pub async fn server() -> Arc<Server> {
    static SERVER: Mutex<Weak<Server>> = Mutex::const_new(Weak::new());
    let mut running = SERVER.lock().await;
    if let Some(server) = running.upgrade() {
        return server;
    }
    let server = Arc::new(Server::start().await);
    *running = Arc::downgrade(&server);
    server
}

/// Runs a test, with the server held until it is done.
pub fn run<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let _held = server().await;
        test.await;
    });
}
