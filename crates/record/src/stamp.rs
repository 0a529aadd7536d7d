//! What the broker writes into a batch before it is kept: offset, epoch, and time where the broker says it.

use ailurus_model::{Offset, Term};

use crate::batches::seal;
use crate::header::{ATTRIBUTES_AT, HEADER_LEN, LEADER_EPOCH_AT, LOG_APPEND_TIME_BIT, MAX_TIMESTAMP_AT};

/// What becomes of the times in a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BatchTime {
    /// They are right as sent. The CRC stays.
    AsSent,
    /// The records are right, the header's maximum is not: some clients leave it unset. The CRC is computed again.
    Max(i64),
    /// LogAppendTime: the broker's clock, milliseconds since 1970, for all records. The CRC is computed again.
    LogAppend(i64),
}

/// Stamps a whole batch in place. Without a new time this touches 16 bytes outside the CRC.
///
/// # Panics
/// If `batch` is shorter than a header.
pub fn stamp(batch: &mut [u8], base: Offset, epoch: Term, time: BatchTime) {
    assert!(batch.len() >= HEADER_LEN, "a batch is never shorter than its header");
    batch[0..8].copy_from_slice(&base.0.to_be_bytes());
    batch[LEADER_EPOCH_AT..LEADER_EPOCH_AT + 4].copy_from_slice(&epoch.0.to_be_bytes());
    match time {
        BatchTime::AsSent => {}
        BatchTime::Max(max) => write_max_timestamp(batch, max),
        BatchTime::LogAppend(now) => {
            batch[ATTRIBUTES_AT + 1] |= LOG_APPEND_TIME_BIT as u8;
            write_max_timestamp(batch, now);
        }
    }
}

fn write_max_timestamp(batch: &mut [u8], timestamp: i64) {
    batch[MAX_TIMESTAMP_AT..MAX_TIMESTAMP_AT + 8].copy_from_slice(&timestamp.to_be_bytes());
    seal(batch);
}
