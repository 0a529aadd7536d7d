//! All that must be known of a log except its entries: what a checkpoint entry of the journal holds, and the file that
//! a released log leaves in its directory.
//!
//! ```text
//! body | version u8 = 1 | topic id [u8; 16] | partition i32 | log start: index i64, offset i64, term i32
//!      | hard state: term i32, vote i32 (-1: none) | internal u8 | drained: index i64, offset i64, term i32
//!      | rows u32 | rows: index i64, offset i64, term i32, control u8
//!      | state u8 (0: none, 1) | state index i64 | state len u32 | state | segments len u32 | segments
//! file | magic "AILURUSC" | crc32c u32 of all that follows | group id u64 | owner epoch u32 | body
//! ```

use ailurus_base::crc;
use ailurus_model::{GroupId, Index, NodeId, Offset, OwnerEpoch, PartitionId, TopicId, TopicIdPartition};
use bytes::Bytes;

use crate::LogStart;
use crate::cursor::Cursor;
use crate::entry::HardState;
use crate::epochs::{EpochRow, EpochTable};

const VERSION: u8 = 1;
const FILE_MAGIC: [u8; 8] = *b"AILURUSC";

/// Everything that the entries before it said, except the batches behind `drained`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Checkpoint {
    pub(crate) topic: TopicIdPartition,
    pub(crate) start: LogStart,
    pub(crate) hard_state: HardState,
    /// The broker's own: recovery and full disks treat it first.
    pub(crate) internal: bool,
    /// The place up to which entries lie flushed in segments.
    pub(crate) drained: LogStart,
    /// Rows of the entries before `drained`.
    pub(crate) epochs: EpochTable,
    /// What the partition above knows of producers, and the last index that it had seen.
    pub(crate) state: Option<(Index, Bytes)>,
    /// How to open the segments; theirs to read.
    pub(crate) segments: Bytes,
}

impl Checkpoint {
    /// Of a log that never held anything.
    pub(crate) fn genesis(topic: TopicIdPartition, internal: bool, segments: Bytes) -> Self {
        Checkpoint {
            topic,
            start: LogStart::START,
            hard_state: HardState::default(),
            internal,
            drained: LogStart::START,
            epochs: EpochTable::default(),
            state: None,
            segments,
        }
    }

    /// Its bytes in the journal.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&self.topic.topic.to_bytes());
        out.extend_from_slice(&self.topic.partition.0.to_le_bytes());
        put_position(&mut out, &self.start);
        out.extend_from_slice(&self.hard_state.term.0.to_le_bytes());
        out.extend_from_slice(&self.hard_state.vote.map_or(-1, |node| node.0).to_le_bytes());
        out.push(u8::from(self.internal));
        put_position(&mut out, &self.drained);
        put_len(&mut out, self.epochs.rows().len());
        for row in self.epochs.rows() {
            out.extend_from_slice(&row.index.0.to_le_bytes());
            out.extend_from_slice(&row.offset.0.to_le_bytes());
            out.extend_from_slice(&row.term.0.to_le_bytes());
            out.push(u8::from(row.control));
        }
        let (index, state) = self.state.clone().unwrap_or((Index(-1), Bytes::new()));
        out.push(u8::from(self.state.is_some()));
        out.extend_from_slice(&index.0.to_le_bytes());
        put_len(&mut out, state.len());
        out.extend_from_slice(&state);
        put_len(&mut out, self.segments.len());
        out.extend_from_slice(&self.segments);
        out
    }

    /// Reads one; `None` if it is cut short, longer, not sound, or of another version.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut cursor = Cursor(bytes);
        if cursor.take::<1>()? != [VERSION] {
            return None;
        }
        let topic =
            TopicIdPartition { topic: TopicId::from_bytes(cursor.take()?), partition: PartitionId(cursor.number()?) };
        let start = cursor.log_start()?;
        let term = cursor.term()?;
        let vote = Some(cursor.number()?).filter(|node| *node >= 0).map(NodeId);
        let internal = cursor.flag()?;
        let drained = cursor.log_start()?;
        let rows = cursor.len()?;
        let rows = (0..rows).map(|_| cursor.row()).collect::<Option<Vec<_>>>()?;
        let has_state = cursor.flag()?;
        let (index, state) = (Index(cursor.word()?), cursor.bytes()?);
        let segments = cursor.bytes()?;
        cursor.0.is_empty().then_some(())?;
        Some(Checkpoint {
            topic,
            start,
            hard_state: HardState { term, vote },
            internal,
            drained,
            epochs: EpochTable::from_rows(rows)?,
            state: has_state.then_some((index, state)),
            segments,
        })
    }
}

/// A checkpoint that left the journal: the log is complete in its directory and waits for a shard to take it over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct CheckpointFile {
    pub(crate) group: GroupId,
    /// That of the shard which released it; the next one takes a higher.
    pub(crate) owner_epoch: OwnerEpoch,
    pub(crate) checkpoint: Checkpoint,
}

