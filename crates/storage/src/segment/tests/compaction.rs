//! Compaction against a map of keys: what a reader of the whole log ends up with never changes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use ailurus_model::{Offset, Term};
use ailurus_record::{BatchBuilder, BatchHeader, Codec, Limits, records};
use ailurus_rt::fs;
use ailurus_rt::sim::{Dice, DiskFaults, Outcome, Sim, SimConfig, seeds};
use bytes::Bytes;

use super::model::{GROUP, dir};
use crate::config::LogConfig;
use crate::segment::compaction::HANDLE_RETRY;
use crate::segment::frame::{Body, Frame};
use crate::segment::{OpenAt, Position, SegmentCheckpoint, SegmentLimits, SegmentSet, SegmentShard};

type Value = Option<Bytes>;

/// All that was ever appended.
struct Log {
    dice: Dice,
    entries: Vec<Frame>,
    /// Key, value by offset.
    records: BTreeMap<Offset, (Bytes, Value)>,
    controls: Vec<Frame>,
    start: Position,
    checkpoint: Option<SegmentCheckpoint>,
    config: LogConfig,
    /// Last offset of the last batch by producer.
    producers: BTreeMap<i64, Offset>,
}

type Shared = Rc<RefCell<Log>>;

impl Log {
    fn new(seed: u64) -> Shared {
        let config = LogConfig {
            compact: true,
            delete: false,
            segment_bytes: 4 << 10,
            index_interval_bytes: 512,
            delete_retention_ms: 3,
            min_cleanable_dirty_permille: 300,
            ..LogConfig::default()
        };
        Rc::new(RefCell::new(Log {
            dice: Dice::new(seed),
            entries: Vec::new(),
            records: BTreeMap::new(),
            controls: Vec::new(),
            start: Position::START,
            checkpoint: None,
            config,
            producers: BTreeMap::new(),
        }))
    }

    fn end(&self) -> Position {
        self.entries.last().map_or(Position::START, |last| last.header().end())
    }

    fn grow(&mut self) {
        let end = self.end();
        if self.dice.below(10) == 0 {
            let body = Body::Control { offset: end.offset, payload: Bytes::from_static(b"control") };
            let frame = Frame { term: Term(1), index: end.index, body };
            self.controls.push(frame.clone());
            return self.entries.push(frame);
        }
        let producer = self.dice.below(4) as i64;
        let codec = if self.dice.below(3) == 0 { Codec::Lz4 } else { Codec::None };
        let mut builder = BatchBuilder::new().at(end.offset, Term(1)).producer(producer, 0, 0).codec(codec);
        for n in 0..1 + self.dice.below(3) {
            let key = Bytes::from(format!("key-{}", self.dice.below(25)));
            let size = self.dice.below(120) as usize;
            let value = (self.dice.below(5) > 0).then(|| Bytes::from(vec![b'v'; size]));
            builder.push(1000, Some(&key), value.as_deref(), &[]);
            self.records.insert(end.offset.plus(n as i64), (key, value));
        }
        let bytes = builder.build();
        let last = BatchHeader::parse(&bytes).expect("sound").last_offset();
        self.producers.insert(producer, last);
        self.entries.push(Frame { term: Term(1), index: end.index, body: Body::Batch(bytes) });
    }

    /// Key to newest value, as a reader sees it who applies records in order.
    fn table(records: impl Iterator<Item = (Bytes, Value)>) -> BTreeMap<Bytes, Bytes> {
        let mut table = BTreeMap::new();
        for (key, value) in records {
            match value {
                Some(value) => table.insert(key, value),
                None => table.remove(&key),
            };
        }
        table
    }
}

async fn open(log: &Shared, limits: SegmentLimits) -> Rc<SegmentSet> {
    fs::create_dir_all(dir().parent().expect("not the root")).await.expect("makes a directory");
    fs::sync_dir(std::path::Path::new("/")).await.expect("flushes");
    let (config, checkpoint, start) = {
        let log = log.borrow();
        (log.config.clone(), log.checkpoint.clone(), log.start)
    };
    let at = OpenAt { checkpoint: checkpoint.as_ref(), cut: None, start };
    let set = SegmentSet::open(SegmentShard::with(limits), dir(), GROUP, config, at).await.expect("opens");
    let least = checkpoint.map_or(Position::START, |checkpoint| checkpoint.end);
    assert!(set.end().index >= least.index, "what was flushed is there");
    set
}

