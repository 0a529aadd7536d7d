//! Storage on the simulated machine: one promise per test.

#![allow(missing_docs, reason = "a test")]

use std::rc::Rc;
use std::time::Duration;

use ailurus_model::{
    GroupId, Index, NodeId, Offset, OwnerEpoch, PartitionId, ShardId, Term, TopicId, TopicIdPartition,
};
use ailurus_record::{BatchBuilder, BatchHeader};
use ailurus_rt as rt;
use ailurus_rt::sim::disk::{DiskFaults, DiskOp};
use ailurus_rt::sim::{Outcome, Sim, SimConfig, seeds};
use ailurus_storage::{
    DataDir, Entry, HardState, Log, LogConfig, LogId, ReadError, Storage, StorageConfig, StorageError,
};
use bytes::Bytes;

mod caching;
mod files;

const TERM: Term = Term(1);

fn sim(seed: u64, disk: DiskFaults) -> Sim {
    Sim::new(seed, SimConfig { shards: 1, disk, ..SimConfig::default() })
}

fn id(group: u64) -> LogId {
    let topic = TopicIdPartition { topic: TopicId(7), partition: PartitionId(group as i32) };
    LogId { group: GroupId(group), topic, owner_epoch: OwnerEpoch(0) }
}

async fn open_with(config: StorageConfig) -> Result<(DataDir, Rc<Storage>, Vec<Rc<Log>>), StorageError> {
    let dir = DataDir::open(&config, 1).await?;
    let (storage, logs) = Storage::open(config, ShardId(0)).await?;
    Ok((dir, storage, logs))
}

fn tiny() -> StorageConfig {
    StorageConfig::tiny("/data")
}

async fn open() -> (DataDir, Rc<Storage>, Vec<Rc<Log>>) {
    open_with(tiny()).await.expect("it opens")
}

fn batch(base: Offset, len: usize) -> Entry {
    let value: Vec<u8> = (0..len).map(|at| (at as i64 + base.0) as u8).collect();
    let mut builder = BatchBuilder::new().at(base, TERM);
    builder.push(base.0, None, Some(&value), &[]);
    let bytes = builder.build();
    Entry::Batch { header: BatchHeader::parse(&bytes).expect("it was just built"), bytes }
}

fn append(log: &Rc<Log>, len: usize) -> Index {
    log.append(TERM, batch(log.end_offset(), len)).expect("it is taken")
}

/// Returns when `index` is durable, and commits it as the only replica would.
async fn commit(log: &Rc<Log>, index: Index) {
    log.progress().until(|| (log.frontiers().durable >= index).then_some(())).await;
    log.committed(index);
}

async fn until(mut holds: impl FnMut() -> bool) {
    let deadline = rt::now() + Duration::from_secs(60);
    while !holds() {
        assert!(rt::now() < deadline, "it does not come about");
        rt::sleep(Duration::from_millis(1)).await;
    }
}

/// Base offsets of all that can be read.
async fn offsets(log: &Rc<Log>) -> Vec<i64> {
    let mut next = log.log_start().offset;
    let mut found = Vec::new();
    while next < log.end_offset() {
        let read = log.read(next, log.end_offset(), 4000, true).await.expect("it reads");
        next = read.next;
        for bytes in read.batches {
            let header = BatchHeader::parse(&bytes).expect("it was stored");
            let Entry::Batch { bytes: expected, .. } = batch(Offset(header.base_offset), bytes_of_value(&bytes)) else {
                unreachable!()
            };
            assert_eq!(bytes, expected, "the batch at {} is as it was appended", header.base_offset);
            found.push(header.base_offset);
        }
    }
    found
}

fn bytes_of_value(batch: &Bytes) -> usize {
    let mut records = ailurus_record::records(batch, &ailurus_record::Limits::STORED).expect("it decodes");
    records.next().expect("it has one record").expect("it decodes").value.expect("it has a value").len()
}

#[test]
fn a_thousand_partitions_commit_together() {
    sim(1, DiskFaults { latency: Duration::from_micros(100), ..DiskFaults::default() })
        .run(|| async {
            let (_dir, storage, _) = open_with(StorageConfig::new("/data")).await.expect("it opens");
            let mut logs = Vec::new();
            for group in 1..=1000 {
                logs.push(storage.create_log(id(group), LogConfig::default()).await.expect("it is created"));
            }
            storage.settled().await;
            let before = storage.stats().journal;
            let lasts: Vec<Index> = logs.iter().map(|log| append(log, 4096)).collect();
            for (log, last) in logs.iter().zip(lasts) {
                commit(log, last).await;
            }
            let after = storage.stats().journal;
            assert_eq!(after.entries - before.entries, 1000);
            assert_eq!(after.flushes - before.flushes, 1, "one turn, one flush");
            // Quiet tails are drained together: flushes do not follow the number of partitions.
            until(|| storage.stats().tail_bytes == 0).await;
            let stats = storage.stats();
            assert!(stats.drain.flushes + stats.drain.fs_flushes <= 10, "{stats:?}");
            assert!(stats.journal.flushes - after.flushes <= 10, "{stats:?}");
            storage.shutdown().await;
        })
        .finished();
}

