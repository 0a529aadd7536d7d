//! Files that go, are missing, or cannot be read.

use ailurus_storage::SegmentError;

use super::*;

#[test]
fn a_removal_ends_a_compaction_under_way() {
    let mut sim = sim(20, DiskFaults::default());
    let config = |compact| LogConfig {
        compact,
        segment_bytes: 4 << 10,
        min_cleanable_dirty_permille: 0,
        ..LogConfig::keeping()
    };
    sim.run(move || async move {
        let (_dir, storage, _) = open().await;
        let log = storage.create_log(id(1), config(false)).await.expect("it is created");
        for round in 0..400u64 {
            storage.until_room().await;
            let mut builder = BatchBuilder::new().at(log.end_offset(), TERM);
            builder.push(1, Some(&round.to_le_bytes()), Some(&[7; 500]), &[]);
            let bytes = builder.build();
            let header = BatchHeader::parse(&bytes).expect("it was just built");
            let last = log.append(TERM, Entry::Batch { header, bytes }).expect("it is taken");
            commit(&log, last).await;
        }
        until(|| storage.stats().tail_bytes == 0).await;
        storage.shutdown().await;
    })
    .finished();
    sim.disk().set_faults(DiskFaults { latency: Duration::from_millis(5), ..DiskFaults::default() });
    sim.run(move || async move {
        let config_of_all = StorageConfig { compaction_map_bytes: 1 << 20, ..tiny() };
        let (_dir, storage, logs) = open_with(config_of_all).await.expect("it opens");
        logs[0].set_config(config(true));
        logs[0].set_producer_source(Rc::new(Vec::new));
        let dir = format!("/data/topics/{}/1-1", TopicId(7));
        let is_compacting = async || {
            let names = rt::fs::read_dir(dir.as_ref()).await.expect("it is there");
            names.iter().any(|entry| entry.name.to_string_lossy().ends_with(".tmp"))
        };
        while !is_compacting().await {
            rt::sleep(Duration::from_millis(1)).await;
        }
        let begun = rt::now();
        storage.remove_log(GroupId(1)).await.expect("it is removed");
        assert!(rt::now() - begun < Duration::from_millis(200), "it took {:?}", rt::now() - begun);
        assert!(!rt::fs::exists(dir.as_ref()).await.expect("it can be seen"));
    })
    .finished();
}

/// What stands in the way of a removal may stay for long: the journal goes on, and so does the removal at last.
#[test]
fn a_removal_that_fails_is_tried_again_while_the_journal_goes_round() {
    let mut sim = sim(21, DiskFaults::default());
    sim.run(|| async {
        let (_dir, storage, _) = open().await;
        let removed = storage.create_log(id(1), LogConfig::keeping()).await.expect("it is created");
        let other = storage.create_log(id(2), LogConfig::keeping()).await.expect("it is created");
        let last = append(&removed, 5000);
        commit(&removed, last).await;
        until(|| storage.stats().tail_bytes == 0).await;
        let dir = format!("/data/topics/{}/1-1", TopicId(7));
        rt::fs::remove_dir_all(dir.as_ref()).await.expect("it is removed");
        rt::fs::write_durably(dir.as_ref(), b"no directory").await.expect("it is written");
        storage.remove_log(GroupId(1)).await.expect_err("a file is no directory");
        for _ in 0..400 {
            storage.until_room().await;
            let last = append(&other, 1000);
            commit(&other, last).await;
        }
        let stats = storage.stats();
        assert!(stats.journal.recycled > 3 && stats.journal.file_bytes <= 256 << 10, "{stats:?}");
        rt::fs::remove_file(dir.as_ref()).await.expect("it is removed");
        rt::fs::create_dir_all(dir.as_ref()).await.expect("it is made");
        for _ in 0..1000 {
            rt::sleep(Duration::from_millis(1)).await;
        }
        assert!(!rt::fs::exists(dir.as_ref()).await.expect("it can be seen"), "it is tried again");
    })
    .finished();
    sim.crash();
    sim.run(|| async {
        let (_dir, _storage, logs) = open().await;
        assert_eq!(logs.iter().map(|log| log.id().group.0).collect::<Vec<_>>(), [2]);
    })
    .finished();
}

