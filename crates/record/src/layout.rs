//! Where the fields of one record lie.
//!
//! ```text
//! length varint | attributes i8 | timestamp delta varlong | offset delta varint
//! key length varint (-1: none) | key | value length varint (-1: none) | value
//! headers varint | per header: key length varint | key | value length varint (-1: none) | value
//! ```
//! One walk serves two sources: records in memory, and records that come out of a decompressor a buffer at a time.

use std::ops::Range;

use crate::codec::Decompressor;
use crate::error::RecordFault;
use crate::{RecordError, varint};

/// The fields of one record; ranges count from the start of the (decompressed) records.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layout {
    /// The whole record with its length.
    pub whole: Range<usize>,
    /// Relative to the batch's base timestamp.
    pub timestamp_delta: i64,
    /// Relative to the batch's base offset.
    pub offset_delta: i32,
    /// From the offset delta to the end: what does not depend on the base timestamp.
    pub behind_timestamp: usize,
    /// The key, if there is one.
    pub key: Option<Range<usize>>,
    /// The value, if there is one.
    pub value: Option<Range<usize>>,
    /// How many headers there are.
    pub headers_count: i32,
    /// Where the headers are.
    pub headers: Range<usize>,
}

/// Why a walk ended: the record is at fault, or the whole batch.
pub(crate) enum Broken {
    Record(RecordFault),
    Batch(RecordError),
}

impl Broken {
    /// As an error of the record with this index.
    pub(crate) fn at(self, index: i32) -> RecordError {
        match self {
            Broken::Record(fault) => RecordError::Record { index, fault },
            Broken::Batch(error) => error,
        }
    }
}

impl From<RecordFault> for Broken {
    fn from(fault: RecordFault) -> Self {
        Broken::Record(fault)
    }
}

/// Bytes that are walked once, forwards.
pub(crate) trait Source {
    /// How many bytes have been walked.
    fn position(&self) -> usize;
    fn byte(&mut self) -> Result<u8, Broken>;
    fn skip(&mut self, len: usize) -> Result<(), Broken>;
    fn is_at_end(&mut self) -> Result<bool, RecordError>;

    fn varint(&mut self) -> Result<i32, Broken> {
        let raw = self.raw(5)?;
        Ok(varint::zigzag_i32(u32::try_from(raw).map_err(|_| RecordFault::Varint)?))
    }

    fn varlong(&mut self) -> Result<i64, Broken> {
        Ok(varint::zigzag_i64(self.raw(10)?))
    }

    /// The bits of a number of at most `bytes_max` bytes.
    fn raw(&mut self, bytes_max: u32) -> Result<u64, Broken> {
        raw_by_bytes(self, bytes_max)
    }
}

fn raw_by_bytes(source: &mut (impl Source + ?Sized), bytes_max: u32) -> Result<u64, Broken> {
    let mut raw = 0u64;
    for place in 0..bytes_max {
        let byte = source.byte()?;
        let bits = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit.
        if place == 9 && bits > 1 {
            return Err(RecordFault::Varint.into());
        }
        raw |= bits << (7 * place);
        if byte & 0x80 == 0 {
            return Ok(raw);
        }
    }
    Err(RecordFault::Varint.into())
}

/// Walks one record, checking that every length stays inside it. Inlined, so that what the caller does not ask for is not made:
/// each record that is produced comes through here.
#[inline]
pub(crate) fn walk(source: &mut impl Source) -> Result<Layout, Broken> {
    let start = source.position();
    let length = source.varint()?;
    let body = source.position();
    let end = body + usize::try_from(length).map_err(|_| RecordFault::Length(length))?;
    source.byte()?;
    let timestamp_delta = source.varlong()?;
    let behind_timestamp = source.position();
    let offset_delta = source.varint()?;
    let key = field(source, end)?;
    let value = field(source, end)?;
    let headers_count = source.varint()?;
    let headers_start = source.position();
    // A header takes at least two bytes.
    if headers_count < 0 || headers_count as usize > end.saturating_sub(headers_start) / 2 {
        return Err(RecordFault::Length(headers_count).into());
    }
    for _ in 0..headers_count {
        field(source, end)?.ok_or(RecordFault::HeaderKey)?;
        field(source, end)?;
    }
    if source.position() != end {
        return Err(RecordFault::Size.into());
    }
    let (whole, headers) = (start..end, headers_start..end);
    Ok(Layout { whole, timestamp_delta, offset_delta, behind_timestamp, key, value, headers_count, headers })
}

/// A length and that many bytes, which must end before `end`; none if the length is -1.
#[inline]
fn field(source: &mut impl Source, end: usize) -> Result<Option<Range<usize>>, Broken> {
    let length = source.varint()?;
    let start = source.position();
    if length == -1 {
        return Ok(None);
    }
    let len = usize::try_from(length).map_err(|_| RecordFault::Length(length))?;
    if len > end.saturating_sub(start) {
        return Err(RecordFault::Length(length).into());
    }
    source.skip(len)?;
    Ok(Some(start..start + len))
}