#[test]
fn while_a_flush_is_under_way_the_next_commit_gathers() {
    sim(1, DiskFaults { latency: Duration::from_millis(10), ..DiskFaults::default() })
        .run(|| async {
            let (_dir, storage, _) = open().await;
            let log = storage.create_log(id(1), LogConfig::default()).await.expect("it is created");
            storage.settled().await;
            let before = storage.stats().journal;
            for _ in 0..100 {
                append(&log, 10);
                rt::sleep(Duration::from_micros(300)).await;
            }
            storage.settled().await;
            let commits = storage.stats().journal.commits - before.commits;
            assert!((2..=10).contains(&commits), "100 appends in 30 ms on a disk of 20 ms per commit: {commits}");
        })
        .finished();
}

/// Logs on `shards` shards, group g on shard g % shards; some work, a crash at any moment, another number of shards.
#[test]
fn another_number_of_shards_finds_everything() {
    for seed in seeds(15) {
        let disk = DiskFaults { latency: Duration::from_micros(50), sector_bytes: 512, ..DiskFaults::default() };
        let mut sim = sim(seed, disk);
        let acked: Rc<std::cell::RefCell<std::collections::BTreeMap<u64, i64>>> = Rc::default();
        for (life, shards) in [4, 1, 3, 3, 2].into_iter().enumerate() {
            // The first life always does some work; later ones may end while they still take over.
            sim.crash_after(if life == 0 { 8000 } else { 300 + seed * 53 % 5000 });
            let acked = acked.clone();
            let outcome = sim.run(move || async move {
                let dir = DataDir::open(&tiny(), shards).await.expect("the directory opens");
                let mut storages = Vec::new();
                for shard in 0..shards {
                    storages.push(Storage::open(tiny(), ShardId(shard)).await.expect("the storage opens").0);
                }
                for group in 1..=8u64 {
                    let storage = &storages[group as usize % usize::from(shards)];
                    let log = storage.create_log(id(group), LogConfig::keeping()).await.expect("it is created");
                    let end = acked.borrow().get(&group).copied().unwrap_or(0);
                    assert!(log.end_offset().0 >= end, "group {group} ends at {}, not {end}", log.end_offset());
                    assert_eq!(offsets(&log).await, (0..log.end_offset().0).collect::<Vec<_>>());
                    let hard_state = log.hard_state();
                    assert!(hard_state.term.0 >= end as i32, "the term of {group} went back");
                }
                for round in 0..40 {
                    for group in 1..=8u64 {
                        let storage = &storages[group as usize % usize::from(shards)];
                        let log = storage.log(GroupId(group)).expect("it was opened");
                        let ticket = log.save_hard_state(HardState {
                            term: Term(log.end_offset().0 as i32 + 1),
                            vote: Some(NodeId(0)),
                        });
                        let last = append(&log, 100 + round * 10);
                        if (round + group as usize).is_multiple_of(3) {
                            commit(&log, last).await;
                            log.settled(ticket).await.expect("it is there");
                            acked.borrow_mut().insert(group, log.end_offset().0);
                        }
                    }
                }
                drop(dir);
            });
            assert!(!matches!(outcome, Outcome::Fatal(_)));
        }
    }
}

