//! A policy server of one's own, over TLS: what it answers to an event stands in the event's body.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::Listener;
use ruma::signatures::{Ed25519KeyPair, sign_event};
use ruma::{CanonicalJsonObject, RoomVersionId};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::server::TlsStream;

/// The version of the rooms whose events it signs.
pub const POLICY_ROOM_VERSION: RoomVersionId = RoomVersionId::V12;

/// A running policy server. It ends with the test's runtime.
#[derive(Debug)]
pub struct PolicyServer {
    /// Its server name, `127.0.0.1:PORT`.
    pub name: String,
    /// The certificate that vouches for it, as PEM.
    pub authority: String,
    /// What `m.room.policy` says of it.
    pub content: Value,
    desk: Arc<Desk>,
}

#[derive(Debug)]
struct Desk {
    name: String,
    key: Ed25519KeyPair,
    asked: Mutex<Vec<Value>>,
}

/// TLS on every connection.
struct Secure {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Secure {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            if let Ok((stream, address)) = self.listener.accept().await
                && let Ok(stream) = self.acceptor.accept(stream).await
            {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

fn key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_der(&Ed25519KeyPair::generate(), "policy_server".to_owned()).unwrap()
}

/// The signatures that an event gets by a key.
fn sign(event: &Value, name: &str, key: &Ed25519KeyPair) -> Response {
    let mut event: CanonicalJsonObject = serde_json::from_value(event.clone()).unwrap();
    event.remove("signatures");
    sign_event(name, key, &mut event, &POLICY_ROOM_VERSION.rules().unwrap().redaction).unwrap();
    serde_json::to_string(&event["signatures"]).unwrap().into_response()
}

fn refuse(status: StatusCode, refusal: &Value) -> Response {
    (status, refusal.to_string()).into_response()
}

async fn judge(State(desk): State<Arc<Desk>>, headers: HeaderMap, body: Bytes) -> Response {
    let event: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    desk.asked.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone());
    let signed = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !signed.starts_with("X-Matrix origin=\"") || !signed.contains(&format!(",destination=\"{}\",key=\"", desk.name))
    {
        let refusal = json!({ "errcode": "M_UNAUTHORIZED", "error": "who asks?" });
        return refuse(StatusCode::UNAUTHORIZED, &refusal);
    }
    match event["content"]["body"].as_str().unwrap_or_default() {
        "spam" => refuse(StatusCode::BAD_REQUEST, &json!({ "errcode": "M_FORBIDDEN", "error": "this is spam" })),
        "busy" => {
            let refusal = json!({ "errcode": "M_LIMIT_EXCEEDED", "error": "later", "retry_after_ms": 3000 });
            refuse(StatusCode::TOO_MANY_REQUESTS, &refusal)
        }
        "log out" => refuse(StatusCode::UNAUTHORIZED, &json!({ "errcode": "M_UNKNOWN_TOKEN", "error": "away" })),
        "garbage" => "{nonsense".into_response(),
        "long" => "x".repeat(1 << 20).into_response(),
        "nothing" => "{}".into_response(),
        "forged" => sign(&event, &desk.name, &key()),
        "silence" => std::future::pending().await,
        _ => sign(&event, &desk.name, &desk.key),
    }
}

impl PolicyServer {
    /// Starts a policy server.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let name = listener.local_addr().unwrap().to_string();
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let tls_key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], tls_key)
            .unwrap();
        let key = key();
        let public = ruma::serde::Base64::<ruma::serde::base64::Standard, _>::new(key.public_key()).encode();
        let content = json!({ "via": name, "public_keys": { "ed25519": public } });
        let desk = Arc::new(Desk { name: name.clone(), key, asked: Mutex::default() });
        let routes = Router::new().route("/_matrix/policy/v1/sign", post(judge)).with_state(Arc::clone(&desk));
        let secure = Secure { listener, acceptor: TlsAcceptor::from(Arc::new(config)) };
        tokio::spawn(async move { axum::serve(secure, routes).await });
        Self { name, authority: made.cert.pem(), content, desk }
    }

    /// The events that it was asked about since this was asked last.
    #[must_use]
    pub fn asked(&self) -> Vec<Value> {
        std::mem::take(&mut *self.desk.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
