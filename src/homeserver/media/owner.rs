//! Whose the place of media is: an object beside the media names the server and its store. Whoever finds another's name there
//! writes nothing and deletes nothing, since what that other alone knows would look like leftovers.

use std::fmt;

use matron_storage::Error as StorageError;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use serde::{Deserialize, Serialize};

use super::incoming::unavailable;
use crate::error::{Error, Result};

/// The object's name: media lie in folders, so that none is called so.
const NAME: &str = "owner";

/// Whose a place is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    server_name: String,
    /// The store's epoch: one that was brought back from a backup has another one than that which was lost.
    store: String,
}

/// For people.
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server_name, store } = self;
        write!(f, "{server_name} (store {store})")
    }
}

impl Owner {
    /// A server and its store's epoch.
    #[must_use]
    pub fn new(server_name: &str, epoch: u64) -> Self {
        Self { server_name: server_name.to_owned(), store: format!("{epoch:016x}") }
    }

    /// Whom a place belongs to; none where it is nobody's yet.
    ///
    /// # Errors
    /// The place cannot be read, or what stands there.
    pub async fn of(place: &dyn ObjectStore) -> Result<Option<Self>> {
        let found = match place.get(&Path::from(NAME)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(unavailable(&error)),
        };
        let json = found.bytes().await.map_err(|error| unavailable(&error))?;
        let owner = serde_json::from_slice(&json);
        // It is somebody's all the same.
        owner.map(Some).map_err(|error| refused(format_args!("`{NAME}` among the media cannot be read: {error}")))
    }

    /// Makes a place this owner's, whosever it was.
    ///
    /// # Errors
    /// The place cannot be written.
    pub async fn take(&self, place: &dyn ObjectStore) -> Result<()> {
        let json = serde_json::to_vec(self).map_err(Error::internal)?;
        let put = place.put(&Path::from(NAME), json.into()).await;
        put.map(drop).map_err(|error| unavailable(&error))
    }

    /// Makes a place this owner's where it is nobody's.
    ///
    /// # Errors
    /// It is another's, or cannot be read or written.
    pub async fn claim(&self, place: &dyn ObjectStore) -> Result<()> {
        match Self::of(place).await? {
            None => self.take(place).await,
            Some(owner) if owner == *self => Ok(()),
            Some(owner) => Err(refused(format_args!(
                "the place of media belongs to {owner}, and this is {self}: each would delete what the other keeps. Name \
                 another place for media; or, if the other is gone for good, delete `{NAME}` there"
            ))),
        }
    }
}

fn refused(why: fmt::Arguments<'_>) -> Error {
    StorageError::Refused(why.to_string()).into()
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;
    use object_store::path::Path;
    use object_store::{ObjectStoreExt as _, PutPayload};

    use super::{NAME, Owner};

    #[tokio::test]
    async fn a_place_is_the_first_ones_until_it_is_taken() {
        let place = InMemory::new();
        let (lost, restored) = (Owner::new("trust.example", 7), Owner::new("trust.example", 8));
        assert_eq!(Owner::of(&place).await.unwrap(), None);
        lost.claim(&place).await.unwrap();
        lost.claim(&place).await.unwrap();
        let refused = restored.claim(&place).await.unwrap_err();
        assert!(!refused.is_passing() && refused.to_string().contains("trust.example (store 0000000000000007)"));
        restored.take(&place).await.unwrap();
        assert_eq!(Owner::of(&place).await.unwrap().as_ref(), Some(&restored));
        assert!(lost.claim(&place).await.is_err());
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_somebodys() {
        let place = InMemory::new();
        place.put(&Path::from(NAME), PutPayload::from_static(b"{}")).await.unwrap();
        let refused = Owner::new("trust.example", 7).claim(&place).await.unwrap_err();
        assert!(!refused.is_passing(), "{refused}");
    }
}
