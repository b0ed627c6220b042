//! Sessions of "User-Interactive Authentication": what a client has proved so far, for one operation.

use std::net::IpAddr;
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use matron_matrix::{Error as MatrixError, digest};
use quick_cache::sync::Cache;
use ruma::api::client::uiaa::{AuthFlow, AuthType, UiaaInfo};
use ruma::api::error::{ErrorKind, StandardErrorBody};

use super::authorize::Proven;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::locks::lock;
use crate::meters::Held;
use crate::schema::{Digest, UserNum};

/// How long a client has for all stages, in milliseconds.
const LIFETIME: u64 = 15 * 60 * 1000;
/// How many sessions are remembered. Who is pushed out starts anew.
const REMEMBERED: usize = 10_000;

/// What is to be done: a session of interactive authentication is good for nothing else.
#[derive(Debug, Clone, Copy)]
pub struct Operation<'a> {
    /// The endpoint's name.
    pub name: &'a str,
    /// What it is done to, where that matters: a device's id, say. Empty otherwise.
    pub subject: &'a str,
    /// Where the client is.
    pub address: Option<IpAddr>,
}

/// How far a client is.
#[derive(Debug, Clone)]
pub(super) struct State {
    operation: Digest,
    /// What the client wants to do, by the endpoint's name.
    pub name: String,
    /// Whoever is logged in there.
    pub user: Option<UserNum>,
    flows: Vec<AuthFlow>,
    expires: u64,
    /// The beginning of a flow, in its order.
    completed: Vec<AuthType>,
    /// Who gave their password in a browser.
    proven: Option<Proven>,
}

impl State {
    /// Whether a stage was passed.
    pub fn has_passed(&self, stage: &AuthType) -> bool {
        self.completed.contains(stage)
    }

    /// Whether a stage comes next in one of the flows.
    pub fn awaits(&self, stage: &AuthType) -> bool {
        self.flows.iter().any(|flow| {
            let rest = flow.stages.strip_prefix(self.completed.as_slice());
            rest.and_then(<[_]>::first) == Some(stage)
        })
    }

    /// Notes a stage that was passed. False where it counts for nothing: out of its order, or in none of the flows.
    fn pass(&mut self, stage: AuthType) -> bool {
        if self.has_passed(&stage) {
            return true;
        }
        let counts = self.awaits(&stage);
        if counts {
            self.completed.push(stage);
        }
        counts
    }
}

/// The sessions, in memory alone: after a restart clients are asked again.
#[derive(Debug)]
pub(super) struct Interactive {
    clock: Clock,
    sessions: Cache<String, State>,
    /// Held while a session is read to be changed: a client and its user's browser may pass stages at once.
    turn: Mutex<()>,
}

/// A session that a request goes on with, new or not.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    interactive: &'a Interactive,
    id: String,
    state: State,
    /// Whether others may know the session: the client came with it.
    is_known: bool,
}

/// An operation is bound to what it does and for whom: a session proves nothing for another one.
fn mark(operation: Operation<'_>, user: Option<UserNum>) -> Digest {
    let user = user.map(|user| user.0.to_be_bytes());
    let user = user.as_ref().map_or(&[][..], |user| &user[..]);
    digest::of_parts([operation.name.as_bytes(), operation.subject.as_bytes(), user])
}

/// What is said of a session that there is not, or no more.
pub(super) fn ended() -> MatrixError {
    MatrixError::not_found("there is no such session, or it has ended")
}

/// What is said of a stage whose turn it is not.
pub(super) fn not_awaited() -> MatrixError {
    MatrixError::unrecognized("this needs the next stage of one of its flows")
}

