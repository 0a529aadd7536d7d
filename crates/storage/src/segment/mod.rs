//! The segments of a log: where its entries rest once they have left the journal's tail.
//!
//! A segment is a file of frames, one per entry, in the order of their indexes. One segment of a log grows, all others
//! are closed. Formats: `docs/formats/segment.md`.
//!
//! This is not the authority on what the log holds: the journal is, until a checkpoint says that segments hold it. So a
//! scan that ends early loses nothing, and a cut is durable in the journal before it happens here.
//!
//! What always holds:
//! - A frame is served only if its own crc fits this log, this file and this place, and its batch's CRC was checked
//!   since it came from the disk.
//! - Opening reads nothing that is older than the checkpoint.
//! - Segments are contiguous: one ends where the next begins. Only compaction leaves gaps, inside closed segments.
//!
//! In reading order:
//! - [`position`]: places between entries.
//! - [`frame`], [`header`], [`name`]: the bytes of an entry, the head of a file, what files are called.
//! - [`index`], [`summary`], [`checkpoint`]: finding a place; what is known of a segment; what a restart needs.
//! - [`cache`], [`lru`], `shard`: what all logs of a shard share.
//! - `set`: the segments of one log, flushing; `open`: after a restart.
//! - `blocks`, `append`: writing; `walker`, `read`, `time`: reading; `truncate`: cutting at either end.
//! - [`retention`], [`compaction`]: what may go.
//! - [`error`]: what can go wrong.

mod append;
mod blocks;
pub mod cache;
pub mod checkpoint;
pub mod compaction;
pub mod error;
pub mod frame;
pub mod header;
pub mod index;
pub mod lru;
pub mod name;
mod open;
pub mod position;
mod read;
pub mod retention;
mod set;
mod shard;
pub mod summary;
mod time;
mod truncate;
mod walker;

pub(crate) use append::ROLLS_MAX;
pub use cache::{BatchCache, CacheStats, CachedBatch};
pub use checkpoint::SegmentCheckpoint;
pub use compaction::CompactionReport;
pub use error::SegmentError;
pub use frame::{Body, Frame};
pub use open::OpenAt;
pub use position::Position;
pub use read::SegmentRead;
pub use set::{PendingFlush, SegmentSet};
pub use shard::{BLOCK, SegmentLimits, SegmentShard};
pub use time::TimeFound;

#[cfg(test)]
mod tests;
