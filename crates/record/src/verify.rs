//! Proof of what a client sent, before any of it is kept.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use ailurus_model::TimestampType;
use bytes::Bytes;

use crate::batches::crc;
use crate::codec::Decompressor;
use crate::error::RecordFault;
use crate::header::{CONTROL_BIT, DELETE_HORIZON_BIT, HEADER_LEN};
use crate::layout::{SliceSource, Source, StreamSource, walk};
use crate::{BatchHeader, BatchTime, Codec, Limits, RecordError};

/// What a client sent, proven: exactly one batch of format v2, its CRC32C right, with as many records as it says, each
/// well-formed, their offsets without a gap. Control batches and the bit for a delete horizon are refused: only
/// brokers write them. Left to the caller: base offset 0, size limit, whether transactions and this codec are allowed
/// here, the window of timestamps, keys on a compacted topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifiedBatch {
    /// Its header.
    pub header: BatchHeader,
    /// The bytes, still a slice of the frame they came in.
    pub bytes: Bytes,
    /// How the records are compressed.
    pub codec: Codec,
    /// The smallest timestamp of a record, and which record (counted from 0) has it first.
    pub min_timestamp: (i64, i32),
    /// The largest timestamp of a record, and which record has it first. The header may say otherwise: see
    /// [`VerifiedBatch::time`].
    pub max_timestamp: (i64, i32),
    /// The first record (counted from 0) without a key, if there is one: not for compacted topics.
    pub first_null_key: Option<i32>,
}

impl VerifiedBatch {
    /// What [`crate::stamp`] must do to the times on a topic of this type, `now` being the broker's clock in
    /// milliseconds since 1970.
    pub fn time(&self, of_topic: TimestampType, now: i64) -> BatchTime {
        match of_topic {
            TimestampType::LogAppendTime => BatchTime::LogAppend(now),
            TimestampType::CreateTime if self.header.max_timestamp == self.max_timestamp.0 => BatchTime::AsSent,
            TimestampType::CreateTime => BatchTime::Max(self.max_timestamp.0),
        }
    }

    /// Whether some record has no key.
    pub fn has_null_key(&self) -> bool {
        self.first_null_key.is_some()
    }
}

/// Between records that together unfold to this much, whoever verifies may let others run.
const PAUSE_BYTES: usize = 256 << 10;

/// Proves that `bytes` is one batch that may be kept. Reads every record; what is compressed is unfolded within
/// `limits`, a buffer at a time.
pub fn verify(bytes: Bytes, limits: &Limits) -> Result<VerifiedBatch, RecordError> {
    let verified = pin!(verify_with_pauses(bytes, limits, async || {}));
    match verified.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(verified) => verified,
        Poll::Pending => unreachable!("a pause that does nothing is over at once"),
    }
}

/// As [`verify`]; `pause` is awaited now and then between records. A small batch may unfold to far more than a shard may
/// spend on it in one step.
pub async fn verify_with_pauses(
    bytes: Bytes,
    limits: &Limits,
    pause: impl AsyncFnMut(),
) -> Result<VerifiedBatch, RecordError> {
    let header = BatchHeader::parse(&bytes)?;
    check_extent(&header, bytes.len())?;
    let computed = crc(&bytes);
    if header.crc != computed {
        return Err(RecordError::Crc { expected: header.crc, computed });
    }
    check_header(&header)?;
    let codec = header.codec()?;
    let body = &bytes[HEADER_LEN..];
    let facts = match codec {
        Codec::None => check_records(&header, &mut SliceSource::new(body, 0), pause).await?,
        codec => {
            let mut source = StreamSource::new(Decompressor::new(codec, body, limits)?);
            check_records(&header, &mut source, pause).await?
        }
    };
    let Facts { min_timestamp, max_timestamp, first_null_key } = facts;
    Ok(VerifiedBatch { header, bytes, codec, min_timestamp, max_timestamp, first_null_key })
}

/// One batch, all of it, and nothing behind it.
fn check_extent(header: &BatchHeader, present: usize) -> Result<(), RecordError> {
    let needed = header.size_in_bytes();
    if present < needed {
        return Err(RecordError::Truncated { needed, present });
    }
    if present > needed {
        return Err(RecordError::NotOneBatch { trailing: present - needed });
    }
    Ok(())
}

/// What the header of a client's batch must say.
fn check_header(header: &BatchHeader) -> Result<(), RecordError> {
    if header.attributes & (CONTROL_BIT | DELETE_HORIZON_BIT) != 0 {
        return Err(RecordError::BrokerOnlyAttributes(header.attributes));
    }
    if header.timestamp_type() == TimestampType::LogAppendTime {
        return Err(RecordError::SentLogAppendTime);
    }
    if header.offsets_count() != i64::from(header.records_count) {
        return Err(RecordError::Counts {
            base_offset: header.base_offset,
            last_offset_delta: header.last_offset_delta,
            records: header.records_count,
        });
    }
    if header.has_producer() && header.base_sequence < 0 {
        return Err(RecordError::Sequence { producer_id: header.producer_id, base_sequence: header.base_sequence });
    }
    Ok(())
}

/// What the records of a batch amount to.
struct Facts {
    min_timestamp: (i64, i32),
    max_timestamp: (i64, i32),
    first_null_key: Option<i32>,
}

async fn check_records(
    header: &BatchHeader,
    source: &mut impl Source,
    mut pause: impl AsyncFnMut(),
) -> Result<Facts, RecordError> {
    let mut paused_at = 0;
    let mut facts = Facts { min_timestamp: (i64::MAX, 0), max_timestamp: (i64::MIN, 0), first_null_key: None };
    for index in 0..header.records_count {
        if source.position() - paused_at >= PAUSE_BYTES {
            pause().await;
            paused_at = source.position();
        }
        let layout = walk(source).map_err(|broken| broken.at(index))?;
        if layout.offset_delta != index {
            let fault = RecordFault::OffsetDelta(layout.offset_delta);
            return Err(RecordError::Record { index, fault });
        }
        let timestamp = header.record_timestamp(layout.timestamp_delta);
        if timestamp < facts.min_timestamp.0 {
            facts.min_timestamp = (timestamp, index);
        }
        if timestamp > facts.max_timestamp.0 {
            facts.max_timestamp = (timestamp, index);
        }
        if layout.key.is_none() && facts.first_null_key.is_none() {
            facts.first_null_key = Some(index);
        }
    }
    match source.is_at_end()? {
        true => Ok(facts),
        false => Err(RecordError::TrailingBytes { records: header.records_count }),
    }
}
