//! `write.caching`: what is acknowledged from memory, what is not, and when it comes to the disk.

use std::cell::Cell;

use ailurus_storage::WriteCaching;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

/// The drain looks after what is cached every 50 ms; a disk without latency adds little.
const SOON: Duration = Duration::from_millis(60);

fn caching(flush_after: Duration) -> LogConfig {
    let caching = WriteCaching { flush_after, ..WriteCaching::default() };
    LogConfig { write_caching: Some(caching), ..LogConfig::keeping() }
}

/// Production's limits, so that only what a test is about makes the journal hurry.
fn large() -> StorageConfig {
    StorageConfig::new("/data")
}

fn is_committable(log: &Log) -> bool {
    log.frontiers().committable == log.frontiers().appended
}

fn is_durable(log: &Log) -> bool {
    log.frontiers().durable == log.frontiers().appended
}

#[test]
fn flushes_follow_time_and_not_appends() {
    sim(1, DiskFaults { latency: Duration::from_micros(100), ..DiskFaults::default() })
        .run(|| async {
            let (_dir, storage, _) = open_with(large()).await.expect("it opens");
            let mut logs = Vec::new();
            for group in 1..=20 {
                logs.push(storage.create_log(id(group), caching(WriteCaching::FLUSH_AFTER)).await.expect("created"));
            }
            storage.settled().await;
            let before = storage.stats().journal;
            for round in 0..1000 {
                let log = &logs[round % logs.len()];
                append(log, 100);
                assert!(is_committable(log), "it is acknowledged from memory");
                log.committed(log.frontiers().committable);
                rt::sleep(Duration::from_millis(1)).await;
            }
            let after = storage.stats().journal;
            let flushes = after.flushes - before.flushes;
            assert!((5..=11).contains(&flushes), "a second of 100 ms each, but {flushes} flushes");
            until(|| logs.iter().all(|log| is_durable(log))).await;
            assert_eq!(storage.stats().journal.unflushed_bytes, 0);
            storage.shutdown().await;
        })
        .finished();
}

#[test]
fn flushes_follow_bytes_before_their_time() {
    sim(1, DiskFaults { latency: Duration::from_micros(100), ..DiskFaults::default() })
        .run(|| async {
            let config = StorageConfig { write_caching_bytes_max: 64 << 10, ..large() };
            let (_dir, storage, _) = open_with(config).await.expect("it opens");
            let log = storage.create_log(id(1), caching(HOUR)).await.expect("it is created");
            storage.settled().await;
            let before = storage.stats().journal.flushes;
            for _ in 0..160 {
                append(&log, 1000);
                assert!(is_committable(&log));
                rt::sleep(Duration::from_millis(1)).await;
            }
            let flushes = storage.stats().journal.flushes - before;
            assert!((9..=12).contains(&flushes), "160 KiB by 16 KiB, but {flushes} flushes");
            assert!(storage.stats().journal.unflushed_bytes < 16 << 10);
            storage.shutdown().await;
        })
        .finished();
}

/// A disk that stands still: acknowledgements from memory end at the bound, and begin again when it has come down.
#[test]
fn acknowledgements_do_not_run_away_from_the_disk() {
    let bound = 32 << 10;
    let slow = DiskFaults { latency: Duration::from_millis(200), ..DiskFaults::default() };
    sim(1, slow)
        .run(move || async move {
            let config = StorageConfig { write_caching_bytes_max: bound, ..large() };
            let (_dir, storage, _) = open_with(config).await.expect("it opens");
            let log = storage.create_log(id(1), caching(HOUR)).await.expect("it is created");
            let plain = storage.create_log(id(2), LogConfig::keeping()).await.expect("it is created");
            storage.settled().await;
            let mut refused = 0;
            for round in 0..60 {
                append(if round % 4 == 0 { &plain } else { &log }, 1000);
                let unflushed = storage.stats().journal.unflushed_bytes;
                match is_committable(&log) {
                    true => assert!(unflushed <= bound, "{unflushed} bytes wait, and it is acknowledged"),
                    false => refused += 1,
                }
                assert_eq!(plain.frontiers().committable, plain.frontiers().durable);
                rt::sleep(Duration::from_micros(100)).await;
            }
            assert!(refused > 10, "only {refused} waited for their flush");
            until(|| is_committable(&log)).await;
            assert!(is_durable(&log), "what was not acknowledged from memory was flushed first");
            append(&log, 100);
            assert!(is_committable(&log) && !is_durable(&log), "from memory again");
            // One that is larger than the bound is never acknowledged from memory.
            append(&log, 40 << 10);
            assert!(!is_committable(&log));
            until(|| is_durable(&log)).await;
            storage.shutdown().await;
        })
        .finished();
}

