//! `RocksDB`'s settings, a page for all families: what each pattern of access asks for, and what peers suffered without.

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompactionStyle, DBCompressionType,
    DBRecoveryMode, Options, UniversalCompactOptions,
};

use crate::keyspace::Family;

/// The one cache that all families share; write buffers are limited beside it.
pub(super) struct Caches {
    blocks: Cache,
    block_bytes: usize,
    write_buffer_bytes: usize,
}

impl Caches {
    /// Splits `bytes` between blocks read and rows not yet in files.
    pub fn new(bytes: usize) -> Self {
        let write_buffer_bytes = (bytes / 4).clamp(8 << 20, 128 << 20);
        let block_bytes = bytes.saturating_sub(write_buffer_bytes).max(8 << 20);
        Self { blocks: Cache::new_lru_cache(block_bytes), block_bytes, write_buffer_bytes }
    }

    pub fn used(&self) -> u64 {
        self.blocks.get_usage() as u64
    }

    pub fn capacity(&self) -> u64 {
        self.block_bytes as u64
    }
}

/// Settings of the whole database.
pub(super) fn database(caches: &Caches, create: bool) -> Options {
    let mut options = Options::default();
    options.create_if_missing(create);
    options.create_missing_column_families(true);
    options.set_paranoid_checks(true);
    // One writer thread: nothing to gain from concurrent inserts.
    options.set_allow_concurrent_memtable_write(false);
    // A recycled log is overwritten in place, so that fdatasync does not touch the inode: a quarter faster.
    options.set_recycle_log_file_num(4);
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    // Preallocated logs are pinned for ever on btrfs and ZFS.
    options.set_allow_fallocate(false);
    options.set_db_write_buffer_size(caches.write_buffer_bytes);
    options.set_max_total_wal_size(4 * caches.write_buffer_bytes as u64);
    options.set_max_background_jobs(2);
    options.set_max_open_files(-1);
    options.set_bytes_per_sync(1 << 20);
    options.set_keep_log_file_num(4);
    options.set_max_log_file_size(4 << 20);
    options
}

/// Every family with its settings.
pub(super) fn families(caches: &Caches) -> Vec<ColumnFamilyDescriptor> {
    Family::ALL
        .into_iter()
        .map(|family| ColumnFamilyDescriptor::new(family.name(), self::family(family, caches)))
        .chain(std::iter::once(ColumnFamilyDescriptor::new("default", Options::default())))
        .collect()
}

fn family(family: Family, caches: &Caches) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&caches.blocks);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    table.set_format_version(6);
    if matches!(family, Family::Meta | Family::Log | Family::Index) {
        table.set_index_type(BlockBasedIndexType::BinarySearch);
    } else {
        // A file's index and filter in pieces, each cached by itself. Whole ones are as large as the file's number of rows makes
        // them, up to megabytes, and a few of them drive one another out of the cache's shards, to be read and checked anew by
        // each look. A piece is one look in the cache more, which those families do without that are scanned, have no filter
        // and small indexes.
        table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
        table.set_partition_filters(true);
    }

    let mut options = Options::default();
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_write_buffer_size(match family {
        Family::Log => (caches.write_buffer_bytes / 2).max(4 << 20),
        _ => (caches.write_buffer_bytes / 4).clamp(2 << 20, 32 << 20),
    });
    match family {
        Family::Meta => table.set_block_size(4 << 10),
        Family::Log => {
            table.set_block_size(16 << 10);
            options.set_bottommost_compression_type(DBCompressionType::Zstd);
        }
        Family::Index => {
            table.set_block_size(8 << 10);
            options.set_bottommost_compression_type(DBCompressionType::Zstd);
        }
        Family::Tree => {
            table.set_block_size(8 << 10);
            table.set_bloom_filter(10.0, false);
            options.set_bottommost_compression_type(DBCompressionType::Zstd);
        }
        Family::Point | Family::Id | Family::Current => {
            table.set_block_size(4 << 10);
            table.set_bloom_filter(10.0, false);
        }
        Family::Words => {
            table.set_block_size(8 << 10);
            // By levels, every row would be written anew some ten times, each time all that is there with a few new ones.
            options.set_compaction_style(DBCompactionStyle::Universal);
            let mut universal = UniversalCompactOptions::default();
            universal.set_size_ratio(10);
            universal.set_min_merge_width(4);
            options.set_universal_compaction_options(&universal);
        }
        Family::Queue => {
            table.set_block_size(8 << 10);
            table.set_bloom_filter(10.0, false);
            // Rows live shortly: files with many deletions are compacted before they slow the scans.
            options.add_compact_on_deletion_collector_factory(4096, 1024, 0.5);
        }
    }
    if matches!(family, Family::Point | Family::Id | Family::Current | Family::Tree | Family::Queue) {
        // Most single rows that are looked for are not among the newest: a filter says so faster than a search.
        options.set_memtable_prefix_bloom_ratio(0.02);
        options.set_memtable_whole_key_filtering(true);
    }
    options.set_block_based_table_factory(&table);
    options
}
