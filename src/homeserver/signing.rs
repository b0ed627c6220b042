//! The server's signing key: made at the first start, kept in the store.

use std::sync::Arc;

use matron_storage::{Batch, Store};
use ring::signature::Ed25519KeyPair;
use ruma::OwnedSigningKeyId;
use ruma::signatures::{Ed25519KeyPair as NewKey, KeyPair, Signature};
use ruma::{AnyKeyName, SigningKeyAlgorithm, SigningKeyId};

use crate::error::{Error, Result};
use crate::schema::ids::SIGNING_KEYS;

/// The key that signs what this server says. Every event is signed once, so it is `ring` that does it: it takes half the
/// time of the key that `ruma` brings.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    id: OwnedSigningKeyId<AnyKeyName>,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SigningKey").field(&self.id).finish()
    }
}

impl KeyPair for SigningKey {
    fn sign(&self, message: &[u8]) -> Signature {
        Signature::new(self.id.clone(), self.pair.sign(message).as_ref().to_vec())
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
            let der = NewKey::generate().to_vec();
            let mut batch = Batch::new();
            batch.put(&SIGNING_KEYS, &version, &der);
            store.commit(batch).await?;
            (version, der)
        };
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(Error::internal)?;
        let name: &AnyKeyName = version.as_str().into();
        let id = SigningKeyId::from_parts(SigningKeyAlgorithm::Ed25519, name);
        Ok(Arc::new(Self { pair, id }))
    }
}
