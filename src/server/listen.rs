//! Listeners: plain and TLS sockets, and the connections that come in by them.

mod connection;
mod tls;
mod validity;
mod version;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;
use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Listener;
use crate::face::Face;
use crate::failure::{Failure, Result};
pub use tls::Tls;

/// A connection whose next request does not come (or does not end) within this is closed; so it bounds idle ones too.
const HEADERS_WITHIN: Duration = Duration::from_mins(1);
/// The longest head of a request.
const MAX_HEAD_BYTES: u32 = 32 << 10;
/// Who acknowledges nothing for this long is gone.
const UNACKNOWLEDGED: Duration = Duration::from_mins(2);

/// A socket that is bound and not served yet.
pub struct Bound {
    listener: TcpListener,
    /// The address that it got.
    pub address: SocketAddr,
    tls: Option<Arc<Tls>>,
}

/// Reads a listener's certificate; none where it is plain.
///
/// # Errors
/// A file is wrong.
pub fn certificate(config: &Listener) -> Result<Option<Tls>> {
    match (&config.tls_certificate, &config.tls_key) {
        (Some(certificate), Some(key)) => Tls::load(certificate.clone(), key.clone()).map(Some),
        _ => Ok(None),
    }
}

impl Bound {
    /// Binds one listener and reads its certificate.
    ///
    /// # Errors
    /// The address is taken, or a file is wrong.
    pub async fn new(config: &Listener) -> Result<Self> {
        let tls = certificate(config)?.map(Arc::new);
        let failed = |error| Failure::because(format_args!("{} cannot be listened on", config.bind), &error);
        let listener = TcpListener::bind(config.bind).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, tls })
    }

    /// Where a client on this machine finds it.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let host = match self.address.ip() {
            ip if ip.is_unspecified() => "localhost".to_owned(),
            ip if ip.is_ipv6() => format!("[{ip}]"),
            ip => ip.to_string(),
        };
        format!("{scheme}://{host}:{}", self.address.port())
    }

    /// The certificate, where there is one.
    pub fn certificate(&self) -> Option<Arc<Tls>> {
        self.tls.clone()
    }

    /// Accepts connections until it is time to stop; then each ends with the request that it is at.
    pub async fn serve(self, face: Arc<Face>, stop: CancellationToken, connections: TaskTracker) {
        let builders = Arc::new(connection::Builders { one: builder().http1_only(), two: builder().http2_only() });
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = stop.cancelled() => return,
            };
            match accepted {
                Ok((stream, peer)) => {
                    prepare(&stream);
                    let connection = connection::Connection {
                        builders: Arc::clone(&builders),
                        face: Arc::clone(&face),
                        stop: stop.clone(),
                        peer,
                    };
                    match &self.tls {
                        None => connections.spawn(connection.drive_plain(stream)),
                        Some(tls) => connections.spawn(connection.drive_tls(tls.acceptor(), stream)),
                    };
                }
                // Of a client that went away again, or because there are no more file descriptors.
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

/// Small writes go out at once; peers that vanished are found out.
fn prepare(stream: &TcpStream) {
    let millis = u32::try_from(UNACKNOWLEDGED.as_millis()).unwrap_or(u32::MAX);
    let _ = stream.set_nodelay(true);
    let _ = sockopt::set_tcp_user_timeout(stream, millis);
    let _ = sockopt::set_socket_keepalive(stream, true);
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_buf_size(MAX_HEAD_BYTES as usize)
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HEADERS_WITHIN)
        .keep_alive_timeout(HEADERS_WITHIN)
        .max_header_list_size(MAX_HEAD_BYTES)
        .max_concurrent_streams(128)
        .initial_stream_window_size(256 << 10)
        .initial_connection_window_size(1 << 20);
    builder
}
