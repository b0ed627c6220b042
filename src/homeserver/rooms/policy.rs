//! A room's policy server: asked before an event of this server is placed, and about others' events that it did not sign.
//!
//! Server-server API, "Policy Servers". The room's writer builds an event and hands it back unsigned; whoever sends it waits
//! for the signature, and the event then goes to the place that it was built for, while the room went on
//! (`docs/decisions/0008-policy-servers.md`).

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use matron_matrix::authorize;
use matron_matrix::event::{Pdu, Template};
use matron_matrix::policy::PolicyServer;
use matron_matrix::{Error as MatrixError, canonical};
use ruma::events::StateEventType;
use ruma::room_version_rules::RoomVersionRules;
use serde::Deserialize;

use super::Rooms;
use super::append::Append;
use super::build::{From, authority, ends};
use super::built::Built;
use super::intent::{Asked, Intent};
use super::resolve::state_after_all;
use super::working::{Policy, Working};
use crate::error::{Error, Result};
use crate::remote::http::{CallError, Limits};
use crate::remote::servers::Call;
use crate::schema::rooms::Standing;

/// How often an event is asked about, where the room changes its policy server meanwhile.
pub(super) const MOST_ASKED: usize = 3;

/// How long a policy server may think, and the longest answer.
const LIMITS: Limits = Limits { within: Duration::from_secs(10), bytes: 64 << 10 };

/// The longest text of a refusal that is passed on, in characters.
const MOST_TEXT: usize = 1000;

const SIGN: &str = "/_matrix/policy/v1/sign";

/// An event that the room's policy server must sign before it is placed.
#[derive(Debug)]
pub(super) struct Unsigned {
    pub rules: RoomVersionRules,
    pub intent: Intent,
    pub built: Built,
    pub policy: Arc<PolicyServer>,
}

impl Working {
    /// The room's policy server: the one that the state names, while one of its users is joined.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) async fn policy_server(&mut self, rooms: &Rooms) -> Result<Option<Arc<PolicyServer>>> {
        if matches!(self.policy, Policy::Unknown) {
            let event = self.state_event(rooms, &StateEventType::RoomPolicy, "").await?;
            let named = event.and_then(|(_, pdu)| PolicyServer::of(&pdu.content));
            self.policy = named.map_or(Policy::None, |server| Policy::Server(Arc::new(server)));
        }
        match &self.policy {
            Policy::Server(server) if self.joined_of(server.name.as_str()).await? > 0 => Ok(Some(Arc::clone(server))),
            _ => Ok(None),
        }
    }
}

impl Append<'_> {
    /// Makes a signed event ready for the place that it was built for. What happened meanwhile may forbid it: then it is not
    /// sent, since all others would set it aside.
    pub(super) async fn resume(&mut self, template: &Template, asked: Asked) -> Result<Built> {
        let Asked { mut built, .. } = asked;
        let from = From::Events(built.pdu.prev_events.clone());
        let prev = ends(self.rooms, self.working, &from).await?;
        // The tree that it was built with may have been the copy's alone.
        built.state_before = state_after_all(self.rooms, self.working, &prev).await?;
        let now = self.working.head.state;
        if built.state_before != now {
            let state = authority(self.rooms, self.working, template, now).await?.state;
            authorize::check_state(&self.working.rules.authorization, &built.pdu, |kind, key| {
                state.get(&(kind.clone(), key.to_owned())).map(|(_, pdu)| Arc::clone(pdu))
            })?;
        }
        Ok(built)
    }
}

impl Rooms {
    /// Has an event signed by its room's policy server: the intent goes to the writer again.
    pub(super) async fn signed(&self, unsigned: Unsigned) -> Result<Box<Intent>> {
        let Unsigned { rules, mut intent, mut built, policy } = unsigned;
        built.json = self.ask(&policy, &rules, &built.json).await?;
        intent.asked = Some(Box::new(Asked { built, policy }));
        Ok(Box::new(intent))
    }

    /// Has an event signed where its room has a policy server, while its place is held: for rooms that are being made or
    /// closed.
    pub(super) async fn signed_now(&self, working: &mut Working, mut built: Built) -> Result<Built> {
        if let Some(policy) = working.policy_server(self).await?
            && PolicyServer::is_asked_about(&built.pdu)
        {
            built.json = self.ask(&policy, &working.rules, &built.json).await?;
        }
        Ok(built)
    }

    /// How an event of another server is to stand that the room's rules allow: live where the room's policy server
    /// recommends it, soft-failed where it does not. Where its signature is missing or wrong, it is asked for a new one, and
    /// the event, which is canonical JSON, comes back with it. To be called beside the room's writer, since it may take
    /// seconds.
    ///
    /// # Errors
    /// The event is none.
    pub async fn recommended(
        &self,
        policy: &PolicyServer,
        rules: &RoomVersionRules,
        pdu: &Pdu,
        json: Box<str>,
    ) -> Result<(Standing, Box<str>)> {
        if !PolicyServer::is_asked_about(pdu) || policy.has_signed(&json, rules) {
            return Ok((Standing::Live, json));
        }
        match self.ask(policy, rules, &json).await {
            Ok(signed) => Ok((Standing::Live, signed)),
            Err(error) if error.is_refusal() => {
                tracing::debug!(%error, event_id = %pdu.event_id, policy = %policy.name, "an event is not recommended");
                Ok((Standing::SoftFailed, json))
            }
            Err(error) => Err(error),
        }
    }

