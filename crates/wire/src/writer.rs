//! [`Writer`]: puts a message into bytes, leaving records where they are.
//!
//! What always holds: everything but records goes into one head buffer; the finished parts are slices of that head
//! with the records between them. The first thing that cannot be written is kept and told by [`Writer::finish`], so
//! that message code has no error paths of its own.

use bytes::Bytes;

use crate::{ErrorCode, Records, Str, TopicId, WireError};

/// A message on its way into bytes.
pub struct Writer {
    head: Vec<u8>,
    /// Records, and the length of the head where they belong; positions never fall.
    cuts: Vec<(usize, Bytes)>,
    flexible: bool,
    failed: Option<WireError>,
}

impl Writer {
    /// `flexible` chooses the compact forms and the tagged fields of KIP-482.
    pub fn new(flexible: bool) -> Self {
        Writer { head: Vec::with_capacity(128), cuts: Vec::new(), flexible, failed: None }
    }

    /// Changes between header and body: the header of an ApiVersions response is never flexible.
    pub fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    fn fail(&mut self, error: WireError) {
        self.failed.get_or_insert(error);
    }

    /// A field is set that this version does not carry.
    #[cold]
    pub fn not_in_version(&mut self, field: &'static str, version: i16) {
        self.fail(WireError::NotInVersion { field, version });
    }

    /// A field is null that this version does not allow to be null.
    #[cold]
    pub fn null_field(&mut self, field: &'static str, version: i16) {
        self.fail(WireError::NullField { field, version });
    }

    /// One byte, 1 for true.
    pub fn bool(&mut self, value: bool) {
        self.head.push(value.into());
    }

    /// A signed byte.
    pub fn i8(&mut self, value: i8) {
        self.head.extend(value.to_be_bytes());
    }

    /// Two bytes, big endian, as all numbers.
    pub fn i16(&mut self, value: i16) {
        self.head.extend(value.to_be_bytes());
    }

    /// Two bytes without sign.
    pub fn u16(&mut self, value: u16) {
        self.head.extend(value.to_be_bytes());
    }

    /// Four bytes.
    pub fn i32(&mut self, value: i32) {
        self.head.extend(value.to_be_bytes());
    }

    /// Eight bytes.
    pub fn i64(&mut self, value: i64) {
        self.head.extend(value.to_be_bytes());
    }

    /// An IEEE 754 double.
    pub fn f64(&mut self, value: f64) {
        self.head.extend(value.to_be_bytes());
    }

    /// 16 bytes of a UUID.
    pub fn uuid(&mut self, value: u128) {
        self.head.extend(value.to_be_bytes());
    }

    /// 16 bytes of a topic id.
    pub fn topic_id(&mut self, value: TopicId) {
        self.head.extend(value.to_bytes());
    }

    /// An error code.
    pub fn error_code(&mut self, value: ErrorCode) {
        self.i16(value.code());
    }

