//! Readers beside the writer, retention and compaction; and real files.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use ailurus_model::{Offset, Term};
use ailurus_record::{BatchBuilder, Limits, crc_ok, records};
use ailurus_rt::sim::{Dice, DiskFaults, Sim, SimConfig, seeds};
use ailurus_rt::{Group, fs};
use bytes::Bytes;

use super::model::{GROUP, Model, dir, shard, tiny};
use super::random::open;
use crate::config::LogConfig;
use crate::segment::append::ROLLS_MAX;
use crate::segment::frame::{Body, Frame};
use crate::segment::name::SegmentName;
use crate::segment::{OpenAt, Position, SegmentLimits, SegmentSet, SegmentShard};

/// A batch of one record whose value is its offset, under one of twenty keys.
fn batch(at: Position) -> Frame {
    let mut builder = BatchBuilder::new().at(at.offset, Term(1));
    let key = format!("key-{}", at.offset.0 % 20);
    builder.push(at.offset.0, Some(key.as_bytes()), Some(&at.offset.0.to_be_bytes()), &[(b"pad", Some(&[0; 100]))]);
    Frame { term: Term(1), index: at.index, body: Body::Batch(builder.build()) }
}

fn batches(from: Position, count: i64) -> Vec<Frame> {
    let place = |n| Position { index: from.index.plus(n), offset: from.offset.plus(n), term: Term(1) };
    (0..count).map(|n| batch(place(n))).collect()
}

fn checked(read: &[Bytes], mut from: Offset) {
    for bytes in read {
        assert!(crc_ok(bytes));
        for record in records(bytes, &Limits::STORED).expect("readable") {
            let record = record.expect("readable");
            assert!(record.offset >= from, "offsets go forward");
            assert_eq!(record.value.as_deref(), Some(&record.offset.0.to_be_bytes()[..]));
            from = record.offset.next();
        }
    }
}

/// Reads from the start to the end, again and again.
async fn reader(set: Rc<SegmentSet>, stop: Rc<Cell<bool>>, mut dice: Dice, rounds: Rc<Cell<u32>>) {
    while !stop.get() {
        let mut from = set.start_offset();
        while from < set.end().offset {
            match set.read(from, Offset(i64::MAX), 200 + dice.below(9000) as usize, true).await {
                Ok(read) => {
                    checked(&read.batches, from);
                    assert!(read.next > from);
                    from = read.next;
                }
                Err(crate::segment::SegmentError::OutOfRange { start, .. }) => from = start,
                Err(other) => panic!("{other}"),
            }
        }
        rounds.set(rounds.get() + 1);
        ailurus_rt::yield_now().await;
    }
}

#[test]
fn readers_are_never_in_the_way_of_compaction_and_retention() {
    for seed in seeds(3) {
        let disk = DiskFaults { latency: Duration::from_micros(100), ..DiskFaults::default() };
        let mut sim = Sim::new(seed, SimConfig { shards: 1, disk, ..SimConfig::default() });
        sim.run(move || beside_readers(Dice::new(seed))).finished();
    }
}

async fn beside_readers(mut dice: Dice) {
    let config = LogConfig { compact: true, delete: true, min_cleanable_dirty_permille: 0, ..tiny() };
    let set = SegmentSet::open(shard(), dir(), GROUP, config, OpenAt::default()).await.expect("opens");
    fs::create_dir_all(&PathBuf::from("/data")).await.expect("makes a directory");
    let (stop, rounds) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(0)));
    let readers: Vec<_> = (0..2)
        .map(|n| reader(set.clone(), stop.clone(), Dice::new(n), rounds.clone()))
        .map(|reader| ailurus_rt::spawn(Group::Fetch, reader))
        .collect();
    let mut compacted = 0;
    for _ in 0..50 {
        set.append(&batches(set.end(), dice.below(30) as i64)).await.expect("appends");
        let checkpoint = set.flush().await.expect("flushes");
        set.checkpoint_durable(&checkpoint);
        if dice.below(3) == 0 {
            compacted += u32::from(set.compact(set.end().offset, &|_| None).await.expect("compacts").is_some());
        }
        if dice.below(20) == 0 {
            let place =
                set.read_entries(set.flushed().index.plus(-20).max(ailurus_model::Index(0)), set.end().index, 1);
            let start = place.await.expect("readable").first().map(|frame| frame.header().base(Term(1)));
            set.truncate_prefix(start.unwrap_or_default()).await.expect("removes");
        }
    }
    stop.set(true);
    for reader in readers {
        reader.await;
    }
    assert!(compacted > 5 && rounds.get() > 10, "{compacted} passes beside {} rounds", rounds.get());
    set.close().await;
}

