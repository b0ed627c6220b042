//! A server of another's for tests: HTTP over TLS, under names that its own authority vouches for, and names that lead to it.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::RwLock;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::dns::{Dns, Service};
use crate::locks::lock;

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Came {
    /// The name in the TLS greeting.
    pub greeted: Option<String>,
    /// `METHOD path`.
    pub asked: String,
    /// Headers, their names in small letters.
    pub headers: HashMap<String, String>,
    /// The body.
    pub body: String,
}

/// What is answered: status line and headers without the length, and a body. None is silence.
pub type Said = Option<(String, String)>;

/// A running server. It ends with the test's runtime.
pub struct Far {
    /// Where it listens.
    pub address: SocketAddr,
    /// Who vouches for it.
    pub authority: CertificateDer<'static>,
    /// Whoever writes holds back the answers to bodies with the word `slow` in them.
    pub slow: Arc<RwLock<()>>,
    came: Arc<Mutex<Vec<Came>>>,
}

impl Far {
    /// Starts a server with a certificate for these names.
    pub async fn start(names: &[&str], answer: impl Fn(&Came) -> Said + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let authority = made.cert.der().clone();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![authority.clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let came = Arc::new(Mutex::new(Vec::new()));
        let slow = Arc::new(RwLock::new(()));
        let (noted, answer, held) = (Arc::clone(&came), Arc::new(answer), Arc::clone(&slow));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, noted, answer) = (acceptor.clone(), Arc::clone(&noted), Arc::clone(&answer));
                let held = Arc::clone(&held);
                // Whoever trusts another authority hangs up.
                tokio::spawn(async move { serve(&acceptor, stream, (&noted, &held), &*answer).await.ok() });
            }
        });
        Self { address, authority, slow, came }
    }

    /// What came since this was asked last.
    pub fn came(&self) -> Vec<Came> {
        std::mem::take(&mut *lock(&self.came))
    }
}

async fn serve(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
    (noted, held): (&Mutex<Vec<Came>>, &RwLock<()>),
    answer: &(impl Fn(&Came) -> Said + Sync),
) -> io::Result<()> {
    let mut stream = acceptor.accept(stream).await?;
    let greeted = stream.get_ref().1.server_name().map(ToOwned::to_owned);
    let mut text = Vec::new();
    loop {
        if let Some((came, length)) = read(&text, greeted.clone()) {
            text.drain(..length);
            lock(noted).push(came.clone());
            if came.body.contains("slow") {
                drop(held.read().await);
            }
            let Some((head, body)) = answer(&came) else { return std::future::pending().await };
            let answer = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await?;
            stream.flush().await?;
            continue;
        }
        if stream.read_buf(&mut text).await? == 0 {
            return Ok(());
        }
    }
}

/// A whole request at the beginning of what came, and its length.
fn read(bytes: &[u8], greeted: Option<String>) -> Option<(Came, usize)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let asked = lines.next()?.trim_end_matches(" HTTP/1.1").to_owned();
    let headers: HashMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let body = bytes.get(end..end + length)?;
    let body = String::from_utf8_lossy(body).into_owned();
    Some((Came { greeted, asked, headers, body }, end + length))
}

/// Names that lead where a test says; all other hosts are this machine.
#[derive(Debug, Default)]
pub struct Names {
    /// Services by name.
    pub services: HashMap<&'static str, Vec<Service>>,
    /// Hosts that are nowhere.
    pub nowhere: Vec<&'static str>,
    /// Names whose services cannot be looked up.
    pub broken: Vec<&'static str>,
}

#[async_trait]
impl Dns for Names {
    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        if self.nowhere.contains(&host) {
            return Err(io::Error::other("there is no such host"));
        }
        Ok(vec![Ipv4Addr::LOCALHOST.into()])
    }

    async fn services(&self, name: &str) -> io::Result<Vec<Service>> {
        if self.broken.contains(&name) {
            return Err(io::Error::other("no name server answers"));
        }
        Ok(self.services.get(name).cloned().unwrap_or_default())
    }
}
