//! The end of a log in memory: entries that are in the journal (or on their way) and not yet in segments.
//!
//! Chunks start small, double while the log is busy and are gone when the tail is empty; one that has become small moves out of
//! a large chunk. A batch lies whole in one chunk, so readers and the segment writer share it by reference, and the cache if it is
//! drained together with much else.
//!
//! Always: entries follow each other without gaps, in indexes and in offsets.

use std::collections::VecDeque;

use ailurus_model::{Index, Offset, Term};
use ailurus_record::{BatchHeader, HEADER_LEN};
use ailurus_rt::Chunk;
use bytes::Bytes;

use crate::segment::{Body, Frame};

/// What an entry costs beside its bytes, for budgets: the frame, the handle, its share of the queue.
const ENTRY_OVERHEAD: u64 = 128;

/// A tail that costs less than this part of its open chunk moves to a smaller one.
const SMALL_SHARE: usize = 8;

/// An entry with its place in the order of the group's journal entries.
#[derive(Clone, Debug)]
pub(crate) struct TailEntry {
    pub(crate) frame: Frame,
    /// Its last index.
    pub(crate) last: Index,
    /// The offset behind it.
    pub(crate) end_offset: Offset,
    /// -1 for control entries and batches without records.
    pub(crate) max_timestamp: i64,
    pub(crate) sequence: u64,
}

impl TailEntry {
    /// Its first offset.
    pub(crate) fn offset(&self) -> Offset {
        match &self.frame.body {
            Body::Batch(bytes) => base_offset(bytes),
            Body::Control { offset, .. } => *offset,
        }
    }

    /// The batch, unless it is a control entry.
    pub(crate) fn batch(&self) -> Option<&Bytes> {
        match &self.frame.body {
            Body::Batch(bytes) => Some(bytes),
            Body::Control { .. } => None,
        }
    }

    fn cost(&self) -> u64 {
        self.frame.payload_len() as u64 + ENTRY_OVERHEAD
    }
}

/// The tail of one log.
pub(crate) struct Tail {
    entries: VecDeque<TailEntry>,
    chunk: Option<Chunk>,
    chunk_sizes: (usize, usize),
    cost: u64,
}

impl Tail {
    /// An empty tail whose chunks are between these sizes.
    pub(crate) fn new(chunk_sizes: (usize, usize)) -> Self {
        Tail { entries: VecDeque::new(), chunk: None, chunk_sizes, cost: 0 }
    }

    /// Copies a batch in, with `header` written over its first bytes.
    pub(crate) fn push_batch(
        &mut self,
        sequence: u64,
        term: Term,
        index: Index,
        header: &BatchHeader,
        bytes: &[u8],
    ) -> Bytes {
        let bytes = self.chunk(bytes.len()).push(bytes.len(), |place| {
            place[HEADER_LEN..].copy_from_slice(&bytes[HEADER_LEN..]);
            header.write(&mut place[..HEADER_LEN]);
        });
        self.push(sequence, Frame { term, index, body: Body::Batch(bytes.clone()) }, Some(header));
        bytes
    }

    /// Copies a control entry in.
    pub(crate) fn push_control(
        &mut self,
        sequence: u64,
        term: Term,
        index: Index,
        offset: Offset,
        payload: &[u8],
    ) -> Bytes {
        let payload = self.chunk(payload.len()).push(payload.len(), |place| place.copy_from_slice(payload));
        self.push(sequence, Frame { term, index, body: Body::Control { offset, payload: payload.clone() } }, None);
        payload
    }

    /// Takes over an entry that recovery read. It follows what is there.
    pub(crate) fn load(&mut self, sequence: u64, frame: Frame) {
        let header = match &frame.body {
            Body::Batch(bytes) => Some(BatchHeader::parse(bytes).expect("recovery proved the header")),
            Body::Control { .. } => None,
        };
        self.push(sequence, frame, header.as_ref());
    }

