//! What whoever runs the server does by the command line: with accounts, reports and media.

use std::path::Path;

use rustix::process::Signal;

use crate::program::{Program, ask_at, run};

const CLIENT: &str = "/_matrix/client/v3";

/// A user who is logged in.
struct Somebody<'a> {
    program: &'a Program,
    header: String,
}

impl<'a> Somebody<'a> {
    /// Makes an account and logs in to it.
    fn new(program: &'a Program, folder: &Path, name: &str) -> Self {
        let (done, _, error) = run(folder, &["user", "add", name], "correct horse\n");
        assert!(done, "{error}");
        let who = format!(r#"{{"type":"m.id.user","user":"{name}"}}"#);
        let body = format!(r#"{{"type":"m.login.password","identifier":{who},"password":"correct horse"}}"#);
        let session = ask_at(program.port, "POST", &format!("{CLIENT}/login"), "", &body);
        Self { program, header: format!("authorization: Bearer {}\r\n", part(&session, "access_token")) }
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> String {
        ask_at(self.program.port, method, path, &self.header, body)
    }

    fn done(&self, method: &str, path: &str, body: &str) -> String {
        let answer = self.ask(method, path, body);
        assert!(answer.starts_with("HTTP/1.1 200"), "{method} {path}: {answer}");
        answer
    }
}

/// A text of an answer's JSON.
fn part(answer: &str, name: &str) -> String {
    let mark = format!("\"{name}\":\"");
    let rest = answer.split_once(&mark).unwrap_or_else(|| panic!("no {name}: {answer}")).1;
    rest.split_once('"').unwrap().0.to_owned()
}

/// What a command says that succeeds.
fn say(folder: &Path, arguments: &[&str]) -> String {
    let (done, out, error) = run(folder, arguments, "");
    assert!(done, "{arguments:?}: {error}");
    out
}

/// What a command complains of.
fn refusal(folder: &Path, arguments: &[&str]) -> String {
    let (done, out, error) = run(folder, arguments, "");
    assert!(!done, "{arguments:?}: {out}");
    error
}

#[test]
fn accounts_are_locked_suspended_and_made_administrators() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::start(folder.path(), &[]);
    let folder = folder.path();
    let alice = Somebody::new(&program, folder, "alice");
    let who_am_i = format!("{CLIENT}/account/whoami");
    let rooms = format!("{CLIENT}/createRoom");
    let _ = alice.done("GET", &who_am_i, "");

    assert_eq!(say(folder, &["user", "lock", "alice"]), "@alice:localhost\n");
    assert!(alice.ask("GET", &who_am_i, "").contains("M_USER_LOCKED"));
    assert_eq!(say(folder, &["user", "unlock", "@alice:localhost"]), "@alice:localhost\n");
    let _ = alice.done("GET", &who_am_i, "");
    let _ = say(folder, &["user", "suspend", "alice"]);
    assert!(alice.ask("POST", &rooms, "{}").contains("M_USER_SUSPENDED"));
    let _ = say(folder, &["user", "set-admin", "alice"]);
    let listed = say(folder, &["user", "list"]);
    assert_eq!(listed, "@admin:localhost  administrator\n@alice:localhost  administrator  suspended\n");
    let _ = say(folder, &["user", "unsuspend", "alice"]);
    let _ = alice.done("POST", &rooms, "{}");
    let limits = "/_synapse/admin/v1/users/@alice:localhost/override_ratelimit";
    let _ = alice.done("GET", limits, "");
    let _ = say(folder, &["user", "set-admin", "alice", "--revoke"]);
    assert!(alice.ask("GET", limits, "").contains("M_FORBIDDEN"));
    assert!(refusal(folder, &["user", "lock", "bob"]).contains("there is no account bob"));

    // Where no server runs, by the store itself.
    assert_eq!(program.stop(Signal::TERM), Some(0));
    let _ = say(folder, &["user", "lock", "alice"]);
    assert_eq!(say(folder, &["user", "list"]), "@admin:localhost  administrator\n@alice:localhost  locked\n");
    let _ = say(folder, &["user", "deactivate", "alice"]);
    assert!(refusal(folder, &["user", "unlock", "alice"]).contains("there is no such account"));
}

#[test]
fn reports_are_read_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::start(folder.path(), &[]);
    let folder = folder.path();
    assert_eq!(say(folder, &["report", "list"]), "");
    let alice = Somebody::new(&program, folder, "alice");
    let room = part(&alice.done("POST", &format!("{CLIENT}/createRoom"), "{}"), "room_id");
    let send = format!("{CLIENT}/rooms/{room}/send/m.room.message/1");
    let event = part(&alice.done("PUT", &send, r#"{"msgtype":"m.text","body":"rude words"}"#), "event_id");
    let report = format!("{CLIENT}/rooms/{room}/report/{event}");
    let _ = alice.done("POST", &report, r#"{"reason":"first\nsecond\u001b[2J"}"#);
    let of_user = format!("{CLIENT}/users/@admin:localhost/report");
    let _ = alice.done("POST", &of_user, r#"{"reason":"they never answer"}"#);

    let listed = say(folder, &["report", "list"]);
    let lines: Vec<_> = listed.lines().collect();
    assert_eq!(lines.len(), 2, "{listed}");
    assert!(lines[0].ends_with("@alice:localhost reports @admin:localhost: they never answer"), "{listed}");
    assert!(lines[1].ends_with(&format!("@alice:localhost reports @alice:localhost in {room}: first second [2J")));
    let number = lines[1].split_once(' ').unwrap().0;
    let shown = say(folder, &["report", "show", number]);
    for told in [&*format!("event   {event}\n"), "rude words", "reason  first\n        second [2J\n"] {
        assert!(shown.contains(told), "{told}: {shown}");
    }

    assert_eq!(program.stop(Signal::TERM), Some(0));
    assert_eq!(say(folder, &["report", "list"]), listed);
    assert_eq!(say(folder, &["report", "delete", number]), format!("{number} is deleted\n"));
    assert!(refusal(folder, &["report", "delete", number]).contains("there is no report"));
    assert!(refusal(folder, &["report", "show", number]).contains("there is no report"));
    assert_eq!(say(folder, &["report", "list"]).lines().collect::<Vec<_>>(), lines[..1]);
}

#[test]
fn media_are_listed_put_out_of_reach_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::start(folder.path(), &[]);
    let folder = folder.path();
    let alice = Somebody::new(&program, folder, "alice");
    let upload = |name: &str, body: &str| {
        part(&alice.done("POST", &format!("/_matrix/media/v3/upload?filename={name}"), body), "content_uri")
    };
    let (first, second) = (upload("one", "1"), upload("two", "22"));
    let get = |uri: &str| {
        let path = uri.strip_prefix("mxc://").unwrap();
        alice.ask("GET", &format!("/_matrix/client/v1/media/download/{path}"), "")
    };
    let is_out_of_reach = |uri: &str| get(uri).contains("M_NOT_FOUND");

    let listed = |uri: &str| {
        let all = say(folder, &["media", "list", "alice"]);
        let line = all.lines().find(|line| line.starts_with(uri));
        line.unwrap_or_else(|| panic!("{uri} is not listed: {all}")).to_owned()
    };
    assert!(listed(&first).ends_with("  1 bytes  application/octet-stream  one"), "{}", listed(&first));
    assert!(listed(&second).ends_with("  2 bytes  application/octet-stream  two"), "{}", listed(&second));

    assert_eq!(say(folder, &["media", "quarantine", &first]), "out of reach: 1\n");
    assert!(is_out_of_reach(&first) && !is_out_of_reach(&second));
    assert!(listed(&first).ends_with("  out of reach"));
    assert_eq!(say(folder, &["media", "quarantine", "--user", "alice"]), "out of reach: 2\n");
    assert!(is_out_of_reach(&second));
    assert_eq!(say(folder, &["media", "unquarantine", &first, &second]), "back in reach: 2\n");
    assert!(!is_out_of_reach(&first) && !is_out_of_reach(&second));
    assert_eq!(say(folder, &["media", "delete", &first]), "deleted: 1\n");
    assert!(is_out_of_reach(&first));

    assert_eq!(program.stop(Signal::TERM), Some(0));
    assert!(refusal(folder, &["media", "delete", &first]).contains("there is no such medium"));
    assert!(refusal(folder, &["media", "quarantine", "https://example.org/a"]).contains("no medium's address"));
    assert!(!refusal(folder, &["media", "delete"]).is_empty());
    assert!(!refusal(folder, &["media", "delete", &second, "--user", "alice"]).is_empty());
    assert_eq!(say(folder, &["media", "delete", "--user", "alice"]), "deleted: 1\n");
    assert_eq!(say(folder, &["media", "list", "alice"]), "");
}
