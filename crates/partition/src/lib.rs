//! What Kafka means by a partition, on the shard that owns it: appends with idempotence, reads up to the high
//! watermark, positions by offset, time and epoch, DeleteRecords.
//!
//! What always holds: an append is decided and enqueued in one step without waiting, so the order in which
//! [`Partition::append`] is called is the order of the log; nothing past the high watermark is read; what is known of
//! producers is a function of the log, but for when they are forgotten.
//!
//! It does not know connections, topics' names or who asks: `kafka` translates, `cluster` decides which partitions
//! exist and where.
//!
//! Reading order: [`Partition`], [`append`], [`read`], [`producers`], [`bells`].

pub mod append;
pub mod bells;
mod partition;
pub mod producers;
pub mod read;

pub use append::{AppendOutcome, Appended, Refusal};
pub use bells::{Bell, Bells, Subscription};
pub use partition::{EpochMismatch, OpenError, Partition};
pub use read::{OffsetAt, Read, ReadError};