    fn push(&mut self, sequence: u64, frame: Frame, header: Option<&BatchHeader>) {
        if let Some(before) = self.entries.back() {
            assert_eq!(before.last.next(), frame.index, "entries of a tail follow each other");
        }
        let (last, end_offset, max_timestamp) = match (header, &frame.body) {
            (Some(header), _) => (
                frame.index.plus(header.offsets_count() - 1),
                header.next_offset(),
                if header.records_count == 0 { -1 } else { header.max_timestamp },
            ),
            (None, Body::Control { offset, .. }) => (frame.index, *offset, -1),
            (None, Body::Batch(_)) => unreachable!("a batch comes with its header"),
        };
        let entry = TailEntry { frame, last, end_offset, max_timestamp, sequence };
        self.cost += entry.cost();
        self.entries.push_back(entry);
    }

    /// The chunk with room for `len` bytes.
    fn chunk(&mut self, len: usize) -> &mut Chunk {
        if self.chunk.as_ref().is_none_or(|chunk| chunk.room() < len) {
            // As much again as there is: what is open and unused stays in proportion.
            let (least, most) = self.chunk_sizes;
            let held = usize::try_from(self.cost).unwrap_or(most).next_power_of_two();
            self.chunk = Some(Chunk::new(held.clamp(least, most).max(len)));
        }
        self.chunk.as_mut().expect("made just now")
    }

    /// Forgets entries from `to` on.
    pub(crate) fn truncate_suffix(&mut self, to: Index) {
        while self.entries.back().is_some_and(|entry| entry.frame.index >= to) {
            let entry = self.entries.pop_back().expect("there is one");
            self.cost -= entry.cost();
        }
        self.rest();
    }

    /// Forgets entries that end before `to`.
    pub(crate) fn truncate_prefix(&mut self, to: Index) {
        while self.entries.front().is_some_and(|entry| entry.last < to) {
            let entry = self.entries.pop_front().expect("there is one");
            self.cost -= entry.cost();
        }
        self.rest();
    }

    /// An empty tail costs nothing, and one that has become small again little.
    fn rest(&mut self) {
        if self.entries.is_empty() {
            *self = Tail::new(self.chunk_sizes);
            return;
        }
        if self.entries.len() * 4 < self.entries.capacity() {
            self.entries.shrink_to(self.entries.len() * 2);
        }
        let least = self.chunk_sizes.0;
        let open = self.chunk.as_ref().map_or(0, Chunk::capacity);
        if open > least && self.cost < (open / SMALL_SHARE) as u64 {
            self.move_to_small_chunk();
        }
    }

    /// Copies what is there into a chunk that is as large as it has to be: a burst is over, and who goes on slowly would keep the
    /// last chunk of it for long.
    fn move_to_small_chunk(&mut self) {
        self.chunk = None;
        for at in 0..self.entries.len() {
            let bytes = self.entries[at].frame.body.bytes().clone();
            let copied = self.chunk(bytes.len()).push(bytes.len(), |place| place.copy_from_slice(&bytes));
            *self.entries[at].frame.body.bytes_mut() = copied;
        }
    }

    /// All entries, in order.
    pub(crate) fn entries(&self) -> &VecDeque<TailEntry> {
        &self.entries
    }

    /// Place of the first entry that ends behind `offset`; control entries at it count.
    pub(crate) fn place_of(&self, offset: Offset) -> usize {
        self.entries.partition_point(|entry| entry.end_offset <= offset)
    }

    /// The frames that end at `upto` or before.
    pub(crate) fn frames_until(&self, upto: Index) -> Vec<Frame> {
        let count = self.entries.partition_point(|entry| entry.last <= upto);
        self.entries.iter().take(count).map(|entry| entry.frame.clone()).collect()
    }

    /// What it costs in memory, nearly.
    pub(crate) fn cost(&self) -> u64 {
        self.cost
    }
}

