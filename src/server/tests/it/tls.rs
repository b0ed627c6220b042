//! TLS listeners: a certificate in use, and another one after a reload.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::program::{Program, run_with};

/// Writes a new certificate and its key; answers the certificate.
pub fn certify(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(folder.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
    fs::write(folder.join("tls.crt"), made.cert.pem()).unwrap();
    made.cert.der().clone()
}

/// An answer over TLS, and what was agreed on, by a client that trusts this certificate alone.
async fn get(port: u16, certificate: &CertificateDer<'static>) -> std::io::Result<(String, Option<Vec<u8>>)> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let mut stream = TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), stream).await?;
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok((answer, stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec)))
}

#[tokio::test]
async fn a_certificate_is_served_and_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let first = certify(folder.path());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let plain = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listeners = format!(
        "[{{bind=\"127.0.0.1:{plain}\"}}, {{bind=\"127.0.0.1:{port}\", tls_certificate=\"tls.crt\", tls_key=\"tls.key\"}}]"
    );
    let mut program = Program::start_at(folder.path(), plain, &[("MATRON_LISTENERS", &listeners)]);
    let (answer, protocol) = get(port, &first).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(protocol.as_deref(), Some(&b"http/1.1"[..]));

    let second = certify(folder.path());
    assert!(get(port, &second).await.is_err());
    program.signal(Signal::HUP);
    program.wait_for_log("reloaded");
    assert!(get(port, &second).await.unwrap().0.starts_with("HTTP/1.1 200"));

    // A broken file changes nothing.
    fs::write(folder.path().join("tls.crt"), "nonsense").unwrap();
    program.signal(Signal::HUP);
    program.wait_for_log("holds no certificate");
    assert!(get(port, &second).await.is_ok());
    assert_eq!(program.stop(Signal::TERM), Some(0));
}

#[test]
fn a_reload_takes_all_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let _ = certify(folder.path());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listeners = format!(
        "[{{bind=\"127.0.0.1:{port}\"}}, {{bind=\"127.0.0.1:0\", tls_certificate=\"tls.crt\", tls_key=\"tls.key\"}}]"
    );
    let file = folder.path().join("matron.toml");
    fs::write(&file, "rate_limits.other = { burst = 1, per_minute = 1 }\n").unwrap();
    let variables = [("MATRON_LISTENERS", &*listeners), ("MATRON_CONFIG", "matron.toml")];
    let mut program = Program::start_at(folder.path(), port, &variables);
    let answers = |status: &str| program.get("/_matrix/client/v3/login").starts_with(&format!("HTTP/1.1 {status} "));
    assert!(answers("200") && answers("429"));
    // No limit, but a certificate that cannot be read.
    fs::write(&file, "rate_limits.enabled = false\n").unwrap();
    fs::write(folder.path().join("tls.crt"), "nonsense").unwrap();
    program.signal(Signal::HUP);
    program.wait_for_log("tls.crt holds no certificate");
    assert!(answers("429"));
    let log = program.log();
    assert!(!log.lines().any(|line| line.ends_with(" reloaded")), "{log}");
    let _ = certify(folder.path());
    program.signal(Signal::HUP);
    program.wait_until("there is no limit", || answers("200"));
    assert_eq!(program.stop(Signal::TERM), Some(0));
}

#[test]
fn a_check_of_the_configuration_reads_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let listeners = "[{bind=\"127.0.0.1:1\", tls_certificate=\"tls.crt\", tls_key=\"tls.key\"}]";
    let check = || run_with(folder.path(), &[("MATRON_LISTENERS", listeners)], &["config", "check"], "");
    let (done, _, error) = check();
    assert!(!done && error.contains("tls.crt cannot be read"), "{error}");
    let _ = certify(folder.path());
    let (done, _, error) = check();
    assert!(done, "{error}");
    // The key of another certificate.
    let key = rcgen::KeyPair::generate().unwrap();
    fs::write(folder.path().join("tls.key"), key.serialize_pem()).unwrap();
    let (done, _, error) = check();
    assert!(!done && error.contains("tls.key does not fit tls.crt"), "{error}");
}