impl Interactive {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, sessions: Cache::new(REMEMBERED), turn: Mutex::default() }
    }

    pub(super) fn held(&self) -> Held {
        Held::of("interactive_sessions", &self.sessions)
    }

    /// A session that has not ended, as it is now.
    pub(super) fn known(&self, id: &str) -> Option<State> {
        let now = self.clock.millis();
        self.sessions.get(id).filter(|state| state.expires > now)
    }

    /// Notes a stage that was passed in a browser, and who gave their password if that was it: the client comes back for
    /// it with the session alone.
    ///
    /// # Errors
    /// `M_NOT_FOUND` where the session has ended meanwhile, `M_UNRECOGNIZED` where it does not await the stage.
    pub(super) fn pass(&self, id: &str, stage: AuthType, proven: Option<Proven>) -> Result<State> {
        let _turn = lock(&self.turn);
        let mut state = self.known(id).ok_or_else(ended)?;
        if !state.pass(stage) {
            return Err(not_awaited().into());
        }
        if proven.is_some() {
            state.proven = proven;
        }
        self.sessions.insert(id.to_owned(), state.clone());
        Ok(state)
    }

    /// Ends a session. Whether it was there: of two who end it at once, one does what it was for.
    fn end(&self, id: &str) -> bool {
        let _turn = lock(&self.turn);
        self.sessions.remove(id).is_some()
    }

    /// Goes on with the session that the client names, or begins one: also where the named one is forgotten.
    ///
    /// # Errors
    /// `M_FORBIDDEN` where the session was begun for something else.
    pub(super) fn enter(
        &self,
        id: Option<&str>,
        (operation, user): (Operation<'_>, Option<UserNum>),
        flows: Vec<AuthFlow>,
    ) -> Result<Stage<'_>> {
        let mark = mark(operation, user);
        if let Some(id) = id
            && let Some(state) = self.known(id)
        {
            if state.operation != mark {
                return Err(MatrixError::forbidden("the session was begun for another operation").into());
            }
            return Ok(Stage { interactive: self, id: id.to_owned(), state, is_known: true });
        }
        let id = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 18]>());
        let state = State {
            operation: mark,
            name: operation.name.to_owned(),
            user,
            flows,
            expires: self.clock.millis().saturating_add(LIFETIME),
            completed: Vec::new(),
            proven: None,
        };
        Ok(Stage { interactive: self, id, state, is_known: false })
    }
}

impl Stage<'_> {
    /// Asks the client for more, and says what was wrong if anything was.
    pub(super) fn ask(self, wrong: Option<MatrixError>) -> Error {
        let Self { interactive, id, mut state, is_known } = self;
        if !is_known {
            interactive.sessions.insert(id.clone(), state.clone());
        } else if let Some(now) = interactive.known(&id) {
            state = now;
        }
        let info = UiaaInfo {
            flows: state.flows,
            completed: state.completed,
            // Clients are known that stumble where it is left out.
            params: serde_json::value::to_raw_value(&serde_json::Map::new()).ok(),
            session: Some(id),
            auth_error: wrong.map(|error| Box::new(StandardErrorBody::new(error.kind, error.message))),
        };
        Error::Interactive(Box::new(info))
    }

    /// Asks again where the client comes with a stage that is not the next one of a flow.
    pub(super) fn refuse(self) -> Error {
        self.ask(Some(not_awaited()))
    }

    /// Goes on with the address that the client proves, and asks again where it does not. Whatever else is wrong with the
    /// proof, that too many were tried say, is no matter of the stage, and is told as anywhere.
    pub(super) fn shown<T>(self, proof: Result<T>) -> Result<(Self, T)> {
        match proof {
            Ok(proof) => Ok((self, proof)),
            Err(Error::Matrix(error)) if matches!(error.kind, ErrorKind::ThreepidAuthFailed) => {
                Err(self.ask(Some(error)))
            }
            Err(error) => Err(error),
        }
    }

    /// Notes a stage that the client has passed, and ends the session if that was the last one of a flow.
    ///
    /// # Errors
    /// [`Error::Interactive`] where more stages are asked for, or another one before this.
    pub(super) fn pass(mut self, stage: AuthType) -> Result<()> {
        let counts = if self.is_known {
            self.interactive.pass(&self.id, stage, None).map(|state| self.state = state).is_ok()
        } else {
            self.state.pass(stage)
        };
        if counts { self.finish().map(drop) } else { Err(self.refuse()) }
    }

    /// Ends the session if one of the flows is complete: it is good for one operation. Who gave their password in a
    /// browser, if somebody did.
    ///
    /// # Errors
    /// [`Error::Interactive`] where more stages are asked for, `M_NOT_FOUND` where the session has ended meanwhile.
    pub(super) fn finish(self) -> Result<Option<Proven>> {
        let State { flows, completed, .. } = &self.state;
        if !flows.iter().any(|flow| completed.starts_with(&flow.stages)) {
            return Err(self.ask(None));
        }
        if self.is_known && !self.interactive.end(&self.id) {
            return Err(ended().into());
        }
        Ok(self.state.proven)
    }
}

#[cfg(test)]
mod tests;
