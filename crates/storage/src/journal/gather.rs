//! A commit while it gathers: entries go straight into the aligned blocks that will be written.

use std::rc::Rc;

use ailurus_base::crc::crc32c_append;
use ailurus_model::Index;
use ailurus_rt::{DmaBuf, Instant};

use super::format::{BLOCK, COMMIT_HEAD_LEN, CommitHead, ENTRY_HEAD_LEN, EntryHead, start_crc};
use crate::Log;

/// Buffers of a commit are at most this long; a larger commit is written in several parallel writes and one flush.
const BUFFER_BYTES_MAX: usize = 1 << 20;
/// A commit's first buffer has at least this size.
const BUFFER_BYTES_MIN: usize = 8 << 10;

/// When an entry is to be on its way to the disk at the latest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Due {
    /// Somebody waits for it.
    Now,
    /// Nobody does. It goes with whatever goes earlier.
    By(Instant),
}

/// What one commit makes true for one log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mark {
    /// The log's truncation generation when the entry was appended.
    pub(crate) generation: u32,
    /// Its last index then.
    pub(crate) upto: Index,
    /// Its last sequence then.
    pub(crate) sequence: u64,
    /// The commit holds a checkpoint: entries before this index are in segments.
    pub(crate) drained: Option<Index>,
    /// The commit holds again every entry before this index that lay in files up to this generation of the journal.
    pub(crate) carried: Option<(u64, Index)>,
    /// The commit says that the log has left this journal.
    pub(crate) ended: bool,
}

impl Mark {
    fn join(&mut self, later: Mark) {
        let before = *self;
        *self = later;
        self.drained = later.drained.or(before.drained);
        self.carried = later.carried.or(before.carried);
        self.ended = later.ended || before.ended;
    }
}

/// A commit that is not under way yet.
pub(crate) struct Gathering {
    pub(crate) number: u64,
    /// The earliest of its entries' times.
    pub(crate) due: Due,
    buffers: Vec<DmaBuf>,
    heads_crc: u32,
    length: u64,
    members: Vec<(Rc<Log>, Mark)>,
}

/// A commit ready to be written.
pub(crate) struct Sealed {
    pub(crate) number: u64,
    /// All but the last are full; the last ends at a block boundary.
    pub(crate) buffers: Vec<DmaBuf>,
    pub(crate) members: Vec<(Rc<Log>, Mark)>,
    /// Bytes in the file.
    pub(crate) size: u64,
}

impl Gathering {
    /// An empty commit.
    pub(crate) fn new(number: u64, salt: u64, due: Due) -> Self {
        Gathering { number, due, buffers: Vec::new(), heads_crc: start_crc(salt), length: 0, members: Vec::new() }
    }

    /// Bytes of entries so far.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Bytes it will take in the file.
    pub(crate) fn size(&self) -> u64 {
        (COMMIT_HEAD_LEN as u64 + self.length).next_multiple_of(BLOCK as u64)
    }

    /// Takes in an entry, copying the payload's parts, which follow each other.
    pub(crate) fn push(&mut self, head: &EntryHead, payload: &[&[u8]]) {
        if self.buffers.is_empty() {
            self.put(&[0; COMMIT_HEAD_LEN], ENTRY_HEAD_LEN + head.len as usize);
        }
        let raw = head.encode(payload);
        self.heads_crc = crc32c_append(self.heads_crc, &raw);
        self.put(&raw, head.len as usize);
        let mut follows = head.len as usize;
        for part in payload {
            follows -= part.len();
            self.put(part, follows);
        }
        assert_eq!(follows, 0, "the parts of a payload make up its length");
        self.length += (ENTRY_HEAD_LEN + head.len as usize) as u64;
    }

    /// Notes what the commit makes true for `log`, whose last note in this commit is at `slot`.
    pub(crate) fn mark(&mut self, log: &Rc<Log>, slot: Option<usize>, mark: Mark) -> usize {
        match slot {
            Some(slot) => {
                self.members[slot].1.join(mark);
                slot
            }
            None => {
                self.members.push((log.clone(), mark));
                self.members.len() - 1
            }
        }
    }

    /// Closes it: writes the header, fills the last block with zeros.
    pub(crate) fn seal(mut self, generation: u64, flushed: u64, oldest: u64, clean: bool) -> Sealed {
        if self.buffers.is_empty() {
            self.put(&[0; COMMIT_HEAD_LEN], 0);
        }
        let length = u32::try_from(self.length).expect("a commit is far below 4 GiB");
        let head = CommitHead { generation, number: self.number, flushed, oldest, length, clean };
        head.encode(self.heads_crc, &mut self.buffers[0]);
        let last = self.buffers.last_mut().expect("there is at least the header");
        last.set_len(last.len().next_multiple_of(BLOCK));
        Sealed { number: self.number, size: head.size(), buffers: self.buffers, members: self.members }
    }

    fn put(&mut self, mut bytes: &[u8], follows: usize) {
        while !bytes.is_empty() {
            let room = self.buffers.last().map_or(0, |buffer| buffer.capacity() - buffer.len());
            if room == 0 {
                self.add_buffer(bytes.len() + follows);
                continue;
            }
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            self.buffers.last_mut().expect("it has room").extend_from_slice(now);
            bytes = rest;
        }
    }

    /// Each buffer doubles what is there, so that small commits stay small and large ones have few buffers.
    fn add_buffer(&mut self, needed: usize) {
        let held: usize = self.buffers.iter().map(|buffer| buffer.capacity()).sum();
        let size = needed.max(held).next_power_of_two().clamp(BUFFER_BYTES_MIN, BUFFER_BYTES_MAX);
        self.buffers.push(DmaBuf::new(size));
    }
}
