//! Credentials for the TURN servers that carry calls: client-server API, "Voice over IP".

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use ruma::UserId;
use sha1::Sha1;

use super::{Accounts, Session};
use crate::config::{Turn, TurnAccess};
use crate::error::{Error, Result};

/// What lets a user's calls through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnCredentials {
    /// The user name to give to the TURN server.
    pub username: String,
    /// And the password.
    pub password: String,
    /// Where the TURN servers are.
    pub uris: Vec<String>,
    /// For how many seconds this is good.
    pub ttl: u64,
}

impl Accounts {
    /// A session's credentials; none where no TURN server is configured.
    ///
    /// # Errors
    /// The secret cannot be used.
    pub fn turn_credentials(&self, session: &Session) -> Result<Option<TurnCredentials>> {
        let turn = self.config.turn.as_ref();
        turn.map(|turn| credentials(turn, &session.user_id, self.clock.millis() / 1000)).transpose()
    }
}

fn credentials(turn: &Turn, user_id: &UserId, now: u64) -> Result<TurnCredentials> {
    let (username, password) = match &turn.access {
        TurnAccess::User { username, password } => (username.clone(), password.clone()),
        // As the TURN servers' own REST API has it: until when, whose, and the proof of knowing the secret.
        TurnAccess::SharedSecret(secret) => {
            let username = format!("{}:{user_id}", now.saturating_add(turn.ttl));
            let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).map_err(Error::internal)?;
            mac.update(username.as_bytes());
            (username, STANDARD.encode(mac.finalize().into_bytes()))
        }
    };
    Ok(TurnCredentials { username, password, uris: turn.uris.clone(), ttl: turn.ttl })
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::credentials;
    use crate::config::{Turn, TurnAccess};

    #[test]
    fn a_shared_secret_makes_credentials_that_end() {
        let uris = vec!["turn:turn.example.org?transport=udp".to_owned()];
        let access = TurnAccess::SharedSecret("n0t4ctuAllymatr1Xd0TorgSshar3d5ecret4obvIousreAsons".to_owned());
        let turn = Turn { uris: uris.clone(), access, ttl: 86_400 };
        let given = credentials(&turn, user_id!("@ann:example.org"), 1_700_000_000).unwrap();
        assert_eq!(given.username, "1700086400:@ann:example.org");
        // As `printf %s USERNAME | openssl dgst -sha1 -hmac SECRET -binary | base64` has it.
        assert_eq!(given.password, "In+SAZqoa20pqEZz3BI4UHNJCsk=");
        let access = TurnAccess::User { username: "u".to_owned(), password: "p".to_owned() };
        let given = credentials(&Turn { uris, access, ttl: 60 }, user_id!("@ann:example.org"), 0).unwrap();
        assert_eq!((given.username.as_str(), given.password.as_str(), given.ttl), ("u", "p", 60));
    }
}
