//! Calls to a server that may die at any moment.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use spec_tests::{Answer, Server};

use super::verdict::Verdict;

/// The password that everybody has at first.
pub const PASSWORD: &str = "correct horse battery staple";

/// A way to a server, and what is expected of its answers.
#[derive(Clone)]
pub struct Door {
    http: reqwest::Client,
    url: String,
    pub verdict: Arc<Verdict>,
    /// Nothing is wrong with the server now: it must answer.
    calm: bool,
}

impl Door {
    /// To a server that may die: no answer, and an answer that the server failed, leave the outcome open.
    pub fn stormy(server: &Server, verdict: &Arc<Verdict>) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
        Self { http, url: server.url.clone(), verdict: Arc::clone(verdict), calm: false }
    }

    /// To a server that must answer.
    pub fn calm(server: &Server, verdict: &Arc<Verdict>) -> Self {
        Self { calm: true, ..Self::stormy(server, verdict) }
    }

    /// Whatever is answered, if anything is.
    pub async fn raw(&self, method: Method, token: &str, path: &str, body: Option<&Value>) -> Option<Answer> {
        let prefix = if path.starts_with("/v") { "/_matrix/client" } else { "" };
        let mut request = self.http.request(method, format!("{}{prefix}{path}", self.url));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let response = request.send().await.ok()?;
        let status = response.status().as_u16();
        let body = response.bytes().await.ok()?;
        Some(Answer { status, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
    }

    /// An answer that tells the outcome; otherwise nothing, which a calm server must not do.
    pub async fn answer(&self, method: Method, token: &str, path: &str, body: Option<&Value>) -> Option<Answer> {
        let answer = self.raw(method.clone(), token, path, body).await;
        let told = answer.as_ref().is_some_and(|answer| answer.status < 500);
        if self.calm {
            self.verdict.must(told, || format!("{method} {path} was not answered: {answer:?}"));
        } else if !told {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        answer.filter(|_| told)
    }

    /// The body of a 200; a refusal is wrong always.
    pub async fn ok(&self, method: Method, token: &str, path: &str, body: Option<&Value>) -> Option<Value> {
        let answer = self.answer(method.clone(), token, path, body).await?;
        self.verdict.must(answer.status == 200, || format!("{method} {path} was refused: {answer:?}"));
        (answer.status == 200).then_some(answer.body)
    }

    pub async fn get(&self, token: &str, path: &str) -> Option<Value> {
        self.ok(Method::GET, token, path, None).await
    }

    pub async fn put(&self, token: &str, path: &str, body: &Value) -> Option<Value> {
        self.ok(Method::PUT, token, path, Some(body)).await
    }

    pub async fn post(&self, token: &str, path: &str, body: &Value) -> Option<Value> {
        self.ok(Method::POST, token, path, Some(body)).await
    }

    /// Whom a token belongs to: 200, or 401 where to nobody.
    pub async fn whoami(&self, token: &str) -> Option<Answer> {
        self.answer(Method::GET, token, "/v3/account/whoami", None).await
    }

    /// Makes somebody; for the set-up, when nothing is wrong yet.
    pub async fn person(&self, name: &str) -> Person {
        let name = spec_tests::unique(name);
        let body = json!({ "username": name, "password": PASSWORD, "auth": { "type": "m.login.dummy" } });
        Person::of(&self.post("", "/v3/register", &body).await.expect("nobody can register"))
    }
}

/// Somebody with a device.
#[derive(Debug, Clone)]
pub struct Person {
    pub id: String,
    pub device: String,
    pub token: String,
}

impl Person {
    /// From the answer of a registration or a log-in.
    pub fn of(session: &Value) -> Self {
        let text = |field: &str| session[field].as_str().unwrap_or_default().to_owned();
        Self { id: text("user_id"), device: text("device_id"), token: text("access_token") }
    }
}