/// Removals and the recycling of the journal meet at every step, and the machine goes down at any of them.
#[test]
fn a_removal_under_way_leaves_a_journal_that_is_read_back() {
    for seed in seeds(40) {
        let disk = DiskFaults { latency: Duration::from_micros(50), ..DiskFaults::default() };
        let mut sim = sim(seed, disk);
        sim.crash_after(1500 + seed * 97 % 3000);
        let outcome = sim.run(|| async {
            let (_dir, storage, _) = open().await;
            let busy = storage.create_log(id(1), LogConfig::keeping()).await.expect("it is created");
            for round in 0..400u64 {
                let retention = LogConfig { delete: true, retention_bytes: Some(1 << 10), ..LogConfig::keeping() };
                let config = LogConfig { segment_bytes: 1 << 10, ..retention };
                let log = storage.create_log(id(2 + round), config).await.expect("it is created");
                for group in [&log, &log, &log, &log, &busy] {
                    storage.until_room().await;
                    let last = append(group, 600);
                    commit(group, last).await;
                }
                if round >= 4 {
                    if let Some(old) = storage.log(GroupId(2 + round - 4)) {
                        append(&old, 100);
                    }
                    let storage = storage.clone();
                    let remove = async move { storage.remove_log(GroupId(2 + round - 4)).await };
                    rt::spawn(rt::Group::Cluster, remove).detach();
                }
            }
        });
        assert!(!matches!(outcome, Outcome::Fatal(_)), "seed {seed}: {outcome:?}");
        let opened = sim.run(|| async { open_with(tiny()).await.map(|_| ()).map_err(|error| error.to_string()) });
        assert_eq!(opened.finished(), Ok(()), "seed {seed}");
    }
}

#[test]
fn a_failed_log_does_not_make_the_producers_of_others_wait() {
    sim(22, DiskFaults::default())
        .run(|| async {
            let config = StorageConfig { drain_idle: Duration::from_secs(5), drain_bytes: 1 << 20, ..tiny() };
            let (_dir, storage, _) = open_with(config).await.expect("it opens");
            let broken = storage.create_log(id(1), LogConfig::keeping()).await.expect("it is created");
            let sound = storage.create_log(id(2), LogConfig::keeping()).await.expect("it is created");
            let topic = format!("/data/topics/{}", TopicId(7));
            rt::fs::create_dir_all(topic.as_ref()).await.expect("it is made");
            rt::fs::write_durably(format!("{topic}/1-1").as_ref(), b"in the way").await.expect("it is written");
            // As much at once as all tails may hold together.
            let mut last = Index(-1);
            for _ in 0..60 {
                last = append(&broken, 1000);
            }
            commit(&broken, last).await;
            until(|| broken.failed()).await;
            let waited = rt::timeout(Duration::from_secs(60), storage.until_room()).await;
            assert!(waited.is_ok(), "{:?}", storage.stats());
            let last = append(&sound, 1000);
            commit(&sound, last).await;
        })
        .finished();
}

/// Fills log 1 with closed segments of a few batches each, drained, and shuts down.
fn closed_segments(sim: &mut Sim) {
    sim.run(|| async {
        let (_dir, storage, _) = open().await;
        let config = LogConfig { segment_bytes: 4 << 10, ..LogConfig::keeping() };
        let log = storage.create_log(id(1), config).await.expect("it is created");
        storage.create_log(id(2), LogConfig::keeping()).await.expect("it is created");
        for _ in 0..30 {
            let last = append(&log, 1000);
            commit(&log, last).await;
        }
        until(|| storage.stats().tail_bytes == 0).await;
        storage.shutdown().await;
    })
    .finished();
}

