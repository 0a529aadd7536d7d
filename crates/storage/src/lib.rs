//! The log on disk: one journal per shard into which all its partitions commit together, the tail of each partition in
//! memory, and segments to which tails are drained.
//!
//! It knows entries, indexes and batches. It does not know leaders, quorums, producers or topics' names: the replica says
//! what is committed, and what is known of producers is bytes to it.
//!
//! What always holds:
//! - `durable <= written <= appended`, and only what is flushed is called durable ([`Frontiers`]). Only what is durable may
//!   be committed, except in logs with `write.caching`, and there at most so many bytes per shard are ahead of the disk.
//! - One journal flush per commit, whatever the number of partitions in it.
//! - After a crash every log holds all that was durable, in order, without gaps; of what was not, a prefix per shard.
//! - Damage to what had been flushed is said and refused, never skipped.
//! - What a checksum does not confirm is not served.
//!
//! In reading order:
//! - [`config`], [`entry`], [`error`], [`frontiers`], [`epochs`]: the words.
//! - [`journal`], [`checkpoint`], `cursor`, [`collect`]: what is written together, and what it says when it is read back.
//! - [`tail`], [`log`]: the end of a log in memory, and the log.
//! - [`segment`]: where entries rest.
//! - [`core`], [`drain`], [`housekeeping`], [`storage`], [`datadir`]: one shard's storage, its tasks, its directory.

mod checkpoint;
mod collect;
mod config;
mod core;
mod cursor;
mod datadir;
mod drain;
mod entry;
mod epochs;
mod error;
mod frontiers;
mod housekeeping;
mod journal;
mod log;
pub mod segment;
mod storage;
mod tail;

pub use config::{LogConfig, StorageConfig, WriteCaching};
pub use core::DrainCounts;
pub use datadir::DataDir;
pub use entry::{Entry, HardState, LogId, Ticket};
pub use epochs::{EpochRow, EpochTable};
pub use error::{ReadError, StorageError};
pub use frontiers::Frontiers;
pub use journal::JournalStats;
pub use log::{FoundByTime, Log, LogStart, ProducerSource, Read, StateSource};
pub use segment::SegmentError;
pub use storage::{Storage, StorageStats};
