//! The program as whoever starts it sees it: files, signals, the command line, TLS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod managing;
mod program;
mod tls;
mod traces;
mod watching;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use program::{Program, run, run_with};
use rustix::process::Signal;

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn it_starts_serves_and_stops() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut program = Program::start(folder.path(), &[]);
    assert!(program.get("/ready").starts_with("HTTP/1.1 200"));
    assert!(program.get("/health").starts_with("HTTP/1.1 200"));
    let versions = program.get("/_matrix/client/versions");
    assert!(versions.contains("\r\nx-request-id: ") && versions.contains("\"v1.13\""), "{versions}");
    assert!(program.get("/_matrix/client/v3/none").contains("M_UNRECOGNIZED"));

    assert_eq!(mode(&data), 0o700);
    assert_eq!(mode(&data.join("admin-password")), 0o600);
    assert_eq!(mode(&data.join("matron.sock")), 0o600);

    assert_eq!(run(folder.path(), &["ready"], ""), (true, "ready\n".to_owned(), String::new()));
    let (status, _, error) = run(folder.path(), &["serve"], "");
    assert!(!status && error.contains("another process serves the data folder"), "{error}");

    // By the socket, and after the stop by the store itself.
    let (status, out, error) = run(folder.path(), &["user", "add", "alice"], "correct horse\n");
    assert!(status, "{error}");
    assert_eq!(out, "@alice:localhost\n");
    let (status, _, error) = run(folder.path(), &["user", "add", "alice", "--random"], "");
    assert!(!status && !error.is_empty());
    assert_eq!(program.stop(Signal::TERM), Some(0));
    assert!(!data.join("matron.sock").exists());
    let (status, _, error) = run(folder.path(), &["ready"], "");
    assert!(!status && error.contains("does not answer"), "{error}");
    let (_, out, _) = run(folder.path(), &["user", "list"], "");
    assert_eq!(out, "@admin:localhost  administrator\n@alice:localhost\n");
    let (_, out, _) = run(folder.path(), &["user", "deactivate", "alice"], "");
    assert_eq!(out, "@alice:localhost\n");

    // The second start makes nobody anew.
    fs::remove_file(data.join("admin-password")).unwrap();
    let mut program = Program::start(folder.path(), &[("MATRON_LOG__FORMAT", "json"), ("MATRON_LOG__FILTER", "debug")]);
    assert!(!data.join("admin-password").exists());
    assert_eq!(program.stop(Signal::INT), Some(0));
    let log = program.log();
    let answered = log.lines().find(|line| line.contains("answered")).unwrap();
    let line: serde_json::Value = serde_json::from_str(answered).unwrap();
    assert_eq!(line["status"], 200);
    assert_eq!(line["span"]["method"], "GET");
}

#[test]
fn a_wrong_configuration_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("matron.toml");
    fs::write(&file, "\nservername = \"a\"\n").unwrap();
    let (status, _, error) = run(folder.path(), &["--config", file.to_str().unwrap()], "");
    assert!(!status);
    let expected = format!("{}:2: unknown key `servername`; did you mean `server_name`?\n", file.display());
    assert_eq!(error, expected);
    assert!(!folder.path().join("data").exists());
}

#[test]
fn root_leaves_nothing_in_anothers_data_folder() {
    // Nobody else can give a folder away.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir_all(data.join("store")).unwrap();
    std::os::unix::fs::chown(&data, Some(4242), None).unwrap();
    for arguments in [["serve"].as_slice(), &["user", "list"], &["db", "check"]] {
        let (status, _, error) = run(folder.path(), arguments, "");
        assert!(!status && error.contains("belongs to user 4242"), "{error}");
    }
    assert_eq!(fs::read_dir(&data).unwrap().count(), 1);
    assert_eq!(fs::read_dir(data.join("store")).unwrap().count(), 0);
}

#[test]
fn no_command_makes_a_store_where_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        ["user", "add", "alice", "--random"].as_slice(),
        &["user", "list"],
        &["report", "list"],
        &["media", "list", "alice"],
        &["db", "check"],
        &["db", "backup", "--to", "backups"],
    ] {
        let (done, _, error) = run(folder.path(), arguments, "");
        let is_told = error.contains("/data; no configuration file was read") && error.contains("--config");
        assert!(!done && error.contains("there is no store") && is_told, "{error}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    fs::write(folder.path().join("matron.toml"), "data_dir = \"elsewhere\"\n").unwrap();
    let (done, _, error) = run(folder.path(), &["--config", "matron.toml", "user", "list"], "");
    assert!(!done && error.contains("/elsewhere; the configuration file is matron.toml"), "{error}");
}

#[test]
fn a_check_of_the_configuration_says_what_it_read() {
    let folder = tempfile::tempdir().unwrap();
    let (done, out, error) = run(folder.path(), &["config", "check"], "");
    assert!(done && out.contains("is right; no configuration file was read"), "{error}");
    fs::write(folder.path().join("matron.toml"), "").unwrap();
    let by_variable = [("MATRON_CONFIG", "matron.toml")];
    let (done, out, error) = run_with(folder.path(), &by_variable, &["config", "check"], "");
    assert!(done && out.contains("is right; the configuration file is matron.toml"), "{error}");
}

#[test]
fn a_parked_connection_does_not_hold_up_the_stop() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::start(folder.path(), &[]);
    // One that never asks, one that stopped halfway.
    let _silent = program.connect();
    let mut halfway = program.connect();
    std::io::Write::write_all(&mut halfway, b"GET /hea").unwrap();
    let began = std::time::Instant::now();
    assert_eq!(program.stop(Signal::TERM), Some(0));
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
}

