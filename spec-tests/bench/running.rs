//! A server that is measured: over a store of its own, with exact meters and the world that is in the store.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use spec_tests::{Server, User};

use crate::meter::Meter;
use crate::wire::Wire;
use crate::world::{CACHE_MIB, World};

/// How long a server may go on after its answers; what it does then belongs to them.
const AFTERWARDS: Duration = Duration::from_millis(15);

/// A server that is measured.
#[derive(Debug)]
pub struct Running {
    pub server: Server,
    pub meter: Meter,
    pub address: SocketAddr,
    /// Where its page of metrics is.
    #[allow(dead_code, reason = "the soak asks there")]
    pub metrics: String,
    pub folder: PathBuf,
    pub world: Arc<World>,
}

impl Running {
    /// A server over the store below `folder`.
    pub async fn start(folder: PathBuf, world: Arc<World>) -> Self {
        // The rest is as everybody has it by default, but that limits on requests are off and passwords hashed at once.
        let cache = CACHE_MIB.to_string();
        let metrics = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        // As it runs by default: the tests' servers tell who is there, and show no metrics.
        let settings = [
            ("MATRON_STORE__CACHE_MIB", &*cache),
            ("MATRON_PRESENCE__ENABLED", "false"),
            ("MATRON_METRICS__BIND", &*metrics),
        ];
        let server = Server::start_in(&folder, &settings).await;
        let meter = Meter::of(server.process_id());
        let address = server.url.trim_start_matches("http://").parse().unwrap();
        meter.quiet().await;
        meter.quiet().await;
        let metrics = format!("http://{metrics}/metrics");
        Self { server, meter, address, metrics, folder, world }
    }

    /// The same over a copy of the kept store, after the first commit: with it the store gives up the snapshot that it opened
    /// with, and what that held.
    pub async fn start_over_copy(folder: PathBuf, world: Arc<World>) -> Self {
        let running = Self::start(folder, world).await;
        let somebody = running.user(2);
        let path = format!("/v3/user/{}/account_data/org.example.begun", somebody.id);
        drop(somebody.put(&path, serde_json::json!({})).await.ok());
        running.meter.quiet().await;
        running
    }

    /// A connection of one of the people.
    pub async fn wire(&self, person: usize) -> Wire {
        Wire::connect(self.address, &self.world.people[person].token).await
    }

    /// One of the people, for what is prepared and not measured.
    pub fn user(&self, person: usize) -> User {
        let person = &self.world.people[person];
        User::with_token(&self.server.url, &person.id, &person.token, &person.device)
    }

    /// Milliseconds of the server's CPU that some work takes, with what the server does right after it.
    pub async fn cost<T>(&self, work: impl Future<Output = T>) -> (f64, T) {
        tokio::time::sleep(AFTERWARDS).await;
        let before = self.meter.cpu();
        let done = work.await;
        tokio::time::sleep(AFTERWARDS).await;
        (self.meter.cpu() - before, done)
    }

    /// Milliseconds of the server's CPU per operation: once to warm it, then in rounds of `each` operations.
    pub async fn rounds(&self, rounds: usize, each: usize, mut operation: impl AsyncFnMut()) -> Vec<f64> {
        let mut figures = Vec::with_capacity(rounds);
        for round in 0..=rounds {
            let all = async {
                for _ in 0..each {
                    operation().await;
                }
            };
            let (cost, ()) = self.cost(all).await;
            if round > 0 {
                figures.push(cost / each as f64);
            }
        }
        figures
    }
}
