//! Storage on the simulated disk: random work, power loss at a random step, and a look at what is left.
//!
//! The model of a log is the list of what was done to it. After a crash the log must be what some prefix of that list
//! makes, and the prefix must contain everything that the log had called durable. A log with retention may start later
//! than that; of a compacted one the newest record of each key must be there, and nothing that was never written. What logs
//! with write caching acknowledged from memory may be gone, all of them together up to the bound.

#![allow(missing_docs, reason = "a test")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use ailurus_model::{
    GroupId, Index, NodeId, Offset, OwnerEpoch, PartitionId, ShardId, Term, TopicId, TopicIdPartition,
};
use ailurus_record::{BatchBuilder, BatchHeader, Limits, records};
use ailurus_rt::Fatal;
use ailurus_rt::sim::disk::DiskFaults;
use ailurus_rt::sim::{Dice, Outcome, Sim, SimConfig, seeds};
use ailurus_storage::{
    DataDir, Entry, HardState, Log, LogConfig, LogId, LogStart, ReadError, Storage, StorageConfig, StorageError,
    WriteCaching,
};
use bytes::Bytes;

/// So small that it is reached all the time.
const WRITE_CACHING_BYTES_MAX: u64 = 4 << 10;

#[derive(Clone, Debug)]
enum Op {
    Batch { base: Offset, last: Index, term: Term, bytes: Bytes, generation: u32 },
    Control { index: Index, term: Term, generation: u32 },
    Cut { to: Index },
    Start { start: LogStart },
    Hard { state: HardState },
}

/// First and last index, term, and the batch with its offset (none for control entries).
type Held = (Index, Index, Term, Option<(Offset, Bytes)>);

/// What a log is after some operations.
#[derive(Clone, Default, Debug, PartialEq)]
struct State {
    entries: Vec<Held>,
    start: LogStart,
    hard: HardState,
}

impl State {
    fn apply(&mut self, op: &Op) {
        match op {
            Op::Batch { base, last, term, bytes, .. } => {
                let first = self.next();
                self.entries.push((first, *last, *term, Some((*base, bytes.clone()))));
            }
            Op::Control { index, term, .. } => self.entries.push((*index, *index, *term, None)),
            Op::Cut { to } => self.entries.retain(|(first, ..)| first < to),
            Op::Start { start } => self.start = *start,
            Op::Hard { state } => self.hard = *state,
        }
    }

    fn next(&self) -> Index {
        self.entries.last().map_or(Index(0), |(_, last, ..)| last.next())
    }

    /// Batches that are not wholly before the log start.
    fn batches(&self) -> Vec<Bytes> {
        let served = self.entries.iter().filter(|(_, last, ..)| *last >= self.start.index);
        served.filter_map(|(.., batch)| batch.as_ref().map(|(_, bytes)| bytes.clone())).collect()
    }
}

/// What may go from a log by itself.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Policy {
    Keep,
    Delete,
    Compact,
}

impl Policy {
    fn of(group: u64) -> Policy {
        [Policy::Keep, Policy::Delete, Policy::Compact][group as usize % 3]
    }

    /// With `caching` it may acknowledge from memory, for longer than most lives last without a flush.
    fn config(self, caching: bool) -> LogConfig {
        let flush_after = Duration::from_millis(200);
        let write_caching = caching.then(|| WriteCaching { flush_after, ..WriteCaching::default() });
        let small = LogConfig { segment_bytes: 4 << 10, write_caching, ..LogConfig::keeping() };
        match self {
            Policy::Keep => small,
            Policy::Delete => LogConfig { delete: true, retention_bytes: Some(8 << 10), ..small },
            Policy::Compact => LogConfig { compact: true, min_cleanable_dirty_permille: 100, ..small },
        }
    }

    /// Whether a log that starts at `start` and holds `found` may be what `state` made of it.
    fn allows(self, state: &State, start: LogStart, found: &[Bytes]) -> bool {
        match self {
            Policy::Keep => state.start == start && state.batches() == found,
            Policy::Delete => {
                // It may have moved on while it was read.
                let least = State { start, ..state.clone() }.batches().len();
                start.index >= state.start.index && found.len() >= least && state.batches().ends_with(found)
            }
            Policy::Compact => {
                let (written, there) = (records_of(&state.batches()), records_of(found));
                let newest: BTreeMap<&Option<Bytes>, i64> =
                    written.iter().map(|(offset, (key, ..))| (key, *offset)).collect();
                state.start == start
                    && there.iter().all(|(offset, record)| written.get(offset) == Some(record))
                    && newest.values().all(|offset| there.contains_key(offset))
            }
        }
    }
}

