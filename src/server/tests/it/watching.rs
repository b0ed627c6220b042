//! What whoever operates the server sees: the page of metrics, and ids of requests.

use std::collections::BTreeSet;
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use rustix::process::Signal;

use super::program::{Program, get_at};
use super::tls::certify;

/// A file of the project.
fn file(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)).unwrap()
}

/// All names of metrics in a text.
fn named(text: &str) -> BTreeSet<&str> {
    let is_part = |char: char| char.is_ascii_lowercase() || char == '_';
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices("matron_") {
        let rest = &text[at..];
        let end = rest.find(|char| !is_part(char)).unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        // Other names begin like that too: parts of the program, which filters of the log have, and files.
        let is_whole = name.len() > "matron_".len() && !behind.starts_with("::") && !text[..at].ends_with(is_part);
        if is_whole {
            names.insert(name);
        }
    }
    names
}

#[test]
fn alerts_board_and_docs_name_what_is_on_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (plain, port) = (free(), free());
    let bind = format!("127.0.0.1:{port}");
    let _ = certify(folder.path());
    let listeners = format!(
        "[{{bind=\"127.0.0.1:{plain}\"}}, {{bind=\"127.0.0.1:0\", tls_certificate=\"tls.crt\", tls_key=\"tls.key\"}}]"
    );
    let mut program = Program::start_at(
        folder.path(),
        plain,
        &[
            ("MATRON_LISTENERS", listeners.as_str()),
            ("MATRON_METRICS__BIND", bind.as_str()),
            ("MATRON_PUBLIC_URL", "https://matrix.trust.example"),
            ("MATRON_MAIL__HOST", "localhost"),
            ("MATRON_MAIL__FROM", "chat@trust.example"),
        ],
    );
    let page = get_at(port, "/metrics", "");
    assert!(page.contains("application/openmetrics-text"), "{page}");
    assert!(page.trim_end().ends_with("# EOF"), "{page}");
    let has = |name: &str| page.contains(&format!("\n{name} ")) || page.contains(&format!("\n{name}{{"));
    for place in ["deploy/monitoring/alerts.yml", "deploy/monitoring/grafana.json"] {
        let text = file(place);
        let missing: Vec<_> = named(&text).into_iter().filter(|name| !has(name)).collect();
        assert!(missing.is_empty(), "{place} names {missing:?}, which are not on the page:\n{page}");
    }
    let docs = file("docs/operating.md");
    let told = named(&docs);
    let is_there = |name: &&str| has(name) || page.contains(&format!("\n# TYPE {name} "));
    let missing: Vec<_> = told.iter().filter(|name| !is_there(name)).collect();
    assert!(missing.is_empty(), "the docs name {missing:?}, which are not on the page:\n{page}");
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let whole = |(name, kind): (&str, &str)| if kind == "counter" { format!("{name}_total") } else { name.to_owned() };
    let untold: Vec<_> = types.map(whole).filter(|name| !told.contains(name.as_str())).collect();
    assert!(untold.is_empty(), "the docs do not name {untold:?}");
    let alerts = file("deploy/monitoring/alerts.yml");
    for alert in alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(docs.contains(&format!("**{alert}**")), "the docs do not say what to do on {alert}");
    }
    assert_eq!(program.stop(Signal::TERM), Some(0));
}

#[test]
fn a_port_for_metrics_that_is_taken_stops_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let bind = format!("127.0.0.1:{port}");
    let mut program = Program::start(folder.path(), &[("MATRON_METRICS__BIND", bind.as_str())]);
    program.wait_for_log("metrics are not served");
    drop(taken);
    program.wait_until("metrics are served", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    assert!(get_at(port, "/metrics", "").trim_end().ends_with("# EOF"));
    assert_eq!(program.stop(Signal::TERM), Some(0));
}

#[test]
fn a_trusted_proxy_may_name_a_request() {
    let folder = tempfile::tempdir().unwrap();
    let proxies = [("MATRON_TRUSTED_PROXIES", "[\"127.0.0.1\"]")];
    let header = "x-request-id: from-the-proxy-17\r\n";
    let mut program = Program::start(folder.path(), &proxies);
    // What is refused is in the log.
    let answer = get_at(program.port, "/nowhere", header);
    assert!(answer.contains("\r\nx-request-id: from-the-proxy-17\r\n"), "{answer}");
    program.wait_for_log("id=\"from-the-proxy-17\"");
    assert_eq!(program.stop(Signal::TERM), Some(0));

    let mut program = Program::start(folder.path(), &[]);
    let answer = get_at(program.port, "/health", header);
    assert!(answer.contains("\r\nx-request-id: ") && !answer.contains("from-the-proxy"), "{answer}");
    assert_eq!(program.stop(Signal::TERM), Some(0));
}
