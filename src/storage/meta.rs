//! The store's own rows: what form it has, which store it is, up to where positions may have been given.

use crate::Position;
use crate::batch::Batch;
use crate::codec::{Encoder, Key, Reader};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::format::FORMAT;
use crate::keyspace::{Family, Keyspace};

const META: Keyspace<MetaKey, u64> = Keyspace::new(0, "meta", Family::Meta);

crate::labels! {
    /// The store's own rows.
    pub(crate) enum MetaKey {
        /// The form of what is on disk.
        Format = 0,
        /// A random number given at founding: tokens of another store are told by it.
        Epoch = 1,
        /// No position above this one has ever been given.
        Ceiling = 2,
    }
}

/// What a new store begins with.
pub(crate) fn founding() -> Batch {
    let mut batch = Batch::new();
    batch.put(&META, &MetaKey::Format, &FORMAT);
    batch.put(&META, &MetaKey::Epoch, &rand::random::<u64>());
    batch.put(&META, &MetaKey::Ceiling, &0);
    batch
}

/// The row that reserves positions up to `ceiling`.
pub(crate) fn ceiling_row(ceiling: Position) -> Batch {
    let mut batch = Batch::new();
    batch.put(&META, &MetaKey::Ceiling, &ceiling.get());
    batch
}

/// What makes a store another one, whose positions begin above `ceiling`.
pub(crate) fn renewal(ceiling: Position) -> Batch {
    let mut batch = ceiling_row(ceiling);
    batch.put(&META, &MetaKey::Epoch, &rand::random::<u64>());
    batch
}

/// Reads a row. It must be there.
pub(crate) fn read(engine: &Engine, key: MetaKey) -> Result<u64> {
    let mut out = Encoder::default();
    META.encode_key(&key, &mut out);
    let missing = || Error::Refused(format!("the store lacks its row {key:?}"));
    let value = engine.newest(Family::Meta, &[out.bytes()])?.pop().flatten().ok_or_else(missing)?;
    let mut reader = Reader::new(&value);
    u64::decode(&mut reader).map_err(|source| Error::Corrupt { keyspace: META.name(), source })
}
