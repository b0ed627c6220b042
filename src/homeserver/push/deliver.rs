//! Seeing to one pusher's queue: one call of its gateway after another, and a pause after each that failed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::Full;
use serde::Deserialize;

use super::Push;
use super::desk::{Item, Name, Work};
use super::told::{Told, badge_body, data_of};
use crate::error::Result;
use crate::remote::http::{CallError, Limits};
use crate::schema::push::PusherKind;
use crate::schema::rooms::{Arrival, TIMELINE};

/// What is taken of a gateway's answer.
const LIMITS: Limits = Limits { within: Duration::from_secs(20), bytes: 64 << 10 };
/// How this server calls itself.
const AGENT: &str = concat!("Matron/", env!("CARGO_PKG_VERSION"));

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was told, or is not to be told at all.
    Delivered,
    /// It was redacted since.
    Gone,
    /// It was not time yet; it may be now.
    Early,
    /// The gateway knows the pushkey no more.
    Rejected,
    Failed,
}

impl Push {
    /// Sees to a pusher's queue until nothing is in it.
    pub(super) async fn deliver(self: Arc<Self>, name: Name) {
        while let Some(work) = self.desk.next(name, self.clock.millis()) {
            let outcome = match self.deliver_one(name, &work).await {
                Ok(outcome) => outcome,
                Err(error) => {
                    tracing::error!(%error, "a push cannot be made");
                    Outcome::Failed
                }
            };
            match outcome {
                Outcome::Early => {}
                Outcome::Delivered => {
                    self.count_delivered(&work);
                    self.desk.finish(name, &work);
                }
                Outcome::Gone => {
                    self.meters.delivered.add(1);
                    if let Some(item) = &work.item {
                        self.desk.withdraw(name, |known| known.position == item.position);
                    }
                }
                Outcome::Rejected => {
                    self.meters.rejected.add(1);
                    tracing::info!(app = work.pusher.app_id, "a push gateway rejects a pushkey: the pusher is deleted");
                    self.desk.remove(name);
                    if let Err(error) = self.drop_pusher(name.0, name.1).await {
                        tracing::error!(%error, "a rejected pusher could not be deleted");
                    }
                }
                Outcome::Failed => {
                    self.meters.failed.add(1);
                    let Some(wait) = self.desk.fail(name) else { return };
                    self.wait(name, wait).await;
                }
            }
            if self.stop.is_cancelled() {
                return;
            }
        }
    }

    fn count_delivered(&self, work: &Work) {
        self.meters.delivered.add(1);
        if let Some(item) = &work.item
            && work.pusher.kind == PusherKind::Http
        {
            let delay = self.clock.millis().saturating_sub(item.since);
            self.meters.delay.note_time(Duration::from_millis(delay));
        }
    }

    /// Waits, unless the pusher is set anew or the server stops.
    pub(super) async fn wait(&self, name: Name, wait: Duration) {
        let Some(hurry) = self.desk.hurry(name) else { return };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = hurry.notified() => {}
            () = self.stop.cancelled() => {}
        }
    }

    async fn deliver_one(&self, name: Name, work: &Work) -> Result<Outcome> {
        let account = self.accounts.get(&self.store.snapshot(), name.0).await?;
        if account.is_none_or(|account| account.deactivated || account.locked) {
            return Ok(Outcome::Delivered);
        }
        if work.pusher.kind == PusherKind::Email {
            return self.send_digest(name, work).await;
        }
        let body = match &work.item {
            None => badge_body(&work.pusher, work.unread)?,
            Some(item) => {
                let Some(told) = self.told_of(item).await? else { return Ok(Outcome::Gone) };
                let user_id = self.ids.user_id(name.0).await?;
                told.body(&work.pusher, user_id.as_str(), &item.actions, work.unread)?
            }
        };
        tokio::select! {
            outcome = self.call(work, body) => Ok(outcome),
            () = self.stop.cancelled() => Ok(Outcome::Failed),
        }
    }

    /// What is told of an event; none where it was redacted since.
    pub(super) async fn told_of(&self, item: &Item) -> Result<Option<Arc<Told>>> {
        let snapshot = self.store.snapshot();
        let event = snapshot.get(&TIMELINE, &(item.room, Arrival::Live(item.position))).await?;
        let Some(event) = event.filter(|event| event.header.redacted_by.is_none()) else { return Ok(None) };
        match &item.told {
            Some(told) => Ok(Some(Arc::clone(told))),
            None => Ok(Some(Arc::new(self.told(&snapshot, item.room, event).await?))),
        }
    }

    async fn call(&self, work: &Work, body: Vec<u8>) -> Outcome {
        let data = data_of(&work.pusher);
        let url = data.get("url").and_then(serde_json::Value::as_str).and_then(|url| url.parse::<Uri>().ok());
        // Addresses are looked at when a pusher is set: this one cannot be called however often it is tried.
        let Some(url) = url else { return Outcome::Delivered };
        let host = url.authority().map(|authority| authority.as_str().to_lowercase()).unwrap_or_default();
        let calls = self.desk.gateway(&host);
        let Ok(_permit) = calls.acquire().await else { return Outcome::Failed };
        let request = Request::post(url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, AGENT)
            .body(Full::new(Bytes::from(body)));
        let Ok(request) = request else { return Outcome::Delivered };
        let answer = self.gateways.call(request, LIMITS).await;
        let outcome = read(&work.pusher.pushkey, answer.as_ref());
        if outcome == Outcome::Failed {
            let why = answer.map_or_else(|error| error.to_string(), |answer| answer.status().to_string());
            tracing::debug!(gateway = host, why, "a push gateway does not take a push");
        }
        outcome
    }
}

/// What an answer means for the pusher.
fn read(pushkey: &str, answer: Result<&http::Response<Bytes>, &CallError>) -> Outcome {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        rejected: Vec<String>,
    }
    match answer {
        Ok(answer) if answer.status().is_success() => {
            // What is no such answer rejects nothing.
            let rejected = serde_json::from_slice::<Answer>(answer.body()).map(|answer| answer.rejected);
            let is_rejected = rejected.is_ok_and(|rejected| rejected.iter().any(|key| key == pushkey));
            if is_rejected { Outcome::Rejected } else { Outcome::Delivered }
        }
        _ => Outcome::Failed,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Response;

    use super::{Outcome, read};
    use crate::remote::http::CallError;

    #[test]
    fn what_gateways_answer() {
        let answer = |status: u16, body: &'static str| {
            let answer = Response::builder().status(status).body(Bytes::from_static(body.as_bytes())).unwrap();
            read("mine", Ok(&answer))
        };
        assert_eq!(answer(200, r#"{"rejected":[]}"#), Outcome::Delivered);
        assert_eq!(answer(200, r#"{"rejected":["another"]}"#), Outcome::Delivered);
        assert_eq!(answer(200, r#"{"rejected":["another","mine"]}"#), Outcome::Rejected);
        assert_eq!(answer(200, ""), Outcome::Delivered);
        assert_eq!(answer(302, r#"{"rejected":["mine"]}"#), Outcome::Failed);
        assert_eq!(answer(502, r#"{"rejected":["mine"]}"#), Outcome::Failed);
        assert_eq!(read("mine", Err(&CallError::TimedOut)), Outcome::Failed);
    }
}
