//! Starts and stops the real program, and talks to it.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_matron"));
    let ours = std::env::vars_os().map(|(name, _)| name);
    for name in ours.filter(|name| name.to_string_lossy().starts_with("MATRON_")) {
        command.env_remove(name);
    }
    command
        .current_dir(folder)
        // None, even where the machine has a package's.
        .env("MATRON_CONFIG", "")
        .env("MATRON_METRICS__BIND", "")
        .env("MATRON_PASSWORD_HASHING__MEMORY_KIB", "8")
        .env("MATRON_LISTENERS", "[{bind=\"127.0.0.1:0\"}]");
    command
}

/// Runs a command to its end: whether it succeeded, what it said, what it complained of.
pub fn run(folder: &Path, arguments: &[&str], input: &str) -> (bool, String, String) {
    run_with(folder, &[], arguments, input)
}

/// The same, with these variables.
pub fn run_with(folder: &Path, variables: &[(&str, &str)], arguments: &[&str], input: &str) -> (bool, String, String) {
    let mut command = command(folder);
    command.envs(variables.iter().copied()).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may end without having read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// The whole answer to a request with these headers, each with its end of line.
pub fn ask_at(port: u16, method: &str, path: &str, headers: &str, body: &str) -> String {
    let mut stream = connect(port);
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The whole answer to a `GET` with these headers.
pub fn get_at(port: u16, path: &str, headers: &str) -> String {
    ask_at(port, "GET", path, headers, "")
}

/// A running server.
pub struct Program {
    child: Child,
    log: PathBuf,
    /// Its port.
    pub port: u16,
}

impl Program {
    /// Starts one on a free port and waits until it is ready.
    pub fn start(folder: &Path, variables: &[(&str, &str)]) -> Self {
        // Free a moment ago; nobody else on a test machine takes it in between.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self::start_at(folder, port, variables)
    }

    /// The same on a given port; the variables may name other listeners beside it.
    pub fn start_at(folder: &Path, port: u16, variables: &[(&str, &str)]) -> Self {
        let log = folder.join("log");
        let mut command = command(folder);
        command
            .env("MATRON_LISTENERS", format!("[{{bind=\"127.0.0.1:{port}\"}}]"))
            .envs(variables.iter().copied())
            .stdout(File::create(folder.join("out")).unwrap())
            .stderr(File::create(&log).unwrap());
        let program = Self { child: command.spawn().unwrap(), log, port };
        program.wait_until("it is ready", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok() && program.get("/ready").starts_with("HTTP/1.1 200")
        });
        program
    }

    /// Waits until something is so.
    pub fn wait_until(&self, what: &str, done: impl Fn() -> bool) {
        for _ in 0..300 {
            if done() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("waited too long until {what}:\n{}", self.log());
    }

    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until it has logged this.
    pub fn wait_for_log(&self, text: &str) {
        self.wait_until(text, || self.log().contains(text));
    }

    /// A connection.
    pub fn connect(&self) -> TcpStream {
        connect(self.port)
    }

    /// The whole answer to a request.
    pub fn get(&self, path: &str) -> String {
        get_at(self.port, path, "")
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Sends a signal, and waits for the end: its exit code.
    pub fn stop(&mut self, signal: Signal) -> Option<i32> {
        self.signal(signal);
        self.child.wait().unwrap().code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
