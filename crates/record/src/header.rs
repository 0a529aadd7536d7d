//! The 61 bytes in front of every batch.
//!
//! ```text
//!  0 base offset i64 | 8 length i32 (of all that follows) | 12 leader epoch i32 | 16 magic i8 = 2 | 17 crc32c u32
//! 21 attributes i16 | 23 last offset delta i32 | 27 base timestamp i64 | 35 max timestamp i64
//! 43 producer id i64 | 51 producer epoch i16 | 53 base sequence i32 | 57 records i32 | 61 records, maybe compressed
//! ```
//! The CRC covers from the attributes to the end: offset, length and epoch can be written without touching it.

use ailurus_model::{Offset, TimestampType};

use crate::{Codec, RecordError};

/// Length of a batch header; no batch is shorter.
pub const HEADER_LEN: usize = 61;
/// Offset and length: what the length field does not count.
pub const LENGTH_OVERHEAD: usize = 12;
/// The only message format version there is here.
pub const MAGIC: i8 = 2;
/// Where the bytes covered by the CRC begin.
pub const CRC_START: usize = 21;
/// "No time": what stands in a timestamp that was never set.
pub const NO_TIMESTAMP: i64 = -1;
/// "No producer": the batch is neither idempotent nor transactional.
pub const NO_PRODUCER_ID: i64 = -1;
/// "No sequence": batches without a producer, and control batches.
pub const NO_SEQUENCE: i32 = -1;

pub(crate) const LEADER_EPOCH_AT: usize = 12;
pub(crate) const CRC_AT: usize = 17;
pub(crate) const ATTRIBUTES_AT: usize = 21;
pub(crate) const MAX_TIMESTAMP_AT: usize = 35;

pub(crate) const CODEC_MASK: i16 = 0x07;
pub(crate) const LOG_APPEND_TIME_BIT: i16 = 0x08;
pub(crate) const TRANSACTIONAL_BIT: i16 = 0x10;
pub(crate) const CONTROL_BIT: i16 = 0x20;
pub(crate) const DELETE_HORIZON_BIT: i16 = 0x40;

