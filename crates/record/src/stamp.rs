//! What the broker writes into a batch before it is kept: offset, epoch, and time where the broker says it.

use ailurus_base::crc;
use ailurus_model::{Offset, Term};

use crate::batches::seal;
use crate::header::{ATTRIBUTES_AT, BatchHeader, HEADER_LEN, LEADER_EPOCH_AT, LOG_APPEND_TIME_BIT, MAX_TIMESTAMP_AT};
use crate::verify::VerifiedBatch;

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

impl VerifiedBatch {
    /// The header as [`stamp`] would leave it, for whoever copies the batch anyway and writes the header over the copy.
    pub fn stamped(&self, base: Offset, epoch: Term, time: BatchTime) -> BatchHeader {
        let mut header = self.header;
        header.base_offset = base.0;
        header.partition_leader_epoch = epoch.0;
        match time {
            BatchTime::AsSent => return header,
            BatchTime::Max(max) => header.max_timestamp = max,
            BatchTime::LogAppend(now) => {
                header.attributes |= LOG_APPEND_TIME_BIT;
                header.max_timestamp = now;
            }
        }
        let mut head = [0; HEADER_LEN];
        header.write(&mut head);
        header.crc = crc::crc32c_append(crc::crc32c(&head[ATTRIBUTES_AT..]), &self.bytes[HEADER_LEN..]);
        header
    }
}

fn write_max_timestamp(batch: &mut [u8], timestamp: i64) {
    batch[MAX_TIMESTAMP_AT..MAX_TIMESTAMP_AT + 8].copy_from_slice(&timestamp.to_be_bytes());
    seal(batch);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BatchBuilder, Limits, crc_ok, verify};

    #[test]
    fn a_stamped_header_is_the_one_of_the_stamped_batch() {
        let mut builder = BatchBuilder::new();
        builder.push(5, Some(b"k"), Some(b"v"), &[]);
        let batch = verify(builder.build(), &Limits::default()).expect("just built");
        for time in [BatchTime::AsSent, BatchTime::Max(9), BatchTime::LogAppend(7)] {
            let header = batch.stamped(Offset(40), Term(3), time);
            let mut in_place = batch.bytes.to_vec();
            stamp(&mut in_place, Offset(40), Term(3), time);
            assert_eq!(BatchHeader::parse(&in_place), Ok(header), "{time:?}");
            assert!(crc_ok(&in_place), "{time:?}");
        }
    }
}
