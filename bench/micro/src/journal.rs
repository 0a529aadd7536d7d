//! The cases of storage alone: the journal, and the way into segments.

use std::rc::Rc;
use std::time::Duration;

use ailurus_model::{GroupId, Index, Offset, OwnerEpoch, PartitionId, ShardId, Term, TopicId, TopicIdPartition};
use ailurus_record::{BatchBuilder, BatchHeader};
use ailurus_rt as rt;
use ailurus_storage::{DataDir, Entry, Log, LogConfig, LogId, Storage, StorageConfig};
use bytes::Bytes;

use crate::broker::{batch, on_machine, settle, storage};
use crate::{count_begins, count_ends};

const TERM: Term = Term(1);

/// Storage on an empty disk, with so many logs.
async fn open(config: StorageConfig, logs: i32) -> (DataDir, Rc<Storage>, Vec<Rc<Log>>) {
    let dir = DataDir::open(&config, 1).await.expect("the directory is empty");
    let (storage, none) = Storage::open(config, ShardId(0)).await.expect("the directory is empty");
    assert!(none.is_empty());
    let mut made = Vec::new();
    for number in 0..logs {
        let topic = TopicIdPartition { topic: TopicId(1), partition: PartitionId(number) };
        let id = LogId { group: GroupId(number as u64 + 1), topic, owner_epoch: OwnerEpoch(1) };
        made.push(storage.create_log(id, LogConfig::default()).await.expect("it is new"));
    }
    settle().await;
    (dir, storage, made)
}

/// Appends `batch` at the end of `log`; where that is now.
fn push(log: &Rc<Log>, batch: &Bytes) -> Index {
    let mut header = BatchHeader::parse(batch).expect("it was just built");
    (header.base_offset, header.partition_leader_epoch) = (log.end_offset().0, TERM.0);
    log.append(TERM, Entry::Batch { header, bytes: batch.clone() }).expect("there is room")
}

async fn until_durable(log: &Log, index: Index) {
    log.progress().until(|| (log.frontiers().durable >= index).then_some(())).await;
}

/// One batch of 4 KiB into each of so many logs at once, until all are durable.
pub(crate) fn append(logs: i32) -> u64 {
    on_machine(1, move || async move {
        let (_dir, storage, logs) = open(storage(), logs).await;
        let mut batch = BatchBuilder::new();
        batch.push(rt::unix_ms(), None, Some(&[7; 4000]), &[]);
        let batch = batch.build();
        let commit = async || {
            let ends: Vec<Index> = logs.iter().map(|log| push(log, &batch)).collect();
            for (log, end) in logs.iter().zip(ends) {
                until_durable(log, end).await;
            }
        };
        let (uncounted, counted) = if logs.len() == 1 { (20, 200) } else { (3, 20) };
        for _ in 0..uncounted {
            commit().await;
        }
        let flushes = storage.stats().journal.flushes;
        count_begins();
        for _ in 0..counted {
            commit().await;
        }
        count_ends();
        assert_eq!(storage.stats().journal.flushes - flushes, counted, "what is appended together is one commit");
        assert_eq!(logs[0].end_offset(), Offset(uncounted + counted as i64));
        counted
    })
}

/// Fills a log's memory and waits until it is in a segment.
pub(crate) fn drain() -> u64 {
    const MIB: u64 = 4;
    let idle = Duration::from_secs(20);
    on_machine(1, move || async move {
        let config = StorageConfig { drain_idle: idle, ..storage() };
        let (_dir, storage, logs) = open(config, 1).await;
        let (log, batch) = (&logs[0], batch());
        let mut bytes = 0;
        while bytes < MIB << 20 {
            let end = push(log, &batch);
            until_durable(log, end).await;
            log.committed(end);
            bytes += batch.len() as u64;
        }
        assert_eq!(storage.stats().drain.logs, 0, "it is all in memory yet");
        count_begins();
        rt::sleep(idle * 2).await;
        count_ends();
        assert!(storage.stats().drain.bytes >= MIB << 20 && storage.stats().tail_bytes == 0);
        MIB
    })
}