/// A decoded batch header. Values are as they stand in the bytes; [`BatchHeader::parse`] says what is proven of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchHeader {
    /// Offset of the first record the batch was produced with (compaction may have removed that record).
    pub base_offset: i64,
    /// Bytes behind this field; at least 49.
    pub batch_length: i32,
    /// Term of the leader that appended the batch; outside the CRC.
    pub partition_leader_epoch: i32,
    /// Always 2.
    pub magic: i8,
    /// CRC32C over everything from the attributes on.
    pub crc: u32,
    /// Codec, timestamp type, transactional, control and delete-horizon bits.
    pub attributes: i16,
    /// Last offset minus base offset; 0 or above.
    pub last_offset_delta: i32,
    /// What the records' timestamps are relative to; the delete horizon if that bit is set (KIP-534).
    pub base_timestamp: i64,
    /// The largest timestamp of the records, or the time of the append for LogAppendTime.
    pub max_timestamp: i64,
    /// The producer's id, or -1.
    pub producer_id: i64,
    /// The producer's epoch, or -1.
    pub producer_epoch: i16,
    /// Sequence number of the first record, or -1.
    pub base_sequence: i32,
    /// Number of records in the batch now; 0 or above (0 only after compaction).
    pub records_count: i32,
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`, which may be only the first 61 of the batch.
    ///
    /// Proven afterwards: magic 2, length of at least a header, counts not negative, offsets that do not overflow.
    /// Not proven: that the bytes are all there, the CRC, the records.
    pub fn parse(bytes: &[u8]) -> Result<BatchHeader, RecordError> {
        if bytes.len() < HEADER_LEN {
            return Err(RecordError::Truncated { needed: HEADER_LEN, present: bytes.len() });
        }
        let header = read(bytes);
        if header.magic != MAGIC {
            return Err(RecordError::Magic(header.magic));
        }
        if header.batch_length < (HEADER_LEN - LENGTH_OVERHEAD) as i32 {
            return Err(RecordError::BatchLength(header.batch_length));
        }
        let last_offset = header.base_offset.checked_add(i64::from(header.last_offset_delta));
        let fits = last_offset.is_some_and(|last| last < i64::MAX);
        if header.last_offset_delta < 0 || header.records_count < 0 || !fits {
            return Err(RecordError::Counts {
                base_offset: header.base_offset,
                last_offset_delta: header.last_offset_delta,
                records: header.records_count,
            });
        }
        Ok(header)
    }

    /// Writes the header over the first 61 bytes of `batch`, the CRC as it stands in `self`.
    ///
    /// # Panics
    /// If `batch` is shorter than a header.
    pub fn write(&self, batch: &mut [u8]) {
        batch[0..8].copy_from_slice(&self.base_offset.to_be_bytes());
        batch[8..12].copy_from_slice(&self.batch_length.to_be_bytes());
        batch[12..16].copy_from_slice(&self.partition_leader_epoch.to_be_bytes());
        batch[16] = self.magic as u8;
        batch[17..21].copy_from_slice(&self.crc.to_be_bytes());
        batch[21..23].copy_from_slice(&self.attributes.to_be_bytes());
        batch[23..27].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        batch[27..35].copy_from_slice(&self.base_timestamp.to_be_bytes());
        batch[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        batch[43..51].copy_from_slice(&self.producer_id.to_be_bytes());
        batch[51..53].copy_from_slice(&self.producer_epoch.to_be_bytes());
        batch[53..57].copy_from_slice(&self.base_sequence.to_be_bytes());
        batch[57..61].copy_from_slice(&self.records_count.to_be_bytes());
    }

    /// Bytes of the whole batch: what `max.message.bytes` is compared with.
    pub fn size_in_bytes(&self) -> usize {
        self.batch_length as usize + LENGTH_OVERHEAD
    }

    /// Offset of the last record the batch was produced with.
    pub fn last_offset(&self) -> Offset {
        Offset(self.base_offset + i64::from(self.last_offset_delta))
    }

    /// Offset behind the batch.
    pub fn next_offset(&self) -> Offset {
        self.last_offset().next()
    }

    /// Number of offsets the batch covers, whatever compaction left of it; 1 or above.
    pub fn offsets_count(&self) -> i64 {
        i64::from(self.last_offset_delta) + 1
    }

    /// How the records are compressed.
    pub fn codec(&self) -> Result<Codec, RecordError> {
        Codec::from_id((self.attributes & CODEC_MASK) as u8)
    }

    /// Whose the timestamps are.
    pub fn timestamp_type(&self) -> TimestampType {
        match self.attributes & LOG_APPEND_TIME_BIT {
            0 => TimestampType::CreateTime,
            _ => TimestampType::LogAppendTime,
        }
    }

    /// Whether the batch belongs to a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_BIT != 0
    }

    /// Whether the batch is a transaction marker (KIP-98), which only brokers write.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL_BIT != 0
    }

    /// When compaction may remove the batch's tombstones (KIP-534), once a first pass has decided it.
    pub fn delete_horizon(&self) -> Option<i64> {
        (self.attributes & DELETE_HORIZON_BIT != 0).then_some(self.base_timestamp)
    }

    /// Whether a producer id stands in the batch.
    pub fn has_producer(&self) -> bool {
        self.producer_id > NO_PRODUCER_ID
    }

    /// Sequence of the last record the batch was produced with: wraps from 2^31-1 to 0; -1 if there are none.
    pub fn last_sequence(&self) -> i32 {
        match self.base_sequence {
            NO_SEQUENCE => NO_SEQUENCE,
            base => sequence_plus(base, self.last_offset_delta),
        }
    }

    /// The timestamp of a record of this batch, given its delta.
    pub fn record_timestamp(&self, delta: i64) -> i64 {
        match self.timestamp_type() {
            TimestampType::CreateTime => self.base_timestamp.wrapping_add(delta),
            TimestampType::LogAppendTime => self.max_timestamp,
        }
    }
}

/// The sequence number `count` behind `sequence`: they count from 0 to 2^31-1 and begin again. Neither is negative.
pub fn sequence_plus(sequence: i32, count: i32) -> i32 {
    ((i64::from(sequence) + i64::from(count)) & i64::from(i32::MAX)) as i32
}

fn read(bytes: &[u8]) -> BatchHeader {
    BatchHeader {
        base_offset: i64::from_be_bytes(array(bytes, 0)),
        batch_length: i32::from_be_bytes(array(bytes, 8)),
        partition_leader_epoch: i32::from_be_bytes(array(bytes, LEADER_EPOCH_AT)),
        magic: bytes[16] as i8,
        crc: u32::from_be_bytes(array(bytes, CRC_AT)),
        attributes: i16::from_be_bytes(array(bytes, ATTRIBUTES_AT)),
        last_offset_delta: i32::from_be_bytes(array(bytes, 23)),
        base_timestamp: i64::from_be_bytes(array(bytes, 27)),
        max_timestamp: i64::from_be_bytes(array(bytes, MAX_TIMESTAMP_AT)),
        producer_id: i64::from_be_bytes(array(bytes, 43)),
        producer_epoch: i16::from_be_bytes(array(bytes, 51)),
        base_sequence: i32::from_be_bytes(array(bytes, 53)),
        records_count: i32::from_be_bytes(array(bytes, 57)),
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}