#[test]
fn a_released_log_is_taken_over_with_a_higher_owner_epoch() {
    let mut sim = sim(3, DiskFaults::default());
    sim.run(|| async {
        let _dir = DataDir::open(&tiny(), 2).await.expect("the directory opens");
        let (first, _) = Storage::open(tiny(), ShardId(0)).await.expect("it opens");
        let (second, _) = Storage::open(tiny(), ShardId(1)).await.expect("it opens");
        let log = first.create_log(id(1), LogConfig::keeping()).await.expect("it is created");
        for _ in 0..20 {
            let last = append(&log, 700);
            commit(&log, last).await;
        }
        log.set_state_source(Rc::new(|| Bytes::from_static(b"producers")));
        assert!(matches!(second.create_log(id(1), LogConfig::keeping()).await, Err(StorageError::NotHere(_))));
        first.release_log(GroupId(1)).await.expect("it is released");
        assert!(log.failed() && first.log(GroupId(1)).is_none());
        let log = second.create_log(id(1), LogConfig::keeping()).await.expect("it is taken over");
        assert_eq!(log.id().owner_epoch, OwnerEpoch(1));
        assert_eq!(log.recovered_state(), Some((Index(19), Bytes::from_static(b"producers"))));
        assert_eq!(offsets(&log).await, (0..20).collect::<Vec<_>>());
        let last = append(&log, 10);
        commit(&log, last).await;
    })
    .finished();
    sim.crash();
    sim.run(|| async {
        let _dir = DataDir::open(&tiny(), 2).await.expect("the directory opens");
        let (_, logs) = Storage::open(tiny(), ShardId(0)).await.expect("it opens");
        assert!(logs.is_empty());
        let (_, logs) = Storage::open(tiny(), ShardId(1)).await.expect("it opens");
        assert_eq!(offsets(&logs[0]).await, (0..21).collect::<Vec<_>>());
        assert_eq!(logs[0].id().owner_epoch, OwnerEpoch(1));
    })
    .finished();
}

/// A release that fails leaves the log as it was, and one that does not leaves nothing behind of what was taken.
#[test]
fn a_log_is_released_with_all_that_it_took_or_not_at_all() {
    let disk = DiskFaults { latency: Duration::from_millis(2), ..DiskFaults::default() };
    sim(30, disk)
        .run(|| async {
            let _dir = DataDir::open(&tiny(), 2).await.expect("the directory opens");
            let (first, _) = Storage::open(tiny(), ShardId(0)).await.expect("it opens");
            let (second, _) = Storage::open(tiny(), ShardId(1)).await.expect("it opens");
            let log = first.create_log(id(1), LogConfig::keeping()).await.expect("it is created");
            let last = append(&log, 700);
            commit(&log, last).await;
            until(|| first.stats().tail_bytes == 0).await;
            let in_the_way = format!("/data/topics/{}/1-1/checkpoint", TopicId(7));
            rt::fs::create_dir_all(in_the_way.as_ref()).await.expect("it is made");
            first.release_log(GroupId(1)).await.expect_err("its checkpoint has no place");
            assert!(first.log(GroupId(1)).is_some());
            let last = append(&log, 700);
            commit(&log, last).await;
            rt::fs::remove_dir_all(in_the_way.as_ref()).await.expect("it is removed");

            let releasing = first.clone();
            let release = rt::spawn(rt::Group::Cluster, async move { releasing.release_log(GroupId(1)).await });
            let mut taken = 2;
            while let Ok(last) = log.append(TERM, batch(log.end_offset(), 100)) {
                taken += 1;
                commit(&log, last).await;
                rt::sleep(Duration::from_micros(100)).await;
                if release.is_finished() {
                    break;
                }
                if first.log(GroupId(1)).is_some() && taken > 200 {
                    break;
                }
            }
            if release.await.is_err() {
                first.release_log(GroupId(1)).await.expect("nothing is appended any more");
            }
            let log = second.create_log(id(1), LogConfig::keeping()).await.expect("it is taken over");
            assert_eq!(offsets(&log).await, (0..taken).collect::<Vec<_>>());
        })
        .finished();
}

/// Writes some commits of one log and leaves the machine crashed.
fn some_commits(sim: &mut Sim, clean: bool) {
    sim.run(move || async move {
        let (_dir, storage, _) = open().await;
        let log = storage.create_log(id(1), LogConfig::keeping()).await.expect("it is created");
        for _ in 0..3 {
            let last = append(&log, 100);
            commit(&log, last).await;
        }
        if clean {
            storage.shutdown().await;
        }
    })
    .finished();
    sim.crash();
}

const FIRST_FILE: &str = "/data/journal/0/0000000001.journal";
const SECOND_FILE: &str = "/data/journal/0/0000000002.journal";

