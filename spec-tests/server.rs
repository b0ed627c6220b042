//! A Matron of one's own, as a child process on a free port.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::User;

/// The secret of `/_synapse/admin/v1/register` on test servers.
pub const SHARED_SECRET: &str = "spec-tests";

/// How long a server may take to come up or to stop.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running server. It is killed when it is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens: `http://127.0.0.1:PORT`.
    pub url: String,
    folder: PathBuf,
    settings: Vec<(String, String)>,
    /// Goes with the server, where the folder is its own.
    own_folder: Option<TempDir>,
}

/// The program, beside the running test in the target folder; `MATRON_BIN` names another one.
fn program() -> PathBuf {
    if let Some(program) = std::env::var_os("MATRON_BIN") {
        return program.into();
    }
    let test = std::env::current_exe().unwrap();
    let folder = test.ancestors().find(|folder| folder.join("matron").is_file());
    folder.expect("the program is not built: cargo build -p matron-server").join("matron")
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Server {
    /// Starts a server with a store of its own.
    pub async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let mut server = Self::start_in(folder.path(), &[]).await;
        server.own_folder = Some(folder);
        server
    }

    /// Starts a server over a data folder, with more settings (`MATRON_…` variables).
    pub async fn start_in(folder: &Path, settings: &[(&str, &str)]) -> Self {
        let settings: Vec<_> = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (child, url) = Self::spawn(folder, &settings);
        let mut server = Self { child, url, folder: folder.to_owned(), settings, own_folder: None };
        server.wait_ready().await;
        server
    }

    /// The program as it runs over a folder, at this address.
    fn program(folder: &Path, settings: &[(String, String)], address: &str) -> Command {
        let mut command = Command::new(program());
        command
            // Not that of a package which this machine may have.
            .env("MATRON_CONFIG", "")
            .env("MATRON_SERVER_NAME", "localhost")
            .env("MATRON_DATA_DIR", folder.join("data"))
            .env("MATRON_LISTENERS", format!("[{{bind=\"{address}\"}}]"))
            .env("MATRON_METRICS__BIND", "")
            .env("MATRON_REGISTRATION__MODE", "open")
            .env("MATRON_REGISTRATION__SHARED_SECRET", SHARED_SECRET)
            .env("MATRON_RATE_LIMITS__ENABLED", "false")
            .env("MATRON_PRESENCE__ENABLED", "true")
            .env("MATRON_PUSH__PLAIN_GATEWAYS", "true")
            .env("MATRON_OUTGOING__ALLOWED_NETWORKS", "[\"127.0.0.1\"]")
            .env("MATRON_PASSWORD_HASHING__MEMORY_KIB", "8")
            .env("MATRON_PASSWORD_HASHING__ITERATIONS", "1")
            .env("MATRON_STORE__CACHE_MIB", "64");
        for (name, value) in settings {
            command.env(name, value);
        }
        command.stdin(Stdio::null());
        command
    }

    fn spawn(folder: &Path, settings: &[(String, String)]) -> (Child, String) {
        let address = format!("127.0.0.1:{}", free_port());
        let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("test.log")).unwrap();
        let child = Self::program(folder, settings, &address)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("the program does not start");
        (child, format!("http://{address}"))
    }

    /// The program as an administrator calls it beside the running server, yet without arguments.
    #[must_use]
    pub fn command(&self) -> Command {
        Self::program(&self.folder, &self.settings, self.url.trim_start_matches("http://"))
    }

    /// Runs a command of the program over a data folder, to its end: whether it succeeded, and all that it said.
    pub async fn run(folder: &Path, settings: &[(&str, &str)], arguments: &[&str]) -> (bool, String) {
        let settings: Vec<_> = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut command = Self::program(folder, &settings, "127.0.0.1:0");
        command.args(arguments);
        let output = tokio::process::Command::from(command).kill_on_drop(true).output().await.unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    }

    async fn wait_ready(&mut self) {
        let begun = Instant::now();
        let http = reqwest::Client::new();
        loop {
            let answer = http.get(format!("{}/_matrix/client/versions", self.url)).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the server ended with {status}:\n{}", self.log());
            }
            assert!(begun.elapsed() < PATIENCE, "the server does not come up:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the log says this: it is written behind the answers.
    pub async fn logged(&self, what: &str) {
        let begun = Instant::now();
        while !self.log().contains(what) {
            assert!(begun.elapsed() < PATIENCE, "{what} is not in the log:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What the server wrote to its log.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("test.log")).unwrap_or_default()
    }

    /// The process's number.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process ended by itself.
    ///
    /// # Panics
    /// It cannot be asked for.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Ends the server as `kill -9` does.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Stops the server as the system does, and waits for its end: whether it ended well.
    ///
    /// # Panics
    /// It does not end.
    pub async fn stop(&mut self) -> bool {
        let process = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        signal::kill(process, Signal::SIGTERM).unwrap();
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.success();
            }
            assert!(begun.elapsed() < PATIENCE, "the server does not stop:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Starts the server again over the same store, on another port.
    pub async fn restart(&mut self) {
        self.kill();
        (self.child, self.url) = Self::spawn(&self.folder, &self.settings);
        self.wait_ready().await;
    }

    /// Registers somebody with a name that nobody has.
    pub async fn user(&self, name: &str) -> User {
        User::register(&self.url, &crate::unique(name)).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
