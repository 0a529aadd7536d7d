//! What compaction leaves of a batch.
//!
//! Offsets, term, producer and sequences of the batch never change, so that fetches, the epoch table and producer
//! state read the same before and after; a batch may therefore be left without any record.

use ailurus_model::TimestampType;
use bytes::Bytes;

use crate::builder::{assemble, put_record};
use crate::header::{DELETE_HORIZON_BIT, NO_TIMESTAMP};
use crate::{BatchHeader, Limits, Record, RecordError, records};

/// What became of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Retained {
    /// Every record stays and nothing is to be noted: keep the bytes as they are.
    Unchanged,
    /// Some records went, or the delete horizon was noted.
    Rewritten(Bytes),
    /// No record is left. The bytes are a batch without records, for whoever must keep the place: the last batch of a
    /// live producer, the end of the log.
    Emptied(Bytes),
}

/// Keeps the records of `batch` for which `keep` is true, and the base offset, last offset, producer, codec and type
/// of the batch. The largest timestamp becomes that of the records that stay.
///
/// `delete_horizon`, if given and the batch has none yet, is noted in it (KIP-534): the time from which the tombstones
/// that stay may go.
pub fn retain(
    batch: &Bytes,
    limits: &Limits,
    delete_horizon: Option<i64>,
    mut keep: impl FnMut(&Record) -> bool,
) -> Result<Retained, RecordError> {
    let mut iter = records(batch, limits)?;
    let header = *iter.header();
    let horizon = delete_horizon.filter(|_| header.delete_horizon().is_none());
    let mut left = Left::new(header, horizon);
    while let Some(layout) = iter.next_layout().transpose()? {
        let record = iter.record(&layout);
        if keep(&record) {
            left.push(&record, layout.timestamp_delta, &iter.body()[layout.behind_timestamp..layout.whole.end]);
        }
    }
    left.finish(batch)
}

/// The records that stay, as they will stand in the new batch.
struct Left {
    header: BatchHeader,
    horizon: Option<i64>,
    body: Vec<u8>,
    count: i32,
    max_timestamp: i64,
}

impl Left {
    fn new(header: BatchHeader, horizon: Option<i64>) -> Self {
        Left { header, horizon, body: Vec::new(), count: 0, max_timestamp: NO_TIMESTAMP }
    }

    /// Adds a record; `rest` are its bytes from the offset delta on. Only its timestamp depends on the batch.
    fn push(&mut self, record: &Record, timestamp_delta: i64, rest: &[u8]) {
        let base = self.header.base_timestamp;
        // The inverse of how a reader adds them, also for numbers that wrap.
        let delta =
            self.horizon.map_or(timestamp_delta, |horizon| base.wrapping_add(timestamp_delta).wrapping_sub(horizon));
        put_record(&mut self.body, delta, rest);
        self.count += 1;
        self.max_timestamp = self.max_timestamp.max(record.timestamp);
    }

    fn finish(self, original: &Bytes) -> Result<Retained, RecordError> {
        if self.count == self.header.records_count && self.horizon.is_none() && self.count > 0 {
            return Ok(Retained::Unchanged);
        }
        let mut header = self.header;
        header.records_count = self.count;
        if self.count == 0 {
            return Ok(Retained::Emptied(match original.len() {
                crate::HEADER_LEN => original.clone(),
                _ => assemble(header, header.codec()?, &[]),
            }));
        }
        if header.timestamp_type() == TimestampType::CreateTime {
            header.max_timestamp = self.max_timestamp;
        }
        if let Some(horizon) = self.horizon {
            header.attributes |= DELETE_HORIZON_BIT;
            header.base_timestamp = horizon;
        }
        Ok(Retained::Rewritten(assemble(header, header.codec()?, &self.body)))
    }
}