#[test]
fn a_reload_takes_the_new_log_filter() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("matron.toml");
    fs::write(&file, "").unwrap();
    let mut program = Program::start(folder.path(), &[("MATRON_CONFIG", file.to_str().unwrap())]);
    fs::write(&file, "log.filter = \"debug\"\nstore.cache_mib = 32\n").unwrap();
    program.signal(Signal::HUP);
    program.wait_for_log("these keys changed and need a new start keys=\"store.cache_mib\"");
    program.wait_for_log("reloaded");
    fs::write(&file, "nonsense = 1\n").unwrap();
    program.signal(Signal::HUP);
    program.wait_for_log("unknown key `nonsense`");
    assert!(program.get("/health").starts_with("HTTP/1.1 200"));
    assert_eq!(program.stop(Signal::TERM), Some(0));
}

#[test]
fn a_reload_takes_new_limits() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("matron.toml");
    fs::write(&file, "rate_limits.other = { burst = 1, per_minute = 1 }\n").unwrap();
    let mut program = Program::start(folder.path(), &[("MATRON_CONFIG", file.to_str().unwrap())]);
    let answers = |status: &str| program.get("/_matrix/client/v3/login").starts_with(&format!("HTTP/1.1 {status} "));
    assert!(answers("200") && answers("429"));
    fs::write(&file, "rate_limits.other = { burst = 2, per_minute = 1 }\n").unwrap();
    program.signal(Signal::HUP);
    program.wait_until("the new limit holds", || answers("200"));
    assert!(answers("200") && answers("429"));
    fs::write(&file, "rate_limits.enabled = false\n").unwrap();
    program.signal(Signal::HUP);
    program.wait_until("there is no limit", || answers("200"));
    assert!((0..10).all(|_| answers("200")));
    assert!(!program.log().contains("need a new start"));
    assert_eq!(program.stop(Signal::TERM), Some(0));
}

#[test]
fn both_versions_are_told_by_their_first_bytes() {
    use std::io::{Read as _, Write as _};
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::start(folder.path(), &[]);
    // A head that comes byte by byte, and begins as HTTP/2 would.
    let mut stream = program.connect();
    for byte in b"PUT /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n" {
        stream.write_all(&[*byte]).unwrap();
        stream.flush().unwrap();
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
    // The preface in two parts, and empty SETTINGS: the server's own SETTINGS come back.
    let mut stream = program.connect();
    stream.write_all(b"PRI * HT").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(50));
    stream.write_all(b"TP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).unwrap();
    assert_eq!(frame[3], 4);
    assert_eq!(program.stop(Signal::TERM), Some(0));
}

#[test]
fn a_place_of_backups_that_is_suddenly_empty_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("backups");
    let backup = |more: &[&str]| {
        let arguments = [["db", "backup", "--to", "backups"].as_slice(), more].concat();
        run(folder.path(), &arguments, "")
    };
    let mut program = Program::start(folder.path(), &[]);
    for _ in 0..2 {
        let (done, _, error) = backup(&[]);
        assert!(done, "{error}");
    }
    // As a disk that is not mounted looks.
    fs::remove_dir_all(&place).unwrap();
    let (done, _, error) = backup(&[]);
    assert!(!done && error.contains("is its disk mounted?"), "{error}");
    assert_eq!(fs::read_dir(&place).unwrap().count(), 0);
    let (done, _, error) = backup(&["--anew"]);
    assert!(done, "{error}");
    let (done, _, error) = backup(&[]);
    assert!(done, "{error}");
    assert_eq!(program.stop(Signal::TERM), Some(0));
}

#[test]
fn a_lost_server_comes_back_from_its_backup() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let backups = folder.path().join("backups").display().to_string();
    let to = ["--to", &backups];
    let program = Program::start(folder.path(), &[]);
    let (status, _, error) = run(folder.path(), &["user", "add", "alice"], "correct horse\n");
    assert!(status, "{error}");
    // By the running server, and by the store itself.
    let (status, out, error) = run(folder.path(), &["db", "backup", to[0], to[1]], "");
    assert!(status && out.starts_with("backup "), "{error}");
    let (status, out, error) = run(folder.path(), &["db", "check"], "");
    assert!(status && out.starts_with("the store is sound"), "{error}");
    let (status, _, error) = run(folder.path(), &["db", "restore", "--from", &backups], "");
    assert!(!status && error.contains("a server runs"), "{error}");
    drop(program);
    let (status, out, error) = run(folder.path(), &["db", "backup", to[0], to[1], "--keep", "1"], "");
    assert!(status && out.contains("1 older ones went"), "{out}{error}");
    let (status, out, error) = run(folder.path(), &["db", "compact"], "");
    assert!(status && out.starts_with("compacted"), "{error}");

    let (status, out, error) = run(other.path(), &["db", "verify", "--from", &backups], "");
    assert!(status && out.contains("is sound"), "{error}");
    let (status, _, error) = run(other.path(), &["db", "restore", "--from", &backups], "");
    assert!(status, "{error}");
    let (_, out, _) = run(other.path(), &["db", "backups", "--from", &backups], "");
    assert_eq!(out.lines().count(), 1);
    let mut program = Program::start(other.path(), &[]);
    let (_, out, _) = run(other.path(), &["user", "list"], "");
    assert_eq!(out, "@admin:localhost  administrator\n@alice:localhost\n");
    let (status, _, error) = run(other.path(), &["db", "backup"], "");
    assert!(!status && error.contains("backup.place"), "{error}");
    assert_eq!(program.stop(Signal::TERM), Some(0));
    // What is there is not restored over.
    let (status, _, error) = run(other.path(), &["db", "restore", "--from", &backups], "");
    assert!(!status && error.contains("is there already"), "{error}");
}