    /// Asks a policy server to sign an event; answers the event with its signature, which is right.
    ///
    /// # Errors
    /// What it answers ([`Error::Declined`]); `M_FORBIDDEN` where it does not sign by the key that the room has of it;
    /// [`Error::Upstream`] where it does not answer, or not as the spec has it; `M_TOO_LARGE`.
    async fn ask(&self, policy: &PolicyServer, rules: &RoomVersionRules, json: &str) -> Result<Box<str>> {
        let call = Call { method: Method::POST, uri: SIGN, content: Some(json) };
        let answer = self.servers.call(&policy.name, &call, LIMITS).await.map_err(|error| away(policy, &error))?;
        if answer.status() != StatusCode::OK {
            return Err(declined(policy, answer.status(), answer.body()));
        }
        let signatures = canonical::parse_object(answer.body()).map_err(|_| unclear(policy))?;
        match policy.sign(json, &signatures)? {
            Some(signed) if policy.has_signed(&signed, rules) => Ok(signed),
            _ => {
                let why =
                    format!("the room's policy server {} did not sign with the key that the room has", policy.name);
                Err(MatrixError::forbidden(why).into())
            }
        }
    }
}

fn away(policy: &PolicyServer, error: &CallError) -> Error {
    tracing::warn!(%error, policy = %policy.name, "a policy server does not answer");
    // What stands in the way is no matter of users.
    Error::Upstream(MatrixError::unknown(format!("the room's policy server {} cannot be reached", policy.name)))
}

fn unclear(policy: &PolicyServer) -> Error {
    Error::Upstream(MatrixError::unknown(format!("the room's policy server {} gives no clear answer", policy.name)))
}

#[derive(Deserialize)]
struct Refusal {
    errcode: String,
    #[serde(default)]
    error: String,
    retry_after_ms: Option<u64>,
}

/// What a policy server may say to a client through this server: what the spec gives it to say, and codes of its own. All
/// other codes mean something about this server or the client's session, of which it knows nothing.
const SAYABLE: [&str; 6] = ["M_FORBIDDEN", "M_BAD_JSON", "M_NOT_JSON", "M_NOT_FOUND", "M_UNRECOGNIZED", "M_TOO_LARGE"];

/// A refusal, as the client is told it.
fn declined(policy: &PolicyServer, status: StatusCode, body: &[u8]) -> Error {
    let Ok(refusal) = serde_json::from_slice::<Refusal>(body) else { return unclear(policy) };
    let text: String = refusal.error.chars().take(MOST_TEXT).collect();
    let error = match (status.as_u16(), refusal.errcode.as_str()) {
        (429, _) => {
            MatrixError { message: text, ..MatrixError::limit_exceeded(refusal.retry_after_ms.unwrap_or_default()) }
        }
        (400 | 403 | 404, code) if SAYABLE.contains(&code) || !code.starts_with("M_") => {
            MatrixError::of_code(code, text)
        }
        _ => return unclear(policy),
    };
    Error::Declined { status: status.as_u16(), error }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use matron_matrix::policy::PolicyServer;
    use serde_json::json;
    use serde_json::value::to_raw_value;

    use super::declined;
    use crate::error::Error;

    #[test]
    fn a_refusal_is_passed_on_and_what_it_has_no_right_to_say_is_not() {
        let content = json!({ "via": "policy.example", "public_keys": { "ed25519": "" } });
        let policy = PolicyServer::of(&to_raw_value(&content).unwrap()).unwrap();
        let told = |status: u16, errcode: &str| {
            let body = json!({ "errcode": errcode, "error": "spam", "retry_after_ms": 2500 }).to_string();
            match declined(&policy, StatusCode::from_u16(status).unwrap(), body.as_bytes()) {
                Error::Declined { status, error } => Some((status, error.kind.errcode().to_string(), error.message)),
                Error::Upstream(_) => None,
                other => panic!("{other}"),
            }
        };
        for (status, code) in [
            (400, "M_FORBIDDEN"),
            (403, "M_FORBIDDEN"),
            (404, "M_NOT_FOUND"),
            (404, "M_UNRECOGNIZED"),
            (400, "EXAMPLE.SPAM"),
            (429, "M_LIMIT_EXCEEDED"),
        ] {
            assert_eq!(told(status, code), Some((status, code.to_owned(), "spam".to_owned())));
        }
        for (status, code) in [
            (401, "M_UNKNOWN_TOKEN"),
            (400, "M_UNKNOWN_TOKEN"),
            (403, "M_USER_LOCKED"),
            (401, "M_FORBIDDEN"),
            (500, "M_FORBIDDEN"),
            (302, "M_FORBIDDEN"),
        ] {
            assert_eq!(told(status, code), None, "{status} {code}");
        }
        for body in ["", "[]", "{}", r#"{"errcode":7}"#] {
            assert!(
                matches!(declined(&policy, StatusCode::BAD_REQUEST, body.as_bytes()), Error::Upstream(_)),
                "{body}"
            );
        }
    }
}