/// The segment files of log 1, oldest first.
async fn segment_files() -> Vec<String> {
    let dir = format!("/data/topics/{}/1-1", TopicId(7));
    let listed = rt::fs::read_dir(dir.as_ref()).await.expect("it is there");
    let names = listed.into_iter().filter_map(|entry| entry.name.into_string().ok());
    let mut files: Vec<String> =
        names.filter(|name| name.ends_with(".log")).map(|name| format!("{dir}/{name}")).collect();
    files.sort();
    files
}

#[test]
fn a_segment_that_is_missing_in_the_middle_is_no_gap_of_compaction() {
    let mut sim = sim(23, DiskFaults::default());
    closed_segments(&mut sim);
    sim.run(|| async {
        let files = segment_files().await;
        rt::fs::remove_file(files[2].as_ref()).await.expect("it is removed");
        let (_dir, _storage, logs) = open().await;
        let (mut next, end) = (Offset(0), logs[0].end_offset());
        let error = loop {
            match logs[0].read(next, end, 1000, true).await {
                Ok(read) => next = read.next,
                Err(error) => break error,
            }
            assert!(next < end, "the hole was passed over");
        };
        assert!(matches!(error, ailurus_storage::ReadError::Segment(SegmentError::Corrupt { .. })), "{error}");
        assert!(!logs[0].failed());
        assert!(logs[0].read(Offset(end.0 - 1), end, 1000, true).await.is_ok(), "the rest is served");
        assert!(logs[0].find_by_time(end.0 - 1, end).await.is_err(), "what is missing may have had it");
    })
    .finished();
}

#[test]
fn a_log_whose_segments_are_missing_is_offline_alone() {
    let mut sim = sim(24, DiskFaults::default());
    closed_segments(&mut sim);
    let hidden = "/data/hidden.log";
    let first = sim.run(move || async move {
        let first = segment_files().await.remove(0);
        rt::fs::rename(first.as_ref(), hidden.as_ref()).await.expect("it is renamed");
        rt::fs::sync_fs("/data".as_ref()).await.expect("it is flushed");
        first
    });
    let first = first.finished();
    sim.run(|| async {
        let (_dir, storage, logs) = open().await;
        assert_eq!(storage.stats().logs_offline, 1);
        assert!(logs[0].failed() && !logs[1].failed());
        assert!(matches!(logs[0].append(TERM, batch(Offset(30), 10)), Err(StorageError::Offline)));
        // The other goes on for many turns of the journal's files.
        for _ in 0..400 {
            storage.until_room().await;
            let last = append(&logs[1], 1000);
            commit(&logs[1], last).await;
        }
        assert!(storage.stats().journal.recycled > 3, "{:?}", storage.stats());
    })
    .finished();
    sim.crash();
    sim.run(move || async move {
        rt::fs::rename(hidden.as_ref(), first.as_ref()).await.expect("it is put back");
        let (_dir, _storage, logs) = open().await;
        assert_eq!(offsets(&logs[0]).await, (0..30).collect::<Vec<_>>(), "nothing was lost meanwhile");
    })
    .finished();
}

#[test]
fn a_segment_that_cannot_be_read_does_not_take_its_log_offline() {
    let mut sim = sim(25, DiskFaults::default());
    closed_segments(&mut sim);
    let file = sim.run(|| async { segment_files().await.remove(0) }).finished();
    assert!(sim.disk().flip_bit(&file, 20, 1).expect("it is there"));
    sim.run(|| async {
        let (_dir, _storage, logs) = open().await;
        logs[0].set_config(LogConfig { delete: true, retention_ms: Some(1), ..LogConfig::keeping() });
        rt::sleep(Duration::from_secs(1)).await;
        assert!(!logs[0].failed());
        assert_eq!(logs[0].log_start().offset, Offset(0), "it is taken for young");
        let last = append(&logs[0], 10);
        commit(&logs[0], last).await;
        logs[0].set_config(LogConfig { delete: true, retention_bytes: Some(10_000), ..LogConfig::keeping() });
        until(|| logs[0].log_start().offset > Offset(15)).await;
        let start = logs[0].log_start().offset.0;
        assert_eq!(offsets(&logs[0]).await, (start..31).collect::<Vec<_>>());
    })
    .finished();
}

