//! New batches: what a client sends, and what the broker writes for itself.

use ailurus_model::{Offset, Term, TimestampType};
use bytes::Bytes;

use crate::batches::seal;
use crate::header::{
    BatchHeader, CONTROL_BIT, HEADER_LEN, LENGTH_OVERHEAD, LOG_APPEND_TIME_BIT, MAGIC, NO_PRODUCER_ID, NO_SEQUENCE,
    NO_TIMESTAMP, TRANSACTIONAL_BIT,
};
use crate::{Codec, varint};

/// Gathers records and makes a batch of them. Offsets are counted from the base, one per record.
///
/// A batch must stay below 2 GiB and 2^31 records; [`BatchBuilder::build`] panics otherwise, so whoever fills one
/// looks at [`BatchBuilder::body_len`].
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    header: BatchHeader,
    codec: Codec,
    body: Vec<u8>,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchBuilder {
    /// An empty batch at offset 0, uncompressed, CreateTime, without a producer.
    pub fn new() -> Self {
        let header = BatchHeader {
            base_offset: 0,
            batch_length: 0,
            partition_leader_epoch: -1,
            magic: MAGIC,
            crc: 0,
            attributes: 0,
            last_offset_delta: -1,
            base_timestamp: NO_TIMESTAMP,
            max_timestamp: NO_TIMESTAMP,
            producer_id: NO_PRODUCER_ID,
            producer_epoch: -1,
            base_sequence: NO_SEQUENCE,
            records_count: 0,
        };
        BatchBuilder { header, codec: Codec::None, body: Vec::new() }
    }

    /// How the records will be compressed.
    pub fn codec(mut self, codec: Codec) -> Self {
        self.codec = codec;
        self
    }

    /// The offset of the first record, and the term it is appended in.
    pub fn at(mut self, base: Offset, epoch: Term) -> Self {
        self.header.base_offset = base.0;
        self.header.partition_leader_epoch = epoch.0;
        self
    }

    /// Who produces (KIP-98). `base_sequence` is that of the first record.
    pub fn producer(mut self, id: i64, epoch: i16, base_sequence: i32) -> Self {
        self.header.producer_id = id;
        self.header.producer_epoch = epoch;
        self.header.base_sequence = base_sequence;
        self
    }

    /// Marks the batch as part of a transaction.
    pub fn transactional(mut self) -> Self {
        self.header.attributes |= TRANSACTIONAL_BIT;
        self
    }

    /// Marks the batch as a transaction marker.
    pub fn control(mut self) -> Self {
        self.header.attributes |= CONTROL_BIT;
        self
    }

    /// Gives all records this time, and the batch the type LogAppendTime.
    pub fn log_append_time(mut self, now: i64) -> Self {
        self.header.attributes |= LOG_APPEND_TIME_BIT;
        self.header.max_timestamp = now;
        self
    }

    /// Adds a record; `timestamp` in milliseconds since 1970.
    pub fn push(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&[u8], Option<&[u8]>)],
    ) -> &mut Self {
        if self.header.records_count == 0 {
            self.header.base_timestamp = timestamp;
        }
        if self.header.timestamp_type() == TimestampType::CreateTime {
            self.header.max_timestamp = self.header.max_timestamp.max(timestamp);
        }
        self.header.last_offset_delta += 1;
        self.header.records_count += 1;
        let mut rest = Vec::with_capacity(16 + key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len));
        varint::put_i32(&mut rest, self.header.last_offset_delta);
        put_field(&mut rest, key);
        put_field(&mut rest, value);
        varint::put_i32(&mut rest, i32::try_from(headers.len()).expect("fewer than 2^31 headers"));
        for (key, value) in headers {
            put_field(&mut rest, Some(key));
            put_field(&mut rest, *value);
        }
        put_record(&mut self.body, timestamp.wrapping_sub(self.header.base_timestamp), &rest);
        self
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.header.records_count as usize
    }

    /// Whether there are no records yet.
    pub fn is_empty(&self) -> bool {
        self.header.records_count == 0
    }

    /// Bytes of the records, before compression and without the header.
    pub fn body_len(&self) -> usize {
        self.body.len()
    }

    /// The batch, CRC and all.
    ///
    /// # Panics
    /// If there are no records, or more than 2 GiB of them.
    pub fn build(self) -> Bytes {
        assert!(!self.is_empty(), "a batch has at least one record when it is made");
        assemble(self.header, self.codec, &self.body)
    }
}

/// Puts a header before records, compressed on the way; length, codec bits and CRC are written as they come out.
pub(crate) fn assemble(mut header: BatchHeader, codec: Codec, body: &[u8]) -> Bytes {
    let packed;
    let body = match codec {
        Codec::None => body,
        _ if body.is_empty() => body,
        codec => {
            packed = codec.compress(body);
            &packed
        }
    };
    header.attributes = header.attributes & !crate::header::CODEC_MASK | i16::from(codec.id());
    header.batch_length = i32::try_from(HEADER_LEN - LENGTH_OVERHEAD + body.len()).expect("batches stay below 2 GiB");
    let mut batch = vec![0; HEADER_LEN];
    batch.reserve_exact(body.len());
    batch.extend_from_slice(body);
    header.write(&mut batch);
    seal(&mut batch);
    Bytes::from(batch)
}

/// One record: length, attributes, timestamp, and `rest` from the offset delta on.
pub(crate) fn put_record(out: &mut Vec<u8>, timestamp_delta: i64, rest: &[u8]) {
    let mut delta = Vec::with_capacity(10);
    varint::put_i64(&mut delta, timestamp_delta);
    let length = 1 + delta.len() + rest.len();
    varint::put_i32(out, i32::try_from(length).expect("records stay below 2 GiB"));
    out.push(0);
    out.extend_from_slice(&delta);
    out.extend_from_slice(rest);
}

fn put_field(out: &mut Vec<u8>, field: Option<&[u8]>) {
    match field {
        None => varint::put_i32(out, -1),
        Some(bytes) => {
            varint::put_i32(out, i32::try_from(bytes.len()).expect("fields stay below 2 GiB"));
            out.extend_from_slice(bytes);
        }
    }
}