#[test]
fn damage_to_what_was_flushed_is_refused() {
    // Four blocks: the head, creation and first batch, second batch, third batch. The clean mark is in the second file.
    let cases = [(FIRST_FILE, 1, false, true), (FIRST_FILE, 2, false, true), (FIRST_FILE, 3, false, false)];
    let clean_cases = [(FIRST_FILE, 3, true, true), (SECOND_FILE, 1, true, false)];
    for (file, block, clean, refused) in cases.into_iter().chain(clean_cases) {
        let mut sim = sim(5, DiskFaults::default());
        some_commits(&mut sim, clean);
        assert!(sim.disk().flip_bit(file, block * 4096 + 20, 3).expect("the file is there"));
        let outcome = sim.run(|| async {
            match open_with(tiny()).await {
                Ok((_, _, logs)) => Ok(logs[0].end_offset().0),
                Err(error) => Err(error.to_string()),
            }
        });
        let outcome = outcome.finished();
        match refused {
            true => {
                assert!(outcome.as_ref().is_err_and(|what| what.contains("had been flushed")), "{block}: {outcome:?}")
            }
            // The last commit: nothing that can be read says that it was flushed.
            false => assert!(outcome.as_ref().is_ok_and(|end| *end >= 2), "{block}: {outcome:?}"),
        }
    }
}

#[test]
fn a_damaged_file_head_does_not_hide_what_was_flushed() {
    let mut sim = sim(5, DiskFaults::default());
    some_commits(&mut sim, false);
    sim.disk().flip_bit(FIRST_FILE, 20, 3).expect("the file is there");
    let opened = sim.run(|| async { open_with(tiny()).await.map(|_| ()).map_err(|error| error.to_string()) });
    assert!(opened.finished().is_err_and(|what| what.contains("had been flushed")));
}

#[test]
fn a_journal_that_cannot_be_written_ends_the_process() {
    for op in [DiskOp::Write, DiskOp::Flush] {
        let mut sim = sim(6, DiskFaults::default());
        some_commits(&mut sim, true);
        sim.disk().set_faults(DiskFaults {
            write_error_ppm: if op == DiskOp::Write { 1_000_000 } else { 0 },
            flush_error_ppm: if op == DiskOp::Flush { 1_000_000 } else { 0 },
            ..DiskFaults::default()
        });
        let outcome = sim.run(|| async {
            let (storage, logs) = Storage::open(tiny(), ShardId(0)).await.map_err(|error| error.to_string())?;
            let last = append(&logs[0], 100);
            commit(&logs[0], last).await;
            storage.shutdown().await;
            Ok::<(), String>(())
        });
        match op {
            // What recovery finds is flushed again: it fails there already.
            DiskOp::Flush => assert!(matches!(outcome, Outcome::Finished(Err(_))), "{outcome:?}"),
            _ => assert_eq!(outcome, Outcome::Fatal(rt::Fatal::DiskFailed)),
        }
    }
}

#[test]
fn a_state_that_was_cut_is_not_recovered() {
    let mut sim = sim(8, DiskFaults::default());
    sim.run(|| async {
        let (_dir, storage, _) = open().await;
        let log = storage.create_log(id(1), LogConfig::keeping()).await.expect("it is created");
        log.set_state_source(Rc::new(|| Bytes::from_static(b"s")));
        let first = append(&log, 100);
        commit(&log, first).await;
        append(&log, 5000);
        // A checkpoint at the drain of the first entry knows the state at the second, which is then cut.
        until(|| storage.stats().drain.logs > 0).await;
        storage.settled().await;
        log.truncate_suffix(Index(1)).await.expect("nothing committed is cut");
        assert_eq!(log.end_offset(), Offset(1));
        assert_eq!(log.frontiers().generation, 1);
    })
    .finished();
    sim.crash();
    sim.run(|| async {
        let (_dir, _storage, logs) = open().await;
        assert_eq!(logs[0].end_offset(), Offset(1));
        assert_eq!(logs[0].recovered_state(), None);
    })
    .finished();
}

#[test]
fn a_full_disk_refuses_clients_and_resumes_by_itself() {
    sim(9, DiskFaults { space: Some(600 << 10), ..DiskFaults::default() })
        .run(|| async {
            let config = StorageConfig { min_free_bytes: 200 << 10, ..tiny() };
            let (_dir, storage, _) = open_with(config).await.expect("it opens");
            let filler = storage.create_log(id(1), LogConfig::keeping()).await.expect("it is created");
            let internal = LogConfig { internal: true, ..LogConfig::keeping() };
            let internal = storage.create_log(id(2), internal).await.expect("it is created");
            let mut refused = false;
            for _ in 0..2000 {
                storage.until_room().await;
                match filler.append(TERM, batch(filler.end_offset(), 1000)) {
                    Ok(last) => commit(&filler, last).await,
                    Err(StorageError::Full) => {
                        refused = true;
                        break;
                    }
                    Err(error) => panic!("{error}"),
                }
                rt::sleep(Duration::from_millis(1)).await;
            }
            assert!(refused, "{:?}", storage.stats());
            // The reserve carries the broker's own logs, and reads go on.
            for _ in 0..20 {
                let last = append(&internal, 100);
                commit(&internal, last).await;
            }
            assert!(!offsets(&filler).await.is_empty());
            storage.remove_log(GroupId(1)).await.expect("deleting makes room");
            until(|| storage.stats().disk_full == 0).await;
            let other = storage.create_log(id(3), LogConfig::keeping()).await.expect("it is created");
            let last = append(&other, 1000);
            commit(&other, last).await;
        })
        .finished();
}