#[test]
fn a_lost_layout_is_not_made_anew() {
    let mut sim = sim(28, DiskFaults::default());
    some_commits(&mut sim, true);
    let opened = sim.run(|| async {
        rt::fs::remove_file("/data/journal/layout".as_ref()).await.expect("it is there");
        DataDir::open(&tiny(), 1).await.map(|_| ())
    });
    assert!(matches!(opened.finished(), Err(StorageError::Corrupt { path, .. }) if path.ends_with("journal/layout")));
}

/// Retention of one log goes on while another is compacted for long.
#[test]
fn retention_does_not_wait_for_a_compaction() {
    let mut sim = sim(29, DiskFaults::default());
    closed_segments(&mut sim);
    sim.run(|| async {
        let (_dir, storage, logs) = open().await;
        logs[1].set_config(LogConfig { segment_bytes: 4 << 10, ..LogConfig::keeping() });
        for _ in 0..200 {
            storage.until_room().await;
            let last = append(&logs[1], 1000);
            commit(&logs[1], last).await;
        }
        until(|| storage.stats().tail_bytes == 0).await;
        storage.shutdown().await;
    })
    .finished();
    sim.disk().set_faults(DiskFaults { latency: Duration::from_millis(5), ..DiskFaults::default() });
    sim.run(|| async {
        let config = StorageConfig { compaction_map_bytes: 1 << 20, ..tiny() };
        let (_dir, _storage, logs) = open_with(config).await.expect("it opens");
        let compact = LogConfig { compact: true, min_cleanable_dirty_permille: 0, ..LogConfig::keeping() };
        logs[1].set_producer_source(Rc::new(Vec::new));
        let full = logs[1].size_bytes();
        logs[1].set_config(compact);
        rt::sleep(Duration::from_millis(300)).await;
        logs[0].set_config(LogConfig { delete: true, retention_bytes: Some(10_000), ..LogConfig::keeping() });
        until(|| logs[0].log_start().offset > Offset(10)).await;
        assert_eq!(logs[1].size_bytes(), full, "the first pass is still under way");
        // Records without a key go: the pass comes to its end.
        until(|| logs[1].size_bytes() < full / 2).await;
    })
    .finished();
}

/// Opening a segment to drain into it, and the directory to flush all of them: both come again.
#[test]
fn a_drain_waits_for_file_handles() {
    let mut waited = 0;
    for after in 0..30 {
        let mut sim = sim(31, DiskFaults::default());
        let took = sim.run(move || async move {
            let (_dir, storage, _) = open().await;
            let mut logs = Vec::new();
            for group in 1..=6 {
                logs.push(storage.create_log(id(group), LogConfig::keeping()).await.expect("it is created"));
            }
            for log in &logs {
                let last = append(log, 10);
                commit(log, last).await;
            }
            let begun = rt::now();
            rt::sim::with_disk(|disk| disk.lack_handles(after, 3));
            until(|| storage.stats().tail_bytes == 0).await;
            let took = rt::now() - begun;
            rt::sim::with_disk(|disk| disk.lack_handles(0, 0));
            storage.remove_log(GroupId(1)).await.expect("it is removed");
            for log in &logs[1..] {
                assert_eq!(offsets(log).await, [0]);
            }
            storage.shutdown().await;
            took
        });
        waited += u32::from(took.finished() >= tiny().drain_idle + Duration::from_millis(400));
    }
    assert!(waited > 2, "a lack of handles was in the way of {waited} drains");
}
