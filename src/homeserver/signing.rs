//! The server's signing key: made at the first start, kept in the store.

use std::sync::Arc;

use matron_storage::{Batch, Store};
use ruma::signatures::{Ed25519KeyPair, KeyPair, Signature};

use crate::error::{Error, Result};
use crate::schema::ids::SIGNING_KEYS;

/// The key that signs what this server says.
pub struct SigningKey(Ed25519KeyPair);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SigningKey").field(&self.0.version()).finish()
    }
}

impl KeyPair for SigningKey {
    fn sign(&self, message: &[u8]) -> Signature {
        self.0.sign(message)
    }
}

impl SigningKey {
    /// Reads the key, or makes it where there is none.
    ///
    /// # Errors
    /// The store cannot be read or written, or what it holds is no key.
    pub async fn open(store: &Store) -> Result<Arc<Self>> {
        let newest = store.snapshot().scan(&SIGNING_KEYS, SIGNING_KEYS.all()).reverse().first().await?;
        let (version, der) = if let Some(found) = newest {
            found
        } else {
            let version = format!("m{:08x}", rand::random::<u32>());
            let der = Ed25519KeyPair::generate().to_vec();
            let mut batch = Batch::new();
            batch.put(&SIGNING_KEYS, &version, &der);
            store.commit(batch).await?;
            (version, der)
        };
        let pair = Ed25519KeyPair::from_der(&der, version).map_err(Error::internal)?;
        Ok(Arc::new(Self(pair)))
    }
}
