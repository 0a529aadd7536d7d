//! One entry of the log as it lies in a segment.
//!
//! ```text
//!  0 len u32 (of the payload) | 4 header crc u32 | 8 kind u8 | 9 reserved [u8; 3] = 0 | 12 term i32 | 16 index i64 | 24 payload
//! ```
//! Numbers of the header are little endian. The payload of a batch is the Kafka v2 batch, verbatim; the payload of a
//! control entry is the Kafka offset of the place it stands at (big endian, as in a batch) and then its own bytes.
//!
//! The header crc is CRC32C over the group id, the salt of the file, the header without the crc itself, and what Kafka's
//! own CRC leaves out: the first 21 bytes of a batch (which hold that CRC), all of a control entry. So a frame of another
//! partition, of an earlier file with this name or of a recycled block never passes for one of this file.

use ailurus_base::crc;
use ailurus_model::{GroupId, Index, Offset, Term};
use ailurus_record::{BatchHeader, HEADER_LEN, crc_ok};
use bytes::Bytes;

use super::Position;

/// Bytes in front of every payload.
pub const FRAME_HEADER_LEN: usize = 24;
/// Bytes of a batch that the frame's crc covers: all that precede the range of Kafka's own CRC.
pub const BATCH_BYTES_COVERED: usize = 21;
/// No payload is larger. Far above any `max.message.bytes` that a client can use, far below what could exhaust memory.
pub const PAYLOAD_BYTES_MAX: u32 = 256 << 20;
/// How much of a frame must be there to judge its header, whatever its kind (a shorter payload is judged whole).
pub const PROBE_LEN: usize = FRAME_HEADER_LEN + HEADER_LEN;
/// No control entry is larger: its crc covers all of it, so a reader needs all of it to judge the header.
pub const CONTROL_BYTES_MAX: u32 = 1 << 20;

/// What a frame holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameKind {
    /// A Kafka v2 batch; as wide as the offsets it covers.
    Batch = 1,
    /// An entry of consensus's own; 1 wide in indexes, 0 in offsets.
    Control = 2,
}

/// The content of an entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// A Kafka v2 batch with its offset stamped.
    Batch(Bytes),
    /// An entry of consensus's own, which no client sees.
    Control {
        /// Kafka offset of the next record at this place.
        offset: Offset,
        /// Its bytes; at most [`CONTROL_BYTES_MAX`] less eight.
        payload: Bytes,
    },
}

impl Body {
    /// Its own bytes: the batch, or the payload of a control entry.
    pub(crate) fn bytes(&self) -> &Bytes {
        match self {
            Body::Batch(bytes) => bytes,
            Body::Control { payload, .. } => payload,
        }
    }

    /// The same, to lay them elsewhere.
    pub(crate) fn bytes_mut(&mut self) -> &mut Bytes {
        match self {
            Body::Batch(bytes) => bytes,
            Body::Control { payload, .. } => payload,
        }
    }
}

/// An entry with its place in consensus.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// The term in which it was appended.
    pub term: Term,
    /// Its first index.
    pub index: Index,
    /// What it is.
    pub body: Body,
}

/// What a frame's crc is made with beside its own bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seal {
    /// The log's group.
    pub group: GroupId,
    /// The file's random number.
    pub salt: u64,
}

/// A decoded frame header together with what the first bytes of the payload say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameHeader {
    /// Bytes of the payload.
    pub len: u32,
    /// What the payload is.
    pub kind: FrameKind,
    /// Term of the entry.
    pub term: Term,
    /// First index of the entry.
    pub index: Index,
    /// Kafka offset of the entry's place: a batch's base offset.
    pub offset: Offset,
    /// The batch's own header; `None` for a control entry.
    pub batch: Option<BatchHeader>,
}

/// Why bytes are not a frame of this file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameFault {
    /// Zeros: nothing was written here.
    Empty,
    /// More bytes are needed to tell; at least this many from the frame's start.
    Short(usize),
    /// Not a frame that this file's writer made.
    Bad(&'static str),
}

impl FrameHeader {
    /// Bytes of the whole frame.
    pub fn frame_len(&self) -> u64 {
        FRAME_HEADER_LEN as u64 + u64::from(self.len)
    }

    /// The place before this entry, given the term of the entry before.
    pub fn base(&self, term_before: Term) -> Position {
        Position { index: self.index, offset: self.offset, term: term_before }
    }

    /// The place behind this entry.
    pub fn end(&self) -> Position {
        let (index, offset) = match &self.batch {
            Some(batch) => (self.index.plus(batch.offsets_count()), batch.next_offset()),
            None => (self.index.next(), self.offset),
        };
        Position { index, offset, term: self.term }
    }

    /// The largest timestamp of its records; -1 if it has none.
    pub fn max_timestamp(&self) -> i64 {
        self.batch.map_or(-1, |batch| if batch.records_count == 0 { -1 } else { batch.max_timestamp })
    }

