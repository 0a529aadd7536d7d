//! wip
mod checkpoint;
mod collect;
mod config;
mod entry;
mod epochs;
mod error;
mod frontiers;
mod journal;
pub mod segment;
mod tail;
pub use config::{LogConfig, StorageConfig};
pub use entry::{Entry, HardState, LogId, Ticket};
pub use epochs::{EpochRow, EpochTable};
pub use error::{ReadError, StorageError};
pub use frontiers::Frontiers;
pub use journal::JournalStats;
pub use segment::Position as LogStart;
