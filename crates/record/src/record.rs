//! The records of a batch, and searches by time among them.

use std::ops::Range;

use ailurus_model::{Offset, TimestampType};
use bytes::Bytes;

use crate::codec::Decompressor;
use crate::error::RecordFault;
use crate::header::{HEADER_LEN, NO_TIMESTAMP};
use crate::layout::{Layout, SliceSource, Source, StreamSource, walk};
use crate::{BatchHeader, Codec, Limits, RecordError};

/// One record. Its parts are slices of the batch, or of what the batch decompresses to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Its offset in the partition.
    pub offset: Offset,
    /// Milliseconds since 1970, of the kind the batch says; -1 for none.
    pub timestamp: i64,
    /// Its key, if there is one.
    pub key: Option<Bytes>,
    /// Its value; a record without one is a tombstone on a compacted topic.
    pub value: Option<Bytes>,
    /// Its headers, in their order.
    pub headers: RecordHeaders,
}

/// The headers of one record (KIP-82). They have been checked with the record; walking them cannot fail.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RecordHeaders {
    count: i32,
    bytes: Bytes,
}

impl RecordHeaders {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Key and value of each, in their order. Keys are text by convention; nothing proves it.
    pub fn iter(&self) -> impl Iterator<Item = (Bytes, Option<Bytes>)> + '_ {
        let mut at = 0;
        (0..self.count).map(move |_| {
            let key = self.field(&mut at).expect("the record's walk found a key");
            (key, self.field(&mut at))
        })
    }

    fn field(&self, at: &mut usize) -> Option<Bytes> {
        let mut source = SliceSource::new(&self.bytes, *at);
        let length = source.varint().unwrap_or(-1);
        let start = source.position();
        *at = start + usize::try_from(length).unwrap_or(0);
        (length >= 0).then(|| self.bytes.slice(start..*at))
    }
}

/// The records of `batch`, decompressed within `limits` if need be. The batch may have been compacted: offsets rise,
/// but may have gaps. No CRC is computed: see [`crate::crc_ok`].
pub fn records(batch: &Bytes, limits: &Limits) -> Result<RecordIter, RecordError> {
    let (header, body) = open(batch, limits)?;
    Ok(RecordIter { header, body, at: 0, index: 0, last_delta: -1 })
}

/// Header and decompressed records of a whole batch.
pub(crate) fn open(batch: &Bytes, limits: &Limits) -> Result<(BatchHeader, Bytes), RecordError> {
    let header = BatchHeader::parse(batch)?;
    let body = body(&header, batch)?;
    let body = match header.codec()? {
        Codec::None => body,
        // Compaction leaves nothing behind the header of an empty batch, whatever its codec was.
        _ if header.records_count == 0 => Bytes::new(),
        codec => Bytes::from(codec.decompress(&body, limits)?),
    };
    Ok((header, body))
}

/// What follows the header of a whole batch.
fn body(header: &BatchHeader, batch: &Bytes) -> Result<Bytes, RecordError> {
    let size = header.size_in_bytes();
    match batch.len() < size {
        true => Err(RecordError::Truncated { needed: size, present: batch.len() }),
        false => Ok(batch.slice(HEADER_LEN..size)),
    }
}

/// Walks the records of one batch; after an error nothing follows.
#[derive(Clone, Debug)]
pub struct RecordIter {
    header: BatchHeader,
    body: Bytes,
    at: usize,
    index: i32,
    last_delta: i32,
}

impl RecordIter {
    /// The header of the batch.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The (decompressed) bytes that layouts point into.
    pub(crate) fn body(&self) -> &Bytes {
        &self.body
    }

    /// The next record and where its fields are.
    pub(crate) fn next_layout(&mut self) -> Option<Result<Layout, RecordError>> {
        if self.index >= self.header.records_count {
            return None;
        }
        let index = self.index;
        let layout = self.walk_one(index);
        self.index = if layout.is_ok() { index + 1 } else { i32::MAX };
        Some(layout)
    }

    fn walk_one(&mut self, index: i32) -> Result<Layout, RecordError> {
        let layout = walk(&mut SliceSource::new(&self.body, self.at)).map_err(|broken| broken.at(index))?;
        self.last_delta = check_delta(&self.header, self.last_delta, &layout, index)?;
        self.at = layout.whole.end;
        Ok(layout)
    }

