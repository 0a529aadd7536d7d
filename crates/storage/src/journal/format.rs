//! The bytes of a journal file: encode and decode, nothing else. The tables are in `docs/formats/journal.md`.
//!
//! ```text
//! file    | head block | commit | commit | ... | whatever was there before
//! commit  | magic | crc | generation | number | flushed | oldest | length | flags | then entries, zeros to the block's end
//! entry   | len | crc32c | kind | owner epoch | group id | sequence | term | index | payload
//! ```
//! A commit's crc covers the journal's salt, the commit's header and the heads of its entries; each head holds the crc
//! of its payload. So every byte is covered once, and bytes that a client sent cannot pose as a commit: it does not
//! know the salt.

use ailurus_base::crc::{crc32c, crc32c_append};
use ailurus_model::{GroupId, Index, OwnerEpoch, Term};

/// Commits start at multiples of this, and are this long or multiples of it. Direct I/O asks for no more anywhere.
pub(crate) const BLOCK: usize = 4096;
/// The only version of these tables.
pub(crate) const VERSION: u32 = 1;
pub(crate) const COMMIT_HEAD_LEN: usize = 64;
pub(crate) const ENTRY_HEAD_LEN: usize = 48;

const FILE_MAGIC: [u8; 8] = *b"AILURUSJ";
const FILE_HEAD_LEN: usize = 64;
const COMMIT_MAGIC: u32 = u32::from_le_bytes(*b"ACMT");
const FLAG_CLEAN: u32 = 1;

/// What the first block of a journal file says. Written when the file becomes the head of the journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FileHead {
    /// Random, the same in all files of one journal.
    pub(crate) salt: u64,
    /// Which use of which file this is: rises by one with each file that becomes the head.
    pub(crate) generation: u64,
    /// Number of the first commit in the file.
    pub(crate) first_commit: u64,
}

impl FileHead {
    /// Writes the head over the start of `block`.
    pub(crate) fn encode(&self, block: &mut [u8]) {
        block[..FILE_HEAD_LEN].fill(0);
        block[0..8].copy_from_slice(&FILE_MAGIC);
        block[8..12].copy_from_slice(&VERSION.to_le_bytes());
        block[16..24].copy_from_slice(&self.salt.to_le_bytes());
        block[24..32].copy_from_slice(&self.generation.to_le_bytes());
        block[32..40].copy_from_slice(&self.first_commit.to_le_bytes());
        let crc = Self::crc(block);
        block[12..16].copy_from_slice(&crc.to_le_bytes());
    }

    /// The head at the start of `block`, if there is a sound one of this version.
    pub(crate) fn decode(block: &[u8]) -> Result<FileHead, FileHeadFault> {
        if block[0..8] != FILE_MAGIC || u32_at(block, 12) != Self::crc(block) {
            return Err(FileHeadFault::None);
        }
        match u32_at(block, 8) {
            VERSION => {
                Ok(FileHead { salt: u64_at(block, 16), generation: u64_at(block, 24), first_commit: u64_at(block, 32) })
            }
            version => Err(FileHeadFault::Version(version)),
        }
    }

    fn crc(block: &[u8]) -> u32 {
        crc32c_append(crc32c(&block[0..12]), &block[16..FILE_HEAD_LEN])
    }
}

/// Why a block is no file head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FileHeadFault {
    /// Never used, or torn while it became the head (then nothing in it had been flushed).
    None,
    /// A sound head of another version.
    Version(u32),
}

/// What the first bytes of a commit say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct CommitHead {
    pub(crate) generation: u64,
    /// Counts commits of the journal from 1, without gaps.
    pub(crate) number: u64,
    /// The last commit that was known to be flushed when this one was written.
    pub(crate) flushed: u64,
    /// Files of generations before this one hold nothing that is needed.
    pub(crate) oldest: u64,
    /// Bytes of the entries.
    pub(crate) length: u32,
    /// Nothing was appended after it: the journal was shut down in order.
    pub(crate) clean: bool,
}

impl CommitHead {
    /// Bytes the commit takes in the file.
    pub(crate) fn size(&self) -> u64 {
        (COMMIT_HEAD_LEN as u64 + u64::from(self.length)).next_multiple_of(BLOCK as u64)
    }