/// Records in memory.
pub(crate) struct SliceSource<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> SliceSource<'a> {
    pub(crate) fn new(bytes: &'a [u8], at: usize) -> Self {
        SliceSource { bytes, at }
    }
}

impl Source for SliceSource<'_> {
    fn position(&self) -> usize {
        self.at
    }

    fn byte(&mut self) -> Result<u8, Broken> {
        let byte = *self.bytes.get(self.at).ok_or(RecordFault::Truncated)?;
        self.at += 1;
        Ok(byte)
    }

    fn skip(&mut self, len: usize) -> Result<(), Broken> {
        if len > self.bytes.len() - self.at {
            return Err(RecordFault::Truncated.into());
        }
        self.at += len;
        Ok(())
    }

    fn is_at_end(&mut self) -> Result<bool, RecordError> {
        Ok(self.at == self.bytes.len())
    }

    /// Nearly all are of one byte or two.
    #[inline]
    fn raw(&mut self, bytes_max: u32) -> Result<u64, Broken> {
        match self.bytes.get(self.at..) {
            Some([first @ 0..0x80, ..]) => {
                self.at += 1;
                Ok(u64::from(*first))
            }
            Some([first, second @ 0..0x80, ..]) => {
                self.at += 2;
                Ok(u64::from(first & 0x7f) | u64::from(*second) << 7)
            }
            _ => raw_by_bytes(self, bytes_max),
        }
    }
}

/// Records that come out of a decompressor; one buffer of them is held.
pub(crate) struct StreamSource<'a> {
    stream: Decompressor<'a>,
    buffer: Vec<u8>,
    at: usize,
    filled: usize,
    before: usize,
}

/// What is decompressed at a time.
const BUFFER_BYTES: usize = 16 << 10;

impl<'a> StreamSource<'a> {
    pub(crate) fn new(stream: Decompressor<'a>) -> Self {
        StreamSource { stream, buffer: vec![0; BUFFER_BYTES], at: 0, filled: 0, before: 0 }
    }

    /// Makes sure that a byte is there; false at the end.
    fn fill(&mut self) -> Result<bool, RecordError> {
        if self.at == self.filled {
            self.before += self.filled;
            (self.at, self.filled) = (0, 0);
            self.filled = self.stream.read(&mut self.buffer)?;
        }
        Ok(self.at < self.filled)
    }

    fn fill_or_fault(&mut self) -> Result<(), Broken> {
        match self.fill() {
            Ok(true) => Ok(()),
            Ok(false) => Err(RecordFault::Truncated.into()),
            Err(error) => Err(Broken::Batch(error)),
        }
    }
}

impl Source for StreamSource<'_> {
    fn position(&self) -> usize {
        self.before + self.at
    }

    fn byte(&mut self) -> Result<u8, Broken> {
        self.fill_or_fault()?;
        let byte = self.buffer[self.at];
        self.at += 1;
        Ok(byte)
    }

    fn skip(&mut self, mut len: usize) -> Result<(), Broken> {
        while len > 0 {
            self.fill_or_fault()?;
            let step = len.min(self.filled - self.at);
            self.at += step;
            len -= step;
        }
        Ok(())
    }

    fn is_at_end(&mut self) -> Result<bool, RecordError> {
        Ok(!self.fill()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number at the start of `bytes` and how long it is, or that there is none.
    fn read(bytes: &[u8], raw: impl FnOnce(&mut SliceSource<'_>) -> Result<u64, Broken>) -> Option<(u64, usize)> {
        let mut source = SliceSource::new(bytes, 0);
        raw(&mut source).ok().map(|number| (number, source.position()))
    }

    #[test]
    fn numbers_in_memory_are_those_that_are_read_byte_by_byte() {
        let ends = [0x00, 0x01, 0x7f, 0x80, 0x81, 0xff];
        // Every string of up to three of these bytes, with as much behind them as makes them short, just long enough or too long.
        let heads = (0..ends.len().pow(3)).map(|code| [code / 36, code / 6 % 6, code % 6].map(|place| ends[place]));
        for head in heads {
            for (length, behind) in [(0, 0), (1, 0), (2, 0), (3, 0), (3, 2), (3, 7), (3, 8), (3, 9)] {
                let mut bytes = head[..length].to_vec();
                bytes.extend(std::iter::repeat_n(0xff, behind));
                bytes.extend((behind > 0).then_some(0x01));
                for bytes_max in [5, 10] {
                    let fast = read(&bytes, |source| source.raw(bytes_max));
                    assert_eq!(fast, read(&bytes, |source| raw_by_bytes(source, bytes_max)), "{bytes:02x?}");
                }
            }
        }
    }
}