/// Reads everything and compares: nothing invented, nothing lost that a reader needs.
async fn compare(log: &Shared, set: &SegmentSet) {
    let end = set.end();
    let (mut at, mut read, mut controls, mut empty) = (log.borrow().start.index, Vec::new(), Vec::new(), Vec::new());
    while at < end.index {
        let frames = set.read_entries(at, end.index, 2000).await.expect("readable");
        let Some(last) = frames.last() else { break };
        at = last.header().end().index;
        for frame in frames {
            match &frame.body {
                Body::Control { .. } => controls.push(frame),
                Body::Batch(bytes) => {
                    let header = frame.header().batch.expect("a batch");
                    if header.records_count == 0 {
                        empty.push((header.producer_id, header.last_offset()));
                    }
                    for record in records(bytes, &Limits::STORED).expect("readable") {
                        let record = record.expect("readable");
                        read.push((record.offset, (record.key.expect("a key"), record.value)));
                    }
                }
            }
        }
    }
    let log = log.borrow();
    let held = log.records.range(log.start.offset..end.offset);
    assert!(read.windows(2).all(|pair| pair[0].0 < pair[1].0), "offsets ascend");
    assert!(read.iter().all(|(offset, record)| log.records.get(offset) == Some(record)), "records are as appended");
    let expected = Log::table(held.map(|(_, record)| record.clone()));
    assert_eq!(Log::table(read.into_iter().map(|(_, record)| record)), expected);
    let first = log.start.index;
    let kept: Vec<&Frame> =
        log.controls.iter().filter(|frame| frame.index >= first && frame.index < end.index).collect();
    assert_eq!(controls.iter().filter(|frame| frame.index >= first).collect::<Vec<_>>(), kept, "control entries stay");
}

/// The same through fetches.
async fn compare_fetch(log: &Shared, set: &SegmentSet) {
    let (start, end) = (log.borrow().start.offset, set.end().offset);
    let (mut from, mut read) = (start, Vec::new());
    while from < end {
        let max = 1 + log.borrow_mut().dice.below(3000) as usize;
        let part = set.read(from, end, max, true).await.expect("readable");
        assert!(part.next > from);
        from = part.next;
        read.extend(part.batches);
    }
    let records = read.iter().flat_map(|batch| records(batch, &Limits::STORED).expect("readable"));
    let records = records.map(|record| record.expect("readable")).filter(|record| record.offset >= start);
    let table = Log::table(records.map(|record| (record.key.expect("a key"), record.value)));
    let log = log.borrow();
    assert_eq!(table, Log::table(log.records.range(start..end).map(|(_, record)| record.clone())));
}

async fn live(log: Shared, steps: u64) {
    let set = open(&log, SegmentLimits::tiny()).await;
    compare(&log, &set).await;
    for _ in 0..steps {
        let choice = log.borrow_mut().dice.below(12);
        match choice {
            0..=4 => {
                let frames: Vec<Frame> = {
                    let mut log = log.borrow_mut();
                    (0..log.dice.below(20)).for_each(|_| log.grow());
                    let end = set.end().index;
                    log.entries.iter().filter(|entry| entry.index >= end).cloned().collect()
                };
                set.append(&frames).await.expect("appends");
            }
            5..=6 => checkpoint(&log, &set).await,
            7..=8 => {
                let producers = log.borrow().producers.clone();
                let live = move |producer: i64| producers.get(&producer).copied();
                set.compact(set.end().offset, &live).await.expect("compacts");
            }
            9 => {
                let place = {
                    let log = log.borrow();
                    let below = set.end().index;
                    let reached = log.entries.iter().filter(|entry| entry.header().end().index <= below).count();
                    log.entries.get(reached / 3).map(|entry| entry.header().end())
                };
                let start = log.borrow().start;
                if let Some(place) = place.filter(|place| place.index > start.index && place.index <= set.end().index) {
                    log.borrow_mut().start = place;
                    set.truncate_prefix(place).await.expect("removes");
                }
            }
            10 => compare(&log, &set).await,
            _ => compare_fetch(&log, &set).await,
        }
    }
    compare(&log, &set).await;
    compare_fetch(&log, &set).await;
}

async fn checkpoint(log: &Shared, set: &SegmentSet) {
    set.roll_if_due(ailurus_rt::unix_ms()).await.expect("rolls");
    let checkpoint = set.flush().await.expect("flushes");
    log.borrow_mut().checkpoint = Some(checkpoint.clone());
    set.checkpoint_durable(&checkpoint);
}

#[test]
fn a_compacted_log_tells_the_same_story() {
    for seed in seeds(25) {
        let log = Log::new(seed);
        let mut sim = Sim::new(seed, SimConfig { shards: 1, ..SimConfig::default() });
        for _ in 0..2 {
            let log = log.clone();
            sim.run(move || live(log, 80)).finished();
        }
    }
}

