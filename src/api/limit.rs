//! Limits on requests: so many of a sort per user, or per address where nobody is logged in.

use std::net::IpAddr;

use http::Method;
use matron_homeserver::Homeserver;
use matron_homeserver::accounts::Session;
use matron_homeserver::config::RateLimits;
use matron_homeserver::limiter::{Budget, Limiter, network};
use matron_homeserver::schema::UserNum;
use matron_matrix::Error as MatrixError;
use matron_storage::Count;
use ruma::api::Metadata;

use crate::error::Result;
use crate::request::Client;

/// How many users and addresses are remembered per class.
const REMEMBERED: usize = 20_000;

/// A sort of request that is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Logging in, and refreshing tokens.
    LogIn,
    /// Making accounts.
    Register,
    /// Joining, knocking, inviting, making rooms: what other servers are asked for. Member events as well.
    Join,
    /// Sending into rooms.
    Send,
    /// Sending to devices: what is said in encrypted rooms cannot be read without it.
    SendToDevice,
    /// Moving bytes: uploads, downloads, thumbnails, previews of pages.
    Media,
    /// All others.
    Other,
}

impl Class {
    /// The class of an endpoint at a path of its own; none where it is not limited.
    ///
    /// The spec marks which endpoints are. It leaves out sending, making rooms and the old downloads, which cost a server
    /// most: those are limited as well ("Rate limiting": a server should, lest it be overloaded).
    pub fn of<T: Metadata>(path: &str) -> Option<Self> {
        let class = Self::by_path(&T::METHOD, path);
        (T::RATE_LIMITED || matches!(class, Self::Join | Self::Send | Self::SendToDevice | Self::Media))
            .then_some(class)
    }

    fn by_path(method: &Method, path: &str) -> Self {
        let parts: Vec<_> = path.split('/').skip(2).collect();
        match (method.as_str(), parts.as_slice()) {
            (_, ["client", _, "media", "config"] | ["media", _, "config"]) => Self::Other,
            (_, ["client", _, "media", ..] | ["media", ..]) => Self::Media,
            ("GET", _) => Self::Other,
            (_, ["client", _, "login" | "refresh", ..]) => Self::LogIn,
            (_, ["client", _, "register", ..]) => Self::Register,
            (
                _,
                ["client", _, "join" | "knock" | "createRoom", ..]
                | ["client", _, "rooms", _, "join" | "invite" | "knock" | "upgrade", ..],
            ) => Self::Join,
            (_, ["client", _, "rooms", ..]) => Self::Send,
            (_, ["client", _, "sendToDevice", ..]) => Self::SendToDevice,
            _ => Self::Other,
        }
    }

    /// The class of a request, by its endpoint's and the parts of the path that are told apart. Who moves members by their
    /// events does what endpoints of [`Self::Join`] do. An event's type is the second of those parts wherever there is one.
    pub fn of_request(self, path_args: &[String]) -> Self {
        match path_args {
            [_, kind, ..] if self == Self::Send && kind == "m.room.member" => Self::Join,
            _ => self,
        }
    }

    const fn budget(self, limits: &RateLimits) -> Budget {
        match self {
            Self::LogIn => limits.log_in,
            Self::Register => limits.register,
            Self::Join => limits.join,
            Self::Send | Self::SendToDevice => limits.send,
            Self::Media => limits.media,
            Self::Other => limits.other,
        }
    }

