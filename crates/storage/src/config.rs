//! What a shard's storage and each of its logs are told. `settings` declares the knobs; these are the values.

use std::path::PathBuf;
use std::time::Duration;

/// What all logs of a shard share. The default is right for production; [`StorageConfig::tiny`] for tests.
#[derive(Clone, Debug)]
pub struct StorageConfig {
    /// The data directory, shared by all shards of the process.
    pub dir: PathBuf,
    /// Bytes of a journal file, except the first. A commit that is larger gets a file of its own size.
    pub journal_file_bytes: u64,
    /// Bytes of the first journal file: small, because it is written before the first append is taken.
    pub journal_first_file_bytes: u64,
    /// When the journal holds more than this, the oldest file is drained and recycled.
    pub journal_bytes_max: u64,
    /// Entry bytes that one commit gathers at most; what comes later goes into the next.
    pub commit_bytes_max: u64,
    /// Bytes of the journal that are not flushed, up to which logs with `write.caching` acknowledge from memory. A quarter
    /// of them is written and flushed at once.
    pub write_caching_bytes_max: u64,
    /// First and largest size of a chunk of a log's tail: powers of two, of whole pages.
    pub tail_chunk_bytes: (usize, usize),
    /// Undrained bytes of one log from which it is drained by itself.
    pub drain_bytes: u64,
    /// Undrained bytes of all logs of the shard above which [`crate::Storage::until_room`] makes producers wait.
    pub tail_bytes_max: u64,
    /// A log whose tail has been quiet for this long is drained together with the others that have.
    pub drain_idle: Duration,
    /// A tail up to this size is written again at the journal's head rather than drained when its file is recycled.
    pub carry_bytes_max: u64,
    /// Bytes of batches that reads keep in memory on this shard.
    pub cache_bytes: u64,
    /// Segment files that are open at a time on this shard.
    pub handles_max: usize,
    /// Kafka-side name `storage.min.free.bytes`: below this, clients' appends are refused while the rest goes on.
    pub min_free_bytes: u64,
    /// How often free space is looked at, if nothing else calls for it.
    pub housekeeping_interval: Duration,
    /// How often retention, overdue segments and compaction are looked at.
    pub clean_interval: Duration,
    /// Bytes of the map of keys that one pass of compaction may hold on this shard.
    pub compaction_map_bytes: u64,
    /// Direct I/O for journal and segments where the file system allows it.
    pub direct_io: bool,
    /// False leaves out every flush of the journal. For the test that shows that the crash tests would notice.
    pub honest_flush: bool,
}

impl StorageConfig {
    /// Production's values for the data directory `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        StorageConfig {
            dir: dir.into(),
            journal_file_bytes: 64 << 20,
            journal_first_file_bytes: 1 << 20,
            journal_bytes_max: 256 << 20,
            commit_bytes_max: 16 << 20,
            write_caching_bytes_max: 16 << 20,
            tail_chunk_bytes: (4 << 10, 1 << 20),
            drain_bytes: 4 << 20,
            tail_bytes_max: 96 << 20,
            drain_idle: Duration::from_secs(5),
            carry_bytes_max: 16 << 10,
            cache_bytes: 32 << 20,
            handles_max: 1024,
            min_free_bytes: 256 << 20,
            housekeeping_interval: Duration::from_secs(5),
            clean_interval: Duration::from_secs(15),
            compaction_map_bytes: 16 << 20,
            direct_io: true,
            honest_flush: true,
        }
    }

    /// Limits so small that files turn over, tails drain and journals are recycled all the time.
    pub fn tiny(dir: impl Into<PathBuf>) -> Self {
        StorageConfig {
            journal_file_bytes: 32 << 10,
            journal_first_file_bytes: 16 << 10,
            journal_bytes_max: 96 << 10,
            commit_bytes_max: 12 << 10,
            write_caching_bytes_max: 8 << 10,
            tail_chunk_bytes: (4 << 10, 16 << 10),
            drain_bytes: 4 << 10,
            tail_bytes_max: 48 << 10,
            drain_idle: Duration::from_millis(50),
            carry_bytes_max: 512,
            cache_bytes: 64 << 10,
            handles_max: 4,
            min_free_bytes: 0,
            housekeeping_interval: Duration::from_millis(20),
            clean_interval: Duration::from_millis(20),
            compaction_map_bytes: 1 << 10,
            ..StorageConfig::new(dir)
        }
    }
}

/// What one log is told; Kafka's topic settings of the same names where it has them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogConfig {
    /// `segment.bytes`.
    pub segment_bytes: u64,
    /// `segment.ms`: a segment is closed when its first record is this old.
    pub segment_ms: i64,
    /// `retention.bytes`; `None` is Kafka's -1.
    pub retention_bytes: Option<u64>,
    /// `retention.ms`; `None` is Kafka's -1.
    pub retention_ms: Option<i64>,
    /// `index.interval.bytes`.
    pub index_interval_bytes: u64,
    /// `cleanup.policy` contains `compact`.
    pub compact: bool,
    /// `cleanup.policy` contains `delete`.
    pub delete: bool,
    /// `delete.retention.ms`: how long tombstones stay.
    pub delete_retention_ms: i64,
    /// `min.compaction.lag.ms`.
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`.
    pub max_compaction_lag_ms: i64,
    /// `min.cleanable.dirty.ratio`, in thousandths.
    pub min_cleanable_dirty_permille: u32,
    /// `max.message.bytes`: bounds what a rewritten batch may become.
    pub max_message_bytes: u32,
    /// `write.caching`: acknowledged from memory on a majority. Not looked at where `internal` is set.
    pub write_caching: Option<WriteCaching>,
    /// Belongs to the broker itself (group 0, `__consumer_offsets`): appends go on when the disk is nearly full, and
    /// nothing is acknowledged before it is flushed.
    pub internal: bool,
}

/// How long a log with `write.caching` may put off its flushes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WriteCaching {
    /// `flush.ms`: the write and the flush of an append begin this long after it at the latest.
    pub flush_after: Duration,
    /// `flush.messages`: from so many records on that are not flushed, each append is flushed before it is acknowledged.
    pub flush_records: u64,
}

impl WriteCaching {
    /// `flush.ms` where it is not set.
    pub const FLUSH_AFTER: Duration = Duration::from_millis(100);
}

impl Default for WriteCaching {
    /// What holds where neither is set.
    fn default() -> Self {
        WriteCaching { flush_after: WriteCaching::FLUSH_AFTER, flush_records: u64::MAX }
    }
}

impl LogConfig {
    /// Nothing is removed: for a log whose settings are not known yet.
    pub fn keeping() -> Self {
        LogConfig { delete: false, compact: false, retention_ms: None, ..LogConfig::default() }
    }
}

impl Default for LogConfig {
    /// Kafka's defaults.
    fn default() -> Self {
        LogConfig {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3_600_000,
            retention_bytes: None,
            retention_ms: Some(7 * 24 * 3_600_000),
            index_interval_bytes: 4096,
            compact: false,
            delete: true,
            delete_retention_ms: 24 * 3_600_000,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            min_cleanable_dirty_permille: 500,
            max_message_bytes: 1_048_588,
            write_caching: None,
            internal: false,
        }
    }
}