/// Key, value, time.
type Content = (Option<Bytes>, Option<Bytes>, i64);

fn records_of(batches: &[Bytes]) -> BTreeMap<i64, Content> {
    let records = batches.iter().flat_map(|batch| records(batch, &Limits::STORED).expect("it decodes"));
    let records = records.map(|record| record.expect("it decodes"));
    records.map(|record| (record.offset.0, (record.key, record.value, record.timestamp))).collect()
}

#[derive(Default)]
struct Model {
    base: State,
    ops: Vec<Op>,
    /// So many of the operations must survive.
    acked: usize,
    /// So many were acknowledged, if only from memory.
    cached: usize,
    durable: bool,
    removing: bool,
}

impl Model {
    fn ack_all(&mut self) {
        (self.acked, self.durable) = (self.ops.len(), true);
    }

    /// Believes what the log says about itself.
    fn ack_frontier(&mut self, log: &Log) {
        let frontiers = log.frontiers();
        for (place, op) in self.ops.iter().enumerate() {
            let reached = |frontier: Index| match op {
                Op::Batch { last, generation, .. } | Op::Control { index: last, generation, .. } => {
                    *generation == frontiers.generation && *last <= frontier
                }
                _ => false,
            };
            if reached(frontiers.durable) {
                (self.acked, self.durable) = (self.acked.max(place + 1), true);
            }
            if reached(frontiers.committable) {
                self.cached = self.cached.max(place + 1);
            }
        }
    }

    /// Bytes of batches that were acknowledged, but are not among the first `found` operations.
    fn lost_bytes(&self, found: usize) -> u64 {
        let acked = self.acked.max(self.cached);
        let batches = self.ops.iter().take(acked).skip(found).map(|op| match op {
            Op::Batch { bytes, .. } => bytes.len() as u64,
            _ => 0,
        });
        batches.sum()
    }

    /// The states that the log may be in after a crash.
    fn allowed(&self) -> Vec<State> {
        let mut state = self.base.clone();
        let mut allowed = Vec::new();
        for count in 0..=self.ops.len() {
            if count > 0 {
                state.apply(&self.ops[count - 1]);
            }
            if count >= self.acked {
                allowed.push(state.clone());
            }
        }
        allowed
    }

    fn now(&self) -> State {
        self.allowed().pop().expect("at least the present")
    }
}

type World = Rc<RefCell<BTreeMap<u64, Model>>>;

/// Who lies about flushes.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Liar {
    Nobody,
    Disk,
    Journal,
    /// Nobody, but writes and flushes fail now and then.
    Failing,
}

/// `None` if the disk failed meanwhile.
async fn open(liar: Liar) -> Option<(DataDir, Rc<Storage>, Vec<Rc<Log>>)> {
    let config = StorageConfig {
        honest_flush: liar != Liar::Journal,
        write_caching_bytes_max: WRITE_CACHING_BYTES_MAX,
        ..StorageConfig::tiny("/data")
    };
    let opened = async {
        let dir = DataDir::open(&config, 1).await?;
        let (storage, logs) = Storage::open(config, ShardId(0)).await?;
        Ok((dir, storage, logs))
    };
    opened
        .await
        .map_err(|error: StorageError| assert!(liar == Liar::Failing && is_io(&error), "the storage opens: {error}"))
        .ok()
}

fn is_io(error: &StorageError) -> bool {
    use ailurus_storage::SegmentError;
    matches!(error, StorageError::Io { .. } | StorageError::Segment(SegmentError::Io { .. }))
}

