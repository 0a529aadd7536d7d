//! What the journal would know of a log, kept in plain vectors: the authority that the files are compared with.

use std::path::PathBuf;
use std::rc::Rc;

use ailurus_model::{GroupId, Index, Offset, Term};
use ailurus_record::{BatchBuilder, BatchHeader, Limits, records};
use ailurus_rt::sim::Dice;
use bytes::Bytes;

use crate::config::LogConfig;
use crate::segment::frame::{Body, Frame};
use crate::segment::{
    OpenAt, Position, SegmentCheckpoint, SegmentError, SegmentLimits, SegmentSet, SegmentShard, TimeFound,
};

pub(super) const GROUP: GroupId = GroupId(42);

/// The log as the journal has it.
pub(super) struct Model {
    pub(super) dice: Dice,
    /// Every entry since the beginning of time, up to the end.
    pub(super) entries: Vec<Frame>,
    pub(super) start: Position,
    pub(super) term: Term,
    pub(super) clock: i64,
    pub(super) checkpoint: Option<SegmentCheckpoint>,
    /// The lowest cut since the checkpoint.
    pub(super) cut: Option<Index>,
    pub(super) config: LogConfig,
}

impl Model {
    pub(super) fn new(seed: u64, config: LogConfig) -> Self {
        Model {
            dice: Dice::new(seed),
            entries: Vec::new(),
            start: Position::START,
            term: Term(1),
            clock: 1000,
            checkpoint: None,
            cut: None,
            config,
        }
    }

    pub(super) fn end(&self) -> Position {
        self.entries.last().map_or(Position::START, |last| last.header().end())
    }

    /// Adds a random entry.
    pub(super) fn grow(&mut self) {
        if self.dice.below(8) == 0 {
            self.term.0 += 1;
        }
        let end = self.end();
        let body = match self.dice.below(6) {
            0 => {
                let payload = Bytes::from(vec![7; self.dice.below(200) as usize]);
                Body::Control { offset: end.offset, payload }
            }
            _ => Body::Batch(self.batch(end.offset)),
        };
        self.entries.push(Frame { term: self.term, index: end.index, body });
    }

    fn batch(&mut self, base: Offset) -> Bytes {
        let mut builder = BatchBuilder::new().at(base, self.term);
        for _ in 0..1 + self.dice.below(4) {
            let size = if self.dice.below(30) == 0 { 9000 } else { self.dice.below(300) };
            let value = vec![self.dice.below(256) as u8; size as usize];
            self.clock += self.dice.below(10) as i64;
            let jitter = self.dice.below(40) as i64;
            builder.push(self.clock - jitter, Some(b"key"), Some(&value), &[]);
        }
        builder.build()
    }

    /// Cuts at a random entry not before `floor`; gives the place.
    pub(super) fn cut(&mut self, floor: Index) -> Option<Index> {
        let first = self.entries.partition_point(|entry| entry.index < floor);
        if first == self.entries.len() {
            return None;
        }
        let at = first + self.dice.below((self.entries.len() - first) as u64) as usize;
        let to = self.entries[at].index;
        self.entries.truncate(at);
        self.term.0 += 1;
        self.cut = Some(self.cut.map_or(to, |cut| cut.min(to)));
        Some(to)
    }

    /// Moves the log start to a random entry not behind `ceiling`.
    pub(super) fn advance_start(&mut self, ceiling: Index) -> Position {
        let first = self.entries.partition_point(|entry| entry.index < self.start.index);
        let last = self.entries.partition_point(|entry| entry.header().end().index <= ceiling);
        if last > first {
            let at = first + self.dice.below((last - first) as u64) as usize;
            self.start = self.entries[at].header().end();
        }
        self.start
    }

    pub(super) fn between(&self, from: Index, to: Index) -> Vec<Frame> {
        let range = |index| self.entries.partition_point(|entry| entry.index < index);
        self.entries[range(from)..range(to)].to_vec()
    }

    pub(super) async fn open(&self, shard: &Rc<SegmentShard>) -> Result<Rc<SegmentSet>, SegmentError> {
        let at = OpenAt { checkpoint: self.checkpoint.as_ref(), cut: self.cut, start: self.start };
        SegmentSet::open(shard.clone(), dir(), GROUP, self.config.clone(), at).await
    }

