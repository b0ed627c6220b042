//! What a rule answers when it says no: an errcode of the spec and a sentence for the developer.

use std::time::Duration;

use ruma::api::error::{
    ErrorKind, LimitExceededErrorData, RetryAfter, UnknownTokenErrorData, WrongRoomKeysVersionErrorData,
};

/// The result of a rule.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A refusal: the spec's errcode and why.
#[derive(Debug, Clone)]
pub struct Error {
    /// The errcode, with the data that goes with it.
    pub kind: ErrorKind,
    /// Why, for the developer who reads it.
    pub message: String,
}

macro_rules! constructors {
    ($($(#[$meta:meta])* $name:ident => $kind:expr;)*) => {
        impl Error {
            $($(#[$meta])*
            pub fn $name(message: impl Into<String>) -> Self {
                Self { kind: $kind, message: message.into() }
            })*
        }
    };
}

constructors! {
    /// `M_FORBIDDEN`
    forbidden => ErrorKind::Forbidden;
    /// `M_NOT_FOUND`
    not_found => ErrorKind::NotFound;
    /// `M_BAD_JSON`
    bad_json => ErrorKind::BadJson;
    /// `M_NOT_JSON`
    not_json => ErrorKind::NotJson;
    /// `M_INVALID_PARAM`
    invalid_param => ErrorKind::InvalidParam;
    /// `M_MISSING_PARAM`
    missing_param => ErrorKind::MissingParam;
    /// `M_TOO_LARGE`
    too_large => ErrorKind::TooLarge;
    /// `M_UNRECOGNIZED`
    unrecognized => ErrorKind::Unrecognized;
    /// `M_UNKNOWN`
    unknown => ErrorKind::Unknown;
    /// `M_UNSUPPORTED_ROOM_VERSION`
    unsupported_room_version => ErrorKind::UnsupportedRoomVersion;
    /// `M_ROOM_IN_USE`
    room_in_use => ErrorKind::RoomInUse;
    /// `M_INVALID_ROOM_STATE`
    invalid_room_state => ErrorKind::InvalidRoomState;
    /// `M_BAD_STATE`
    bad_state => ErrorKind::BadState;
    /// `M_BAD_ALIAS`
    bad_alias => ErrorKind::BadAlias;
    /// `M_USER_IN_USE`
    user_in_use => ErrorKind::UserInUse;
    /// `M_INVALID_USERNAME`
    invalid_username => ErrorKind::InvalidUsername;
    /// `M_EXCLUSIVE`
    exclusive => ErrorKind::Exclusive;
    /// `M_WEAK_PASSWORD`
    weak_password => ErrorKind::WeakPassword;
    /// `M_USER_DEACTIVATED`
    user_deactivated => ErrorKind::UserDeactivated;
    /// `M_GUEST_ACCESS_FORBIDDEN`
    guest_access_forbidden => ErrorKind::GuestAccessForbidden;
    /// `M_MISSING_TOKEN`
    missing_token => ErrorKind::MissingToken;
    /// `M_USER_LOCKED`: always a soft log-out.
    user_locked => ErrorKind::UserLocked;
    /// `M_NOT_YET_UPLOADED`
    not_yet_uploaded => ErrorKind::NotYetUploaded;
    /// `M_CANNOT_OVERWRITE_MEDIA`
    cannot_overwrite_media => ErrorKind::CannotOverwriteMedia;
    /// `M_INVITE_BLOCKED`
    invite_blocked => ErrorKind::InviteBlocked;
    /// `M_CANNOT_LEAVE_SERVER_NOTICE_ROOM`
    cannot_leave_server_notice_room => ErrorKind::CannotLeaveServerNoticeRoom;
    /// `M_THREEPID_IN_USE`
    threepid_in_use => ErrorKind::ThreepidInUse;
    /// `M_THREEPID_NOT_FOUND`
    threepid_not_found => ErrorKind::ThreepidNotFound;
    /// `M_THREEPID_AUTH_FAILED`
    threepid_auth_failed => ErrorKind::ThreepidAuthFailed;
    /// `M_THREEPID_MEDIUM_NOT_SUPPORTED`
    threepid_medium_not_supported => ErrorKind::ThreepidMediumNotSupported;
    /// `M_SERVER_NOT_TRUSTED`
    server_not_trusted => ErrorKind::ServerNotTrusted;
    /// `M_USER_SUSPENDED`
    user_suspended => ErrorKind::UserSuspended;
    /// `M_DUPLICATE_ANNOTATION`
    duplicate_annotation => ErrorKind::DuplicateAnnotation;
}

impl Error {
    /// Any errcode that needs no more data, also one that the spec does not have.
    pub fn of_code(errcode: &str, message: impl Into<String>) -> Self {
        // ruma's own reader makes what stands for codes for which it has no variant.
        let json = serde_json::json!({ "errcode": errcode }).to_string();
        let kind = serde_json::from_str(&json).unwrap_or(ErrorKind::Unknown);
        Self { kind, message: message.into() }
    }

    /// `M_INVALID_SIGNATURE`
    pub fn invalid_signature(message: impl Into<String>) -> Self {
        Self::of_code("M_INVALID_SIGNATURE", message)
    }

    /// `M_WRONG_ROOM_KEYS_VERSION`, with the version that is right.
    pub fn wrong_room_keys_version(current_version: String, message: impl Into<String>) -> Self {
        let data = WrongRoomKeysVersionErrorData { current_version };
        Self { kind: ErrorKind::WrongRoomKeysVersion(data), message: message.into() }
    }

    /// `M_UNKNOWN_TOKEN`. With `soft_logout` the client may keep what it stored and log in again.
    pub fn unknown_token(soft_logout: bool, message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::UnknownToken(UnknownTokenErrorData { soft_logout }), message: message.into() }
    }

    /// `M_LIMIT_EXCEEDED`: to be tried again after so many milliseconds, rounded up to seconds, since the `Retry-After`
    /// header that goes with it counts whole ones.
    #[must_use]
    pub fn limit_exceeded(retry_after_ms: u64) -> Self {
        let retry_after = Some(RetryAfter::Delay(Duration::from_secs(retry_after_ms.div_ceil(1000))));
        let kind = ErrorKind::LimitExceeded(LimitExceededErrorData { retry_after });
        Self { kind, message: "too many requests".to_owned() }
    }

    /// The HTTP status that goes with the errcode.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match &self.kind {
            ErrorKind::Forbidden
            | ErrorKind::GuestAccessForbidden
            | ErrorKind::UserDeactivated
            | ErrorKind::UserSuspended
            | ErrorKind::InviteBlocked
            | ErrorKind::ThreepidAuthFailed
            | ErrorKind::CannotLeaveServerNoticeRoom
            | ErrorKind::WrongRoomKeysVersion(_) => 403,
            ErrorKind::UnknownToken(_) | ErrorKind::MissingToken | ErrorKind::UserLocked | ErrorKind::Unauthorized => {
                401
            }
            ErrorKind::NotFound | ErrorKind::Unrecognized => 404,
            ErrorKind::CannotOverwriteMedia => 409,
            ErrorKind::TooLarge => 413,
            ErrorKind::LimitExceeded(_) => 429,
            ErrorKind::NotYetUploaded => 504,
            _ => 400,
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.kind.errcode(), self.message)
    }
}

impl std::error::Error for Error {}
