//! Whose the place of media is: an object beside the media names the server and its store. Whoever finds another's name there
//! writes nothing and deletes nothing, since what that other alone knows would look like leftovers.

use std::fmt;

use matron_storage::{Error as StorageError, Store};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use serde::{Deserialize, Serialize};

use super::files::FileName;
use super::incoming::unavailable;
use crate::error::{Error, Result};
use crate::schema::media::FILE_MEDIA;

/// The object's name: media lie in folders, so that none is called so.
const NAME: &str = "owner";
/// So many of the media that a store knows are looked for in a place that is nobody's.
const LOOKED_FOR: usize = 64;

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

    /// Makes a place this owner's where it is nobody's. One that has none of the media that the owner's `store` knows is not
    /// taken for theirs: a disk that is not mounted looks like a new one.
    ///
    /// # Errors
    /// It is another's, or not that of the store's media, or cannot be read or written.
    pub async fn claim(&self, place: &dyn ObjectStore, store: &Store) -> Result<()> {
        match Self::of(place).await? {
            None if is_foreign(place, store).await? => {
                let json = serde_json::to_string(self).map_err(Error::internal)?;
                Err(refused(format_args!(
                    "the place of media has none of those that the store knows: is its disk mounted, is it the right bucket? \
                     If they are lost for good, put a file `{NAME}` there that holds {json}"
                )))
            }
            None => self.take(place).await,
            Some(owner) if owner == *self => Ok(()),
            Some(owner) => Err(refused(format_args!(
                "the place of media belongs to {owner}, and this is {self}: each would delete what the other keeps. Name \
                 another place for media; or, if the other is gone for good, delete `{NAME}` there"
            ))),
        }
    }
}

/// Whether a store knows media, and a place has none of them. Of many media the first few are looked for.
async fn is_foreign(place: &dyn ObjectStore, store: &Store) -> Result<bool> {
    let known = store.snapshot().scan(&FILE_MEDIA, FILE_MEDIA.all()).take(LOOKED_FOR).await?;
    let mut files: Vec<_> = known.into_iter().map(|((file, _), ())| file).collect();
    files.dedup();
    for file in &files {
        match place.head(&Path::from(FileName::content(*file).to_string())).await {
            Ok(_) => return Ok(false),
            Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(unavailable(&error)),
        }
    }
    Ok(!files.is_empty())
}

fn refused(why: fmt::Arguments<'_>) -> Error {
    StorageError::Refused(why.to_string()).into()
}

#[cfg(test)]
mod tests {
    use matron_storage::{Batch, Options, Store};
    use object_store::memory::InMemory;
    use object_store::path::Path;
    use object_store::{ObjectStoreExt as _, PutPayload};

    use super::{FILE_MEDIA, FileName, NAME, Owner};

    /// A store that knows no media.
    fn store() -> Store {
        Store::open(&Options::memory(), matron_storage::nobody()).unwrap()
    }

    #[tokio::test]
    async fn a_place_is_the_first_ones_until_it_is_taken() {
        let (place, store) = (InMemory::new(), store());
        let (lost, restored) = (Owner::new("trust.example", 7), Owner::new("trust.example", 8));
        assert_eq!(Owner::of(&place).await.unwrap(), None);
        lost.claim(&place, &store).await.unwrap();
        lost.claim(&place, &store).await.unwrap();
        let refused = restored.claim(&place, &store).await.unwrap_err();
        assert!(!refused.is_passing() && refused.to_string().contains("trust.example (store 0000000000000007)"));
        restored.take(&place).await.unwrap();
        assert_eq!(Owner::of(&place).await.unwrap().as_ref(), Some(&restored));
        assert!(lost.claim(&place, &store).await.is_err());
    }

    #[tokio::test]
    async fn an_empty_place_is_not_that_of_known_media() {
        let (place, store, owner) = (InMemory::new(), store(), Owner::new("trust.example", 7));
        let mut batch = Batch::new();
        for file in [[1; 32], [2; 32]] {
            batch.put(&FILE_MEDIA, &(file, "trust.example/abc".to_owned()), &());
        }
        store.commit(batch).await.unwrap();
        let refused = owner.claim(&place, &store).await.unwrap_err();
        assert!(!refused.is_passing() && refused.to_string().contains("mounted"), "{refused}");
        assert_eq!(Owner::of(&place).await.unwrap(), None);
        // One that was moved there without its owner, and lost a file.
        let moved = Path::from(FileName::content([2; 32]).to_string());
        place.put(&moved, PutPayload::from_static(b"a picture")).await.unwrap();
        owner.claim(&place, &store).await.unwrap();
        // Where all are lost, as the refusal says.
        let said = refused.to_string();
        let (_, said) = said.split_once("that holds ").unwrap();
        let place = InMemory::new();
        place.put(&Path::from(NAME), said.to_owned().into()).await.unwrap();
        owner.claim(&place, &store).await.unwrap();
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_somebodys() {
        let place = InMemory::new();
        place.put(&Path::from(NAME), PutPayload::from_static(b"{}")).await.unwrap();
        let refused = Owner::new("trust.example", 7).claim(&place, &store()).await.unwrap_err();
        assert!(!refused.is_passing(), "{refused}");
    }
}
