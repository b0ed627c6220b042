//! Traces, as a collector gets them.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use rustix::process::Signal;

use super::program::{Program, ask_at, get_at};

/// The trace that a proxy began: as text, and as a collector gets it.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PROXY: &str = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";

/// A collector of one's own: it keeps what is posted to it.
struct Collector {
    url: String,
    posted: Arc<Mutex<Vec<u8>>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let posted = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&posted);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                take(stream.unwrap(), &kept);
            }
        });
        Self { url, posted }
    }

    fn has(&self, bytes: &[u8]) -> bool {
        self.posted.lock().unwrap().windows(bytes.len()).any(|part| part == bytes)
    }
}

/// Takes one request, and ends the connection.
fn take(mut stream: TcpStream, posted: &Mutex<Vec<u8>>) {
    let (mut request, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let head = request.windows(4).position(|part| part == b"\r\n\r\n").map(|at| at + 4);
        if let Some(head) = head {
            let text = String::from_utf8_lossy(&request[..head]).to_lowercase();
            assert!(text.starts_with("post /v1/traces http/1.1\r\n"), "{text}");
            assert!(text.contains("content-type: application/x-protobuf"), "{text}");
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if request.len() >= head + length.trim().parse::<usize>().unwrap() {
                posted.lock().unwrap().extend_from_slice(&request[head..]);
                break;
            }
        }
        match stream.read(&mut piece).unwrap() {
            0 => return,
            read => request.extend_from_slice(&piece[..read]),
        }
    }
    let answer =
        "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    stream.write_all(answer.as_bytes()).unwrap();
}

fn start(folder: &Path, collector: &Collector, sample: &str, proxies: &str) -> Program {
    let variables = [
        ("MATRON_TRACES__ENDPOINT", collector.url.as_str()),
        ("MATRON_TRACES__SAMPLE", sample),
        ("MATRON_TRUSTED_PROXIES", proxies),
        // What is traced is not what is logged.
        ("MATRON_LOG__FILTER", "warn"),
    ];
    Program::start(folder, &variables)
}

fn bytes_of(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn requests_are_traced_and_nobody_is_named() {
    let (folder, collector) = (tempfile::tempdir().unwrap(), Collector::start());
    let mut program = start(folder.path(), &collector, "1.0", "[\"127.0.0.1\"]");
    let profile = get_at(program.port, "/_matrix/client/v3/profile/@nightingale:localhost", PROXY);
    assert!(profile.starts_with("HTTP/1.1 404"), "{profile}");
    let password = std::fs::read_to_string(folder.path().join("data/admin-password")).unwrap();
    let body = format!(
        r#"{{"type":"m.login.password","identifier":{{"type":"m.id.user","user":"admin"}},"password":"{}"}}"#,
        password.trim()
    );
    let session = ask_at(program.port, "POST", "/_matrix/client/v3/login", "", &body);
    assert!(session.starts_with("HTTP/1.1 200"), "{session}");
    let token = session.split_once("\"access_token\":\"").unwrap().1.split_once('"').unwrap().0;
    let as_admin = format!("authorization: Bearer {token}\r\n");
    let room = ask_at(program.port, "POST", "/_matrix/client/v3/createRoom", &as_admin, r#"{"name":"Hawthorn"}"#);
    assert!(room.starts_with("HTTP/1.1 200"), "{room}");
    assert_eq!(program.stop(Signal::TERM), Some(0));

    for told in [
        "GET /_matrix/client/v3/profile/{user_id}",
        "POST /_matrix/client/v3/login",
        "POST /_matrix/client/v3/createRoom",
        "commit",
        "http.response.status_code",
        "matron.asker",
        "nobody",
        "user",
        "service.name",
    ] {
        assert!(collector.has(told.as_bytes()), "{told} is not told:\n{}", program.log());
    }
    assert!(collector.has(&bytes_of(TRACE)), "the proxy's trace goes on");
    for secret in ["nightingale", "admin", "Hawthorn", token, "127.0.0.1"] {
        assert!(!collector.has(secret.as_bytes()), "{secret} is told");
    }
}

#[test]
fn only_a_trusted_proxy_begins_a_trace() {
    for (proxies, begins) in [("[]", false), ("[\"127.0.0.1\"]", true)] {
        let (folder, collector) = (tempfile::tempdir().unwrap(), Collector::start());
        let mut program = start(folder.path(), &collector, "0", proxies);
        assert!(get_at(program.port, "/_matrix/client/versions", PROXY).starts_with("HTTP/1.1 200"));
        assert!(get_at(program.port, "/_matrix/client/versions", "").starts_with("HTTP/1.1 200"));
        assert_eq!(program.stop(Signal::TERM), Some(0));
        assert_eq!(collector.has(&bytes_of(TRACE)), begins, "{proxies}: {}", program.log());
        assert_eq!(collector.posted.lock().unwrap().is_empty(), !begins);
    }
}

#[test]
fn a_collector_that_is_away_harms_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let away = Collector { url: format!("http://{closed}"), posted: Arc::default() };
    let mut program = start(folder.path(), &away, "1.0", "[]");
    assert!(get_at(program.port, "/_matrix/client/versions", "").starts_with("HTTP/1.1 200"));
    assert_eq!(program.stop(Signal::TERM), Some(0));
    assert!(program.log().contains("traces cannot be sent"), "{}", program.log());
}