/// Everything that can be read of a log, as the model has it.
async fn contents(log: &Rc<Log>) -> Vec<Bytes> {
    let mut next = log.log_start().offset;
    let mut batches = Vec::new();
    while next < log.end_offset() {
        let read = match log.read(next, log.end_offset(), 3000, true).await {
            Ok(read) => read,
            // Retention has passed it meanwhile.
            Err(ReadError::OutOfRange) if log.log_start().offset > next => {
                batches.clear();
                next = log.log_start().offset;
                continue;
            }
            Err(error) => {
                assert!(log.failed(), "it reads: {error}");
                break;
            }
        };
        assert!(read.next > next, "a read makes progress");
        next = read.next;
        batches.extend(read.batches);
    }
    batches
}

async fn check_recovered(logs: &[Rc<Log>], world: &World) {
    let mut lost_bytes = 0;
    let groups: Vec<u64> = world.borrow().keys().copied().collect();
    for group in groups {
        let Some(log) = logs.iter().find(|log| log.id().group.0 == group) else {
            let model = world.borrow_mut().remove(&group).expect("it is in the model");
            assert!(model.removing || !model.durable, "group {group} was durable and is gone");
            continue;
        };
        let found = contents(log).await;
        if log.failed() {
            // Its segments failed while it was read. The next life looks again.
            continue;
        }
        let last = log.frontiers().appended;
        let mut world = world.borrow_mut();
        let model = world.get_mut(&group).expect("it is in the model");
        let allowed = model.allowed();
        // The last that fits: what was cached is not lost if only the log start or the hard state says so.
        let fits = allowed.iter().rposition(|state| {
            state.next() == last.next()
                && state.hard == log.hard_state()
                && Policy::of(group).allows(state, log.log_start(), &found)
        });
        let Some(fits) = fits else {
            panic!(
                "group {group}: end {last}, start {:?}, hard {:?}, {} batches; expected end {} or more of {:?}",
                log.log_start(),
                log.hard_state(),
                found.len(),
                allowed[0].next(),
                model.ops.iter().skip(model.acked.saturating_sub(1)).collect::<Vec<_>>(),
            );
        };
        lost_bytes += model.lost_bytes(model.acked + fits);
        let state = State { start: log.log_start(), ..allowed[fits].clone() };
        assert_eq!(log.last_term(), state.entries.last().map_or(state.start.term, |(_, _, term, _)| *term));
        for (first, _, term, batch) in state.entries.iter().filter(|(first, ..)| *first >= state.start.index) {
            if let Some((base, _)) = batch {
                assert_eq!(log.index_of(*base), *first);
                assert_eq!(log.term_of(*base), *term);
            }
        }
        assert_eq!(log.frontiers().durable, last, "what recovery gives is flushed");
        *model = Model { base: state, durable: true, removing: model.removing, ..Model::default() };
    }
    assert!(lost_bytes <= WRITE_CACHING_BYTES_MAX, "{lost_bytes} bytes were acknowledged from memory and are gone");
    for log in logs {
        assert!(
            world.borrow().contains_key(&log.id().group.0),
            "group {} was never created or is removed",
            log.id().group
        );
    }
}

/// Keys are few, so that most records are superseded on a compacted log.
fn batch(dice: &mut Dice, base: Offset, term: Term) -> (BatchHeader, Bytes) {
    let mut builder = BatchBuilder::new().at(base, term);
    for _ in 0..1 + dice.below(3) {
        let value: Vec<u8> = (0..dice.below(900)).map(|_| dice.below(256) as u8).collect();
        let key = [dice.below(6) as u8];
        builder.push(dice.below(1000) as i64, Some(&key), Some(&value), &[]);
    }
    let bytes = builder.build();
    (BatchHeader::parse(&bytes).expect("it was just built"), bytes)
}

fn append(dice: &mut Dice, log: &Rc<Log>, model: &mut Model, term: Term) {
    let generation = log.frontiers().generation;
    if dice.below(5) == 0 {
        let index = log.append(term, Entry::Control { payload: Bytes::from_static(b"config") }).expect("it is taken");
        model.ops.push(Op::Control { index, term, generation });
        return;
    }
    let base = log.end_offset();
    let (header, bytes) = batch(dice, base, term);
    let last = log.append(term, Entry::Batch { header, bytes: bytes.clone() }).expect("it is taken");
    assert_eq!(last, log.frontiers().appended);
    model.ops.push(Op::Batch { base, last, term, bytes, generation });
}

