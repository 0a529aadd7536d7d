//! [`Reader`]: takes the protocol's values from a frame, believing nothing.
//!
//! What always holds: no value reaches past the end of the frame; strings, bytes and records are slices of it; and the
//! arrays made while decoding take at most [`Reader::budget_for`] bytes together, however the frame lies about lengths.

use bytes::Bytes;

use crate::{ErrorCode, Records, Str, TopicId, WireError};

/// Decoded arrays may take this many times the bytes of the frame. The widest honest message (thousands of topics with
/// names of a few letters) stays below; an array of a million empty strings does not.
pub const DECODED_FACTOR: usize = 16;

/// Every frame may decode into this much, so that the factor does not bite tiny frames.
pub const DECODED_FLOOR: usize = 64 << 10;

type Result<T> = std::result::Result<T, WireError>;

/// A position in a frame, and what may still be spent on decoding it.
pub struct Reader {
    frame: Bytes,
    at: usize,
    flexible: bool,
    budget: usize,
    spent: usize,
}

impl Reader {
    /// Starts at the first byte of `frame`. `flexible` chooses the compact forms and the tagged fields of KIP-482.
    pub fn new(frame: Bytes, flexible: bool) -> Self {
        Reader::within(frame, flexible, usize::MAX)
    }

    /// The same with at most `budget` bytes for the arrays, if that is less than [`Reader::budget_for`].
    pub fn within(frame: Bytes, flexible: bool, budget: usize) -> Self {
        let budget = Self::budget_for(frame.len()).min(budget);
        Reader { frame, at: 0, flexible, budget, spent: 0 }
    }

    /// How many bytes the arrays decoded so far take.
    pub fn spent(&self) -> usize {
        self.spent
    }

    /// How many bytes the arrays decoded from a frame of `len` bytes may take.
    pub const fn budget_for(len: usize) -> usize {
        len.saturating_mul(DECODED_FACTOR).saturating_add(DECODED_FLOOR)
    }

    /// How many bytes have been read.
    pub fn position(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.frame.len() - self.at
    }

    /// What is left, as a slice of the frame.
    pub fn rest(self) -> Bytes {
        self.frame.slice(self.at..)
    }

    fn need(&self, needed: u64) -> Result<()> {
        if needed > self.remaining() as u64 {
            return Err(WireError::Truncated { needed, remaining: self.remaining(), at: self.at });
        }
        Ok(())
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.need(N as u64)?;
        let mut value = [0; N];
        value.copy_from_slice(&self.frame[self.at..self.at + N]);
        self.at += N;
        Ok(value)
    }

    fn slice(&mut self, len: usize) -> Result<Bytes> {
        self.need(len as u64)?;
        let slice = self.frame.slice(self.at..self.at + len);
        self.at += len;
        Ok(slice)
    }

    /// One byte; like Kafka, anything but 0 is true.
    pub fn bool(&mut self) -> Result<bool> {
        Ok(self.fixed::<1>()?[0] != 0)
    }

    /// A signed byte.
    pub fn i8(&mut self) -> Result<i8> {
        self.fixed().map(i8::from_be_bytes)
    }

    /// Two bytes, big endian, as all numbers.
    pub fn i16(&mut self) -> Result<i16> {
        self.fixed().map(i16::from_be_bytes)
    }

    /// Two bytes without sign.
    pub fn u16(&mut self) -> Result<u16> {
        self.fixed().map(u16::from_be_bytes)
    }

    /// Four bytes.
    pub fn i32(&mut self) -> Result<i32> {
        self.fixed().map(i32::from_be_bytes)
    }

    /// Eight bytes.
    pub fn i64(&mut self) -> Result<i64> {
        self.fixed().map(i64::from_be_bytes)
    }

    /// An IEEE 754 double.
    pub fn f64(&mut self) -> Result<f64> {
        self.fixed().map(f64::from_be_bytes)
    }

    /// 16 bytes of a UUID.
    pub fn uuid(&mut self) -> Result<u128> {
        self.fixed().map(u128::from_be_bytes)
    }

    /// 16 bytes of a topic id.
    pub fn topic_id(&mut self) -> Result<TopicId> {
        self.fixed().map(TopicId::from_bytes)
    }

    /// An error code. One that we do not know is `UNKNOWN_SERVER_ERROR`, as in Kafka's own clients.
    pub fn error_code(&mut self) -> Result<ErrorCode> {
        self.i16().map(ErrorCode::from_code)
    }

