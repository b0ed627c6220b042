//! Names of media: client-server API, "Matrix Content (`mxc://`) URIs".

use matron_matrix::Error as MatrixError;
use rand::distr::{Alphanumeric, SampleString as _};
use ruma::{OwnedMxcUri, OwnedServerName, ServerName};

/// How many letters and digits a new medium's id has: nobody guesses 142 bits.
const ID_LENGTH: usize = 24;
/// The longest id that is looked for.
const MAX_ID_LENGTH: usize = 255;

/// What an `mxc://` address names: a server and an id of its giving. Neither can hold a slash or a dot that climbs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    server: OwnedServerName,
    id: String,
}

impl Name {
    /// The name with this id at this server.
    ///
    /// # Errors
    /// `M_NOT_FOUND`: no medium has such an id.
    pub fn new(server: &ServerName, id: &str) -> Result<Self, MatrixError> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if !(1..=MAX_ID_LENGTH).contains(&id.len()) || !id.bytes().all(legal) {
            return Err(MatrixError::not_found("no medium has such an id"));
        }
        Ok(Self { server: server.to_owned(), id: id.to_owned() })
    }

    /// A name at this server that nothing has yet.
    #[must_use]
    pub fn random(server: &ServerName) -> Self {
        Self { server: server.to_owned(), id: Alphanumeric.sample_string(&mut rand::rng(), ID_LENGTH) }
    }

    /// The name by a row's key.
    pub(super) fn of_key(key: &str) -> Option<Self> {
        let (server, id) = key.split_once('/')?;
        Self::new(<&ServerName>::try_from(server).ok()?, id).ok()
    }

    /// The key of the medium's row.
    pub(super) fn key(&self) -> String {
        format!("{}/{}", self.server, self.id)
    }

    /// The server that gave it.
    #[must_use]
    pub fn server(&self) -> &ServerName {
        &self.server
    }

    /// The whole address.
    #[must_use]
    pub fn uri(&self) -> OwnedMxcUri {
        format!("mxc://{}/{}", self.server, self.id).into()
    }
}

#[cfg(test)]
mod tests {
    use ruma::server_name;

    use super::Name;

    #[test]
    fn ids_that_could_leave_the_folder_name_nothing() {
        let server = server_name!("trust.example:8448");
        for id in ["", ".", "..", "a/b", "a%2fb", "../../etc/passwd", "ä", "a b", "a\0", &"a".repeat(256)] {
            assert!(Name::new(server, id).is_err(), "{id}");
        }
        let name = Name::new(server, "AZaz09_-").unwrap();
        assert_eq!(name.uri(), "mxc://trust.example:8448/AZaz09_-");
        assert_eq!(Name::of_key(&name.key()), Some(name));
        assert_ne!(Name::random(server), Name::random(server));
    }
}
