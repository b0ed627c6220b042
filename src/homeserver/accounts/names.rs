//! User names: which ones may be taken, and whom an identifier means.

use matron_matrix::Error as MatrixError;
use rand::RngExt;
use ruma::{OwnedUserId, ServerName, UserId};

use crate::error::Result;

/// The longest user id in bytes (appendices, "User Identifiers").
const LONGEST: usize = 255;

/// The id of a new user of this name: lower-cased, since the grammar has no capitals.
///
/// # Errors
/// `M_INVALID_USERNAME` where the name breaks the grammar of new ids or begins with an underscore, which is left to
/// application services.
pub(super) fn new_user_id(username: &str, server: &ServerName) -> Result<OwnedUserId> {
    let invalid = |why: &str| MatrixError::invalid_username(format!("a user name {why}"));
    let localpart = username.to_ascii_lowercase();
    if localpart.is_empty() {
        return Err(invalid("needs a character").into());
    }
    if localpart.len() + server.as_str().len() + 2 > LONGEST {
        return Err(invalid("is too long").into());
    }
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'=' | b'-' | b'/' | b'+');
    if !localpart.bytes().all(allowed) {
        return Err(invalid("has a-z, 0-9, and ._=-/+ only").into());
    }
    if localpart.starts_with('_') {
        return Err(invalid("does not begin with an underscore").into());
    }
    Ok(UserId::parse(format!("@{localpart}:{server}")).map_err(|error| invalid(&error.to_string()))?)
}

/// A name for somebody who has none in mind.
#[must_use]
pub fn random_localpart() -> String {
    const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyz23456789";
    random_text(LETTERS, 16)
}

/// An id for a device that brings none.
pub(super) fn random_device_id() -> String {
    random_text(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", 10)
}

fn random_text(letters: &[u8], length: usize) -> String {
    let mut rng = rand::rng();
    (0..length).filter_map(|_| letters.get(rng.random_range(0..letters.len()))).copied().map(char::from).collect()
}

/// Whom a client means by a user name or a full user id: a user of this server, or nobody.
#[must_use]
pub fn localpart_of(identifier: &str, server: &ServerName) -> Option<OwnedUserId> {
    if identifier.len() > LONGEST {
        return None;
    }
    let identifier = identifier.to_ascii_lowercase();
    let localpart = match identifier.strip_prefix('@') {
        Some(rest) => {
            let (localpart, name) = rest.split_once(':')?;
            if !name.eq_ignore_ascii_case(server.as_str()) {
                return None;
            }
            localpart
        }
        None => &identifier,
    };
    UserId::parse(format!("@{localpart}:{server}")).ok().filter(|id| id.localpart() == localpart)
}

#[cfg(test)]
mod tests {
    use ruma::server_name;

    use super::{localpart_of, new_user_id, random_device_id, random_localpart};

    #[test]
    fn new_names() {
        let server = server_name!("localhost");
        assert_eq!(new_user_id("Nurse.Ann", server).unwrap(), "@nurse.ann:localhost");
        for bad in ["", "_bridge", "@ann:localhost", "ann:localhost", "änn", "a b", "ann\0", "a\nb", &"x".repeat(300)]
        {
            assert!(new_user_id(bad, server).is_err(), "{bad}");
        }
        let longest = "x".repeat(255 - "@:localhost".len());
        assert!(new_user_id(&longest, server).is_ok());
        assert!(new_user_id(&format!("{longest}x"), server).is_err());
        assert!(new_user_id(&random_localpart(), server).is_ok());
        assert_eq!(random_device_id().len(), 10);
    }

    #[test]
    fn identifiers() {
        let server = server_name!("localhost:8448");
        for good in ["ann", "Ann", "@ann:localhost:8448", "@ANN:LocalHost:8448"] {
            assert_eq!(localpart_of(good, server).unwrap(), "@ann:localhost:8448");
        }
        for bad in ["@ann", "@ann:elsewhere", "@ann:localhost", "ann:localhost:8448", &"x".repeat(300)] {
            assert_eq!(localpart_of(bad, server), None, "{bad}");
        }
    }
}
