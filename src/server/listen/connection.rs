//! One connection: HTTP/1.1 or HTTP/2, told by its first bytes.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::face::Face;

/// A TLS handshake takes no longer.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(15);
/// The first request comes within this: until then nothing else bounds a connection.
const FIRST_REQUEST_WITHIN: Duration = Duration::from_mins(1);
/// When the server stops, an answer that is there has this long to be sent; half a request keeps nobody waiting.
const LAST_BYTES_WITHIN: Duration = Duration::from_secs(1);

/// What a connection needs.
pub struct Connection {
    pub builder: Arc<auto::Builder<TokioExecutor>>,
    pub face: Arc<Face>,
    pub stop: CancellationToken,
    pub peer: SocketAddr,
}

impl Connection {
    /// Shakes hands, then drives it.
    pub async fn drive_tls(self, acceptor: TlsAcceptor, stream: TcpStream) {
        let shaken = tokio::select! {
            shaken = tokio::time::timeout(HANDSHAKE_WITHIN, acceptor.accept(stream)) => shaken,
            () = self.stop.cancelled() => return,
        };
        match shaken {
            Ok(Ok(stream)) => self.drive(stream).await,
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        }
    }

    /// Serves its requests until either side is done.
    pub async fn drive<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S) {
        let Self { builder, face, stop, peer } = self;
        let _open = face.telemetry().connection();
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
        // Boxed, so that a connection that lives long does not carry it.
        let mut look = Some(Box::pin(tokio::time::sleep(FIRST_REQUEST_WITHIN)));
        let mut stopping = false;
        loop {
            tokio::select! {
                done = connection.as_mut() => {
                    if let Err(error) = done {
                        tracing::debug!(%error, "a connection ended badly");
                    }
                    return;
                }
                () = async { if let Some(look) = &mut look { look.await } }, if look.is_some() => {
                    let silent = if stopping { requests.none_pending() } else { requests.none_ever() };
                    if silent {
                        return;
                    }
                    look = stopping.then(|| Box::pin(tokio::time::sleep(LAST_BYTES_WITHIN)));
                }
                () = stop.cancelled(), if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                    look = Some(Box::pin(tokio::time::sleep(LAST_BYTES_WITHIN)));
                }
            }
        }
    }
}

/// The requests of one connection.
#[derive(Default)]
struct Requests {
    any: AtomicBool,
    pending: AtomicUsize,
}

impl Requests {
    fn none_ever(&self) -> bool {
        !self.any.load(Ordering::Relaxed)
    }

    fn none_pending(&self) -> bool {
        self.pending.load(Ordering::Relaxed) == 0
    }
}

/// A request until it is answered or given up.
struct Begun(Arc<Requests>);

impl Begun {
    fn new(requests: &Arc<Requests>) -> Self {
        requests.any.store(true, Ordering::Relaxed);
        requests.pending.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(requests))
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.pending.fetch_sub(1, Ordering::Relaxed);
    }
}
