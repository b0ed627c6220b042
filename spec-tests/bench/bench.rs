//! What a figure gets to work with: the world, a server over a copy of its store, exact meters, the table.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use spec_tests::{Server, User};
use tokio::sync::Mutex;

use crate::domain::CACHE_MIB;
use crate::meter::Meter;
use crate::table::Table;
use crate::wire::Wire;
use crate::world::{Shelf, World};

/// How long a server may go on after its answers; what it does then belongs to them.
const AFTERWARDS: Duration = Duration::from_millis(15);

/// A server that is measured.
#[derive(Debug)]
pub struct Running {
    pub server: Server,
    pub meter: Meter,
    pub address: SocketAddr,
    pub folder: PathBuf,
    pub world: Arc<World>,
}

/// Everything that a figure needs.
pub struct Bench {
    pub world: Arc<World>,
    pub shelf: Shelf,
    pub table: Table,
    running: Mutex<Option<Arc<Running>>>,
}

impl Bench {
    pub fn new(shelf: Shelf, world: World) -> Self {
        Self { world: Arc::new(world), shelf, table: Table::default(), running: Mutex::default() }
    }

    /// The server that most figures share, over a copy of the store: started when it is first asked for.
    pub async fn server(&self) -> Arc<Running> {
        let mut running = self.running.lock().await;
        if let Some(running) = &*running {
            return Arc::clone(running);
        }
        let started = Arc::new(self.start(self.shelf.copy("run")).await);
        // With its first commit the store gives up the snapshot that it opened with, and what that held.
        let somebody = started.user(2);
        let path = format!("/v3/user/{}/account_data/org.example.begun", somebody.id);
        drop(somebody.put(&path, serde_json::json!({})).await.ok());
        started.meter.quiet().await;
        *running = Some(Arc::clone(&started));
        started
    }

    /// Ends the shared server: whoever asks next gets another one, over a new copy.
    pub async fn end_server(&self) {
        *self.running.lock().await = None;
        self.shelf.drop("run");
    }

    /// A server over the store below `folder`.
    pub async fn start(&self, folder: PathBuf) -> Running {
        // The rest is as everybody has it by default, but that limits on requests are off and passwords hashed at once.
        let cache = CACHE_MIB.to_string();
        let server = Server::start_in(&folder, &[("MATRON_STORE__CACHE_MIB", &cache)]).await;
        let meter = Meter::of(server.process_id());
        let address = server.url.trim_start_matches("http://").parse().unwrap();
        meter.quiet().await;
        meter.quiet().await;
        Running { server, meter, address, folder, world: Arc::clone(&self.world) }
    }
}

impl Running {
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
