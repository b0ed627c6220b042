//! What the domain answers when it cannot do what was asked.

use matron_storage::Error as StorageError;
use ruma::api::client::uiaa::UiaaInfo;

/// The result of a domain function.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a domain function did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A rule of Matrix says no.
    #[error("{0}")]
    Matrix(#[from] matron_matrix::Error),
    /// The server alone writes this: the errcode that goes with it, and HTTP status 405.
    #[error("{0}")]
    ServerControlled(matron_matrix::Error),
    /// Somebody else has it already: HTTP status 409.
    #[error("{0}")]
    Taken(matron_matrix::Error),
    /// Another server did not give what it was asked for: HTTP status 502.
    #[error("{0}")]
    Upstream(matron_matrix::Error),
    /// Another server, which was asked on somebody's behalf, says no: its own answer, with its HTTP status.
    #[error("{error}")]
    Declined {
        /// The status.
        status: u16,
        /// What it says.
        error: matron_matrix::Error,
    },
    /// The store could not read or write.
    #[error("{0}")]
    Storage(#[from] StorageError),
    /// The client must prove who it is first ("User-Interactive Authentication").
    #[error("more authentication is needed")]
    Interactive(Box<UiaaInfo>),
    /// A backup cannot be taken, read or brought back.
    #[error("{0}")]
    Backup(String),
    /// Something that cannot happen did.
    #[error("internal error: {0}")]
    Internal(String),
}

impl Error {
    /// Something that cannot happen did: a row is missing that another one promises, say.
    pub fn internal(what: impl std::fmt::Display) -> Self {
        Self::Internal(what.to_string())
    }

    /// Whether the store takes no writes for now: what failed may be done a while later.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Storage(StorageError::Unavailable(_) | StorageError::OutcomeUnknown(_)))
    }

    /// Whether something is not to be, by the room's rules or its policy server, while this server is well: whoever does
    /// many things goes on with the next one.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Matrix(_) | Self::Declined { .. } | Self::Upstream(_))
    }

    /// A backup cannot be taken, read or brought back.
    pub fn backup(why: impl std::fmt::Display) -> Self {
        Self::Backup(why.to_string())
    }
}