    /// The record with this layout.
    pub(crate) fn record(&self, layout: &Layout) -> Record {
        let slice = |range: &std::ops::Range<usize>| self.body.slice(range.clone());
        Record {
            offset: Offset(self.header.base_offset + i64::from(layout.offset_delta)),
            timestamp: self.header.record_timestamp(layout.timestamp_delta),
            key: layout.key.as_ref().map(slice),
            value: layout.value.as_ref().map(slice),
            headers: RecordHeaders { count: layout.headers_count, bytes: slice(&layout.headers) },
        }
    }
}

impl Iterator for RecordIter {
    type Item = Result<Record, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        let layout = self.next_layout()?;
        Some(layout.map(|layout| self.record(&layout)))
    }
}

/// An offset and the timestamp of the record there: what ListOffsets answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordTime {
    /// The record's offset.
    pub offset: Offset,
    /// Its timestamp, milliseconds since 1970.
    pub timestamp: i64,
}

/// The first record at or after offset `from` whose timestamp is at least `timestamp`; none if the batch has none.
pub fn find_by_time(
    batch: &Bytes,
    timestamp: i64,
    from: Offset,
    limits: &Limits,
) -> Result<Option<RecordTime>, RecordError> {
    let header = BatchHeader::parse(batch)?;
    if header.max_timestamp < timestamp || header.last_offset() < from {
        return Ok(None);
    }
    find(batch, limits, |time| time.timestamp >= timestamp && time.offset >= from)
}

/// The first record with the batch's largest timestamp; none if the batch is empty or its records carry no time.
pub fn find_max_timestamp(batch: &Bytes, limits: &Limits) -> Result<Option<RecordTime>, RecordError> {
    let header = BatchHeader::parse(batch)?;
    if header.max_timestamp == NO_TIMESTAMP {
        return Ok(None);
    }
    find(batch, limits, |time| time.timestamp >= header.max_timestamp)
}

/// As [`find_max_timestamp`], among the records whose offsets lie in `within`. Unfolds the whole batch.
pub fn find_max_timestamp_within(
    batch: &Bytes,
    within: Range<Offset>,
    limits: &Limits,
) -> Result<Option<RecordTime>, RecordError> {
    let mut latest: Option<RecordTime> = None;
    find(batch, limits, |time| {
        let most = latest.map_or(NO_TIMESTAMP, |latest| latest.timestamp);
        if within.contains(&time.offset) && time.timestamp > most {
            latest = Some(*time);
        }
        false
    })?;
    Ok(latest)
}

fn find(
    batch: &Bytes,
    limits: &Limits,
    wanted: impl FnMut(&RecordTime) -> bool,
) -> Result<Option<RecordTime>, RecordError> {
    let header = BatchHeader::parse(batch)?;
    // Without a time of their own, all records are as the header says, and a batch nothing was removed from is known.
    let untouched = header.offsets_count() == i64::from(header.records_count);
    if header.timestamp_type() == TimestampType::LogAppendTime && untouched {
        return Ok((header.base_offset..=header.last_offset().0)
            .map(|offset| RecordTime { offset: Offset(offset), timestamp: header.max_timestamp })
            .find(wanted));
    }
    let body = body(&header, batch)?;
    match header.codec()? {
        // Compaction leaves nothing behind the header of an empty batch, whatever its codec was.
        _ if header.records_count == 0 => Ok(None),
        Codec::None => find_in(&header, &mut SliceSource::new(&body, 0), wanted),
        codec => find_in(&header, &mut StreamSource::new(Decompressor::new(codec, &body, limits)?), wanted),
    }
}

/// Walks as far as the record that is wanted; what is behind it is not even unfolded.
fn find_in(
    header: &BatchHeader,
    source: &mut impl Source,
    mut wanted: impl FnMut(&RecordTime) -> bool,
) -> Result<Option<RecordTime>, RecordError> {
    let mut last_delta = -1;
    for index in 0..header.records_count {
        let layout = walk(source).map_err(|broken| broken.at(index))?;
        last_delta = check_delta(header, last_delta, &layout, index)?;
        let offset = Offset(header.base_offset + i64::from(layout.offset_delta));
        let time = RecordTime { offset, timestamp: header.record_timestamp(layout.timestamp_delta) };
        if wanted(&time) {
            return Ok(Some(time));
        }
    }
    Ok(None)
}

/// Offsets rise inside their batch; gives the delta of this record.
fn check_delta(header: &BatchHeader, last: i32, layout: &Layout, index: i32) -> Result<i32, RecordError> {
    let delta = layout.offset_delta;
    if delta <= last || delta > header.last_offset_delta {
        return Err(RecordError::Record { index, fault: RecordFault::OffsetDelta(delta) });
    }
    Ok(delta)
}