/// What a drain writes while the files before the log start go is no part of them.
#[test]
fn cleaning_beside_a_drain_takes_nothing_that_stays() {
    for seed in seeds(20) {
        sim(seed, DiskFaults { latency: Duration::from_millis(1), ..DiskFaults::default() })
            .run(|| async {
                let (often, soon) = (Duration::from_millis(3), Duration::from_millis(5));
                let config = StorageConfig { drain_idle: soon, clean_interval: often, ..tiny() };
                let (_dir, storage, _) = open_with(config).await.expect("it opens");
                // The records are of 1970: whatever is in segments goes, and the log start waits for a flush meanwhile.
                let log = storage.create_log(id(1), LogConfig::default()).await.expect("it is created");
                for round in 0..60 {
                    for _ in 0..1 + rt::random_below(3) {
                        let last = append(&log, 1000);
                        commit(&log, last).await;
                    }
                    rt::sleep(Duration::from_millis(rt::random_below(20))).await;
                    let mut next = log.log_start().offset;
                    while next < log.end_offset() {
                        next = match log.read(next, log.end_offset(), 4000, true).await {
                            Ok(read) => read.next,
                            Err(ReadError::OutOfRange) if next < log.log_start().offset => log.log_start().offset,
                            Err(error) => panic!("round {round}: {next} of {}: {error}", log.log_start().offset),
                        };
                    }
                }
                assert!(log.log_start().offset.0 > 30, "it was cleaned all the time");
                storage.shutdown().await;
            })
            .finished();
    }
}

/// All shards see the same free space; what they accept together still finds room.
#[test]
fn all_shards_together_promise_no_more_than_there_is() {
    sim(26, DiskFaults { space: Some(6 << 20), ..DiskFaults::default() })
        .run(|| async {
            let reserve = 1 << 20;
            // Nothing is drained until it is asked for: all that is accepted is still to find its place.
            let quiet = StorageConfig { drain_idle: Duration::from_secs(600), drain_bytes: 1 << 30, ..tiny() };
            let large = StorageConfig { journal_file_bytes: 256 << 10, journal_bytes_max: 64 << 20, ..quiet };
            let config = StorageConfig { min_free_bytes: reserve, tail_bytes_max: 64 << 20, ..large };
            let _dir = DataDir::open(&config, 4).await.expect("the directory opens");
            let mut logs = Vec::new();
            let mut storages = Vec::new();
            for shard in 0..4 {
                let (storage, _) = Storage::open(config.clone(), ShardId(shard)).await.expect("it opens");
                let log = storage.create_log(id(u64::from(shard) + 1), LogConfig::keeping()).await;
                logs.push(log.expect("it is created"));
                storages.push(storage);
            }
            for _ in 0..300 {
                for log in &logs {
                    if let Ok(last) = log.append(TERM, batch(log.end_offset(), 4000)) {
                        commit(log, last).await;
                    }
                }
                rt::sleep(Duration::from_millis(1)).await;
            }
            assert!(storages.iter().all(|storage| storage.stats().disk_full == 1), "it fills");
            let free = rt::fs::free_space("/data".as_ref()).await.expect("it is known");
            let promised: u64 = storages.iter().map(|storage| storage.stats().tail_bytes).sum();
            // The journals' next files, one on each shard, came out of the reserve.
            assert!(free >= promised, "{free} bytes are free, {promised} are promised");
        })
        .finished();
}

#[test]
fn a_disk_without_a_reserve_stops_and_goes_on_when_there_is_space() {
    sim(16, DiskFaults { space: Some(500 << 10), ..DiskFaults::default() })
        .run(|| async {
            let (_dir, storage, _) = open().await;
            let log = storage.create_log(id(1), LogConfig::keeping()).await.expect("it is created");
            let ballast = storage.create_log(id(2), LogConfig::keeping()).await.expect("it is created");
            for _ in 0..100 {
                storage.until_room().await;
                let last = append(&ballast, 1000);
                commit(&ballast, last).await;
            }
            let mut taken = 0;
            let refused = loop {
                match log.append(TERM, batch(log.end_offset(), 1000)) {
                    Ok(last) => commit(&log, last).await,
                    Err(error) => break error,
                }
                taken += 1;
                assert!(taken < 2000, "the disk never fills");
            };
            assert!(matches!(refused, StorageError::Full), "{refused}");
            // Nobody is asked: what counts is that what was taken is there, and that a deletion sets all going again.
            assert_eq!(offsets(&log).await, (0..taken).collect::<Vec<_>>());
            storage.remove_log(GroupId(2)).await.expect("deleting makes room");
            until(|| storage.stats().disk_full == 0).await;
            let last = append(&log, 1000);
            commit(&log, last).await;
            until(|| storage.stats().tail_bytes == 0).await;
        })
        .finished();
}

