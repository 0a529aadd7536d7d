//! What opening a log needs to know so that it reads nothing older.
//!
//! ```text
//! version u8 = 1 | end: index i64, offset i64, term i32 | growing u8 (0 or 1), and if 1:
//! name: base offset i64, term i32 | summary: base (20 bytes), salt u64, bytes u64, max timestamp i64,
//! created i64, cleaned below i64 | rows u16 | rows: offset i64, index i64, time before i64, position u64
//! ```
//! All numbers are little endian. It travels inside the journal's checkpoint entry, whose crc protects it.

use ailurus_model::{GroupId, Index, Offset};

use crate::cursor::Cursor;

use super::Position;
use super::frame::Seal;
use super::index::{IndexRow, ROW_LEN};
use super::name::SegmentName;
use super::summary::Summary;

/// The checkpoint format this code writes.
pub const CHECKPOINT_VERSION: u8 = 1;

/// A place up to which the segments of a log are flushed, and how to go on from there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentCheckpoint {
    /// Everything before this place lies flushed in segments (or was removed by retention).
    pub end: Position,
    /// The segment that grows, if there is one; its end is `end`.
    pub growing: Option<GrowingCheckpoint>,
}

/// The growing segment at a checkpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GrowingCheckpoint {
    /// Which file.
    pub name: SegmentName,
    /// Its facts.
    pub summary: Summary,
    /// A sample of its index.
    pub rows: Vec<IndexRow>,
}

impl SegmentCheckpoint {
    /// Of a log without segments whose next entry is at `end`.
    pub fn empty(end: Position) -> Self {
        SegmentCheckpoint { end, growing: None }
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![CHECKPOINT_VERSION];
        put_position(&mut out, &self.end);
        out.push(u8::from(self.growing.is_some()));
        if let Some(GrowingCheckpoint { name, summary, rows }) = &self.growing {
            out.extend_from_slice(&name.base.0.to_le_bytes());
            out.extend_from_slice(&name.term.0.to_le_bytes());
            put_position(&mut out, &summary.base);
            for word in [
                summary.seal.salt as i64,
                summary.bytes as i64,
                summary.max_timestamp,
                summary.created_ms,
                summary.cleaned_below.0,
            ] {
                out.extend_from_slice(&word.to_le_bytes());
            }
            out.extend_from_slice(&(rows.len() as u16).to_le_bytes());
            rows.iter().for_each(|row| row.encode(&mut out));
        }
        out
    }

    /// Reads one of the log of `group`; `None` if it is cut short, longer, or of another version.
    pub fn decode(bytes: &[u8], group: GroupId) -> Option<Self> {
        let mut bytes = Cursor(bytes);
        if bytes.take::<1>()? != [CHECKPOINT_VERSION] {
            return None;
        }
        let end = bytes.position()?;
        let growing = match bytes.take::<1>()? {
            [0] => None,
            [1] => Some(bytes.growing(group, end)?),
            _ => return None,
        };
        bytes.0.is_empty().then_some(SegmentCheckpoint { end, growing })
    }
}

fn put_position(out: &mut Vec<u8>, position: &Position) {
    out.extend_from_slice(&position.index.0.to_le_bytes());
    out.extend_from_slice(&position.offset.0.to_le_bytes());
    out.extend_from_slice(&position.term.0.to_le_bytes());
}

impl Cursor<'_> {
    fn position(&mut self) -> Option<Position> {
        Some(Position { index: Index(self.word()?), offset: Offset(self.word()?), term: self.term()? })
    }

    fn growing(&mut self, group: GroupId, end: Position) -> Option<GrowingCheckpoint> {
        let name = SegmentName { base: Offset(self.word()?), term: self.term()? };
        let summary = Summary {
            base: self.position()?,
            end,
            seal: Seal { group, salt: self.word()? as u64 },
            bytes: self.word()? as u64,
            max_timestamp: self.word()?,
            created_ms: self.word()?,
            cleaned_below: Offset(self.word()?),
        };
        let count = u16::from_le_bytes(self.take()?);
        let rows =
            (0..count).map(|_| self.take::<ROW_LEN>().map(|row| IndexRow::decode(&row))).collect::<Option<_>>()?;
        Some(GrowingCheckpoint { name, summary, rows })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ailurus_model::Term;

    #[test]
    fn a_checkpoint_reads_as_it_was_written() {
        let end = Position { index: Index(105), offset: Offset(100), term: Term(4) };
        let summary = Summary {
            seal: Seal { group: GroupId(9), salt: u64::MAX - 1 },
            base: Position { index: Index(5), offset: Offset(3), term: Term(1) },
            end,
            bytes: 9000,
            max_timestamp: 77,
            created_ms: 1,
            cleaned_below: Offset(3),
        };
        let row = IndexRow { offset: Offset(3), index: Index(5), time_before: -1, position: 128 };
        let name = SegmentName { base: Offset(3), term: Term(2) };
        for checkpoint in [
            SegmentCheckpoint::empty(end),
            SegmentCheckpoint { end, growing: Some(GrowingCheckpoint { name, summary, rows: vec![row; 3] }) },
        ] {
            let bytes = checkpoint.encode();
            assert_eq!(SegmentCheckpoint::decode(&bytes, GroupId(9)), Some(checkpoint));
            for cut in 0..bytes.len() {
                assert_eq!(SegmentCheckpoint::decode(&bytes[..cut], GroupId(9)), None);
            }
        }
    }
}
