//! How a store is opened.

use std::path::PathBuf;

/// Which engine keeps the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineKind {
    /// `RocksDB` in this folder, which is made if it does not exist.
    Rocks(PathBuf),
    /// Memory alone, for tests.
    Memory,
}

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which engine, and where.
    pub engine: EngineKind,
    /// Bytes for blocks read and write buffers together.
    pub cache_bytes: usize,
    /// Whether commits are synced to disk before they are answered. Off only to show what tests find without it.
    pub sync: bool,
}

impl Options {
    /// A store in memory.
    #[must_use]
    pub const fn memory() -> Self {
        Self { engine: EngineKind::Memory, cache_bytes: 0, sync: true }
    }

    /// A `RocksDB` store in a folder.
    #[must_use]
    pub const fn rocks(folder: PathBuf, cache_bytes: usize) -> Self {
        Self { engine: EngineKind::Rocks(folder), cache_bytes, sync: true }
    }
}
