//! A server whose data folder is on a disk with faults.

use std::path::Path;

use powercut::PowerCut;
use spec_tests::Server;
use tempfile::TempDir;

/// The server, its disk, and the folder both are in. They end in this order.
pub struct Rig {
    server: Option<Server>,
    pub disk: PowerCut,
    folder: TempDir,
}

impl Rig {
    /// Mounts a disk and starts a server on it; says so where this machine does not allow it.
    pub async fn new() -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        if !Path::new("/dev/fuse").exists() {
            println!("skipped: this machine has no /dev/fuse");
            return None;
        }
        match PowerCut::mount(&data) {
            Ok(disk) => {
                let server = Some(Server::start_in(folder.path(), &[]).await);
                Some(Self { server, disk, folder })
            }
            Err(error) => {
                println!("skipped: a file system of one's own cannot be mounted here: {error}");
                None
            }
        }
    }

    /// The server, which runs.
    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("the server runs")
    }

    /// Whether the server runs, as far as was seen.
    pub const fn is_up(&self) -> bool {
        self.server.is_some()
    }

    /// Ends the server as `kill -9` does.
    pub fn kill(&mut self) {
        self.server = None;
    }

    /// Starts the server, which may fail: then answers why.
    pub async fn start(&mut self) -> Result<(), String> {
        let folder = self.folder.path().to_owned();
        let log = folder.join("test.log");
        let _ = std::fs::remove_file(&log);
        // It panics where the server does not come up, with the whole log: only the end of that is of interest.
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let started = tokio::spawn(async move { Server::start_in(&folder, &[]).await }).await;
        std::panic::set_hook(hook);
        match started {
            Ok(server) => {
                self.server = Some(server);
                Ok(())
            }
            Err(_) => {
                let log = std::fs::read_to_string(log).unwrap_or_default();
                Err(log.lines().last().unwrap_or("it wrote no log").to_owned())
            }
        }
    }
}