#[test]
fn a_batch_larger_than_a_journal_file_is_taken() {
    let mut sim = sim(17, DiskFaults::default());
    sim.run(|| async {
        let (_dir, storage, _) = open().await;
        let log = storage.create_log(id(1), LogConfig::keeping()).await.expect("it is created");
        for len in [10, 100_000, 10, 300_000, 10] {
            let last = append(&log, len);
            commit(&log, last).await;
        }
    })
    .finished();
    sim.crash();
    sim.run(|| async {
        let (_dir, storage, logs) = open().await;
        assert_eq!(offsets(&logs[0]).await, (0..5).collect::<Vec<_>>());
        logs[0].committed(logs[0].frontiers().durable);
        until(|| storage.stats().tail_bytes == 0).await;
        assert_eq!(offsets(&logs[0]).await, (0..5).collect::<Vec<_>>());
    })
    .finished();
}

#[test]
fn a_log_whose_segment_fails_is_offline_alone_and_comes_back() {
    let mut sim = sim(10, DiskFaults::default());
    sim.run(|| async {
        let (_dir, storage, _) = open().await;
        let broken = storage.create_log(id(1), LogConfig::keeping()).await.expect("it is created");
        let sound = storage.create_log(id(2), LogConfig::keeping()).await.expect("it is created");
        let first = append(&broken, 100);
        commit(&broken, first).await;
        // Something that is no directory stands where its directory should be.
        let topic = format!("/data/topics/{}", TopicId(7));
        rt::fs::create_dir_all(topic.as_ref()).await.expect("it is made");
        rt::fs::write_durably(format!("{topic}/1-1").as_ref(), b"in the way").await.expect("it is written");
        until(|| broken.failed()).await;
        assert!(matches!(broken.append(TERM, batch(Offset(1), 10)), Err(StorageError::Offline)));
        // The other goes on for many turns of the journal's files.
        for _ in 0..400 {
            storage.until_room().await;
            let last = append(&sound, 1000);
            commit(&sound, last).await;
        }
        let stats = storage.stats();
        assert_eq!(stats.logs_offline, 1);
        assert!(stats.journal.recycled > 3 && stats.journal.file_bytes <= 256 << 10, "{stats:?}");
        rt::fs::remove_file(format!("{topic}/1-1").as_ref()).await.expect("it is removed");
    })
    .finished();
    sim.crash();
    sim.run(|| async {
        let (_dir, _storage, logs) = open().await;
        assert_eq!(offsets(&logs[0]).await, [0], "its journal entries were kept");
        assert_eq!(offsets(&logs[1]).await.len(), 400);
    })
    .finished();
}

#[test]
fn a_directory_of_another_version_is_refused() {
    let mut sim = sim(11, DiskFaults::default());
    some_commits(&mut sim, true);
    let refused = sim.run(|| async {
        rt::fs::write_durably("/data/ailurus.version".as_ref(), b"2\n").await.expect("it is written");
        DataDir::open(&tiny(), 1).await.map(|_| ())
    });
    assert!(matches!(refused.finished(), Err(StorageError::Version { found, expected: 1, .. }) if found == "2"));
}

#[test]
fn a_directory_that_lost_its_version_is_refused_once_something_was_stored() {
    let mut sim = sim(11, DiskFaults::default());
    let open = || async { DataDir::open(&tiny(), 1).await.map(|_| ()) };
    let without_version = || async {
        rt::fs::remove_file("/data/ailurus.version".as_ref()).await.expect("it is removed");
        DataDir::open(&tiny(), 1).await.map(|_| ())
    };
    sim.run(open).finished().expect("it is new");
    sim.run(without_version).finished().expect("it is as good as new");
    sim.run(|| async {
        rt::fs::write_durably("/data/node.properties".as_ref(), b"node.id = 1\n").await.expect("it is written");
    })
    .finished();
    let refused = sim.run(without_version).finished();
    assert!(matches!(refused, Err(StorageError::Corrupt { what, .. }) if what.contains("node.properties")));

    let mut sim = self::sim(11, DiskFaults::default());
    some_commits(&mut sim, true);
    let refused = sim.run(without_version).finished();
    assert!(matches!(refused, Err(StorageError::Corrupt { what, .. }) if what.contains("/data/journal/0/")));
    // It was not furnished anew by that.
    assert!(sim.run(open).finished().is_err());
}

