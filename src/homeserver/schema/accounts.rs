//! Accounts: users of this server, what they keep here, and how they prove who they are.

use matron_storage::{Family, Keyspace, Position, labels};

use super::{DeviceNum, Digest, RoomNum, UserNum};

labels! {
    /// What sort of account it is.
    pub enum AccountKind {
        /// Somebody's own.
        User = 1,
        /// A guest's: few rights, no password.
        Guest = 2,
    }
}

matron_storage::record! {
    /// A local user's account.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Account {
        /// What sort.
        pub kind: AccountKind,
        /// The password's argon2id hash in PHC form; none where no password lets one in.
        pub password: Option<String>,
        /// Whether it may call the admin API.
        pub admin: bool,
        /// Whether it was closed for good.
        pub deactivated: bool,
        /// Whether its messages are hidden from those who had not seen them.
        pub erased: bool,
        /// Whether it is locked for now.
        pub locked: bool,
        /// Whether it may read but not act.
        pub suspended: bool,
        /// When it was made, in milliseconds since 1970.
        pub created: u64,
    }
}

matron_storage::record! {
    /// A limit on one user's requests, in place of the configured one. Named as in Synapse's admin API.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct RateLimitOverride {
        /// How many a second, for long; with 0 the user has no limits at all.
        pub messages_per_second: u32,
        /// How many at once, after a rest.
        pub burst_count: u32,
    }
}

labels! {
    /// What a token is for.
    pub enum TokenKind {
        /// Calling the API.
        Access = 1,
        /// Getting the next access token.
        Refresh = 2,
        /// Logging in once.
        Login = 3,
    }
}

matron_storage::record! {
    /// What a token stands for. The token itself is nowhere: the key is its digest.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Token {
        /// What it is for.
        pub kind: TokenKind,
        /// Whose.
        pub user: UserNum,
        /// The device; of a log-in token the one that asked for it.
        pub device: Option<DeviceNum>,
        /// The device's id.
        pub device_id: String,
        /// From when on it is refused, in milliseconds since 1970.
        pub expires: Option<u64>,
        /// For a refresh token: the digest of the access token that came with it.
        pub pair: Option<Digest>,
        /// The refresh token that it was given for, which is revoked as soon as this one is used.
        pub previous: Option<Digest>,
    }
}

matron_storage::record! {
    /// A piece of account data.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct AccountData {
        /// When it was last set.
        pub position: Position,
        /// The content as JSON. Empty where it was deleted.
        pub content: String,
    }
}

labels! {
    /// What in a user's own stream changed.
    pub enum UserChange {
        /// Their membership of a room.
        Membership = 1,
        /// Account data of a room, or of the account.
        AccountData = 2,
    }
}

matron_storage::record! {
    /// An entry of a user's own stream.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct UserNews {
        /// What changed.
        pub change: UserChange,
        /// The room; none for the account's own data.
        pub room: Option<RoomNum>,
        /// The type of account data; empty for a membership.
        pub kind: String,
    }
}

matron_storage::record! {
    /// What an `OpenID` token stands for.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct OpenIdToken {
        /// Whose it is.
        pub user: UserNum,
        /// From when on it proves nothing, in milliseconds since 1970.
        pub expires: u64,
    }
}

matron_storage::record! {
    /// An e-mail address of an account's.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Email {
        /// When its user proved that it is theirs, in milliseconds since 1970.
        pub validated: u64,
        /// When it was added to the account, in milliseconds since 1970.
        pub added: u64,
    }
}

labels! {
    /// What an e-mail address is proved for.
    pub enum Purpose {
        /// Adding it to an account.
        Add = 1,
        /// Making an account with it.
        Register = 2,
        /// Setting a new password.
        Password = 3,
    }
}

matron_storage::record! {
    /// A letter by which somebody proves that an address is theirs.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Validation {
        /// What for.
        pub purpose: Purpose,
        /// The address.
        pub address: String,
        /// The digest of the secret by which the client that asked for it is known again.
        pub client_secret: Digest,
        /// The digest of the token in the letter's link.
        pub token: Digest,
        /// The number that the client gave the letter.
        pub send_attempt: u64,
        /// From when on it is good for nothing, in milliseconds since 1970.
        pub expires: u64,
        /// When the link was followed, in milliseconds since 1970.
        pub validated: Option<u64>,
    }
}

/// What names a validation.
pub type ValidationKey = [u8; 16];