/// What a stretch was drained from is a chunk of the tail, which a reader's slice keeps alive as a whole.
#[test]
fn a_small_stretch_is_cached_in_memory_of_its_own() {
    let mut sim = Sim::new(1, SimConfig { shards: 1, ..SimConfig::default() });
    let main = async || {
        let shard = SegmentShard::with(SegmentLimits { cache_bytes: 1 << 20, ..SegmentLimits::tiny() });
        let open = SegmentSet::open(shard.clone(), dir(), GROUP, LogConfig::keeping(), OpenAt::default());
        let set = open.await.expect("opens");
        for (count, copied) in [(1, true), (3, true), (1000, false)] {
            let (from, before) = (set.end(), shard.cache_stats());
            let frames = batches(from, count);
            set.append(&frames).await.expect("appends");
            let read = set.read(from.offset, Offset(i64::MAX), 1 << 20, true).await.expect("readable");
            assert_eq!(shard.cache_stats().misses, before.misses);
            assert_eq!(read.batches.len() as i64, count);
            for (cached, frame) in read.batches.iter().zip(&frames) {
                assert_eq!(cached, frame.body.bytes());
                assert_eq!(cached.as_ptr() != frame.body.bytes().as_ptr(), copied, "{count} batches");
            }
            let payload: usize = read.batches.iter().map(Bytes::len).sum();
            assert!(shard.cache_stats().bytes - before.bytes > payload as u64, "its own memory counts, too");
        }
        set.close().await;
    };
    sim.run(main).finished();
}

#[test]
fn a_sequential_reader_finds_the_next_piece_read_ahead() {
    let mut sim = Sim::new(1, SimConfig { shards: 1, ..SimConfig::default() });
    let main = async || {
        let model = Rc::new(RefCell::new(Model::new(1, tiny())));
        let set = open(&model).await;
        set.append(&batches(Position::START, 2000)).await.expect("appends");
        let checkpoint = set.flush().await.expect("flushes");
        let at = OpenAt { checkpoint: Some(&checkpoint), cut: None, start: Position::START };
        let limits = SegmentLimits { cache_bytes: 1 << 20, ..SegmentLimits::tiny() };
        let cold = SegmentShard::with(limits.clone());
        let set = SegmentSet::open(cold.clone(), dir(), GROUP, tiny(), at).await.expect("opens");
        let (mut from, mut reads) = (Offset(0), 0);
        while from < set.end().offset {
            let read = set.read(from, Offset(i64::MAX), 1000, true).await.expect("readable");
            checked(&read.batches, from);
            (from, reads) = (read.next, reads + 1);
            ailurus_rt::sleep(Duration::from_millis(1)).await;
            assert!(cold.handles_count() <= limits.handles_max);
        }
        let stats = cold.cache_stats();
        assert!(stats.misses <= 3, "{} of {reads} reads had to wait for the disk", stats.misses);
        assert!(stats.bytes <= 1 << 20);
        set.close().await;
    };
    sim.run(main).finished();
}

#[test]
fn retention_asks_for_the_log_start_that_its_limits_allow() {
    let mut sim = Sim::new(1, SimConfig { shards: 1, ..SimConfig::default() });
    let main = async || {
        let model = Rc::new(RefCell::new(Model::new(1, tiny())));
        let set = open(&model).await;
        set.append(&batches(Position::START, 300)).await.expect("appends");
        let end = set.end().offset;
        let ask = async |config: LogConfig, now| {
            set.set_config(LogConfig { segment_bytes: 8 << 10, ..config });
            set.retention(now, end).await.expect("readable").map(|start| start.offset.0)
        };
        let unlimited = LogConfig { retention_ms: None, ..tiny() };
        assert_eq!(ask(unlimited.clone(), i64::MAX).await, None);
        let by_size = LogConfig { retention_bytes: Some(20 << 10), ..unlimited.clone() };
        let start = ask(by_size.clone(), 0).await.expect("more than 20 KiB are there");
        assert_eq!(ask(LogConfig { delete: false, ..by_size }, 0).await, None, "only with cleanup.policy=delete");
        // Timestamps are offsets here.
        let by_time = LogConfig { retention_ms: Some(100), ..unlimited };
        assert_eq!(ask(by_time.clone(), 100).await, None, "nothing is older than the limit");
        let older = ask(by_time.clone(), 250).await.expect("some are older");
        assert!(older <= 150, "{older}: a segment goes when its youngest record is older");
        assert_eq!(ask(by_time, 10_000).await, Some(300), "all of it, the growing one too");
        let before = set.size_bytes();
        let place = Position { index: ailurus_model::Index(start), offset: Offset(start), term: Term(1) };
        set.truncate_prefix(place).await.expect("removes");
        assert!(set.size_bytes() >= 20 << 10 && set.size_bytes() < before);
        assert_eq!(set.start_offset(), Offset(start));
    };
    sim.run(main).finished();
}

