//! Compaction: of all records with the same key, the newest stays.
//!
//! - [`plan`]: when, and which segments.
//! - [`keys`]: the newest offset of every key.

pub mod keys;
pub mod plan;
