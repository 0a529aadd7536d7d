//! Reading a partition: batches, and positions by time and offset.

use ailurus_model::{Offset, Term};
use ailurus_storage as storage;
use bytes::Bytes;

use crate::Partition;

/// Batches, and what a fetch says beside them.
#[derive(Debug)]
pub struct Read {
    /// Whole batches as stored; the first contains the offset that was asked for.
    pub batches: Vec<Bytes>,
    /// Sum of their lengths.
    pub bytes: usize,
    /// The high watermark when they were read.
    pub high_watermark: Offset,
    /// The first offset that is still there.
    pub log_start: Offset,
}

/// Why nothing was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadError {
    /// OFFSET_OUT_OF_RANGE: below the log start or above the end.
    OutOfRange {
        /// The first offset that is still there.
        log_start: Offset,
        /// The high watermark.
        high_watermark: Offset,
    },
    /// NOT_LEADER_OR_FOLLOWER.
    NotLeader,
    /// KAFKA_STORAGE_ERROR: the disk failed or the bytes do not match their checksum.
    Storage,
}

/// An offset with what ListOffsets tells beside it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OffsetAt {
    /// The offset.
    pub offset: Offset,
    /// The record's timestamp; -1 where none is meant.
    pub timestamp: i64,
    /// The leader epoch of the record, if known.
    pub epoch: Option<Term>,
}

impl Partition {
    /// Whole batches from `from` on, below the high watermark, up to `max_bytes`; with `at_least_one` the first batch
    /// comes even if it is larger.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read(&self, from: Offset, max_bytes: usize, at_least_one: bool) -> Result<Read, ReadError> {
        self.leading()?;
        let (log_start, high_watermark) = (self.log_start(), self.high_watermark());
        // Between the high watermark and the log's end there is nothing to see yet; beyond that the offset is wrong.
        if from < log_start || from > self.replica().next_offset() {
            return Err(ReadError::OutOfRange { log_start, high_watermark });
        }
        let mut read = Read { batches: Vec::new(), bytes: 0, high_watermark, log_start };
        if from >= high_watermark || (max_bytes == 0 && !at_least_one) {
            return Ok(read);
        }
        let found = self.replica().log().read(from, high_watermark, max_bytes, at_least_one).await;
        read.batches = found.map_err(|error| self.read_error(&error))?.batches;
        read.bytes = read.batches.iter().map(Bytes::len).sum();
        Ok(read)
    }

    /// How many bytes a read from `from` would find, as far as is cheaply known: enough to decide whether a fetch waits.
    pub fn readable_bytes(&self, from: Offset) -> u64 {
        let high_watermark = self.high_watermark();
        if from >= high_watermark { 0 } else { self.replica().log().bytes_between(from, high_watermark) }
    }

    /// The first record whose timestamp is `timestamp` or later; `None` if there is none below the high watermark.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn offset_for_time(&self, timestamp: i64) -> Result<Option<OffsetAt>, ReadError> {
        self.leading()?;
        let found = self.replica().log().find_by_time(timestamp, self.high_watermark()).await;
        Ok(found.map_err(|error| self.read_error(&error))?.map(at))
    }

    /// The record with the largest timestamp (KIP-734); `None` if the log is empty.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn offset_of_max_timestamp(&self) -> Result<Option<OffsetAt>, ReadError> {
        self.leading()?;
        let found = self.replica().log().max_timestamp(self.high_watermark()).await;
        Ok(found.map_err(|error| self.read_error(&error))?.map(at))
    }

    fn leading(&self) -> Result<(), ReadError> {
        if self.is_leader() { Ok(()) } else { Err(ReadError::NotLeader) }
    }

    fn read_error(&self, error: &storage::ReadError) -> ReadError {
        match error {
            storage::ReadError::OutOfRange => {
                ReadError::OutOfRange { log_start: self.log_start(), high_watermark: self.high_watermark() }
            }
            error => {
                tracing::error!(partition = %self.id(), %error, "a read failed");
                ReadError::Storage
            }
        }
    }
}

fn at((offset, timestamp, term): (Offset, i64, Term)) -> OffsetAt {
    OffsetAt { offset, timestamp, epoch: Some(term) }
}