/// The offset in a batch's first eight bytes.
pub(crate) fn base_offset(batch: &[u8]) -> Offset {
    Offset(i64::from_be_bytes(batch[..8].try_into().expect("a batch is longer than its offset")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StorageConfig;

    fn push(tail: &mut Tail, at: i64, len: usize) -> Bytes {
        tail.push_control(at as u64, Term(1), Index(at), Offset(0), &vec![at as u8; len])
    }

    #[test]
    fn entries_share_chunks_that_grow_and_go() {
        let mut tail = Tail::new((4 << 10, 16 << 10));
        let bytes: Vec<Bytes> = (0..20).map(|at| push(&mut tail, at, 1500)).collect();
        assert!(bytes.iter().zip(0..).all(|(bytes, at)| bytes.iter().all(|byte| *byte == at)));
        let adjacent =
            bytes.windows(2).filter(|pair| pair[0].as_ptr() as usize + 1500 == pair[1].as_ptr() as usize).count();
        assert!(adjacent > 10, "chunks hold several entries: {adjacent}");
        tail.truncate_prefix(Index(5));
        tail.truncate_suffix(Index(9));
        assert_eq!(tail.entries().iter().map(|entry| entry.frame.index.0).collect::<Vec<_>>(), [5, 6, 7, 8]);
        assert_eq!(tail.frames_until(Index(6)).len(), 2);
        assert_eq!(tail.cost(), 4 * (1508 + ENTRY_OVERHEAD));
        tail.truncate_prefix(Index(9));
        assert_eq!((tail.cost(), tail.chunk.is_none()), (0, true));
    }

    /// The size of the next chunk that is made, in KiB, while entries of 1000 bytes come.
    fn next_chunk(tail: &mut Tail) -> usize {
        loop {
            let (last, room) = (tail.entries.back(), tail.chunk.as_ref().map_or(0, Chunk::room));
            let next = last.map_or(0, |entry| entry.last.0 + 1);
            push(tail, next, 1000);
            if room < 1000 {
                return (tail.chunk.as_ref().expect("it holds the entry").room() + 1000) >> 10;
            }
        }
    }

    #[test]
    fn a_chunk_is_as_large_as_the_tail_before_it_is_now() {
        let mut tail = Tail::new((4 << 10, 64 << 10));
        let sizes: Vec<usize> = (0..7).map(|_| next_chunk(&mut tail)).collect();
        assert_eq!(sizes, [4, 8, 16, 32, 64, 64, 64]);
        // Part of it was drained: what is left of the last chunk is filled first, unless that is nearly all there is.
        let last = tail.entries.back().expect("it has entries").last;
        tail.truncate_prefix(Index(last.0 - 8));
        assert_eq!(tail.chunk.as_ref().map(Chunk::capacity), Some(64 << 10));
        tail.truncate_prefix(Index(last.0 - 4));
        assert_eq!(tail.chunk.as_ref().map(Chunk::capacity), Some(8 << 10));
        assert_eq!(tail.cost(), 5 * (1008 + ENTRY_OVERHEAD));
        assert!(tail.entries.iter().all(|entry| entry.frame.body.bytes()[..] == [entry.last.0 as u8; 1000]));
        // It is no larger again than one that never was.
        assert_eq!([next_chunk(&mut tail), next_chunk(&mut tail)], [16, 32]);
        // An entry that is larger than any chunk has one for itself.
        let next = tail.entries.back().expect("it has entries").last.next();
        push(&mut tail, next.0, 128 << 10);
        assert_eq!(tail.chunk.as_ref().map(Chunk::room), Some(0));
    }

    #[test]
    fn configured_sizes_hold_as_said() {
        for config in [StorageConfig::new("/data"), StorageConfig::tiny("/data")] {
            let (least, most) = config.tail_chunk_bytes;
            assert!(least < most);
            assert_eq!([least, most].map(|size| Chunk::new(size).room()), [least, most]);
        }
    }
}
