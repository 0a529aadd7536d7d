//! What is known of one segment without reading its frames, and the sidecar that keeps it for a closed one.
//!
//! ```text
//!   0 magic "AilurIdx" | 8 version u16 | 10 reserved u16 = 0 | 12 crc32c u32 of all that follows
//!  16 group u64 | 24 salt u64 (of the segment file: a sidecar of an earlier file with this name is ignored)
//!  32 base: index i64, offset i64, term i32 | 52 end: index i64, offset i64, term i32
//!  72 bytes u64 | 80 max timestamp i64 | 88 created i64 | 96 cleaned below i64
//! 104 stride u64 | 112 rows u32 | 116 rows: offset i64, index i64, time before i64, position u64
//! ```
//! All numbers are little endian. A sidecar can be lost at any time: scanning the segment gives it back.

use ailurus_base::crc;
use ailurus_model::{GroupId, Index, Offset, Term};

use super::Position;
use super::frame::{FrameHeader, Seal};
use super::header::{FILE_HEADER_LEN, FileHeader};
use super::index::{INDEX_ROWS_MAX, IndexRow, ROW_LEN, SparseIndex};

/// The sidecar format this code writes.
pub const SIDECAR_VERSION: u16 = 1;

const MAGIC: &[u8; 8] = b"AilurIdx";
const ROWS_AT: usize = 116;

/// Facts of one segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Summary {
    /// What its frames are sealed with.
    pub seal: Seal,
    /// The place before its first entry.
    pub base: Position,
    /// The place behind its last entry.
    pub end: Position,
    /// Bytes from the start of the file to the end of the last frame.
    pub bytes: u64,
    /// No record has a later timestamp, and after appends alone one has this one; -1 if there is none.
    pub max_timestamp: i64,
    /// See [`FileHeader::created_ms`].
    pub created_ms: i64,
    /// See [`FileHeader::cleaned_below`].
    pub cleaned_below: Offset,
}

impl Summary {
    /// A segment whose file has only its header yet.
    pub fn of_empty(header: &FileHeader) -> Self {
        Summary {
            seal: header.seal,
            base: header.base,
            end: header.base,
            bytes: FILE_HEADER_LEN as u64,
            max_timestamp: -1,
            created_ms: header.created_ms,
            cleaned_below: header.cleaned_below,
        }
    }

    /// Takes in the frame that stands at the end.
    pub fn push(&mut self, frame: &FrameHeader) {
        self.max_timestamp = self.max_timestamp.max(frame.max_timestamp());
        self.bytes += frame.frame_len();
        self.end = frame.end();
    }

    /// Whether no frame was written.
    pub fn is_empty(&self) -> bool {
        self.bytes == FILE_HEADER_LEN as u64
    }

    /// Whether every record in it was compacted against all older ones.
    pub fn is_clean(&self) -> bool {
        self.cleaned_below >= self.end.offset
    }
}

fn put_position(out: &mut Vec<u8>, position: &Position) {
    out.extend_from_slice(&position.index.0.to_le_bytes());
    out.extend_from_slice(&position.offset.0.to_le_bytes());
    out.extend_from_slice(&position.term.0.to_le_bytes());
}

/// The bytes of a sidecar.
pub fn encode_sidecar(summary: &Summary, index: &SparseIndex) -> Vec<u8> {
    let mut out = Vec::with_capacity(ROWS_AT + index.rows().len() * ROW_LEN);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&SIDECAR_VERSION.to_le_bytes());
    out.extend_from_slice(&[0; 6]);
    out.extend_from_slice(&summary.seal.group.0.to_le_bytes());
    out.extend_from_slice(&summary.seal.salt.to_le_bytes());
    put_position(&mut out, &summary.base);
    put_position(&mut out, &summary.end);
    out.extend_from_slice(&summary.bytes.to_le_bytes());
    out.extend_from_slice(&summary.max_timestamp.to_le_bytes());
    out.extend_from_slice(&summary.created_ms.to_le_bytes());
    out.extend_from_slice(&summary.cleaned_below.0.to_le_bytes());
    out.extend_from_slice(&index.stride().to_le_bytes());
    out.extend_from_slice(&(index.rows().len() as u32).to_le_bytes());
    debug_assert_eq!(out.len(), ROWS_AT);
    for row in index.rows() {
        row.encode(&mut out);
    }
    let crc = crc::crc32c(&out[16..]);
    out[12..16].copy_from_slice(&crc.to_le_bytes());
    out
}

