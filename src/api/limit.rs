//! Limits on requests: so many of a sort per user, or per address where nobody is logged in.

use std::net::IpAddr;

use http::Method;
use matron_homeserver::Homeserver;
use matron_homeserver::accounts::Session;
use matron_homeserver::limiter::{Budget, Limiter, network};
use matron_homeserver::schema::UserNum;
use matron_matrix::Error as MatrixError;
use matron_storage::Count;
use ruma::api::Metadata;

use crate::error::Result;
use crate::request::Client;

/// How many users and addresses are remembered per class.
const REMEMBERED: usize = 20_000;

/// A sort of request that the spec marks as limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Logging in, and refreshing tokens.
    LogIn,
    /// Making accounts.
    Register,
    /// Joining, knocking, inviting, making rooms: what other servers are asked for.
    Join,
    /// Sending into rooms.
    Send,
    /// All others.
    Other,
}

impl Class {
    /// The class of an endpoint at a path of its own; none where the spec does not limit it.
    pub fn of<T: Metadata>(path: &str) -> Option<Self> {
        T::RATE_LIMITED.then(|| Self::by_path(&T::METHOD, path))
    }

    fn by_path(method: &Method, path: &str) -> Self {
        if *method == Method::GET {
            return Self::Other;
        }
        let mut parts = path.split('/').skip(4);
        let (first, third) = (parts.next().unwrap_or_default(), parts.nth(1).unwrap_or_default());
        match (first, third) {
            ("login" | "refresh", _) => Self::LogIn,
            ("register", _) => Self::Register,
            ("join" | "knock" | "createRoom", _) | ("rooms", "join" | "invite" | "knock" | "upgrade") => Self::Join,
            ("rooms", _) => Self::Send,
            _ => Self::Other,
        }
    }

    /// Whole wards stand behind one address at the change of shift, so that log-ins per address are many; wrong ones are
    /// counted apart, by account.
    const fn budget(self) -> Budget {
        match self {
            Self::LogIn => Budget { burst: 200, per_minute: 300 },
            Self::Register => Budget { burst: 20, per_minute: 20 },
            Self::Join => Budget { burst: 50, per_minute: 60 },
            Self::Send => Budget { burst: 100, per_minute: 600 },
            Self::Other => Budget { burst: 300, per_minute: 1800 },
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
        let limit =
            |class: Class| Limit { limiter: Limiter::new(class.budget(), REMEMBERED), refused: Count::default() };
        Self {
            log_in: limit(Class::LogIn),
            register: limit(Class::Register),
            join: limit(Class::Join),
            send: limit(Class::Send),
            other: limit(Class::Other),
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
        if !homeserver.config.rate_limits {
            return Ok(());
        }
        let who = session.map_or_else(|| Who::Address(client.address.map(network)), |session| Who::User(session.user));
        let limit = match class {
            Class::LogIn => &self.log_in,
            Class::Register => &self.register,
            Class::Join => &self.join,
            Class::Send => &self.send,
            Class::Other => &self.other,
        };
        let taken = limit.limiter.take(&who, homeserver.clock.millis());
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
            ("other", &self.other),
        ];
        classes.into_iter().map(|(name, limit)| (name, limit.refused.get()))
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::Class;

    #[test]
    fn classes_go_by_path() {
        let classes = [
            ("/_matrix/client/v3/login", Class::LogIn),
            ("/_matrix/client/v1/login/get_token", Class::LogIn),
            ("/_matrix/client/v3/refresh", Class::LogIn),
            ("/_matrix/client/v3/register", Class::Register),
            ("/_matrix/client/v3/join/{room_id_or_alias}", Class::Join),
            ("/_matrix/client/v3/rooms/{room_id}/join", Class::Join),
            ("/_matrix/client/v3/rooms/{room_id}/send/{event_type}/{txn_id}", Class::Send),
            ("/_matrix/client/v3/account/password", Class::Other),
            ("/", Class::Other),
        ];
        for (path, class) in classes {
            assert_eq!(Class::by_path(&Method::POST, path), class, "{path}");
        }
        assert_eq!(Class::by_path(&Method::GET, "/_matrix/client/v3/login"), Class::Other);
    }
}
