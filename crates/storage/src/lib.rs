//! The log on disk: one journal per shard into which all its partitions commit together, the tail of each partition in
//! memory, and segments to which tails are drained.
//!
//! (Being built. The value types stand; `Storage` and `Log` follow.)

mod config;
mod entry;
mod frontiers;

pub use config::{LogConfig, StorageConfig};
pub use entry::{Entry, HardState, LogId, Ticket};
pub use frontiers::Frontiers;
