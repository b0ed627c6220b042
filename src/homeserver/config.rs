//! What the domain needs to be told: the part of the configuration that concerns it.

use ruma::{OwnedServerName, RoomVersionId};

/// Who may make an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registration {
    /// Nobody, but for administrators.
    Closed,
    /// Who has one of these tokens.
    Token(Vec<String>),
    /// Everybody.
    Open,
}

/// What a password's hash costs (argon2id).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordHashing {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub iterations: u32,
}

/// The domain's configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The name that user ids and room ids end with. Never changes.
    pub server_name: OwnedServerName,
    /// Where clients find the API, as `/.well-known/matrix/client` tells them; none where it is not told.
    pub public_url: Option<String>,
    /// Who may make an account.
    pub registration: Registration,
    /// The secret of `/_synapse/admin/v1/register`; none where that is off.
    pub registration_shared_secret: Option<String>,
    /// Whether guests may come in.
    pub guests: bool,
    /// The version of new rooms where the client names none.
    pub default_room_version: RoomVersionId,
    /// What a password's hash costs.
    pub password_hashing: PasswordHashing,
    /// Milliseconds that an access token lives where the client can refresh it.
    pub access_token_lifetime: u64,
    /// Whether the limits on requests are on.
    pub rate_limits: bool,
    /// Contacts for `/.well-known/matrix/support`: an e-mail address.
    pub support_email: Option<String>,
    /// A page for `/.well-known/matrix/support`.
    pub support_page: Option<String>,
}

impl Config {
    /// A configuration for a server of this name, everything else as it is by default.
    #[must_use]
    pub fn named(server_name: OwnedServerName) -> Self {
        Self {
            server_name,
            public_url: None,
            registration: Registration::Closed,
            registration_shared_secret: None,
            guests: false,
            default_room_version: RoomVersionId::V12,
            password_hashing: PasswordHashing { memory_kib: 19_456, iterations: 2 },
            access_token_lifetime: 60 * 60 * 1000,
            rate_limits: true,
            support_email: None,
            support_page: None,
        }
    }
}