/// Each segment that is closed costs flushes, for which the other logs of the shard wait.
#[test]
fn a_tiny_segment_size_does_not_close_thousands_in_one_append() {
    let mut sim = Sim::new(1, SimConfig { shards: 1, ..SimConfig::default() });
    let main = async || {
        let config = LogConfig { segment_bytes: 14, ..tiny() };
        let set = SegmentSet::open(shard(), dir(), GROUP, config, OpenAt::default()).await.expect("opens");
        set.append(&batches(Position::START, 500)).await.expect("appends");
        assert_eq!(set.segments_count(), ROLLS_MAX + 1, "the rest lies in one");
        let is_growing = || set.state.borrow().growing.is_some();
        assert!(is_growing());
        set.roll_if_due(0).await.expect("closes");
        assert!(!is_growing(), "it is larger than it should be");
        set.append(&batches(set.end(), 3)).await.expect("appends");
        assert_eq!(set.segments_count(), ROLLS_MAX + 4, "a few are as large as they should be");
        let read = set.read(Offset(0), Offset(i64::MAX), 1 << 20, true).await.expect("readable");
        checked(&read.batches, Offset(0));

        let mut none_left = 0;
        let before = set.segments_count();
        set.append_within(&batches(set.end(), 15_000), &mut none_left).await.expect("appends");
        let largest = set.state.borrow().closed.iter().map(|segment| segment.bytes).max().expect("some are closed");
        assert!((1 << 19..=1 << 20).contains(&largest), "{largest} bytes");
        assert!((2..=4).contains(&(set.segments_count() - before)), "{} segments", set.segments_count() - before);
        set.close().await;
    };
    sim.run(main).finished();
}

#[test]
fn a_sidecar_that_was_lost_is_written_again_and_one_of_no_segment_removed() {
    let mut sim = Sim::new(1, SimConfig { shards: 1, ..SimConfig::default() });
    let main = async || {
        let model = Rc::new(RefCell::new(Model::new(1, tiny())));
        let set = open(&model).await;
        set.append(&batches(Position::START, 100)).await.expect("appends");
        let checkpoint = set.flush().await.expect("flushes");
        set.close().await;
        let first = SegmentName { base: Offset(0), term: Term(1) };
        let lost = dir().join(first.index());
        fs::remove_file(&lost).await.expect("was there");
        let growing = checkpoint.growing.as_ref().expect("something was appended").name;
        let rubbish =
            [SegmentName { base: Offset(1), ..first }, SegmentName { base: Offset(77_777), ..first }, growing];
        let rubbish = rubbish.map(|name| dir().join(name.index()));
        for path in &rubbish {
            fs::write(path, b"of what is gone").await.expect("written");
        }
        let at = OpenAt { checkpoint: Some(&checkpoint), cut: None, start: Position::START };
        let set = SegmentSet::open(shard(), dir(), GROUP, tiny(), at).await.expect("opens");
        for path in &rubbish {
            assert!(!fs::exists(path).await.expect("known"), "{} was left", path.display());
        }
        assert!(!fs::exists(&lost).await.expect("known"), "not before it is needed");
        set.read(Offset(0), Offset(i64::MAX), 100, true).await.expect("readable");
        assert!(fs::exists(&lost).await.expect("known"));
        set.close().await;
    };
    sim.run(main).finished();
}

