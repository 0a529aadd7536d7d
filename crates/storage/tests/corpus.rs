//! A data directory of every format version there ever was (`testdata/data/v<n>`): each later version opens them.
//!
//! `AILURUS_WRITE_CORPUS=1` writes the folder of today's version anew.

#![allow(missing_docs, reason = "a test")]
#![allow(clippy::disallowed_methods, reason = "testdata lies on the developer's disk, not on the simulated one")]

use std::path::{Path, PathBuf};
use std::rc::Rc;

use ailurus_model::{
    GroupId, Index, NodeId, Offset, OwnerEpoch, PartitionId, ShardId, Term, TopicId, TopicIdPartition,
};
use ailurus_record::{BatchBuilder, BatchHeader};
use ailurus_rt as rt;
use ailurus_rt::sim::{Sim, SimConfig};
use ailurus_storage::{DataDir, Entry, HardState, Log, LogConfig, LogId, LogStart, Storage, StorageConfig};
use bytes::Bytes;

fn config() -> StorageConfig {
    StorageConfig { drain_idle: std::time::Duration::from_secs(3600), ..StorageConfig::tiny("/data") }
}

fn id(group: u64) -> LogId {
    let topic = TopicIdPartition { topic: TopicId(7), partition: PartitionId(group as i32) };
    LogId { group: GroupId(group), topic, owner_epoch: OwnerEpoch(0) }
}

fn append(log: &Rc<Log>, term: i32) {
    let mut builder = BatchBuilder::new().at(log.end_offset(), Term(term));
    for record in 0..2 {
        builder.push(100 + record, Some(b"key"), Some(format!("{} in term {term}", log.end_offset()).as_bytes()), &[]);
    }
    let bytes = builder.build();
    let header = BatchHeader::parse(&bytes).expect("it was just built");
    log.append(Term(term), Entry::Batch { header, bytes }).expect("it is taken");
}

/// One log with everything that a journal can say of it, one that is removed, one that waits for a new owner.
async fn write() {
    let _dir = DataDir::open(&config(), 1).await.expect("it opens");
    let (storage, _) = Storage::open(config(), ShardId(0)).await.expect("it opens");
    let log = storage.create_log(id(1), LogConfig::keeping()).await.expect("it is created");
    log.set_state_source(Rc::new(|| Bytes::from_static(b"producers")));
    log.save_hard_state(HardState { term: Term(1), vote: Some(NodeId(0)) });
    log.append(Term(1), Entry::Control { payload: Bytes::from_static(b"term start") }).expect("it is taken");
    (0..4).for_each(|_| append(&log, 1));
    storage.settled().await;
    log.truncate_suffix(Index(5)).await.expect("nothing committed is cut");
    append(&log, 2);
    storage.settled().await;
    log.committed(log.frontiers().durable);
    log.set_log_start(log.start_at(Offset(3))).await.expect("it is moved");
    let gone = storage.create_log(id(2), LogConfig::keeping()).await.expect("it is created");
    append(&gone, 1);
    storage.remove_log(GroupId(2)).await.expect("it is removed");
    let released = storage.create_log(id(3), LogConfig::keeping()).await.expect("it is created");
    (0..3).for_each(|_| append(&released, 5));
    storage.settled().await;
    released.committed(released.frontiers().durable);
    storage.release_log(GroupId(3)).await.expect("it is released");
    storage.shutdown().await;
}

async fn check() {
    let _dir = DataDir::open(&config(), 1).await.expect("it opens");
    let (storage, logs) = Storage::open(config(), ShardId(0)).await.expect("it opens");
    assert_eq!(logs.len(), 1, "the others are removed and released");
    let log = &logs[0];
    assert_eq!(log.id(), id(1));
    assert_eq!(log.hard_state(), HardState { term: Term(1), vote: Some(NodeId(0)) });
    assert_eq!(log.log_start(), LogStart { index: Index(4), offset: Offset(3), term: Term(1) });
    assert_eq!((log.end_offset(), log.last_term()), (Offset(6), Term(2)));
    assert_eq!(values(log, Offset(3)).await, ["2 in term 1", "2 in term 1", "4 in term 2", "4 in term 2"]);
    let released = storage.create_log(id(3), LogConfig::keeping()).await.expect("it is taken over");
    assert_eq!(released.id().owner_epoch, OwnerEpoch(1));
    assert_eq!(values(&released, Offset(0)).await.last().expect("it has records"), "4 in term 5");
}

async fn values(log: &Rc<Log>, from: Offset) -> Vec<String> {
    let read = log.read(from, log.end_offset(), 1 << 20, true).await.expect("it reads");
    let records = read.batches.iter().flat_map(|batch| {
        ailurus_record::records(batch, &ailurus_record::Limits::STORED).expect("it decodes").collect::<Vec<_>>()
    });
    records
        .map(|record| record.expect("it decodes").value.expect("it has a value"))
        .map(|value| String::from_utf8(value.to_vec()).expect("it is text"))
        .collect()
}

fn folder(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("testdata/data/v{version}"))
}

/// All files below `dir` on the developer's disk, relative to it.
fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).expect("the corpus is there") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}

fn sim() -> Sim {
    Sim::new(1, SimConfig { shards: 1, ..SimConfig::default() })
}

#[test]
fn every_version_is_read() {
    if std::env::var_os("AILURUS_WRITE_CORPUS").is_some() {
        write_corpus();
    }
    let (mut sim, root) = (sim(), folder(1));
    sim.run(move || async move {
        for path in files_below(&root) {
            let to = Path::new("/data").join(path.strip_prefix(&root).expect("it lies below"));
            rt::fs::create_dir_all(to.parent().expect("it lies below")).await.expect("it is made");
            let bytes = std::fs::read(&path).expect("it can be read");
            rt::fs::write_durably(&to, &bytes).await.expect("it is written");
        }
        check().await;
    })
    .finished();
}

fn write_corpus() {
    let mut sim = sim();
    sim.run(|| async {
        write().await;
        let mut dirs = vec![PathBuf::from("/data")];
        while let Some(dir) = dirs.pop() {
            for entry in rt::fs::read_dir(&dir).await.expect("it is there") {
                let path = dir.join(&entry.name);
                if entry.is_dir {
                    dirs.push(path);
                    continue;
                }
                let bytes = rt::fs::read(&path).await.expect("it can be read");
                if entry.name == "ailurus.lock" || bytes.iter().all(|byte| *byte == 0) {
                    continue;
                }
                let to = folder(1).join(path.strip_prefix("/data").expect("it lies below"));
                std::fs::create_dir_all(to.parent().expect("it lies below")).expect("it is made");
                std::fs::write(to, bytes).expect("it is written");
            }
        }
    })
    .finished();
}
