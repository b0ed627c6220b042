//! One connection, from what it speaks to its last answer.

use std::error::Error;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::version::{self, Version};
use crate::face::Face;

/// Until a connection says what it speaks, nothing else bounds it: a TLS handshake, and the first byte of the first request.
const SPEAKS_WITHIN: Duration = Duration::from_secs(30);
/// A connection of HTTP/2 that asks for nothing for so long is closed; of HTTP/1.1 a head's time does that.
const IDLE_FOR: Duration = Duration::from_mins(2);
/// When the server stops, an answer that is there has this long to be sent; half a request keeps nobody waiting.
const LAST_BYTES_WITHIN: Duration = Duration::from_secs(1);

/// What drives each version of HTTP.
pub struct Builders {
    pub one: auto::Builder<TokioExecutor>,
    pub two: auto::Builder<TokioExecutor>,
}

/// What a connection needs.
pub struct Connection {
    pub builders: Arc<Builders>,
    pub face: Arc<Face>,
    pub stop: CancellationToken,
    pub peer: SocketAddr,
}

impl Connection {
    /// Waits for the first bytes, then drives it.
    pub async fn drive_plain(self, stream: TcpStream) {
        let version = tokio::select! {
            version = tokio::time::timeout(SPEAKS_WITHIN, version::tell(&stream)) => version,
            () = self.stop.cancelled() => return,
        };
        if let Ok(Ok(version)) = version {
            self.drive(stream, version).await;
        }
    }

    /// Shakes hands, then drives it.
    pub async fn drive_tls(self, acceptor: TlsAcceptor, stream: TcpStream) {
        let shaken = tokio::select! {
            shaken = tokio::time::timeout(SPEAKS_WITHIN, acceptor.accept(stream)) => shaken,
            () = self.stop.cancelled() => return,
        };
        match shaken {
            Ok(Ok(stream)) => {
                let agreed = stream.get_ref().1.alpn_protocol();
                let version = if agreed == Some(b"h2") { Version::Two } else { Version::One };
                self.drive(stream, version).await;
            }
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        }
    }

    /// Serves its requests until either side is done.
    async fn drive<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S, version: Version) {
        let Self { builders, face, stop, peer } = self;
        let builder = match version {
            Version::One => &builders.one,
            Version::Two => &builders.two,
        };
        let _open = face.traffic().connection();
        let requests = Arc::new(Requests::default());
        let service = service_fn(|request| {
            let begun = Begun::new(&requests);
            let answer = Arc::clone(&face).answer(request, peer);
            async move {
                let _begun = begun;
                answer.await
            }
        });
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let mut begun_before = 0;
        loop {
            tokio::select! {
                done = connection.as_mut() => return ended(done),
                () = stop.cancelled() => break,
                () = tokio::time::sleep(IDLE_FOR), if version == Version::Two => {
                    match requests.begun.load(Ordering::Relaxed) {
                        // Perhaps it never said a whole preface, which nothing else bounds.
                        0 => return,
                        begun if begun == begun_before && requests.wait() == 0 => {
                            // Answers that are still being sent come to their end.
                            connection.as_mut().graceful_shutdown();
                        }
                        begun => begun_before = begun,
                    }
                }
            }
        }
        connection.as_mut().graceful_shutdown();
        loop {
            tokio::select! {
                done = connection.as_mut() => return ended(done),
                () = tokio::time::sleep(LAST_BYTES_WITHIN) => {
                    if requests.wait() == 0 {
                        return;
                    }
                }
            }
        }
    }
}

fn ended(done: Result<(), Box<dyn Error + Send + Sync>>) {
    if let Err(error) = done {
        tracing::debug!(%error, "a connection ended badly");
    }
}

/// The requests of one connection.
#[derive(Default)]
struct Requests {
    /// How many came in all.
    begun: AtomicUsize,
    /// How many wait for their answer.
    waiting: AtomicUsize,
}

impl Requests {
    fn wait(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// A request until it is answered or given up.
struct Begun(Arc<Requests>);

impl Begun {
    fn new(requests: &Arc<Requests>) -> Self {
        requests.begun.fetch_add(1, Ordering::Relaxed);
        requests.waiting.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(requests))
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