/// Searches by time find exactly what the model does.
async fn search(dice: &mut Dice, log: &Rc<Log>, state: &State) {
    let written = records_of(&state.batches());
    let served: Vec<(i64, i64)> =
        written.range(state.start.offset.0..).map(|(offset, (.., time))| (*offset, *time)).collect();
    let (wanted, end) = (dice.below(1100) as i64, log.end_offset());
    let found = log.find_by_time(wanted, end).await;
    let newest = log.max_timestamp(end).await;
    if log.failed() {
        return;
    }
    let (found, newest) = (found.expect("it reads"), newest.expect("it reads"));
    let expected = served.iter().find(|(_, time)| *time >= wanted);
    assert_eq!(found.map(|(offset, time, _)| (offset.0, time)), expected.copied(), "from time {wanted} on");
    let expected = served.iter().rev().max_by_key(|(_, time)| *time);
    assert_eq!(newest.map(|(offset, time, _)| (offset.0, time)), expected.copied(), "the latest time");
}

async fn act(dice: &mut Dice, storage: &Rc<Storage>, world: &World, next_group: u64) {
    let logs = storage.logs();
    if logs.is_empty() || (logs.len() < 6 && dice.below(12) == 0) {
        let topic = TopicIdPartition { topic: TopicId(u128::from(next_group) + 1), partition: PartitionId(0) };
        let id = LogId { group: GroupId(next_group), topic, owner_epoch: OwnerEpoch(0) };
        world.borrow_mut().insert(next_group, Model::default());
        let config = Policy::of(next_group).config(dice.below(2) == 0);
        let log = storage.create_log(id, config).await.expect("it is created");
        log.set_producer_source(Rc::new(Vec::new));
        return;
    }
    let log = logs[dice.below(logs.len() as u64) as usize].clone();
    let group = log.id().group.0;
    if log.failed() {
        // Its segments failed. The journal keeps what it had.
        return ailurus_rt::sleep(Duration::from_micros(500)).await;
    }
    let term = log.last_term().max(log.hard_state().term);
    let with =
        |change: &mut dyn FnMut(&mut Model)| change(world.borrow_mut().get_mut(&group).expect("it is in the model"));
    match dice.below(100) {
        0..50 => with(&mut |model| append(dice, &log, model, term)),
        50..58 => {
            let state =
                HardState { term: Term(term.0 + dice.below(2) as i32), vote: Some(NodeId(dice.below(3) as i32)) };
            let mut count = 0;
            let ticket = log.save_hard_state(state);
            with(&mut |model| {
                model.ops.push(Op::Hard { state });
                count = model.ops.len();
            });
            if dice.below(2) == 0 {
                log.settled(ticket).await.expect("the log is there");
                with(&mut |model| (model.acked, model.durable) = (model.acked.max(count), true));
            }
        }
        58..66 => {
            let committable = log.frontiers().committable;
            let firsts: Vec<Index> = world.borrow()[&group].now().entries.iter().map(|(first, ..)| *first).collect();
            let cuttable: Vec<Index> = firsts.into_iter().filter(|first| *first > committable).collect();
            if let Some(to) = (!cuttable.is_empty()).then(|| cuttable[dice.below(cuttable.len() as u64) as usize]) {
                let mut count = 0;
                with(&mut |model| {
                    model.ops.push(Op::Cut { to });
                    count = model.ops.len();
                });
                let cut = log.truncate_suffix(to);
                cut.await.expect("the log is there");
                with(&mut |model| (model.acked, model.durable) = (model.acked.max(count), true));
            }
        }
        66..72 => {
            let committable = log.frontiers().committable;
            log.committed(committable);
            let (from, to) = (log.log_start().offset, log.offset_after(committable));
            if to > from {
                let start = log.start_at(Offset(from.0 + 1 + dice.below((to.0 - from.0) as u64) as i64));
                let mut count = 0;
                with(&mut |model| {
                    model.ops.push(Op::Start { start });
                    count = model.ops.len();
                });
                log.set_log_start(start).await.expect("the log is there");
                with(&mut |model| (model.acked, model.durable) = (model.acked.max(count), true));
            }
        }
        72..80 => {
            storage.settled().await;
            with(&mut |model| model.ack_all());
        }
        80..83 => {
            with(&mut |model| model.removing = true);
            // A directory that a failing disk holds on to goes later; the log is gone all the same.
            let removed = storage.remove_log(GroupId(group)).await;
            assert!(removed.as_ref().is_ok() || removed.as_ref().is_err_and(is_io), "{removed:?}");
            world.borrow_mut().remove(&group);
            return;
        }
        83..90 => {
            let found = contents(&log).await;
            if log.failed() {
                return;
            }
            let state = world.borrow()[&group].now();
            let allowed = Policy::of(group).allows(&state, log.log_start(), &found);
            assert!(allowed, "group {group} reads as it was written");
        }
        90..94 if Policy::of(group) == Policy::Keep => {
            let state = world.borrow()[&group].now();
            search(dice, &log, &state).await;
        }
        94..96 => log.set_config(Policy::of(group).config(dice.below(2) == 0)),
        _ => ailurus_rt::sleep(Duration::from_micros(dice.below(30_000))).await,
    }
    if !log.failed() {
        with(&mut |model| model.ack_frontier(&log));
        if dice.below(3) > 0 {
            log.committed(log.frontiers().committable);
        }
    }
}