/// Local users' accounts.
pub const ACCOUNTS: Keyspace<UserNum, Account> = Keyspace::new(0x0301, "accounts", Family::Point);
/// Users with a limit of their own on requests: few.
pub const RATE_LIMIT_OVERRIDES: Keyspace<UserNum, RateLimitOverride> =
    Keyspace::new(0x0330, "rate limit overrides", Family::Point);
/// Profile fields, as JSON. Under the empty name: how many bytes all of them have together, and by which measure
/// (`accounts/profile.rs`).
pub const PROFILES: Keyspace<(UserNum, String), String> = Keyspace::new(0x0302, "profiles", Family::Point);
/// Users whose new name or avatar is not said in all of their rooms yet, and the position of the change.
pub const RENAMED: Keyspace<UserNum, Position> = Keyspace::new(0x0319, "renamed users", Family::Current);
/// Tokens by their digest.
pub const TOKENS: Keyspace<Digest, Token> = Keyspace::new(0x0303, "tokens", Family::Id);
/// A device's tokens, so that they can be revoked together.
pub const DEVICE_TOKENS: Keyspace<(DeviceNum, Digest), ()> = Keyspace::new(0x0304, "device tokens", Family::Index);
/// How often a device was given tokens. Whoever gives some changes it and whoever revokes all of them expects it
/// unchanged, so that no token slips past a revocation.
pub const TOKEN_ROUNDS: Keyspace<DeviceNum, u64> = Keyspace::new(0x0309, "token rounds", Family::Point);
/// The device that a user made last. Whoever deletes all devices of a user expects it unchanged, so that no log-in slips
/// past; log-ins write it blindly and do not hinder one another.
pub const NEWEST_DEVICE: Keyspace<UserNum, DeviceNum> = Keyspace::new(0x030a, "newest device", Family::Point);
/// Account data: of a room, or of the account itself (room 0).
pub const ACCOUNT_DATA: Keyspace<(UserNum, RoomNum, String), AccountData> =
    Keyspace::new(0x0305, "account data", Family::Point);
/// What concerns one user alone, in order.
pub const USER_STREAM: Keyspace<(UserNum, Position), UserNews> = Keyspace::new(0x0306, "user stream", Family::Index);
/// Stored filters, by the digest of their JSON (which gives their id).
pub const FILTERS: Keyspace<(UserNum, [u8; 8]), String> = Keyspace::new(0x0307, "filters", Family::Point);
/// E-mail addresses of users, in the form by which they are compared.
pub const EMAILS: Keyspace<(UserNum, String), Email> = Keyspace::new(0x0328, "e-mail addresses", Family::Point);
/// Whose an e-mail address is.
pub const EMAIL_OWNERS: Keyspace<String, UserNum> = Keyspace::new(0x0329, "e-mail owners", Family::Point);
/// Letters that prove addresses.
pub const VALIDATIONS: Keyspace<ValidationKey, Validation> = Keyspace::new(0x032a, "validations", Family::Point);
/// The letter that a client asked for, by the digest of purpose, address and the client's secret.
pub const VALIDATION_OF: Keyspace<Digest, ValidationKey> = Keyspace::new(0x032b, "validation of", Family::Id);
/// When letters end, so that old ones are found.
pub const VALIDATION_ENDS: Keyspace<(u64, ValidationKey), ()> = Keyspace::new(0x032c, "validation ends", Family::Index);
/// Users who ignore somebody: the ignored one first.
pub const IGNORED_BY: Keyspace<(UserNum, UserNum), ()> = Keyspace::new(0x0308, "ignored by", Family::Index);
/// `OpenID` tokens by their digest.
pub const OPENID_TOKENS: Keyspace<Digest, OpenIdToken> = Keyspace::new(0x0320, "OpenID tokens", Family::Id);
/// When `OpenID` tokens end, so that old ones are found.
pub const OPENID_ENDS: Keyspace<(u64, Digest), ()> = Keyspace::new(0x0321, "ends of OpenID tokens", Family::Index);
/// Users whose push rules look deeper than classes do (`matron_matrix::push::specials`): few.
pub const SPECIAL_RULES: Keyspace<UserNum, ()> = Keyspace::new(0x0310, "special rules", Family::Point);
/// By which understanding of rules [`SPECIAL_RULES`] was made: made anew at start where it is another.
pub const SPECIAL_RULES_VERSION: Keyspace<(), u64> = Keyspace::new(0x0311, "version of special rules", Family::Meta);
/// Users whose accounts were closed with all that they said, and when: their events are served pruned to whoever could
/// not see them before.
pub const ERASED: Keyspace<UserNum, Position> = Keyspace::new(0x0312, "erased users", Family::Point);
