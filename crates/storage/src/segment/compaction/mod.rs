//! Compaction: of all records with the same key, the newest stays.
//!
//! One pass takes the keys of as much of the dirty part as the bounded map holds, then writes anew, oldest first, every
//! segment that has older records. What always holds:
//! - Only closed segments are touched that lie below the high watermark and that the last durable checkpoint calls closed.
//! - Index and offsets of what stays do not change; control entries, transaction markers and transactional batches stay
//!   as they are; the last batch of a live producer stays, without records if need be.
//! - A crash at any step leaves either the old files or the new one: the commit is a single rename, see `rewrite`.
//! - Oldest first: the log is clean up to some offset at any moment, whatever was finished.
//!
//! In reading order:
//! - [`plan`]: when, and which segments.
//! - [`keys`]: the newest offset of every key.
//! - [`sieve`]: what stays of one batch.
//! - `rewrite`: the pass, and how a new file takes the place of old ones.

pub mod keys;
pub mod plan;
mod rewrite;
pub mod sieve;

pub use rewrite::CompactionReport;
#[cfg(test)]
pub(crate) use rewrite::HANDLE_RETRY;