    /// Writes the header over the start of `bytes`. `heads_crc` is [`start_crc`] continued over all entry heads.
    pub(crate) fn encode(&self, heads_crc: u32, bytes: &mut [u8]) {
        bytes[..COMMIT_HEAD_LEN].fill(0);
        bytes[0..4].copy_from_slice(&COMMIT_MAGIC.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.generation.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.number.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.flushed.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.oldest.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.length.to_le_bytes());
        bytes[44..48].copy_from_slice(&(u32::from(self.clean) * FLAG_CLEAN).to_le_bytes());
        let crc = crc32c_append(heads_crc, &bytes[8..COMMIT_HEAD_LEN]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
    }

    /// Reads a header without judging it: only [`check`] can, with all the bytes. `None` if it cannot be one.
    pub(crate) fn peek(bytes: &[u8]) -> Option<CommitHead> {
        let possible = bytes.len() >= COMMIT_HEAD_LEN && u32_at(bytes, 0) == COMMIT_MAGIC;
        possible.then(|| CommitHead {
            generation: u64_at(bytes, 8),
            number: u64_at(bytes, 16),
            flushed: u64_at(bytes, 24),
            oldest: u64_at(bytes, 32),
            length: u32_at(bytes, 40),
            clean: u32_at(bytes, 44) & FLAG_CLEAN != 0,
        })
    }
}

/// Where the crc of a commit's entry heads begins.
pub(crate) fn start_crc(salt: u64) -> u32 {
    crc32c(&salt.to_le_bytes())
}

/// What an entry is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A Kafka v2 batch; `index` is its first.
    Batch = 1,
    /// A control entry of consensus: its Kafka offset (i64), then its own bytes.
    Control = 2,
    /// Term in the head, vote as payload (i32, -1 for none).
    HardState = 3,
    /// Entries from `index` on are cut off.
    TruncateSuffix = 4,
    /// The log starts at `index`, with `term` before it; its offset (i64) is the payload.
    TruncatePrefix = 5,
    /// Everything that earlier entries of the group said, except batches that are not drained yet.
    Checkpoint = 6,
    /// The group is gone; its names (topic id, partition) are the payload.
    GroupRemoved = 7,
    /// The group is complete in its own directory, another shard may take it over.
    GroupReleased = 8,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Kind> {
        Some(match byte {
            1 => Kind::Batch,
            2 => Kind::Control,
            3 => Kind::HardState,
            4 => Kind::TruncateSuffix,
            5 => Kind::TruncatePrefix,
            6 => Kind::Checkpoint,
            7 => Kind::GroupRemoved,
            8 => Kind::GroupReleased,
            _ => return None,
        })
    }
}

/// What stands in front of every entry's payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct EntryHead {
    pub(crate) len: u32,
    pub(crate) kind: Kind,
    pub(crate) owner_epoch: OwnerEpoch,
    pub(crate) group: GroupId,
    pub(crate) sequence: u64,
    pub(crate) term: Term,
    pub(crate) index: Index,
}

impl EntryHead {
    /// The head as it is stored, with the crc of itself and the payload's parts, which follow each other.
    pub(crate) fn encode(&self, payload: &[&[u8]]) -> [u8; ENTRY_HEAD_LEN] {
        let mut head = [0; ENTRY_HEAD_LEN];
        head[0..4].copy_from_slice(&self.len.to_le_bytes());
        head[8] = self.kind as u8;
        head[12..16].copy_from_slice(&self.owner_epoch.0.to_le_bytes());
        head[16..24].copy_from_slice(&self.group.0.to_le_bytes());
        head[24..32].copy_from_slice(&self.sequence.to_le_bytes());
        head[32..36].copy_from_slice(&self.term.0.to_le_bytes());
        head[40..48].copy_from_slice(&self.index.0.to_le_bytes());
        let crc = payload.iter().fold(head_crc(&head), |crc, part| crc32c_append(crc, part));
        head[4..8].copy_from_slice(&crc.to_le_bytes());
        head
    }

