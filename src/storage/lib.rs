//! Ordered bytes: typed keyspaces over an embedded engine, written in atomic batches that are synced in groups.
//!
//! This floor knows nothing of Matrix. Its promises:
//!
//! * a [`Batch`] is written wholly or not at all, and once [`Store::commit`] answers, it is on disk;
//! * the [`Position`]s that a batch asks for are given at commit, consecutively, and never twice;
//! * a [`Snapshot`] always comes with the position that it holds everything up to.

mod batch;
mod checkpoint;
mod codec;
mod committer;
mod count;
mod engine;
mod error;
mod format;
mod keyspace;
mod meta;
mod meters;
mod options;
mod position;
mod snapshot;
mod store;

pub use batch::{Batch, News, Topic, Written};
pub use checkpoint::Checkpoint;
pub use codec::{Corrupt, Encoder, Field, Key, PrefixOf, Reader, Value, Varint, Word, WordFront};
pub use committer::{Committed, Observer, nobody};
pub use count::{Count, Entered, Level, Spread, Timed};
pub use engine::{Health, Usage};
pub use error::{Error, Result};
pub use keyspace::{Family, KeyRange, Keyspace};
pub use meters::Meters;
pub use options::{EngineKind, Options};
pub use position::Position;
pub use snapshot::{Scan, Snapshot};
pub use store::Store;
