//! The shard journal.
pub(crate) mod format;