#[test]
fn a_directory_is_used_by_one() {
    sim(12, DiskFaults::default())
        .run(|| async {
            let _held = DataDir::open(&tiny(), 1).await.expect("the first has it");
            assert!(matches!(DataDir::open(&tiny(), 1).await.map(|_| ()), Err(StorageError::InUse(_))));
        })
        .finished();
}

#[test]
fn records_are_found_by_time_in_segments_and_in_the_tail() {
    sim(13, DiskFaults::default())
        .run(|| async {
            let (_dir, storage, _) = open().await;
            let log = storage.create_log(id(1), LogConfig::keeping()).await.expect("it is created");
            for _ in 0..30 {
                let last = append(&log, 300);
                commit(&log, last).await;
            }
            until(|| storage.stats().drain.logs > 0).await;
            for _ in 0..5 {
                append(&log, 300);
            }
            let end = log.end_offset();
            for wanted in 0..35 {
                let found = log.find_by_time(wanted, end).await.expect("it reads");
                assert_eq!(found, Some((Offset(wanted), wanted, TERM)));
            }
            assert_eq!(log.find_by_time(35, end).await.expect("it reads"), None);
            assert_eq!(log.find_by_time(20, Offset(20)).await.expect("it reads"), None);
            assert_eq!(log.max_timestamp(end).await.expect("it reads"), Some((Offset(34), 34, TERM)));
            assert_eq!(log.max_timestamp(Offset(20)).await.expect("it reads"), Some((Offset(19), 19, TERM)));
            let mut seen = Vec::new();
            log.replay(Index(28), |header| seen.push(header.base_offset)).await.expect("it reads");
            assert_eq!(seen, (28..35).collect::<Vec<_>>());
        })
        .finished();
}

/// A search waits for the disk while what it has not looked at yet leaves the tail.
#[test]
fn a_search_by_time_sees_what_is_drained_meanwhile() {
    let mut sim = sim(19, DiskFaults::default());
    let config = || LogConfig { segment_bytes: 4 << 10, ..LogConfig::keeping() };
    sim.run(move || async move {
        let (_dir, storage, _) = open().await;
        let log = storage.create_log(id(1), config()).await.expect("it is created");
        for _ in 0..100 {
            storage.until_room().await;
            let last = append(&log, 1000);
            commit(&log, last).await;
        }
        until(|| storage.stats().tail_bytes == 0).await;
        storage.shutdown().await;
    })
    .finished();
    sim.disk().set_faults(DiskFaults { latency: Duration::from_millis(5), ..DiskFaults::default() });
    for newest in [false, true] {
        sim.run(move || async move {
            let (_dir, storage, logs) = open().await;
            let log = logs[0].clone();
            log.set_config(config());
            let wanted = log.end_offset();
            let last = append(&log, 300);
            commit(&log, last).await;
            let below = log.end_offset();
            // Nothing is known of the segments after a restart: the search reads the head of each of them.
            let searching = log.clone();
            let search = rt::spawn(rt::Group::Fetch, async move {
                match newest {
                    true => searching.max_timestamp(below).await,
                    false => searching.find_by_time(wanted.0, below).await,
                }
            });
            assert!(storage.stats().tail_bytes > 0, "it is not drained when the search begins");
            until(|| storage.stats().tail_bytes == 0).await;
            let found = search.await.expect("it reads");
            assert_eq!(found, Some((wanted, wanted.0, TERM)));
            storage.shutdown().await;
        })
        .finished();
    }
}

