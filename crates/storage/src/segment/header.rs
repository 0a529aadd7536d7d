//! The head of a segment file.
//!
//! ```text
//!   0 magic "AilurSeg" | 8 version u16 | 10 reserved u16 = 0 | 12 header length u32 = 128
//!  16 group u64 | 24 salt u64
//!  32 base index i64 | 40 base offset i64 | 48 term before i32 | 52 reserved u32 = 0 | 56 created (ms since 1970) i64
//!  64 cleaned below (offset) i64
//!  72 end index i64 | 80 end offset i64 | 88 end term i32        all -1 unless the file was written whole, by compaction
//!  92 reserved [u8; 32] = 0 | 124 crc32c of the 124 bytes before u32
//! ```
//! All numbers are little endian.

use ailurus_base::crc;
use ailurus_model::{GroupId, Index, Offset, Term};

use super::Position;
use super::frame::Seal;

/// Where the first frame begins.
pub const FILE_HEADER_LEN: usize = 128;
/// The format this code writes. It reads this one and all earlier ones.
pub const FORMAT_VERSION: u16 = 1;

const MAGIC: &[u8; 8] = b"AilurSeg";
const CRC_AT: usize = 124;

/// What a segment file says about itself; written once, when the file is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileHeader {
    /// What its frames are sealed with.
    pub seal: Seal,
    /// The place before its first entry.
    pub base: Position,
    /// When the file was made, or for a compacted one the time of the oldest file that went into it; ms since 1970.
    pub created_ms: i64,
    /// Records below this offset were compacted against all older ones. The base offset if that never happened.
    pub cleaned_below: Offset,
    /// The place behind its last entry, which compaction may have removed; `None` for a file that grows by appends.
    pub end: Option<Position>,
}

impl FileHeader {
    /// The bytes at the start of the file.
    pub fn encode(&self) -> [u8; FILE_HEADER_LEN] {
        let end = self.end.unwrap_or(Position { index: Index(-1), offset: Offset(-1), term: Term(-1) });
        let mut out = [0; FILE_HEADER_LEN];
        out[0..8].copy_from_slice(MAGIC);
        out[8..10].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        out[12..16].copy_from_slice(&(FILE_HEADER_LEN as u32).to_le_bytes());
        out[16..24].copy_from_slice(&self.seal.group.0.to_le_bytes());
        out[24..32].copy_from_slice(&self.seal.salt.to_le_bytes());
        out[32..40].copy_from_slice(&self.base.index.0.to_le_bytes());
        out[40..48].copy_from_slice(&self.base.offset.0.to_le_bytes());
        out[48..52].copy_from_slice(&self.base.term.0.to_le_bytes());
        out[56..64].copy_from_slice(&self.created_ms.to_le_bytes());
        out[64..72].copy_from_slice(&self.cleaned_below.0.to_le_bytes());
        out[72..80].copy_from_slice(&end.index.0.to_le_bytes());
        out[80..88].copy_from_slice(&end.offset.0.to_le_bytes());
        out[88..92].copy_from_slice(&end.term.0.to_le_bytes());
        let crc = crc::crc32c(&out[..CRC_AT]);
        out[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads the header of the file that should belong to `group`; the error says what is wrong, for people.
    pub fn parse(bytes: &[u8], group: GroupId) -> Result<FileHeader, String> {
        let Some(bytes) = bytes.first_chunk::<FILE_HEADER_LEN>() else {
            return Err(format!("{} bytes are too few for a segment header", bytes.len()));
        };
        if &bytes[0..8] != MAGIC {
            return Err("not a segment file (magic)".into());
        }
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if version != FORMAT_VERSION {
            return Err(format!("segment format version {version}, this program reads version {FORMAT_VERSION}"));
        }
        if crc::crc32c(&bytes[..CRC_AT]) != u32::from_le_bytes(four(bytes, CRC_AT)) {
            return Err("header crc does not match".into());
        }
        let header = decode(bytes);
        if header.seal.group != group {
            return Err(format!("belongs to group {}, not {group}", header.seal.group));
        }
        Ok(header)
    }
}

fn decode(bytes: &[u8; FILE_HEADER_LEN]) -> FileHeader {
    let position = |index_at: usize, offset_at: usize, term_at: usize| Position {
        index: Index(i64::from_le_bytes(eight(bytes, index_at))),
        offset: Offset(i64::from_le_bytes(eight(bytes, offset_at))),
        term: Term(i32::from_le_bytes(four(bytes, term_at))),
    };
    let end = position(72, 80, 88);
    FileHeader {
        seal: Seal { group: GroupId(u64::from_le_bytes(eight(bytes, 16))), salt: u64::from_le_bytes(eight(bytes, 24)) },
        base: position(32, 40, 48),
        created_ms: i64::from_le_bytes(eight(bytes, 56)),
        cleaned_below: Offset(i64::from_le_bytes(eight(bytes, 64))),
        end: (end.index.0 >= 0).then_some(end),
    }
}

fn eight(bytes: &[u8], at: usize) -> [u8; 8] {
    bytes[at..at + 8].try_into().expect("eight bytes")
}

fn four(bytes: &[u8], at: usize) -> [u8; 4] {
    bytes[at..at + 4].try_into().expect("four bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> FileHeader {
        FileHeader {
            seal: Seal { group: GroupId(7), salt: 0xfeed },
            base: Position { index: Index(12), offset: Offset(10), term: Term(3) },
            created_ms: 1_700_000_000_000,
            cleaned_below: Offset(10),
            end: None,
        }
    }

    #[test]
    fn a_header_reads_as_it_was_written() {
        let grown = header();
        let whole = FileHeader { end: Some(Position { index: Index(40), offset: Offset(37), term: Term(4) }), ..grown };
        assert_eq!(FileHeader::parse(&grown.encode(), GroupId(7)), Ok(grown));
        assert_eq!(FileHeader::parse(&whole.encode(), GroupId(7)), Ok(whole));
    }

    #[test]
    fn any_flipped_bit_and_any_other_group_is_refused() {
        let bytes = header().encode();
        for bit in 0..FILE_HEADER_LEN * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(FileHeader::parse(&bad, GroupId(7)).is_err(), "bit {bit}");
        }
        assert!(FileHeader::parse(&bytes, GroupId(8)).is_err());
        assert!(FileHeader::parse(&bytes[..100], GroupId(7)).is_err());
    }
}
