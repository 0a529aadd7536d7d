//! What can be wrong with a batch, as Kafka names it.

use thiserror::Error;

use crate::Codec;

/// Why bytes are not the batch they should be. [`RecordError::kind`] is what the client hears.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum RecordError {
    /// The bytes end before the batch does.
    #[error("a batch of {needed} bytes was announced and {present} are there")]
    Truncated {
        /// Bytes the header asks for.
        needed: usize,
        /// Bytes that are there.
        present: usize,
    },
    /// The length field is smaller than a header.
    #[error("batch length {0} is below the 49 bytes of a header")]
    BatchLength(i32),
    /// Another message format.
    #[error("message format version {0}; only version 2 is accepted")]
    Magic(i8),
    /// More than one batch, or other bytes behind it.
    #[error("{trailing} bytes follow the one batch that is allowed")]
    NotOneBatch {
        /// Bytes behind the first batch.
        trailing: usize,
    },
    /// The bytes are not those that were sent.
    #[error("crc32c is {computed:#010x}, the header says {expected:#010x}")]
    Crc {
        /// What the header says.
        expected: u32,
        /// What the bytes give.
        computed: u32,
    },
    /// Counts that cannot be: negative, beyond the range of offsets, or not `last_offset_delta + 1` records.
    #[error(
        "base offset {base_offset}, last offset delta {last_offset_delta} and {records} records do not fit together"
    )]
    Counts {
        /// The header's base offset.
        base_offset: i64,
        /// The header's last offset delta.
        last_offset_delta: i32,
        /// The header's record count.
        records: i32,
    },
    /// A producer id without a sequence number.
    #[error("producer {producer_id} sent base sequence {base_sequence}")]
    Sequence {
        /// The header's producer id.
        producer_id: i64,
        /// The header's base sequence.
        base_sequence: i32,
    },
    /// A client set a bit that only brokers set.
    #[error("attributes {0:#06x} carry a bit that only brokers set")]
    BrokerOnlyAttributes(i16),
    /// A client claims that the broker made its timestamps.
    #[error("a producer cannot send LogAppendTime")]
    SentLogAppendTime,
    /// A compression type that does not exist.
    #[error("compression type {0} is unknown")]
    UnknownCodec(u8),
    /// The compressed bytes are not what their codec writes.
    #[error("{codec:?} data cannot be decompressed: {reason}")]
    Decompression {
        /// The codec of the batch.
        codec: Codec,
        /// What the library says.
        reason: String,
    },
    /// The records unfold to more than is allowed for bytes of this size.
    #[error("the records decompress to more than the {limit} bytes allowed")]
    TooLarge {
        /// The bound that was hit, in bytes.
        limit: u64,
    },
    /// One record is malformed.
    #[error("record {index}: {fault}")]
    Record {
        /// Which one, counted from 0.
        index: i32,
        /// What is wrong with it.
        fault: RecordFault,
    },
    /// Bytes remain behind the last record.
    #[error("bytes follow the last of {records} records")]
    TrailingBytes {
        /// The header's record count.
        records: i32,
    },
}

/// What is wrong with one record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum RecordFault {
    /// The records end before this one does.
    #[error("the batch ends inside it")]
    Truncated,
    /// A variable-length number of more than 5 (10) bytes.
    #[error("a variable-length number is too long")]
    Varint,
    /// A length below what is possible, or beyond the record.
    #[error("length {0} does not fit")]
    Length(i32),
    /// The fields end before or behind where the record's length says.
    #[error("its fields are not as long as it says")]
    Size,
    /// The offset delta is not the one that must follow.
    #[error("offset delta {0} is out of order")]
    OffsetDelta(i32),
    /// A header without a key.
    #[error("a header has no key")]
    HeaderKey,
}

/// Kafka's error for a [`RecordError`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorKind {
    /// CORRUPT_MESSAGE (2): damaged on the way; the client may send it again.
    CorruptMessage,
    /// MESSAGE_TOO_LARGE (10).
    MessageTooLarge,
    /// INVALID_TIMESTAMP (32).
    InvalidTimestamp,
    /// UNSUPPORTED_COMPRESSION_TYPE (76).
    UnsupportedCompressionType,
    /// INVALID_RECORD (87): sending it again will not help.
    InvalidRecord,
}

impl ErrorKind {
    /// The number on the wire.
    pub fn code(self) -> i16 {
        match self {
            ErrorKind::CorruptMessage => 2,
            ErrorKind::MessageTooLarge => 10,
            ErrorKind::InvalidTimestamp => 32,
            ErrorKind::UnsupportedCompressionType => 76,
            ErrorKind::InvalidRecord => 87,
        }
    }
}

impl RecordError {
    /// What the client hears.
    pub fn kind(&self) -> ErrorKind {
        match self {
            RecordError::Truncated { .. } | RecordError::BatchLength(_) | RecordError::Crc { .. } => {
                ErrorKind::CorruptMessage
            }
            RecordError::UnknownCodec(_) => ErrorKind::UnsupportedCompressionType,
            RecordError::TooLarge { .. } => ErrorKind::MessageTooLarge,
            RecordError::SentLogAppendTime => ErrorKind::InvalidTimestamp,
            _ => ErrorKind::InvalidRecord,
        }
    }

    /// Which record is at fault, counted from 0, if it is one: for Produce's `record_errors` (version 8 and later).
    pub fn record_index(&self) -> Option<i32> {
        match self {
            RecordError::Record { index, .. } => Some(*index),
            _ => None,
        }
    }
}