#[test]
fn a_compacted_log_keeps_the_newest_of_each_key() {
    let mut sim = sim(14, DiskFaults::default());
    sim.run(|| async {
        let (_dir, storage, _) = open().await;
        let config = LogConfig {
            compact: true,
            delete: false,
            segment_bytes: 8 << 10,
            min_cleanable_dirty_permille: 100,
            ..LogConfig::default()
        };
        let log = storage.create_log(id(1), config).await.expect("it is created");
        log.set_producer_source(Rc::new(Vec::new));
        for round in 0..600u64 {
            storage.until_room().await;
            let mut builder = BatchBuilder::new().at(log.end_offset(), TERM);
            let value = format!("{round:0200}");
            builder.push(1, Some(format!("key {}", round % 5).as_bytes()), Some(value.as_bytes()), &[]);
            let bytes = builder.build();
            let header = BatchHeader::parse(&bytes).expect("it was just built");
            let last = log.append(TERM, Entry::Batch { header, bytes }).expect("it is taken");
            commit(&log, last).await;
        }
        until(|| storage.stats().tail_bytes == 0).await;
        until(|| log.size_bytes() < 30_000).await;
        let mut newest = std::collections::BTreeMap::new();
        let mut next = Offset(0);
        while next < log.end_offset() {
            let read = log.read(next, log.end_offset(), 10_000, true).await.expect("it reads");
            assert!(read.next > next);
            next = read.next;
            for batch in read.batches {
                for record in ailurus_record::records(&batch, &ailurus_record::Limits::STORED).expect("it decodes") {
                    let record = record.expect("it decodes");
                    newest.insert(record.key.expect("it has a key"), record.value.expect("it has a value"));
                }
            }
        }
        let expected: Vec<String> = (595..600).map(|round| format!("{round:0200}")).collect();
        assert_eq!(
            newest.into_values().map(|value| value.to_vec()).collect::<Vec<_>>(),
            expected.iter().map(|value| value.as_bytes().to_vec()).collect::<Vec<_>>()
        );
        storage.shutdown().await;
    })
    .finished();
}

#[test]
fn retention_moves_the_log_start_durably() {
    let mut sim = sim(15, DiskFaults::default());
    sim.run(|| async {
        let (_dir, storage, _) = open().await;
        let config = LogConfig { segment_bytes: 8 << 10, retention_bytes: Some(16 << 10), ..LogConfig::keeping() };
        let log = storage.create_log(id(1), LogConfig { delete: true, ..config }).await.expect("it is created");
        for _ in 0..200 {
            storage.until_room().await;
            let last = append(&log, 500);
            commit(&log, last).await;
        }
        until(|| log.log_start().offset > Offset(100) && log.size_bytes() < 48 << 10).await;
        let start = log.log_start().offset.0;
        assert_eq!(offsets(&log).await, (start..200).collect::<Vec<_>>());
        assert!(matches!(log.read(Offset(0), Offset(200), 1, true).await, Err(ailurus_storage::ReadError::OutOfRange)));
    })
    .finished();
    sim.crash();
    sim.run(|| async {
        let (_dir, _storage, logs) = open().await;
        let start = logs[0].log_start().offset.0;
        assert!(start > 100);
        assert_eq!(offsets(&logs[0]).await, (start..200).collect::<Vec<_>>());
    })
    .finished();
}

#[test]
fn what_a_read_would_find_is_known_closely_near_the_end() {
    sim(27, DiskFaults::default())
        .run(|| async {
            let (_dir, storage, _) = open().await;
            let config = LogConfig { index_interval_bytes: 1000, ..LogConfig::keeping() };
            let log = storage.create_log(id(1), config.clone()).await.expect("it is created");
            for _ in 0..40 {
                let last = append(&log, 500);
                commit(&log, last).await;
            }
            until(|| storage.stats().tail_bytes == 0).await;
            let end = log.end_offset();
            for left in [1, 2, 10] {
                let bytes = log.bytes_between(Offset(end.0 - left), end);
                let least = 500 * left as u64;
                assert!((least..least + 200 * left as u64 + 2000).contains(&bytes), "{left} batches: {bytes} bytes");
            }
            assert_eq!(log.bytes_between(end, end), 0);
            log.set_config(LogConfig { segment_bytes: 4 << 10, ..config });
            let last = append(&log, 500);
            commit(&log, last).await;
            until(|| storage.stats().tail_bytes == 0).await;
            assert!(log.bytes_between(Offset(0), log.end_offset()) >= 41 * 500, "closed segments count whole");
        })
        .finished();
}

#[test]
fn after_shutdown_nothing_is_taken_and_nobody_waits_for_ever() {
    sim(18, DiskFaults::default())
        .run(|| async {
            let (_dir, storage, _) = open().await;
            let log = storage.create_log(id(1), LogConfig::keeping()).await.expect("it is created");
            let last = append(&log, 100);
            storage.shutdown().await;
            assert_eq!(log.frontiers().durable, last, "what was taken before is committed");
            assert!(matches!(log.append(TERM, batch(Offset(1), 10)), Err(StorageError::Offline)));
            let ticket = log.save_hard_state(HardState { term: Term(9), vote: None });
            assert!(matches!(log.settled(ticket).await, Err(StorageError::Offline)));
        })
        .finished();
}
