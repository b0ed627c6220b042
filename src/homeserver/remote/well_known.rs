//! Delegation: a server's name may lead to another one by `/.well-known/matrix/server`, which is remembered for a while.
//!
//! Server-server API, "Resolving server names", step 3.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, EXPIRES, HeaderMap, LOCATION, USER_AGENT};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use quick_cache::sync::Cache;
use ruma::{OwnedServerName, ServerName};
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use super::http::{CallError, Client, Limits};
use crate::clock::Clock;

#[cfg(test)]
mod tests;

/// How long the whole look-up may take, all redirects together.
const WITHIN: Duration = Duration::from_secs(5);
/// What is taken of an answer.
const MOST_BYTES: usize = 16 << 10;
/// How often an address may lead to another one.
const MOST_REDIRECTS: usize = 5;
/// How many hosts are remembered.
const MOST_HOSTS: usize = 20_000;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
/// How long an answer is good that does not say, in milliseconds.
const USUALLY: u64 = 24 * HOUR;
/// The longest time for which an answer is good, and for which it stays so while the host does not answer.
const AT_MOST: u64 = 48 * HOUR;
/// The shortest: who says that nothing is to be kept is not asked before every request all the same.
const AT_LEAST: u64 = 5 * MINUTE;
/// How long a first failure is remembered. Each further one counts twice as long, up to an hour.
const FAILURE: u64 = 2 * MINUTE;
const FAILURE_AT_MOST: u64 = HOUR;

#[derive(Debug, Deserialize)]
struct Document {
    #[serde(rename = "m.server")]
    server: String,
}

/// Why a host names no other one.
#[derive(Debug, PartialEq, Eq)]
enum Failure {
    /// It says so: by a status, or by something that is no name.
    Nowhere,
    /// It does not answer, or is not well.
    Away,
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Denied | CallError::TooLarge => Self::Nowhere,
            CallError::Unreachable(_) | CallError::TimedOut => Self::Away,
        }
    }
}

/// What is known of a host.
#[derive(Debug, Default)]
struct Known {
    /// The name that it leads to.
    delegate: Option<OwnedServerName>,
    /// Until when that is not asked again.
    until: u64,
    /// Until when the name stays while the host is away.
    stays: u64,
    /// Failures since the last success.
    failures: u32,
}

impl Known {
    fn learn(&mut self, now: u64, outcome: Result<(OwnedServerName, u64), Failure>) {
        match outcome {
            Ok((delegate, lifetime)) => {
                let until = now + lifetime.clamp(AT_LEAST, AT_MOST);
                *self = Self { delegate: Some(delegate), until, stays: now + AT_MOST, failures: 0 };
            }
            Err(failure) => {
                if failure == Failure::Nowhere || now >= self.stays {
                    self.delegate = None;
                }
                // Twice as long six times is more than an hour.
                self.until = now + (FAILURE << self.failures.min(6)).min(FAILURE_AT_MOST);
                self.failures += 1;
            }
        }
    }
}

/// Asks hosts, and remembers what they said.
#[derive(Debug)]
pub struct WellKnown {
    client: Client,
    clock: Clock,
    /// By host. Who asks holds the host's lock, so that all others wait for one answer.
    known: Cache<String, Arc<Mutex<Known>>>,
}

impl WellKnown {
    /// Asks by this client, which finds any host.
    #[must_use]
    pub fn new(client: Client, clock: Clock) -> Self {
        Self { client, clock, known: Cache::new(MOST_HOSTS) }
    }

    /// The name under which a server is found, which the certificate and the `Host` header go by: the delegated one, or its
    /// own.
    pub async fn delegate(&self, server: &ServerName) -> OwnedServerName {
        if server.is_ip_literal() || server.port().is_some() {
            return server.to_owned();
        }
        let host = server.host().to_ascii_lowercase();
        let slot = self.known.get_or_insert_with(&host, || Ok::<_, Infallible>(Arc::default()));
        let slot = slot.unwrap_or_else(|never| match never {});
        let mut known = slot.lock().await;
        if self.clock.millis() >= known.until {
            let outcome = tokio::time::timeout(WITHIN, self.ask(&host)).await.unwrap_or(Err(Failure::Away));
            tracing::debug!(%host, ?outcome, "a server was asked where it is");
            known.learn(self.clock.millis(), outcome);
        }
        known.delegate.clone().unwrap_or_else(|| server.to_owned())
    }

    /// The name that a host leads to, and for how many milliseconds.
    async fn ask(&self, host: &str) -> Result<(OwnedServerName, u64), Failure> {
        let url = format!("https://{host}/.well-known/matrix/server");
        let mut url = Url::parse(&url).map_err(|_| Failure::Nowhere)?;
        for _ in 0..=MOST_REDIRECTS {
            let request = Request::get(url.as_str())
                .header(USER_AGENT, super::AGENT)
                .body(Full::<Bytes>::default())
                .map_err(|_| Failure::Nowhere)?;
            let answer = self.client.call(request, Limits { within: WITHIN, bytes: MOST_BYTES }).await?;
            if !answer.status().is_redirection() {
                return read(&answer, self.clock.millis());
            }
            let to = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok());
            // From TLS nothing leads to where anybody could answer.
            let to = to.and_then(|to| url.join(to).ok()).filter(|to| to.scheme() == "https");
            url = to.ok_or(Failure::Nowhere)?;
        }
        Err(Failure::Nowhere)
    }
}

fn read(answer: &Response<Bytes>, now: u64) -> Result<(OwnedServerName, u64), Failure> {
    let status = answer.status();
    if status != StatusCode::OK {
        let is_away = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
        return Err(if is_away { Failure::Away } else { Failure::Nowhere });
    }
    let document: Document = serde_json::from_slice(answer.body()).map_err(|_| Failure::Nowhere)?;
    let server = ServerName::parse(document.server).map_err(|_| Failure::Nowhere)?;
    Ok((server, lifetime(answer.headers(), now)))
}

/// For how many milliseconds an answer says that it is good.
fn lifetime(headers: &HeaderMap, now: u64) -> u64 {
    let control = headers.get_all(CACHE_CONTROL).into_iter().filter_map(|value| value.to_str().ok());
    let mut seconds = None;
    for directive in control.flat_map(|value| value.split(',')) {
        let directive = directive.trim().to_ascii_lowercase();
        if directive == "no-store" || directive == "no-cache" {
            return 0;
        }
        if let Some(age) = directive.strip_prefix("max-age=") {
            seconds = Some(age.trim_matches('"').parse::<u64>().unwrap_or(0));
        }
    }
    if let Some(seconds) = seconds {
        return seconds.saturating_mul(1000);
    }
    let Some(expires) = headers.get(EXPIRES) else { return USUALLY };
    // What is no date is in the past (RFC 9111, 5.3).
    let at = expires.to_str().ok().and_then(|at| chrono::DateTime::parse_from_rfc2822(at).ok());
    at.and_then(|at| u64::try_from(at.timestamp_millis()).ok()).unwrap_or(0).saturating_sub(now)
}