/// One handle that is given back is enough to read on, and a sound sidecar is not taken for lost.
#[test]
fn a_lack_of_a_file_handle_passes_a_sidecar_by() {
    for gone in [false, true] {
        let mut sim = Sim::new(1, SimConfig { shards: 1, ..SimConfig::default() });
        let main = async move || {
            let set = SegmentSet::open(shard(), dir(), GROUP, tiny(), OpenAt::default()).await.expect("opens");
            set.append(&batches(Position::START, 100)).await.expect("appends");
            let checkpoint = set.flush().await.expect("flushes");
            set.close().await;
            let sidecar = dir().join(SegmentName { base: Offset(0), term: Term(1) }.index());
            let before = fs::read(&sidecar).await.expect("there");
            if gone {
                fs::remove_file(&sidecar).await.expect("was there");
            }
            let at = OpenAt { checkpoint: Some(&checkpoint), cut: None, start: Position::START };
            let set = SegmentSet::open(shard(), dir(), GROUP, tiny(), at).await.expect("opens");
            // The segment's own file is the first that is opened, its sidecar the second.
            ailurus_rt::sim::with_disk(|disk| disk.lack_handles(1, 1));
            let read = set.read(Offset(0), Offset(i64::MAX), 100, true).await.expect("readable");
            checked(&read.batches, Offset(0));
            assert_eq!(fs::read(&sidecar).await.expect("there, perhaps again"), before);
            set.close().await;
        };
        sim.run(main).finished();
    }
}

/// Retention believes the times in a sidecar: they must be those of batches that are as they were written.
#[test]
fn a_sidecar_is_not_written_again_from_what_is_damaged() {
    let mut sim = Sim::new(1, SimConfig { shards: 1, ..SimConfig::default() });
    let name = SegmentName { base: Offset(0), term: Term(1) };
    let fill = async move || {
        let set = SegmentSet::open(shard(), dir(), GROUP, tiny(), OpenAt::default()).await.expect("opens");
        set.append(&batches(Position::START, 100)).await.expect("appends");
        let checkpoint = set.flush().await.expect("flushes");
        set.close().await;
        fs::remove_file(&dir().join(name.index())).await.expect("was there");
        let bytes = fs::read(&dir().join(name.log())).await.expect("readable");
        (checkpoint, bytes.len() as u64)
    };
    let (checkpoint, bytes) = sim.run(fill).finished();
    // The last value of its last batch.
    assert!(sim.disk().flip_bit(dir().join(name.log()), bytes - 2, 0).expect("there"));
    let main = async move || {
        let at = OpenAt { checkpoint: Some(&checkpoint), cut: None, start: Position::START };
        let set = SegmentSet::open(shard(), dir(), GROUP, tiny(), at).await.expect("opens");
        let read = set.read(Offset(0), Offset(i64::MAX), 100, true).await.expect("what comes before is readable");
        checked(&read.batches, Offset(0));
        assert!(!fs::exists(&dir().join(name.index())).await.expect("known"));
        set.close().await;
    };
    sim.run(main).finished();
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a test on real files needs a real directory")]
fn real_files_hold_what_was_written() {
    for backend in [ailurus_rt::Backend::Auto, ailurus_rt::Backend::Epoll] {
        let path = std::env::temp_dir().join(format!("ailurus-segment-{}-{backend:?}", std::process::id()));
        let log = path.join("log");
        let config = ailurus_rt::Config { shards: 1, backend, ..ailurus_rt::Config::small() };
        let ran = ailurus_rt::run(config, move || on_real_files(log));
        std::fs::remove_dir_all(&path).expect("was there");
        ran.expect("runs");
    }
}

async fn on_real_files(log: PathBuf) {
    let config = LogConfig { segment_bytes: 1 << 20, compact: true, ..LogConfig::default() };
    let limits = SegmentLimits::of(&crate::StorageConfig::new("unused"));
    let set =
        SegmentSet::open(SegmentShard::with(limits.clone()), log.clone(), GROUP, config.clone(), OpenAt::default());
    let set = set.await.expect("opens");
    for _ in 0..20 {
        set.append(&batches(set.end(), 1000)).await.expect("appends");
    }
    set.truncate_suffix(ailurus_model::Index(15_500)).await.expect("cuts");
    set.append(&batches(set.end(), 1000)).await.expect("appends");
    let checkpoint = set.flush().await.expect("flushes");
    set.checkpoint_durable(&checkpoint);
    set.compact(Offset(10_000), &|_| None).await.expect("compacts").expect("it pays");
    set.close().await;
    let at = OpenAt { checkpoint: Some(&checkpoint), cut: None, start: Position::START };
    let set = SegmentSet::open(SegmentShard::with(limits), log, GROUP, config, at).await.expect("opens");
    assert_eq!(set.end().offset, Offset(16_500));
    let (mut from, mut count) = (Offset(0), 0);
    while from < set.end().offset {
        let read = set.read(from, Offset(i64::MAX), 1 << 20, true).await.expect("readable");
        checked(&read.batches, from);
        (from, count) = (read.next, count + read.batches.len());
    }
    assert!((6_500..12_000).contains(&count), "{count} records are left");
    set.close().await;
}
