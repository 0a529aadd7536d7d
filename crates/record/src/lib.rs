//! Kafka's v2 record batches (KIP-98) as a view over bytes.
//!
//! A batch travels and rests as the bytes its producer sent. This crate reads them where they are, proves them before
//! they are kept, stamps what the broker decides in place, and rewrites them only for compaction.
//!
//! It is not: the message formats v0 and v1 (clients since Kafka 0.11 do not send them), offsets, sequences or
//! transactions as state (`partition`), files (`storage`).
//!
//! What always holds:
//! - Bytes from outside never panic and never make us allocate more than a small multiple of themselves; compressed
//!   ones unfold within [`Limits`], and [`verify`] holds no more of them than one buffer at a time.
//! - A [`VerifiedBatch`] is exactly one batch whose CRC32C, counts, lengths and offset deltas are right.
//! - A rewritten batch ([`retain`]) keeps its base and last offset and its producer's id, epoch and sequences.
//!
//! In reading order:
//! - [`header`]: the 61 bytes in front of every batch.
//! - [`error`]: what can be wrong with one, as Kafka names it.
//! - [`batches`]: whole batches in a run of bytes.
//! - [`stamp`](mod@stamp): what the broker writes into a batch: offset, epoch, time.
//! - [`codec`]: gzip, snappy, lz4, zstd; always bounded on the way out.
//! - [`layout`]: where the fields of one record lie.
//! - [`verify`](mod@verify): proof of what a client sent.
//! - [`record`]: the records of a batch, and searches by time.
//! - [`builder`]: new batches.
//! - [`retain`](mod@retain): what compaction leaves of a batch.

pub mod batches;
pub mod builder;
pub mod codec;
pub mod error;
pub mod header;
pub mod layout;
pub mod record;
pub mod retain;
pub mod stamp;
mod varint;
pub mod verify;

pub use batches::{Batches, crc_ok};
pub use builder::BatchBuilder;
pub use codec::{Codec, Limits};
pub use error::{ErrorKind, RecordError};
pub use header::{BatchHeader, HEADER_LEN};
pub use record::{Record, RecordHeaders, RecordIter, RecordTime, find_by_time, find_max_timestamp, records};
pub use retain::{Retained, retain};
pub use stamp::{BatchTime, stamp};
pub use verify::{VerifiedBatch, verify, verify_with_pauses};