impl CheckpointFile {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut body = self.group.0.to_le_bytes().to_vec();
        body.extend_from_slice(&self.owner_epoch.0.to_le_bytes());
        body.extend_from_slice(&self.checkpoint.encode());
        let mut out = FILE_MAGIC.to_vec();
        out.extend_from_slice(&crc::crc32c(&body).to_le_bytes());
        out.extend_from_slice(&body);
        out
    }

    /// `None` if it is not one, of another version, or damaged.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut cursor = Cursor(bytes);
        if cursor.take::<8>()? != FILE_MAGIC || cursor.number()? as u32 != crc::crc32c(&bytes[12..]) {
            return None;
        }
        let group = GroupId(cursor.word()? as u64);
        let owner_epoch = OwnerEpoch(cursor.number()? as u32);
        Some(CheckpointFile { group, owner_epoch, checkpoint: Checkpoint::decode(cursor.0)? })
    }
}

/// The names of a group, as the entry that removes it keeps them: enough to find its directory.
pub(crate) fn encode_names(topic: TopicIdPartition) -> [u8; 20] {
    let mut out = [0; 20];
    out[..16].copy_from_slice(&topic.topic.to_bytes());
    out[16..].copy_from_slice(&topic.partition.0.to_le_bytes());
    out
}

/// Reads what [`encode_names`] wrote.
pub(crate) fn decode_names(bytes: &[u8]) -> Option<TopicIdPartition> {
    let mut cursor = Cursor(bytes);
    Some(TopicIdPartition { topic: TopicId::from_bytes(cursor.take()?), partition: PartitionId(cursor.number()?) })
}

fn put_position(out: &mut Vec<u8>, position: &LogStart) {
    out.extend_from_slice(&position.index.0.to_le_bytes());
    out.extend_from_slice(&position.offset.0.to_le_bytes());
    out.extend_from_slice(&position.term.0.to_le_bytes());
}

fn put_len(out: &mut Vec<u8>, len: usize) {
    let len = u32::try_from(len).expect("parts of a checkpoint are far below 4 GiB");
    out.extend_from_slice(&len.to_le_bytes());
}

impl Cursor<'_> {
    /// A count or length, which cannot be larger than what is left: nothing is allocated for a lie.
    fn len(&mut self) -> Option<usize> {
        let len = self.take().map(u32::from_le_bytes)? as usize;
        (len <= self.0.len()).then_some(len)
    }

    fn bytes(&mut self) -> Option<Bytes> {
        let len = self.len()?;
        let (bytes, rest) = self.0.split_at(len);
        self.0 = rest;
        Some(Bytes::copy_from_slice(bytes))
    }

    fn log_start(&mut self) -> Option<LogStart> {
        Some(LogStart { index: Index(self.word()?), offset: Offset(self.word()?), term: self.term()? })
    }

    fn row(&mut self) -> Option<EpochRow> {
        Some(EpochRow {
            index: Index(self.word()?),
            offset: Offset(self.word()?),
            term: self.term()?,
            control: self.flag()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ailurus_model::Term;

    fn checkpoint() -> Checkpoint {
        let mut epochs = EpochTable::default();
        epochs.on_appended(Index(3), Offset(2), Term(4), true);
        epochs.on_appended(Index(9), Offset(7), Term(5), false);
        Checkpoint {
            topic: TopicIdPartition { topic: TopicId(77), partition: PartitionId(3) },
            start: LogStart { index: Index(2), offset: Offset(1), term: Term(4) },
            hard_state: HardState { term: Term(6), vote: Some(NodeId(0)) },
            internal: true,
            drained: LogStart { index: Index(12), offset: Offset(10), term: Term(5) },
            epochs,
            state: Some((Index(20), Bytes::from_static(b"producers"))),
            segments: Bytes::from_static(b"position"),
        }
    }

    #[test]
    fn a_checkpoint_is_read_back_or_refused() {
        let full = checkpoint();
        let topic = full.topic;
        for checkpoint in [full, Checkpoint::genesis(topic, false, Bytes::new())] {
            let bytes = checkpoint.encode();
            assert_eq!(Checkpoint::decode(&bytes), Some(checkpoint));
            for cut in 0..bytes.len() {
                assert_eq!(Checkpoint::decode(&bytes[..cut]), None, "cut at {cut}");
            }
        }
    }

    #[test]
    fn a_checkpoint_file_shows_every_damage() {
        let file = CheckpointFile { group: GroupId(1), owner_epoch: OwnerEpoch(2), checkpoint: checkpoint() };
        let bytes = file.encode();
        assert_eq!(CheckpointFile::decode(&bytes), Some(file));
        for byte in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[byte] ^= 0x10;
            assert_eq!(CheckpointFile::decode(&bad), None, "byte {byte}");
        }
    }

    #[test]
    fn the_names_of_a_removed_group_are_read_back() {
        let topic = checkpoint().topic;
        assert_eq!(decode_names(&encode_names(topic)), Some(topic));
    }
}
