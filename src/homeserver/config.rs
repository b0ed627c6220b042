//! What the domain needs to be told: the part of the configuration that concerns it.

mod rate_limits;

use std::path::PathBuf;

use ruma::{OwnedServerName, RoomVersionId, UserId};
use serde::{Deserialize, Serialize};
use tokio_rustls::rustls::pki_types::CertificateDer;

pub use self::rate_limits::{Live, RateLimits};
use crate::remote::addresses::Addresses;

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

/// Who may put rooms into the published list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publication {
    /// Everybody whose power in the room suffices.
    Everybody,
    /// Administrators of the server.
    Administrators,
}

/// Whom a search of the user directory finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Findable {
    /// Those with whom the searcher shares a room, and those in rooms that everybody may join or read.
    Known,
    /// All users of this server.
    All,
}

/// What may be found, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// Who may put rooms into the published list.
    pub publication: Publication,
    /// Whether that list is shown to those who are not logged in.
    pub list_for_strangers: bool,
    /// Whom a search of the user directory finds.
    pub people: Findable,
    /// Whether what is said in rooms that are not encrypted can be searched.
    pub messages: bool,
}

impl Default for Finding {
    fn default() -> Self {
        Self { publication: Publication::Everybody, list_for_strangers: false, people: Findable::Known, messages: true }
    }
}

/// What a password's hash costs (argon2id).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordHashing {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub iterations: u32,
}

/// How this server calls others.
#[derive(Debug, Clone, Default)]
pub struct Outgoing {
    /// Certificates of authorities that are trusted beside those of the system.
    pub authorities: Vec<CertificateDer<'static>>,
    /// Which addresses are called where somebody outside names them.
    pub addresses: Addresses,
    /// Which addresses are called where other Matrix servers are.
    pub servers: Addresses,
}

/// A bucket of an object store that speaks S3, and what is kept in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// What the names of all objects begin with.
    pub prefix: String,
    /// The way to it.
    pub access: BucketAccess,
}

/// How a bucket is reached and opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BucketAccess {
    /// Its region.
    pub region: String,
    /// Where the object store is, if not at Amazon.
    pub endpoint: Option<String>,
    /// Whether the bucket's name stands in the path, not in the host's name.
    pub path_style: bool,
    /// The key that opens it.
    pub access_key_id: String,
    /// The secret that goes with the key.
    pub secret_access_key: String,
}

/// Where the bytes of media lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaStorage {
    /// In this folder, which is made if it does not exist.
    Folder(PathBuf),
    /// In a bucket.
    Bucket {
        /// Which.
        bucket: Bucket,
        /// A folder of this machine where files are gathered before they are sent.
        incoming: PathBuf,
    },
    /// In a folder of the system's that goes with the server, for tests.
    Temporary,
}

/// What concerns media.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// Where the bytes lie.
    pub storage: MediaStorage,
    /// The largest upload, in bytes.
    pub max_upload_bytes: u64,
    /// The largest picture that thumbnails are made of, in pixels.
    pub max_pixels: u64,
    /// How many bytes a user may have uploaded in all; none is no bound.
    pub user_quota_bytes: Option<u64>,
    /// Whether what is uploaded from now on can also be had without a token, by the old addresses.
    pub open: bool,
    /// Whether web pages are looked at for users.
    pub url_previews: bool,
    /// How many bytes the pictures of previews may have together.
    pub max_preview_bytes: u64,
}

/// How clients prove to TURN servers that they may use them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TurnAccess {
    /// By passwords that the server makes with a secret that it shares with them.
    SharedSecret(String),
    /// By one name and password for all.
    User {
        /// The name.
        username: String,
        /// The password.
        password: String,
    },
}

/// The TURN servers that carry calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Where they are.
    pub uris: Vec<String>,
    /// How they let clients in.
    pub access: TurnAccess,
    /// For how many seconds that is good.
    pub ttl: u64,
}

/// Who speaks in server notices, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notices {
    /// The user's name.
    pub localpart: String,
    /// The name that is shown.
    pub display_name: String,
    /// The rooms' name.
    pub room_name: String,
}

/// How pushes are sent.
#[derive(Debug, Clone)]
pub struct Push {
    /// Whether push gateways may be called without TLS.
    pub plain_gateways: bool,
    /// Whether the number beside an app's icon is that of rooms with something unread, not that of messages.
    pub count_rooms: bool,
    /// How long something is unread before a letter tells of it, in milliseconds.
    pub email_after: u64,
    /// The shortest time between two letters, in milliseconds.
    pub email_pause: u64,
}

/// How the SMTP server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailSecurity {
    /// By TLS from the first byte.
    Tls,
    /// By TLS after a first word; without it not at all.
    StartTls,
    /// In the clear.
    None,
}

/// How e-mail is sent.
#[derive(Debug, Clone)]
pub struct Mail {
    /// The SMTP server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How it is spoken to.
    pub security: MailSecurity,
    /// Who this server is to it.
    pub username: Option<String>,
    /// The password that goes with it.
    pub password: Option<String>,
    /// Whom letters come from.
    pub from: String,
    /// Where people read what letters tell of.
    pub client_url: Option<String>,
    /// Whether answers are the same for addresses that are known here and those that are not.
    pub hide_addresses: bool,
    /// Whether who registers needs an address that was proved.
    pub required: bool,
}

impl Default for Push {
    fn default() -> Self {
        Self { plain_gateways: false, count_rooms: false, email_after: 10 * 60 * 1000, email_pause: 60 * 60 * 1000 }
    }
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
    /// Whether users are told who is there.
    pub presence: bool,
    /// Finding rooms, people and messages.
    pub finding: Finding,
    /// The version of new rooms where the client names none.
    pub default_room_version: RoomVersionId,
    /// What a password's hash costs.
    pub password_hashing: PasswordHashing,
    /// Milliseconds that an access token lives where the client can refresh it.
    pub access_token_lifetime: u64,
    /// Milliseconds for which the content of a redacted event is kept, hidden, before it is overwritten.
    pub redacted_lifetime: u64,
    /// The limits on requests.
    pub rate_limits: Live<RateLimits>,
    /// How this server calls others.
    pub outgoing: Outgoing,
    /// Media.
    pub media: Media,
    /// TURN servers; none where calls do without.
    pub turn: Option<Turn>,
    /// Server notices; none where they are off.
    pub notices: Option<Notices>,
    /// How pushes are sent.
    pub push: Push,
    /// How e-mail is sent; none where it is not.
    pub mail: Option<Mail>,
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
            presence: false,
            finding: Finding::default(),
            default_room_version: RoomVersionId::V12,
            password_hashing: PasswordHashing { memory_kib: 19_456, iterations: 2 },
            access_token_lifetime: 60 * 60 * 1000,
            redacted_lifetime: 7 * 24 * 60 * 60 * 1000,
            rate_limits: Live::new(RateLimits::default()),
            outgoing: Outgoing::default(),
            media: Media {
                storage: MediaStorage::Temporary,
                max_upload_bytes: 100 << 20,
                max_pixels: 50_000_000,
                user_quota_bytes: None,
                open: false,
                url_previews: false,
                max_preview_bytes: 1 << 30,
            },
            turn: None,
            notices: None,
            push: Push::default(),
            mail: None,
            support_email: None,
            support_page: None,
        }
    }

    /// Whether this is the user in whose name administrators send notices.
    #[must_use]
    pub fn speaks_for_server(&self, user_id: &UserId) -> bool {
        self.notices.as_ref().is_some_and(|notices| notices.localpart == user_id.localpart())
            && user_id.server_name() == self.server_name
    }
}
