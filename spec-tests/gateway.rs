//! A push gateway of one's own: it notes what it is told, and answers as the test says.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Mutex as AsyncMutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::User;

/// How long a push may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
struct Moods {
    failing: bool,
    silent: bool,
    rejected: HashSet<String>,
}

#[derive(Debug)]
struct Desk {
    moods: Mutex<Moods>,
    calls: UnboundedSender<Value>,
}

impl Desk {
    fn moods(&self) -> MutexGuard<'_, Moods> {
        self.moods.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running gateway. It ends with the test's runtime.
#[derive(Debug)]
pub struct Gateway {
    /// What a pusher's `data.url` is.
    pub url: String,
    desk: Arc<Desk>,
    calls: AsyncMutex<UnboundedReceiver<Value>>,
}

async fn notify(State(desk): State<Arc<Desk>>, body: Bytes) -> Response {
    let call: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let (failing, silent, rejected) = {
        let moods = desk.moods();
        let devices = call["notification"]["devices"].as_array().cloned().unwrap_or_default();
        let keys = devices.iter().filter_map(|device| device["pushkey"].as_str());
        let rejected: Vec<_> = keys.filter(|key| moods.rejected.contains(*key)).map(ToOwned::to_owned).collect();
        (moods.failing, moods.silent, rejected)
    };
    if silent {
        std::future::pending::<()>().await;
    }
    if failing {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    // Nobody listens where the test is over.
    let _ = desk.calls.send(call["notification"].clone());
    json!({ "rejected": rejected }).to_string().into_response()
}

impl Gateway {
    /// Starts a gateway.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/_matrix/push/v1/notify", listener.local_addr().unwrap());
        let (sender, receiver) = unbounded_channel();
        let desk = Arc::new(Desk { moods: Mutex::default(), calls: sender });
        let routes = Router::new().route("/_matrix/push/v1/notify", post(notify)).with_state(Arc::clone(&desk));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { url, desk, calls: AsyncMutex::new(receiver) }
    }

    /// Whether calls are answered by 503 from now on.
    pub fn fail(&self, failing: bool) {
        self.desk.moods().failing = failing;
    }

    /// Whether calls are taken and never answered from now on.
    pub fn fall_silent(&self, silent: bool) {
        self.desk.moods().silent = silent;
    }

    /// Rejects a pushkey from now on.
    pub fn reject(&self, pushkey: &str) {
        self.desk.moods().rejected.insert(pushkey.to_owned());
    }

    /// A body for `/pushers/set` that has this gateway told.
    #[must_use]
    pub fn pusher(&self, pushkey: &str, data: &Value) -> Value {
        pusher(&self.url, pushkey, data)
    }

    /// Has this gateway told of what notifies a user.
    pub async fn tell_of(&self, user: &User, pushkey: &str, data: &Value) {
        let _ = user.post("/v3/pushers/set", self.pusher(pushkey, data)).await.ok();
    }

    /// What it is told next.
    ///
    /// # Panics
    /// It is told nothing for long.
    pub async fn next(&self) -> Value {
        let mut calls = self.calls.lock().await;
        tokio::time::timeout(PATIENCE, calls.recv()).await.expect("nothing is pushed").unwrap()
    }

    /// What it is told next of an event: numbers alone are passed over.
    pub async fn next_event(&self) -> Value {
        loop {
            let call = self.next().await;
            if call["event_id"].is_string() {
                return call;
            }
        }
    }
}

/// A body for `/pushers/set` that has the gateway at `url` told.
#[must_use]
pub fn pusher(url: &str, pushkey: &str, data: &Value) -> Value {
    let mut data = data.clone();
    data["url"] = url.into();
    json!({
        "kind": "http",
        "app_id": "org.example.app",
        "pushkey": pushkey,
        "app_display_name": "App",
        "device_display_name": "Phone",
        "lang": "en",
        "data": data,
    })
}