    fn decode(head: &[u8]) -> Option<EntryHead> {
        Some(EntryHead {
            len: u32_at(head, 0),
            kind: Kind::from_byte(head[8])?,
            owner_epoch: OwnerEpoch(u32_at(head, 12)),
            group: GroupId(u64_at(head, 16)),
            sequence: u64_at(head, 24),
            term: Term(u32_at(head, 32) as i32),
            index: Index(u64_at(head, 40) as i64),
        })
    }
}

fn head_crc(head: &[u8]) -> u32 {
    crc32c_append(crc32c(&head[0..4]), &head[8..ENTRY_HEAD_LEN])
}

/// Judges the commit at the start of `bytes`, all of whose bytes are there, and gives its entries.
pub(crate) fn check<'a>(head: &CommitHead, bytes: &'a [u8], salt: u64) -> Option<Vec<(EntryHead, &'a [u8])>> {
    let mut rest = bytes.get(COMMIT_HEAD_LEN..COMMIT_HEAD_LEN + head.length as usize)?;
    let mut heads_crc = start_crc(salt);
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let raw = rest.get(..ENTRY_HEAD_LEN)?;
        let entry = EntryHead::decode(raw)?;
        let payload = rest.get(ENTRY_HEAD_LEN..ENTRY_HEAD_LEN + entry.len as usize)?;
        if crc32c_append(head_crc(raw), payload) != u32_at(raw, 4) {
            return None;
        }
        heads_crc = crc32c_append(heads_crc, raw);
        entries.push((entry, payload));
        rest = &rest[ENTRY_HEAD_LEN + payload.len()..];
    }
    let crc = crc32c_append(heads_crc, &bytes[8..COMMIT_HEAD_LEN]);
    (crc == u32_at(bytes, 4)).then_some(entries)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(salt: u64) -> Vec<u8> {
        let mut bytes = vec![0; COMMIT_HEAD_LEN];
        let mut crc = start_crc(salt);
        for (sequence, payload) in [(1, &b"abc"[..]), (2, b""), (3, &[7; 100])] {
            let entry = EntryHead {
                len: payload.len() as u32,
                kind: Kind::Batch,
                owner_epoch: OwnerEpoch(1),
                group: GroupId(5),
                sequence,
                term: Term(2),
                index: Index(9),
            };
            let head = entry.encode(&[payload]);
            crc = crc32c_append(crc, &head);
            bytes.extend_from_slice(&head);
            bytes.extend_from_slice(payload);
        }
        let length = (bytes.len() - COMMIT_HEAD_LEN) as u32;
        let head = CommitHead { generation: 4, number: 17, flushed: 16, oldest: 2, length, clean: false };
        head.encode(crc, &mut bytes);
        bytes
    }

    fn is_good(bytes: &[u8], salt: u64) -> bool {
        CommitHead::peek(bytes).is_some_and(|head| check(&head, bytes, salt).is_some())
    }

    #[test]
    fn a_commit_is_read_back() {
        let bytes = commit(3);
        let head = CommitHead::peek(&bytes).expect("it begins as a commit does");
        assert_eq!((head.generation, head.number, head.flushed, head.oldest, head.clean), (4, 17, 16, 2, false));
        let entries = check(&head, &bytes, 3).expect("it is sound");
        assert_eq!(entries.iter().map(|(head, _)| head.sequence).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(entries[0].1, b"abc");
    }

    #[test]
    fn every_bit_counts() {
        let good = commit(3);
        assert!(!is_good(&good, 4), "another journal's salt");
        assert!(!is_good(&good[..good.len() - 1], 3), "cut short");
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_good(&bad, 3), "bit {bit}");
        }
    }

    #[test]
    fn a_file_head_is_read_back_or_refused() {
        let head = FileHead { salt: 1, generation: 2, first_commit: 3 };
        let mut block = vec![0xff; BLOCK];
        head.encode(&mut block);
        assert_eq!(FileHead::decode(&block), Ok(head));
        block[20] ^= 1;
        assert_eq!(FileHead::decode(&block), Err(FileHeadFault::None));
        assert_eq!(FileHead::decode(&[0; BLOCK]), Err(FileHeadFault::None));
    }
}