/// Reads a sidecar; `None` if it is damaged, of another version, or of another file than the one with this seal.
pub fn decode_sidecar(bytes: &[u8], seal: Seal) -> Option<(Summary, SparseIndex)> {
    if bytes.len() < ROWS_AT || &bytes[0..8] != MAGIC || bytes[8..10] != SIDECAR_VERSION.to_le_bytes() {
        return None;
    }
    if crc::crc32c(&bytes[16..]) != u32::from_le_bytes(bytes[12..16].try_into().ok()?) {
        return None;
    }
    let summary = decode_summary(bytes)?;
    let rows = bytes[ROWS_AT..].as_chunks::<ROW_LEN>().0;
    let counted = u32::from_le_bytes(bytes[112..116].try_into().ok()?) as usize;
    if summary.seal != seal || rows.len() != counted || counted > INDEX_ROWS_MAX {
        return None;
    }
    let stride = u64::from_le_bytes(bytes[104..112].try_into().ok()?);
    Some((summary, SparseIndex::from_rows(stride, INDEX_ROWS_MAX, rows.iter().map(IndexRow::decode))))
}

fn decode_summary(bytes: &[u8]) -> Option<Summary> {
    let word = |at: usize| Some(i64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let position = |at: usize| {
        let term = i32::from_le_bytes(bytes.get(at + 16..at + 20)?.try_into().ok()?);
        Some(Position { index: Index(word(at)?), offset: Offset(word(at + 8)?), term: Term(term) })
    };
    Some(Summary {
        seal: Seal { group: GroupId(word(16)? as u64), salt: word(24)? as u64 },
        base: position(32)?,
        end: position(52)?,
        bytes: word(72)? as u64,
        max_timestamp: word(80)?,
        created_ms: word(88)?,
        cleaned_below: Offset(word(96)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sidecar() -> (Summary, SparseIndex) {
        let summary = Summary {
            seal: Seal { group: GroupId(9), salt: 1 << 63 },
            base: Position { index: Index(5), offset: Offset(3), term: Term(1) },
            end: Position { index: Index(105), offset: Offset(100), term: Term(4) },
            bytes: 9000,
            max_timestamp: 77,
            created_ms: 1,
            cleaned_below: Offset(3),
        };
        let rows = (0..20).map(|n| IndexRow {
            offset: Offset(3 + n),
            index: Index(5 + n),
            time_before: n - 1,
            position: 128 + 100 * n as u64,
        });
        (summary, SparseIndex::from_rows(100, INDEX_ROWS_MAX, rows))
    }

    #[test]
    fn a_sidecar_reads_as_it_was_written() {
        let (summary, index) = sidecar();
        let bytes = encode_sidecar(&summary, &index);
        let (read, rows) = decode_sidecar(&bytes, summary.seal).expect("whole");
        assert_eq!((read, rows.rows()), (summary, index.rows()));
    }

    #[test]
    fn a_damaged_or_foreign_sidecar_is_ignored() {
        let (summary, index) = sidecar();
        let bytes = encode_sidecar(&summary, &index);
        assert!(decode_sidecar(&bytes, Seal { salt: 5, ..summary.seal }).is_none());
        assert!(decode_sidecar(&bytes[..bytes.len() - 1], summary.seal).is_none());
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 0x10;
            // The two reserved bytes after the version are all that a later version may use without being refused.
            assert!(decode_sidecar(&bad, summary.seal).is_none() || (10..12).contains(&at), "byte {at}");
        }
    }
}