    /// An unsigned varint of at most five bytes and 32 bits.
    pub fn uvarint(&mut self) -> Result<u32> {
        let start = self.at;
        let mut value = 0u64;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.fixed::<1>()?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| WireError::VarintTooLong { at: start });
            }
        }
        Err(WireError::VarintTooLong { at: start })
    }

    /// The length of what follows, or `None` for null. `wide` says whether the plain form has four bytes or two.
    fn length(&mut self, wide: bool) -> Result<Option<usize>> {
        if self.flexible {
            return Ok((self.uvarint()? as usize).checked_sub(1));
        }
        let length = if wide { self.i32()? } else { i32::from(self.i16()?) };
        match length {
            -1 => Ok(None),
            0.. => Ok(Some(length as usize)),
            _ => Err(WireError::NegativeLength { length: length.into(), at: self.at }),
        }
    }

    fn null(&self) -> WireError {
        WireError::UnexpectedNull { at: self.at }
    }

    /// Text.
    pub fn str(&mut self) -> Result<Str> {
        self.opt_str()?.ok_or_else(|| self.null())
    }

    /// Text or null.
    pub fn opt_str(&mut self) -> Result<Option<Str>> {
        let Some(len) = self.length(false)? else { return Ok(None) };
        Str::from_utf8(self.slice(len)?).map(Some)
    }

    /// Bytes, as a slice of the frame.
    pub fn bytes(&mut self) -> Result<Bytes> {
        self.opt_bytes()?.ok_or_else(|| self.null())
    }

    /// Bytes or null.
    pub fn opt_bytes(&mut self) -> Result<Option<Bytes>> {
        self.length(true)?.map(|len| self.slice(len)).transpose()
    }

    /// Records or null, as one slice of the frame.
    pub fn opt_records(&mut self) -> Result<Option<Records>> {
        Ok(self.opt_bytes()?.map(Records::from))
    }

    /// An array whose elements take at least `size_min` bytes each on the wire.
    pub fn array<T>(&mut self, size_min: usize, read: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        self.opt_array(size_min, read)?.ok_or_else(|| self.null())
    }

    /// An array or null.
    pub fn opt_array<T>(
        &mut self,
        size_min: usize,
        mut read: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Option<Vec<T>>> {
        let Some(count) = self.length(true)? else { return Ok(None) };
        self.need(count as u64 * size_min as u64)?;
        self.spend(count * size_of::<T>())?;
        let mut elements = Vec::with_capacity(count);
        for _ in 0..count {
            elements.push(read(self)?);
        }
        Ok(Some(elements))
    }

    fn spend(&mut self, bytes: usize) -> Result<()> {
        self.spent += bytes;
        if self.spent > self.budget {
            return Err(WireError::TooMuchMemory { budget: self.budget });
        }
        Ok(())
    }

    /// Whether a nullable struct follows: Kafka puts one byte before it, negative for null.
    pub fn present(&mut self) -> Result<bool> {
        Ok(self.i8()? >= 0)
    }

    /// The tagged fields at the end of a struct; none where the version is not flexible.
    pub fn tags(&mut self) -> Result<Tags> {
        let left = if self.flexible { self.uvarint()? } else { 0 };
        Ok(Tags { left, tag: 0, end: None })
    }

    /// Passes over the tagged fields of a struct of which we know none.
    pub fn skip_tags(&mut self) -> Result<()> {
        let mut tags = self.tags()?;
        while tags.next(self)?.is_some() {
            tags.skip(self);
        }
        Ok(())
    }
}

/// The tagged fields of one struct, one at a time: each is either read or skipped before the next.
pub struct Tags {
    left: u32,
    tag: u32,
    end: Option<usize>,
}

impl Tags {
    /// The next tag, or `None` after the last. Refuses a field that did not end where its size said.
    pub fn next(&mut self, reader: &mut Reader) -> Result<Option<u32>> {
        if let Some(declared) = self.end.take()
            && declared != reader.at
        {
            return Err(WireError::TagSize { tag: self.tag, at: reader.at, declared });
        }
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.tag = reader.uvarint()?;
        let size = reader.uvarint()?;
        reader.need(size.into())?;
        self.end = Some(reader.at + size as usize);
        Ok(Some(self.tag))
    }

    /// Passes over the field that `next` announced.
    pub fn skip(&self, reader: &mut Reader) {
        reader.at = self.end.expect("skip follows a next that gave a tag");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(bytes: &[u8], flexible: bool) -> Reader {
        Reader::new(Bytes::copy_from_slice(bytes), flexible)
    }

    #[test]
    fn uvarints_end_at_five_bytes_and_32_bits() {
        assert_eq!(reader(&[0x80, 0x01], true).uvarint(), Ok(128));
        assert_eq!(reader(&[0xff, 0xff, 0xff, 0xff, 0x0f], true).uvarint(), Ok(u32::MAX));
        for long in [[0xff, 0xff, 0xff, 0xff, 0x1f, 0], [0x80, 0x80, 0x80, 0x80, 0x80, 0]] {
            assert_eq!(reader(&long, true).uvarint(), Err(WireError::VarintTooLong { at: 0 }));
        }
        assert!(matches!(reader(&[0x80], true).uvarint(), Err(WireError::Truncated { .. })));
    }

    #[test]
    fn null_is_refused_where_it_is_not_allowed() {
        assert_eq!(reader(&[0], true).str(), Err(WireError::UnexpectedNull { at: 1 }));
        assert_eq!(reader(&[0xff, 0xff], false).str(), Err(WireError::UnexpectedNull { at: 2 }));
        assert_eq!(reader(&[0xff, 0xff], false).opt_str(), Ok(None));
        assert_eq!(reader(&[0xff, 0xfe], false).opt_str(), Err(WireError::NegativeLength { length: -2, at: 2 }));
    }

    #[test]
    fn an_array_is_believed_only_as_far_as_the_frame_reaches() {
        let huge = reader(&[0x7f, 0xff, 0xff, 0xff], false).array(1, |r| r.i8());
        assert!(matches!(huge, Err(WireError::Truncated { .. })));
        let mut frame = vec![0xff, 0xff, 0x3f];
        frame.resize(3 + 1_048_574, 1);
        let empty_strings = reader(&frame, true).array(1, |r| r.str());
        assert!(matches!(empty_strings, Err(WireError::TooMuchMemory { .. })));
    }

    #[test]
    fn unknown_tags_are_passed_over_and_sizes_must_fit() {
        let mut ok = reader(&[2, 7, 3, 1, 2, 3, 9, 0], true);
        assert_eq!(ok.skip_tags(), Ok(()));
        assert_eq!(ok.remaining(), 0);
        let mut short = reader(&[1, 0, 2, 1, 2], true);
        let mut tags = short.tags().unwrap();
        assert_eq!(tags.next(&mut short), Ok(Some(0)));
        short.bool().unwrap();
        assert_eq!(tags.next(&mut short), Err(WireError::TagSize { tag: 0, at: 4, declared: 5 }));
    }
}
