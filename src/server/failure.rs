//! Why the program gives up: one line for whoever started it.

use std::fmt::Display;

/// A reason to give up.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failure(String);

/// The result of something that the program cannot go on without.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// Gives up, and says so.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }

    /// Gives up because of something.
    pub fn because(what: impl Display, error: &dyn Display) -> Self {
        Self(format!("{what}: {error}"))
    }
}

impl From<matron_homeserver::Error> for Failure {
    fn from(error: matron_homeserver::Error) -> Self {
        Self(error.to_string())
    }
}