/// A few lives of one machine. Panics if something durable is lost.
fn live(seed: u64, liar: Liar) {
    let disk = DiskFaults {
        honour_flush: liar != Liar::Disk,
        sector_bytes: 512,
        latency: Duration::from_micros(50),
        write_error_ppm: if liar == Liar::Failing { 3_000 } else { 0 },
        flush_error_ppm: if liar == Liar::Failing { 3_000 } else { 0 },
        slow_ppm: 20_000,
        latency_slow: Duration::from_millis(5),
        ..DiskFaults::default()
    };
    let mut sim = Sim::new(seed, SimConfig { shards: 1, disk, ..SimConfig::default() });
    let world: World = Rc::default();
    let mut dice = Dice::new(seed);
    let mut next_group = 1;
    for _ in 0..4 {
        sim.crash_after(200 + dice.below(6000));
        let (world, seed) = (world.clone(), dice.below(u64::MAX));
        let outcome = sim.run(move || async move {
            let mut dice = Dice::new(seed);
            let Some((_dir, storage, logs)) = open(liar).await else { return };
            for log in &logs {
                log.set_config(Policy::of(log.id().group.0).config(dice.below(2) == 0));
                log.set_producer_source(Rc::new(Vec::new));
            }
            check_recovered(&logs, &world).await;
            for step in 0..dice.below(400) {
                act(&mut dice, &storage, &world, next_group + step).await;
            }
            storage.shutdown().await;
            world.borrow_mut().values_mut().for_each(Model::ack_all);
        });
        if outcome == Outcome::Finished(()) && (liar == Liar::Failing || dice.below(2) == 0) {
            sim.crash();
        }
        let failed = outcome == Outcome::Fatal(Fatal::DiskFailed);
        assert!(failed && liar == Liar::Failing || !matches!(outcome, Outcome::Fatal(_)), "{outcome:?}");
        next_group += 1000;
    }
    // The last look, at a machine that stays up.
    sim.disk().set_faults(DiskFaults { honour_flush: liar != Liar::Disk, ..DiskFaults::default() });
    sim.run(move || async move {
        let (_dir, storage, logs) = open(liar).await.expect("the disk does not fail any more");
        check_recovered(&logs, &world).await;
        storage.shutdown().await;
    })
    .finished();
}

fn live_all(seeds: std::ops::Range<u64>, liar: Liar) {
    for seed in seeds {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| live(seed, liar))) {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn what_was_durable_outlives_every_crash() {
    live_all(seeds(50), Liar::Nobody);
}

/// A journal that fails ends the process, a segment that fails its log; nothing that was durable is lost by either.
#[test]
fn what_was_durable_outlives_a_failing_disk() {
    live_all(seeds(30), Liar::Failing);
}

/// The crash test sees what it is for: with flushes that do nothing, something durable is lost.
#[test]
fn a_missing_flush_is_noticed() {
    for liar in [Liar::Disk, Liar::Journal] {
        let noticed = (0..24).filter(|seed| catch_unwind(AssertUnwindSafe(|| live(*seed, liar))).is_err()).count();
        assert!(noticed > 12, "{liar:?} lied, and only {noticed} of 24 seeds noticed");
    }
}