#[test]
fn whoever_waits_takes_along_what_nobody_waits_for() {
    sim(1, DiskFaults::default())
        .run(|| async {
            let (_dir, storage, _) = open_with(large()).await.expect("it opens");
            let log = storage.create_log(id(1), caching(HOUR)).await.expect("it is created");
            let plain = storage.create_log(id(2), LogConfig::keeping()).await.expect("it is created");
            storage.settled().await;
            let takes: [&dyn Fn(); 4] = [
                &|| _ = append(&plain, 10),
                &|| _ = plain.save_hard_state(HardState { term: TERM, vote: None }),
                &|| _ = log.append(TERM, Entry::Control { payload: Bytes::from_static(b"term") }).expect("it is taken"),
                &|| {
                    // Also a log start that lies before what is durable nowhere yet.
                    log.committed(log.frontiers().committable);
                    _ = log.move_log_start(log.start_at(log.end_offset())).expect("it is taken");
                },
            ];
            for take in takes {
                append(&log, 100);
                rt::sleep(Duration::from_secs(10)).await;
                assert!(!is_durable(&log), "nobody waits");
                let before = storage.stats().journal.flushes;
                take();
                until(|| is_durable(&log) && is_durable(&plain)).await;
                assert_eq!(storage.stats().journal.flushes - before, 1);
            }
            storage.shutdown().await;
        })
        .finished();
}

#[test]
fn where_it_ends_the_rest_is_flushed_and_owed() {
    sim(1, DiskFaults { latency: Duration::from_millis(5), ..DiskFaults::default() })
        .run(|| async {
            let (_dir, storage, _) = open_with(large()).await.expect("it opens");
            let log = storage.create_log(id(1), caching(HOUR)).await.expect("it is created");
            storage.settled().await;
            let cached = append(&log, 100);
            assert_eq!(log.acknowledgeable(), cached);
            log.committed(cached);
            log.set_config(LogConfig::keeping());
            assert!(log.acknowledgeable() < cached, "what was promised from memory is not promised again");
            let plain = append(&log, 100);
            assert_eq!(
                log.frontiers().committable,
                cached,
                "the next waits for its flush, and so for the one before it"
            );
            until(|| log.acknowledgeable() >= cached).await;
            until(|| log.acknowledgeable() == plain).await;
            assert!(is_durable(&log));
            // And without another append.
            log.set_config(caching(HOUR));
            append(&log, 100);
            log.set_config(LogConfig::keeping());
            until(|| is_durable(&log)).await;
            storage.shutdown().await;
        })
        .finished();
}

#[test]
fn lower_limits_hold_for_what_gathers_already() {
    sim(1, DiskFaults { latency: Duration::from_millis(1), ..DiskFaults::default() })
        .run(|| async {
            let (_dir, storage, _) = open_with(large()).await.expect("it opens");
            let log = storage.create_log(id(1), caching(HOUR)).await.expect("it is created");
            storage.settled().await;
            let limits = |flush_after, flush_records| LogConfig {
                write_caching: Some(WriteCaching { flush_after, flush_records }),
                ..LogConfig::keeping()
            };
            for lower in [limits(WriteCaching::FLUSH_AFTER, u64::MAX), limits(HOUR, 3)] {
                log.set_config(caching(HOUR));
                until(|| is_durable(&log)).await;
                (0..5).for_each(|_| _ = append(&log, 100));
                assert!(is_committable(&log));
                // What says nothing new of it flushes nothing.
                log.set_config(LogConfig { segment_ms: 1000, ..caching(HOUR) });
                rt::sleep(Duration::from_secs(10)).await;
                assert!(!is_durable(&log), "nobody waits");
                let (lowered, before) = (rt::now(), storage.stats().journal.flushes);
                log.set_config(lower);
                until(|| is_durable(&log)).await;
                assert!(lowered.elapsed() < WriteCaching::FLUSH_AFTER / 2, "at once, not when the next comes");
                assert_eq!(storage.stats().journal.flushes - before, 1);
            }
            storage.shutdown().await;
        })
        .finished();
}

#[test]
fn so_many_records_are_flushed_before_they_are_acknowledged() {
    sim(1, DiskFaults::default())
        .run(|| async {
            let (_dir, storage, _) = open_with(large()).await.expect("it opens");
            let write_caching = Some(WriteCaching { flush_after: HOUR, flush_records: 3 });
            let config = LogConfig { write_caching, ..LogConfig::keeping() };
            let log = storage.create_log(id(1), config).await.expect("it is created");
            storage.settled().await;
            for _ in 0..3 {
                for from_memory in [true, true, false] {
                    append(&log, 10);
                    assert_eq!(is_committable(&log), from_memory);
                }
                until(|| is_durable(&log)).await;
            }
            storage.shutdown().await;
        })
        .finished();
}

#[test]
fn the_brokers_own_logs_are_never_cached() {
    sim(1, DiskFaults::default())
        .run(|| async {
            let (_dir, storage, _) = open_with(large()).await.expect("it opens");
            let internal = LogConfig { internal: true, ..caching(HOUR) };
            let log = storage.create_log(id(1), internal).await.expect("it is created");
            storage.settled().await;
            let last = append(&log, 100);
            assert!(log.frontiers().committable < last && log.acknowledgeable() < last);
            until(|| is_durable(&log)).await;
            storage.shutdown().await;
        })
        .finished();
}

