//! What a figure gets to work with: the world, a server over a copy of its store, the table.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::running::Running;
use crate::table::Table;
use crate::world::{Shelf, World};

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
        let copy = self.shelf.copy("run");
        let started = Arc::new(Running::start_over_copy(copy, Arc::clone(&self.world)).await);
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
        Running::start(folder, Arc::clone(&self.world)).await
    }
}