    /// Reads the header of the frame at the start of `bytes`.
    ///
    /// Proven afterwards: written by this file's writer (crc), lengths agree, the batch header is sound. Not proven: the
    /// records (see [`payload_ok`]). Never looks past `PROBE_LEN` bytes, except for a control entry.
    pub fn parse(bytes: &[u8], seal: Seal) -> Result<FrameHeader, FrameFault> {
        if bytes.len() < FRAME_HEADER_LEN {
            return Err(FrameFault::Short(FRAME_HEADER_LEN));
        }
        let header: &[u8; FRAME_HEADER_LEN] = bytes[..FRAME_HEADER_LEN].try_into().expect("cut to this length");
        if header.iter().all(|byte| *byte == 0) {
            return Err(FrameFault::Empty);
        }
        let len = u32::from_le_bytes(header[0..4].try_into().expect("four bytes"));
        let kind = match header[8] {
            1 => FrameKind::Batch,
            2 => FrameKind::Control,
            _ => return Err(FrameFault::Bad("unknown frame kind")),
        };
        let covered = covered_len(kind, len)?;
        let needed = FRAME_HEADER_LEN + if kind == FrameKind::Batch { HEADER_LEN } else { covered };
        if bytes.len() < needed {
            return Err(FrameFault::Short(needed));
        }
        let payload = &bytes[FRAME_HEADER_LEN..];
        let crc = u32::from_le_bytes(header[4..8].try_into().expect("four bytes"));
        if crc != header_crc(header, &payload[..covered], seal) {
            return Err(FrameFault::Bad("header crc does not match"));
        }
        let batch = match kind {
            FrameKind::Batch => Some(batch_header(payload, len)?),
            FrameKind::Control => None,
        };
        Ok(FrameHeader {
            len,
            kind,
            term: Term(i32::from_le_bytes(header[12..16].try_into().expect("four bytes"))),
            index: Index(i64::from_le_bytes(header[16..24].try_into().expect("eight bytes"))),
            offset: Offset(i64::from_be_bytes(payload[..8].try_into().expect("eight bytes"))),
            batch,
        })
    }

    /// Whether the payload's own bytes are those that were written. A control entry was proven with its header.
    pub fn payload_ok(&self, payload: &[u8]) -> bool {
        self.kind == FrameKind::Control || crc_ok(payload)
    }

    /// The entry, its bytes a slice of `payload`.
    pub fn body(&self, payload: Bytes) -> Body {
        match self.kind {
            FrameKind::Batch => Body::Batch(payload),
            FrameKind::Control => Body::Control { offset: self.offset, payload: payload.slice(8..) },
        }
    }
}

fn covered_len(kind: FrameKind, len: u32) -> Result<usize, FrameFault> {
    match kind {
        FrameKind::Batch if (HEADER_LEN as u32..=PAYLOAD_BYTES_MAX).contains(&len) => Ok(BATCH_BYTES_COVERED),
        FrameKind::Control if (8..=CONTROL_BYTES_MAX).contains(&len) => Ok(len as usize),
        _ => Err(FrameFault::Bad("impossible length")),
    }
}

fn batch_header(payload: &[u8], len: u32) -> Result<BatchHeader, FrameFault> {
    let batch = BatchHeader::parse(payload).map_err(|_| FrameFault::Bad("batch header is not sound"))?;
    if batch.size_in_bytes() as u64 != u64::from(len) {
        return Err(FrameFault::Bad("batch and frame differ in length"));
    }
    Ok(batch)
}

fn header_crc(header: &[u8; FRAME_HEADER_LEN], covered: &[u8], seal: Seal) -> u32 {
    let mut crc = crc::crc32c(&seal.group.0.to_le_bytes());
    crc = crc::crc32c_append(crc, &seal.salt.to_le_bytes());
    crc = crc::crc32c_append(crc, &header[0..4]);
    crc = crc::crc32c_append(crc, &header[8..]);
    crc::crc32c_append(crc, covered)
}

impl Frame {
    /// Bytes of its payload on disk.
    pub fn payload_len(&self) -> usize {
        match &self.body {
            Body::Batch(bytes) => bytes.len(),
            Body::Control { payload, .. } => 8 + payload.len(),
        }
    }

    /// Bytes it takes on disk.
    pub fn encoded_len(&self) -> u64 {
        (FRAME_HEADER_LEN + self.payload_len()) as u64
    }

    /// Hands header and payload to `put`, in pieces and in order.
    ///
    /// # Panics
    /// If the payload is longer than its kind allows: such an entry would never be read back.
    pub fn encode(&self, seal: Seal, mut put: impl FnMut(&[u8])) {
        put(&self.head(seal));
        if let Body::Control { offset, .. } = &self.body {
            put(&offset.0.to_be_bytes());
        }
        put(self.body.bytes());
    }