#[test]
fn a_crash_at_any_step_of_compaction_leaves_the_old_or_the_new() {
    let mut crashes = 0;
    for seed in seeds(60) {
        let log = Log::new(seed);
        let mut dice = Dice::new(!seed);
        let disk = DiskFaults { sector_bytes: 512, ..DiskFaults::default() };
        let mut sim = Sim::new(seed, SimConfig { shards: 1, disk, ..SimConfig::default() });
        for _ in 0..5 {
            let log = log.clone();
            sim.crash_after(100 + dice.below(2500));
            match sim.run(move || live(log, 60)) {
                Outcome::Finished(()) => sim.crash(),
                Outcome::Crashed => crashes += 1,
                Outcome::Fatal(why) => panic!("seed {seed}: {why}"),
            }
        }
    }
    assert!(crashes > 50 || seeds(60).count() == 1, "{crashes} crashes say little");
}

/// A handle that is lacking for a moment takes nothing offline, though names are half changed in between.
#[test]
fn a_lack_of_file_handles_in_compaction_passes() {
    let (mut refused, mut waited) = (0, 0);
    for after in 0..40 {
        let mut sim = Sim::new(7, SimConfig { shards: 1, ..SimConfig::default() });
        let log = Log::new(7);
        let filled = log.clone();
        let fill = async move || {
            let set = open(&filled, SegmentLimits::tiny()).await;
            for _ in 0..30 {
                let frames: Vec<Frame> = {
                    let mut log = filled.borrow_mut();
                    (0..10).for_each(|_| log.grow());
                    let end = set.end().index;
                    log.entries.iter().filter(|entry| entry.index >= end).cloned().collect()
                };
                set.append(&frames).await.expect("appends");
            }
            checkpoint(&filled, &set).await;
            set.close().await;
        };
        sim.run(fill).finished();
        sim.disk().lack_handles(after, 3);
        let compact = async move || {
            let (config, checkpoint) = (log.borrow().config.clone(), log.borrow().checkpoint.clone());
            let at = OpenAt { checkpoint: checkpoint.as_ref(), cut: None, start: Position::START };
            let set = loop {
                let shard = SegmentShard::with(SegmentLimits::tiny());
                match SegmentSet::open(shard, dir(), GROUP, config.clone(), at).await {
                    Ok(set) => break set,
                    Err(error) => assert!(error.is_passing(), "{error}"),
                }
            };
            let (start, mut refused) = (ailurus_rt::now(), 0);
            loop {
                match set.compact(set.end().offset, &|_| None).await {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(error) => {
                        assert!(error.is_passing() && !set.failed(), "{error}");
                        refused += 1;
                    }
                }
            }
            let waited = ailurus_rt::now() - start >= HANDLE_RETRY;
            compare(&log, &set).await;
            set.close().await;
            (refused, u32::from(waited))
        };
        let seen = sim.run(compact).finished();
        (refused, waited) = (refused + seen.0, waited + seen.1);
    }
    assert!(refused > 0 && waited > 0, "{refused} passes were refused, {waited} waited: it was never in the way");
}

/// The figure that a coordinator's start depends on: a thousand keys, committed over and over.
#[test]
fn loading_a_thousand_keys_reads_little_more_than_what_is_live() {
    const KEYS: i64 = 1000;
    const COMMITS: i64 = 100_000;
    let commit = |n: i64| {
        let key = format!("group-7/topic/{:05}", n % KEYS);
        let mut builder = BatchBuilder::new().at(Offset(n), Term(1));
        builder.push(n, Some(key.as_bytes()), Some(&[0; 24]), &[]);
        Frame { term: Term(1), index: ailurus_model::Index(n), body: Body::Batch(builder.build()) }
    };
    let mut sim = Sim::new(1, SimConfig { shards: 1, ..SimConfig::default() });
    let main = async move || {
        let config = LogConfig { compact: true, delete: false, segment_bytes: 100 << 20, ..LogConfig::default() };
        let log = Log::new(0);
        log.borrow_mut().config = config;
        let limits = SegmentLimits { compaction_map_bytes: 1 << 20, ..SegmentLimits::tiny() };
        let set = open(&log, SegmentLimits { read_bytes: (64 << 10, 1 << 20), write_bytes: 1 << 20, ..limits }).await;
        let live = KEYS as u64 * commit(0).encoded_len();
        let mut worst = 0;
        for start in (0..COMMITS).step_by(500) {
            let frames: Vec<Frame> = (start..start + 500).map(commit).collect();
            set.append(&frames).await.expect("appends");
            checkpoint(&log, &set).await;
            while set.compact(set.end().offset, &|_| None).await.expect("compacts").is_some() {}
            if start > 5 * KEYS {
                worst = worst.max(set.size_bytes());
            }
        }
        assert!(worst <= 3 * live, "{worst} bytes for {live} live ones");
        assert!(set.segments_count() <= 4, "{} files", set.segments_count());
        set.close().await;
    };
    sim.run(main).finished();
}