/// What is never flushed could never be drained, and producers would wait for ever.
#[test]
fn waiting_for_room_makes_the_journal_hurry() {
    sim(1, DiskFaults::default())
        .run(|| async {
            let (_dir, storage, _) =
                open_with(StorageConfig { tail_bytes_max: 32 << 10, ..large() }).await.expect("opens");
            let log = storage.create_log(id(1), caching(HOUR)).await.expect("it is created");
            storage.settled().await;
            let mut waits = 0;
            for _ in 0..200 {
                let asked = rt::now();
                storage.until_room().await;
                let waited = asked.elapsed();
                // The drain looks soon after the flush, not when the tail may have been quiet for long enough.
                assert!(waited <= SOON, "{waited:?} for room");
                waits += u32::from(!waited.is_zero());
                append(&log, 1000);
                log.committed(log.frontiers().committable);
            }
            assert!(waits > 3, "only {waits} waited");
            storage.shutdown().await;
        })
        .finished();
}

/// Without caching nothing rings when the flush has made drainable what the drain was rung for.
#[test]
fn waiting_for_room_does_not_wait_for_quiet() {
    sim(2, DiskFaults { latency: Duration::from_millis(1), ..DiskFaults::default() })
        .run(|| async {
            let config = StorageConfig { tail_bytes_max: 32 << 10, drain_idle: HOUR, ..large() };
            let (_dir, storage, _) = open_with(config).await.expect("it opens");
            let log = storage.create_log(id(1), LogConfig::keeping()).await.expect("it is created");
            let mut waits = 0;
            for _ in 0..20 {
                let asked = rt::now();
                storage.until_room().await;
                let waited = asked.elapsed();
                assert!(waited <= 2 * SOON, "{waited:?} for room");
                waits += u32::from(!waited.is_zero());
                let last = append(&log, 20_000);
                commit(&log, last).await;
            }
            assert!(waits > 3, "only {waits} waited");
            storage.shutdown().await;
        })
        .finished();
}

/// A stop finds the disk full and the journal without a file: it waits for room, but not for ever.
#[test]
fn a_stop_without_room_waits_for_some_time() {
    for room_comes in [true, false] {
        let mut sim = sim(11, DiskFaults { space: Some(2 << 20), ..DiskFaults::default() });
        let outcome = sim.run(move || async move {
            let large = 4 << 20;
            let bounds = StorageConfig { commit_bytes_max: large, write_caching_bytes_max: large, ..tiny() };
            let config = StorageConfig { tail_bytes_max: large, drain_bytes: large, drain_idle: HOUR, ..bounds };
            let (_dir, storage, _) = open_with(config).await.expect("it opens");
            let log = storage.create_log(id(1), caching(HOUR)).await.expect("it is created");
            storage.settled().await;
            // More than the journal's files hold, all in memory; then others take the rest of the disk.
            (0..200).for_each(|_| _ = append(&log, 1000));
            log.committed(log.frontiers().committable);
            let filler = std::path::Path::new("/data/filler");
            let file = rt::File::open(filler, rt::OpenOptions { create: true, write: true, ..Default::default() });
            let (file, mut taken) = (file.await.expect("it opens"), 0);
            while file.allocate(taken, 4096).await.is_ok() {
                taken += 4096;
            }
            file.close().await.expect("it closes");
            assert!(is_committable(&log) && storage.stats().journal.unflushed_bytes > 200_000);
            if room_comes {
                let gone = async move {
                    // As the last retries alone would not live to see.
                    rt::sleep(Duration::from_secs(8)).await;
                    rt::fs::remove_file(filler).await.expect("it is removed");
                };
                rt::spawn(rt::Group::Kafka, gone).detach();
            }
            storage.shutdown().await;
            assert!(is_durable(&log));
        });
        match room_comes {
            true => outcome.finished(),
            false => assert_eq!(outcome, Outcome::Fatal(rt::Fatal::DiskFailed)),
        }
    }
}

#[test]
fn a_clean_stop_loses_nothing_and_a_crash_the_end() {
    for clean in [true, false] {
        let mut sim = sim(7, DiskFaults::default());
        let written = Rc::new(Cell::new((Index::ZERO, Index::ZERO)));
        let seen = written.clone();
        sim.run(move || async move {
            let (_dir, storage, _) = open_with(large()).await.expect("it opens");
            let log = storage.create_log(id(1), caching(HOUR)).await.expect("it is created");
            let flushed = append(&log, 1000);
            storage.settled().await;
            (0..20).for_each(|_| _ = append(&log, 1000));
            assert!(is_committable(&log));
            log.committed(log.frontiers().committable);
            seen.set((flushed, log.frontiers().committable));
            if clean {
                storage.shutdown().await;
            }
        })
        .finished();
        sim.crash();
        let (flushed, committed) = written.get();
        sim.run(move || async move {
            let (_dir, storage, logs) = open_with(large()).await.expect("it opens");
            let found = logs[0].frontiers();
            assert_eq!(found.appended, if clean { committed } else { flushed });
            assert_eq!(found, ailurus_storage::Frontiers::all_at(found.appended));
            assert_eq!(offsets(&logs[0]).await.len() as i64, found.appended.0 + 1);
            storage.shutdown().await;
        })
        .finished();
    }
}