    fn head(&self, seal: Seal) -> [u8; FRAME_HEADER_LEN] {
        let kind = match &self.body {
            Body::Batch(_) => FrameKind::Batch,
            Body::Control { .. } => FrameKind::Control,
        };
        let len = u32::try_from(self.payload_len()).unwrap_or(u32::MAX);
        assert!(covered_len(kind, len).is_ok(), "a {kind:?} entry of {} bytes cannot be stored", self.payload_len());
        let mut head = [0; FRAME_HEADER_LEN];
        head[0..4].copy_from_slice(&len.to_le_bytes());
        head[8] = kind as u8;
        head[12..16].copy_from_slice(&self.term.0.to_le_bytes());
        head[16..24].copy_from_slice(&self.index.0.to_le_bytes());
        let crc = match &self.body {
            Body::Batch(bytes) => header_crc(&head, &bytes[..BATCH_BYTES_COVERED], seal),
            Body::Control { offset, payload } => {
                let mut covered = offset.0.to_be_bytes().to_vec();
                covered.extend_from_slice(payload);
                header_crc(&head, &covered, seal)
            }
        };
        head[4..8].copy_from_slice(&crc.to_le_bytes());
        head
    }

    /// Its header as a reader would see it.
    ///
    /// # Panics
    /// If a batch is not one: the caller verified and stamped it.
    pub fn header(&self) -> FrameHeader {
        let (kind, offset, batch) = match &self.body {
            Body::Batch(bytes) => {
                let batch = BatchHeader::parse(bytes).expect("a stamped batch has a sound header");
                (FrameKind::Batch, Offset(batch.base_offset), Some(batch))
            }
            Body::Control { offset, .. } => (FrameKind::Control, *offset, None),
        };
        FrameHeader { len: self.payload_len() as u32, kind, term: self.term, index: self.index, offset, batch }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ailurus_record::BatchBuilder;

    const SEAL: Seal = Seal { group: GroupId(3), salt: 99 };

    fn batch(base: i64) -> Frame {
        let mut builder = BatchBuilder::new().at(Offset(base), Term(4));
        for n in 0..3 {
            builder.push(100 + n, Some(b"key"), Some(b"value"), &[]);
        }
        Frame { term: Term(4), index: Index(base + 2), body: Body::Batch(builder.build()) }
    }

    fn control(index: i64) -> Frame {
        let body = Body::Control { offset: Offset(index - 2), payload: Bytes::from_static(b"term start") };
        Frame { term: Term(4), index: Index(index), body }
    }

    fn encode(frame: &Frame, seal: Seal) -> Vec<u8> {
        let mut out = Vec::new();
        frame.encode(seal, |piece| out.extend_from_slice(piece));
        assert_eq!(out.len() as u64, frame.encoded_len());
        out
    }

    #[test]
    fn frames_read_as_they_were_written() {
        for frame in [batch(10), control(12)] {
            let bytes = encode(&frame, SEAL);
            let header = FrameHeader::parse(&bytes, SEAL).expect("whole");
            assert_eq!(header, frame.header());
            let payload = Bytes::from(bytes).slice(FRAME_HEADER_LEN..);
            assert!(header.payload_ok(&payload));
            assert_eq!(header.body(payload), frame.body);
        }
    }

    #[test]
    fn an_entry_knows_the_place_behind_it() {
        let place = |index, offset| Position { index: Index(index), offset: Offset(offset), term: Term(4) };
        assert_eq!(batch(10).header().end(), place(15, 13));
        assert_eq!(control(12).header().end(), place(13, 10));
    }

    #[test]
    fn any_flipped_bit_is_noticed_by_one_of_the_two_crcs() {
        for frame in [batch(10), control(12)] {
            let bytes = encode(&frame, SEAL);
            for bit in 0..bytes.len() * 8 {
                let mut bad = bytes.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                let noticed = match FrameHeader::parse(&bad, SEAL) {
                    // The reserved bytes are covered by the crc as well.
                    Err(_) => true,
                    Ok(header) => !header.payload_ok(&bad[FRAME_HEADER_LEN..]),
                };
                assert!(noticed, "bit {bit} of {:?}", frame.header().kind);
            }
        }
    }

    #[test]
    fn frames_of_another_file_or_log_are_refused() {
        let bytes = encode(&batch(10), SEAL);
        for seal in [Seal { salt: 98, ..SEAL }, Seal { group: GroupId(4), ..SEAL }] {
            assert!(matches!(FrameHeader::parse(&bytes, seal), Err(FrameFault::Bad(_))));
        }
    }

    #[test]
    fn a_reader_is_told_how_much_more_it_needs() {
        for frame in [batch(10), control(12)] {
            let bytes = encode(&frame, SEAL);
            let mut have = 0;
            while let Err(FrameFault::Short(needed)) = FrameHeader::parse(&bytes[..have], SEAL) {
                assert!(needed > have);
                have = needed;
            }
            assert!(FrameHeader::parse(&bytes[..have], SEAL).is_ok() && have <= PROBE_LEN);
        }
        assert_eq!(FrameHeader::parse(&[0; 200], SEAL), Err(FrameFault::Empty));
    }
}
