//! The client-server API, chapter by chapter, against a real server.
#![allow(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod bad_input;
mod syncing;
mod who_may_what;

use spec_tests::Server;
use tokio::sync::OnceCell;

/// One server for all tests: each makes users of its own.
pub async fn server() -> &'static Server {
    static SERVER: OnceCell<Server> = OnceCell::const_new();
    SERVER.get_or_init(Server::start).await
}

/// Runs a test on a runtime that outlives the server's first user.
pub fn run<F: Future<Output = ()>>(test: F) {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(test);
}