    /// Batches that end behind `from` and begin before `below`.
    fn batches(&self, from: Offset, below: Offset) -> Vec<(BatchHeader, Bytes)> {
        (self.entries.iter())
            .filter_map(|entry| match &entry.body {
                Body::Batch(bytes) => Some((entry.header().batch.expect("a batch"), bytes.clone())),
                Body::Control { .. } => None,
            })
            .filter(|(header, _)| header.next_offset() > from && header.base_offset < below.0)
            .collect()
    }

    /// The answer to a search by time, the slow way.
    fn find(&self, from: Offset, below: Offset, wanted: impl Fn(i64) -> bool) -> Option<TimeFound> {
        self.batches(from, below).iter().find_map(|(header, bytes)| {
            records(bytes, &Limits::STORED)
                .expect("sound")
                .map(|record| record.expect("sound"))
                .find(|record| record.offset >= from && record.offset < below && wanted(record.timestamp))
                .map(|record| TimeFound {
                    offset: record.offset,
                    timestamp: record.timestamp,
                    term: Term(header.partition_leader_epoch),
                })
        })
    }

    fn max_timestamp(&self, from: Offset, below: Offset) -> Option<i64> {
        (self.batches(from, below).iter())
            .flat_map(|(_, bytes)| records(bytes, &Limits::STORED).expect("sound"))
            .map(|record| record.expect("sound"))
            .filter(|record| record.offset >= from && record.offset < below)
            .map(|record| record.timestamp)
            .max()
    }

    /// Compares everything that `set` holds with the model.
    pub(super) async fn compare(&mut self, set: &Rc<SegmentSet>) {
        let end = set.end();
        assert!(end.index <= self.end().index.max(self.start.index), "the files cannot know more than the journal");
        if end.index <= self.start.index {
            return;
        }
        let mut at = self.start.index;
        while at < end.index {
            let read = set.read_entries(at, end.index, 3000).await.expect("readable");
            let next = read.last().expect("at least one").header().end().index;
            let expected = self.between(at, next);
            assert!(read == expected, "read {:?}\nexpected {:?}", outline(&read), outline(&expected));
            at = next;
        }
        for _ in 0..4 {
            self.compare_read(set, end.offset).await;
        }
        self.compare_times(set, end.offset).await;
    }

    async fn compare_read(&mut self, set: &Rc<SegmentSet>, end: Offset) {
        let width = (end.0 - self.start.offset.0) as u64;
        if width == 0 {
            return;
        }
        let mut from = self.start.offset.plus(self.dice.below(width) as i64);
        let below = from.plus(1 + self.dice.below(width) as i64).min(end);
        let max = 1 + self.dice.below(20_000) as usize;
        let expected = self.batches(from, below);
        let mut read = Vec::new();
        while from < below {
            let part = set.read(from, below, max, true).await.expect("readable");
            assert!(part.next > from, "a read goes forward");
            let bytes: usize = part.batches.iter().map(Bytes::len).sum();
            assert!(bytes <= max || part.batches.len() == 1, "{bytes} of {max}");
            read.extend(part.batches);
            from = part.next;
        }
        let expected: Vec<Bytes> = expected.into_iter().map(|(_, bytes)| bytes).collect();
        assert!(read == expected, "{} batches instead of {}", read.len(), expected.len());
    }

    async fn compare_times(&mut self, set: &Rc<SegmentSet>, end: Offset) {
        let width = (end.0 - self.start.offset.0) as u64 + 1;
        let from = self.start.offset.plus(self.dice.below(width) as i64);
        let below = from.plus(self.dice.below(width) as i64).min(end);
        let time = 900 + self.dice.below((self.clock - 800) as u64) as i64;
        let found = set.find_by_time(time, from, below).await.expect("readable");
        assert_eq!(found, self.find(from, below, |timestamp| timestamp >= time), "{time} in {from}..{below}");
        let max = self.max_timestamp(from, below);
        let expected = max.and_then(|max| self.find(from, below, |timestamp| timestamp == max));
        assert_eq!(set.find_max_timestamp(from, below).await.expect("readable"), expected);
    }
}

fn outline(frames: &[Frame]) -> Vec<(Index, Term, u64)> {
    frames.iter().map(|frame| (frame.index, frame.term, frame.encoded_len())).collect()
}

pub(super) fn dir() -> PathBuf {
    PathBuf::from("/data/log")
}

pub(super) fn shard() -> Rc<SegmentShard> {
    SegmentShard::with(SegmentLimits::tiny())
}

pub(super) fn tiny() -> LogConfig {
    LogConfig { segment_bytes: 8 << 10, index_interval_bytes: 512, ..LogConfig::default() }
}
