//! The log on disk: one journal per shard into which all its partitions commit together, the tail of each partition in
//! memory, and segments to which tails are drained.
//!
//! (Being built: the value types stand, `Storage` and `Log` follow.)
//!
//! What `Log` asks of its segments (`segment::SegmentSet`, one per log; all calls from one task at a time except reads):
//! ```text
//! open(env, dir, group, Option<&SegmentCheckpoint>, start: Position) -> SegmentSet      None: nothing was ever drained; what lies there is worth nothing
//! append(&self, &[Frame])                    written, not flushed; frames follow end(); creates the directory at the first
//! flush(&self)                               flushed; or mark_flushed() after one sync_fs for many logs
//! checkpoint(&self) -> SegmentCheckpoint     as of what is flushed
//! end(&self) -> Position                     behind the last frame appended
//! read(&self, from, below, max_bytes, at_least_one) -> Read { batches, next }
//! find_by_time(&self, timestamp, below), max_timestamp(&self, below)
//! truncate_suffix(&self, to: Index)          flushed when it returns
//! truncate_prefix(&self, start: Position)    files wholly before it go
//! retention(&self, &LogConfig, now_ms, below: Offset) -> Option<Position>      the log start it wishes; Log journals it, then truncate_prefix
//! size_bytes(), close()
//! ```

mod config;
mod entry;
mod frontiers;
pub mod segment;

pub use config::{LogConfig, StorageConfig};
pub use entry::{Entry, HardState, LogId, Ticket};
pub use frontiers::Frontiers;