    /// The budget for a request of this class; none where the caller has no limits. An administrator's word for a user
    /// replaces what is configured for sending, as in Synapse, or lifts all limits. Who may say more shares more keys; who
    /// may say less, no fewer.
    fn budget_for(self, session: Option<&Session>, limits: &RateLimits) -> Option<Budget> {
        match session.and_then(|session| session.rate_limit) {
            None => Some(self.budget(limits)),
            Some(own) => {
                let (sending, usual) = (own.budget()?, self.budget(limits));
                Some(match self {
                    Self::Send => sending,
                    Self::SendToDevice => Budget {
                        burst: usual.burst.max(sending.burst),
                        per_minute: usual.per_minute.max(sending.per_minute),
                    },
                    _ => usual,
                })
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Who {
    User(UserNum),
    Address(Option<IpAddr>),
}

/// What was asked lately, in memory.
#[derive(Debug)]
pub struct Limits {
    log_in: Limit,
    register: Limit,
    join: Limit,
    send: Limit,
    send_to_device: Limit,
    media: Limit,
    other: Limit,
}

/// One class.
#[derive(Debug)]
struct Limit {
    limiter: Limiter<Who>,
    refused: Count,
}

impl Default for Limits {
    fn default() -> Self {
        let limit = || Limit { limiter: Limiter::new(REMEMBERED), refused: Count::default() };
        Self {
            log_in: limit(),
            register: limit(),
            join: limit(),
            send: limit(),
            send_to_device: limit(),
            media: limit(),
            other: limit(),
        }
    }
}

impl Limits {
    /// Counts a request; `M_LIMIT_EXCEEDED` where it is one too many.
    pub(crate) fn check(
        &self,
        homeserver: &Homeserver,
        class: Class,
        session: Option<&Session>,
        client: &Client,
    ) -> Result<()> {
        let limits = homeserver.config.rate_limits.get();
        if !limits.enabled {
            return Ok(());
        }
        let Some(budget) = class.budget_for(session, &limits) else { return Ok(()) };
        let who = session.map_or_else(|| Who::Address(client.address.map(network)), |session| Who::User(session.user));
        let limit = match class {
            Class::LogIn => &self.log_in,
            Class::Register => &self.register,
            Class::Join => &self.join,
            Class::Send => &self.send,
            Class::SendToDevice => &self.send_to_device,
            Class::Media => &self.media,
            Class::Other => &self.other,
        };
        let taken = limit.limiter.take(&who, budget, homeserver.clock.millis());
        Ok(taken.map_err(|wait| {
            limit.refused.add(1);
            MatrixError::limit_exceeded(wait)
        })?)
    }

    /// How many requests were refused, by class.
    pub fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let classes = [
            ("log_in", &self.log_in),
            ("register", &self.register),
            ("join", &self.join),
            ("send", &self.send),
            ("send_to_device", &self.send_to_device),
            ("media", &self.media),
            ("other", &self.other),
        ];
        classes.into_iter().map(|(name, limit)| (name, limit.refused.get()))
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use matron_homeserver::schema::accounts::RateLimitOverride;
    use ruma::api::client::account::whoami;
    use ruma::api::client::media::get_content;
    use ruma::api::client::membership::joined_rooms;
    use ruma::api::client::message::send_message_event;
    use ruma::api::client::to_device::send_event_to_device;
    use ruma::server_name;

    use super::{Budget, Class, RateLimits, Session};

    #[test]
    fn classes_go_by_path() {
        let classes = [
            ("/_matrix/client/v3/login", Class::LogIn),
            ("/_matrix/client/v1/login/get_token", Class::LogIn),
            ("/_matrix/client/v3/refresh", Class::LogIn),
            ("/_matrix/client/v3/register", Class::Register),
            ("/_matrix/client/v3/createRoom", Class::Join),
            ("/_matrix/client/v3/join/{room_id_or_alias}", Class::Join),
            ("/_matrix/client/v3/rooms/{room_id}/join", Class::Join),
            ("/_matrix/client/v3/rooms/{room_id}/send/{event_type}/{txn_id}", Class::Send),
            ("/_matrix/client/v3/rooms/{room_id}/leave", Class::Send),
            ("/_matrix/client/v3/sendToDevice/{event_type}/{txn_id}", Class::SendToDevice),
            ("/_matrix/media/v3/upload", Class::Media),
            ("/_matrix/media/v3/upload/{server_name}/{media_id}", Class::Media),
            ("/_matrix/media/v1/create", Class::Media),
            ("/_matrix/client/v3/account/password", Class::Other),
            ("/", Class::Other),
        ];
        for (path, class) in classes {
            assert_eq!(Class::by_path(&Method::POST, path), class, "{path}");
        }
        for (path, class) in [
            ("/_matrix/client/v3/login", Class::Other),
            ("/_matrix/client/v3/rooms/{room_id}/messages", Class::Other),
            ("/_matrix/client/v1/media/download/{server_name}/{media_id}", Class::Media),
            ("/_matrix/client/v1/media/preview_url", Class::Media),
            ("/_matrix/media/v3/thumbnail/{server_name}/{media_id}", Class::Media),
            ("/_matrix/client/v1/media/config", Class::Other),
            ("/_matrix/media/v3/config", Class::Other),
        ] {
            assert_eq!(Class::by_path(&Method::GET, path), class, "{path}");
        }
    }

    #[test]
    fn member_events_go_with_what_moves_members() {
        let of = |class: Class, args: &[&str]| {
            let args: Vec<_> = args.iter().map(ToString::to_string).collect();
            class.of_request(&args)
        };
        assert_eq!(of(Class::Send, &["!a:b", "m.room.member", "@ann:b"]), Class::Join);
        assert_eq!(of(Class::Send, &["!a:b", "m.room.topic"]), Class::Send);
        assert_eq!(of(Class::Send, &["!a:b"]), Class::Send);
        assert_eq!(of(Class::Other, &["!a:b", "m.room.member", "@ann:b"]), Class::Other);
    }

    #[test]
    fn who_may_say_little_shares_keys_all_the_same() {
        let limits = RateLimits::default();
        let mut session = Session::of_operator(server_name!("localhost")).unwrap();
        for (own, sending, to_devices) in [
            (Some((1, 5)), (5, 60), (100, 600)),
            (Some((50, 500)), (500, 3000), (500, 3000)),
            (None, (100, 600), (100, 600)),
        ] {
            session.rate_limit =
                own.map(|(messages_per_second, burst_count)| RateLimitOverride { messages_per_second, burst_count });
            for (class, (burst, per_minute)) in [(Class::Send, sending), (Class::SendToDevice, to_devices)] {
                assert_eq!(class.budget_for(Some(&session), &limits), Some(Budget { burst, per_minute }));
            }
            assert_eq!(Class::Join.budget_for(Some(&session), &limits), Some(limits.join));
        }
        session.rate_limit = Some(RateLimitOverride { messages_per_second: 0, burst_count: 0 });
        assert_eq!(Class::SendToDevice.budget_for(Some(&session), &limits), None);
    }

    #[test]
    #[allow(deprecated, reason = "the old downloads are the point")]
    fn what_costs_is_limited_whether_or_not_the_spec_marks_it() {
        let send = "/_matrix/client/v3/rooms/{room_id}/send/{event_type}/{txn_id}";
        assert_eq!(Class::of::<send_message_event::v3::Request>(send), Some(Class::Send));
        let to_device = "/_matrix/client/v3/sendToDevice/{event_type}/{txn_id}";
        assert_eq!(Class::of::<send_event_to_device::v3::Request>(to_device), Some(Class::SendToDevice));
        let download = "/_matrix/media/v3/download/{server_name}/{media_id}";
        assert_eq!(Class::of::<get_content::v3::Request>(download), Some(Class::Media));
        assert_eq!(Class::of::<whoami::v3::Request>("/_matrix/client/v3/account/whoami"), Some(Class::Other));
        assert_eq!(Class::of::<joined_rooms::v3::Request>("/_matrix/client/v3/joined_rooms"), None);
    }
}