    /// An unsigned varint.
    pub fn uvarint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.head.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.head.push(value as u8);
    }

    fn length(&mut self, length: Option<usize>, wide: bool) {
        let max = if self.flexible || wide { i32::MAX as usize - 1 } else { i16::MAX as usize };
        let length = length.map_or(-1, |length| {
            if length > max {
                self.fail(WireError::TooLong { length });
            }
            length.min(max) as i32
        });
        match (self.flexible, wide) {
            (true, _) => self.uvarint((length + 1) as u32),
            (false, true) => self.i32(length),
            (false, false) => self.i16(length as i16),
        }
    }

    /// Text.
    pub fn str(&mut self, value: &Str) {
        self.length(Some(value.len()), false);
        self.head.extend_from_slice(value.as_bytes());
    }

    /// Text or null.
    pub fn opt_str(&mut self, value: &Option<Str>) {
        match value {
            Some(value) => self.str(value),
            None => self.length(None, false),
        }
    }

    /// Bytes, copied.
    pub fn bytes(&mut self, value: &Bytes) {
        self.length(Some(value.len()), true);
        self.head.extend_from_slice(value);
    }

    /// Bytes or null, copied.
    pub fn opt_bytes(&mut self, value: &Option<Bytes>) {
        match value {
            Some(value) => self.bytes(value),
            None => self.length(None, true),
        }
    }

    /// One run of records or null, not copied: what a producer sends for a partition.
    pub fn opt_record_bytes(&mut self, value: &Option<Bytes>) {
        self.length(value.as_ref().map(Bytes::len), true);
        let part = value.iter().filter(|part| !part.is_empty());
        self.cuts.extend(part.map(|part| (self.head.len(), part.clone())));
    }

    /// Records or null, not copied: what a fetch answers for a partition.
    pub fn opt_records(&mut self, value: &Option<Records>) {
        self.length(value.as_ref().map(Records::len), true);
        let parts = value.iter().flat_map(Records::parts);
        self.cuts.extend(parts.map(|part| (self.head.len(), part.clone())));
    }

    /// An array, element by element.
    pub fn array<T>(&mut self, elements: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.length(Some(elements.len()), true);
        for element in elements {
            write(self, element);
        }
    }

    /// An array or null.
    pub fn opt_array<T>(&mut self, elements: &Option<Vec<T>>, write: impl FnMut(&mut Self, &T)) {
        match elements {
            Some(elements) => self.array(elements, write),
            None => self.length(None, true),
        }
    }

    /// The byte before a nullable struct.
    pub fn present(&mut self, present: bool) {
        self.i8(if present { 1 } else { -1 });
    }

    /// The number of tagged fields that follow; nothing where the version is not flexible.
    pub fn tags(&mut self, count: u32) {
        if self.flexible {
            self.uvarint(count);
        }
    }

    /// One tagged field. Tags of a struct are written in rising order, those with their default value left out:
    /// librdkafka before 2.1.1 fails the handshake on a tag that holds its default.
    pub fn tag(&mut self, tag: u32, write: impl FnOnce(&mut Self)) {
        self.uvarint(tag);
        let start = self.head.len();
        write(self);
        let size = (self.head.len() - start) as u32;
        self.uvarint(size);
        let prefix = self.head.len() - start - size as usize;
        self.head[start..].rotate_right(prefix);
        assert!(self.cuts.last().is_none_or(|cut| cut.0 <= start), "no message has records in a tagged field");
    }

    /// The message in as few parts as records allow, in order.
    pub fn finish(self) -> Result<Vec<Bytes>, WireError> {
        match self.failed {
            Some(error) => Err(error),
            None => Ok(interleave(self.head.into(), self.cuts)),
        }
    }

    /// Like [`Writer::finish`], with the first four bytes, left free by the caller, filled with the frame's length.
    pub fn finish_frame(mut self) -> Result<Vec<Bytes>, WireError> {
        let records: usize = self.cuts.iter().map(|cut| cut.1.len()).sum();
        let length = self.head.len() - 4 + records;
        match i32::try_from(length) {
            Ok(length) => self.head[..4].copy_from_slice(&length.to_be_bytes()),
            Err(_) => self.fail(WireError::TooLong { length }),
        }
        self.finish()
    }
}

fn interleave(head: Bytes, cuts: Vec<(usize, Bytes)>) -> Vec<Bytes> {
    if cuts.is_empty() {
        return vec![head];
    }
    let mut parts = Vec::with_capacity(2 * cuts.len() + 1);
    let mut done = 0;
    for (at, records) in cuts {
        if at > done {
            parts.push(head.slice(done..at));
            done = at;
        }
        parts.push(records);
    }
    if done < head.len() {
        parts.push(head.slice(done..));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_stay_where_they_are() {
        let (a, b) = (Bytes::from(b"first".to_vec()), Bytes::from(b"second".to_vec()));
        let mut w = Writer::new(false);
        w.i32(0);
        w.opt_records(&Some(Records::from_iter([a.clone(), b.clone()])));
        w.opt_records(&None);
        let parts = w.finish_frame().unwrap();
        assert_eq!(parts.len(), 4);
        assert_eq!((parts[1].as_ptr(), parts[2].as_ptr()), (a.as_ptr(), b.as_ptr()));
        assert_eq!(parts.concat(), b"\0\0\0\x13\0\0\0\x0bfirstsecond\xff\xff\xff\xff");
    }

    #[test]
    fn a_tag_has_its_size_before_it() {
        let mut w = Writer::new(true);
        w.tags(1);
        w.tag(5, |w| w.str(&Str::from("x".repeat(200))));
        let parts = w.finish().unwrap();
        assert_eq!(parts[0][..6], [1, 5, 0xca, 0x01, 0xc9, 0x01]);
        assert_eq!(parts[0].len(), 6 + 200);
    }

    #[test]
    fn the_first_failure_is_told() {
        let mut w = Writer::new(false);
        w.str(&Str::from("x".repeat(40_000)));
        w.not_in_version("A.b", 3);
        assert_eq!(w.finish(), Err(WireError::TooLong { length: 40_000 }));
    }
}
