//! What is cut off a partition: a suffix that a newer leader replaces (one member never does this by itself, so the test
//! does), and a prefix whose records are deleted.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::rc::Rc;

use ailurus_model::{Acks, GroupId, NodeId, Offset, OwnerEpoch, PartitionId, ShardId, TopicId, TopicIdPartition};
use ailurus_partition::append::Origin;
use ailurus_partition::{AppendOutcome, Partition, Refusal};
use ailurus_record::{BatchBuilder, Limits, VerifiedBatch, verify};
use ailurus_replica::{Receipt, Settlement};
use ailurus_rt as rt;
use ailurus_rt::sim::{Sim, SimConfig};
use ailurus_settings::{BrokerSettings, TopicOverrides};
use ailurus_storage::{DataDir, LogConfig, LogId, Storage, StorageConfig};

const ID: TopicIdPartition = TopicIdPartition { topic: TopicId(99), partition: PartitionId(0) };

fn batch(first: i32, count: i32) -> VerifiedBatch {
    let mut builder = BatchBuilder::new().producer(7, 0, first);
    for sequence in first..first + count {
        builder.push(0, None, Some(format!("record {sequence}").as_bytes()), &[]);
    }
    verify(builder.build(), &Limits::PRODUCE).unwrap()
}

fn appended(partition: &Partition, batch: &VerifiedBatch) -> Receipt {
    match partition.append(batch, Origin::Client, rt::unix_ms()) {
        AppendOutcome::Appended(appended) => appended.receipt,
        other => panic!("{other:?}"),
    }
}

async fn open() -> (Rc<Storage>, Rc<Partition>) {
    let config = StorageConfig::tiny("/data");
    rt::fs::create_dir_all("/data".as_ref()).await.unwrap();
    std::mem::forget(DataDir::open(&config, 1).await.unwrap());
    let (storage, mut logs) = Storage::open(config, ShardId(0)).await.unwrap();
    let id = LogId { group: GroupId(50), topic: ID, owner_epoch: OwnerEpoch(0) };
    let log = match logs.pop() {
        Some(log) => log,
        None => storage.create_log(id, LogConfig::default()).await.unwrap(),
    };
    let topic = Rc::new(TopicOverrides::default().config(&BrokerSettings::default()));
    (storage, Partition::open(ID, log, NodeId(1), topic).await.unwrap())
}

async fn values(partition: &Partition) -> Vec<String> {
    let read = partition.read(Offset(0), 1 << 20, true).await.unwrap();
    let records = read.batches.iter().flat_map(|batch| ailurus_record::records(batch, &Limits::STORED).unwrap());
    records.map(|record| String::from_utf8(record.unwrap().value.unwrap().to_vec()).unwrap()).collect()
}

/// What was cut is as if it had never been: its waiter learns it, its sequence and offsets are free again, and a restart
/// agrees.
#[test]
fn a_cut_suffix_rolls_everything_back() {
    for seed in 0..30 {
        let mut sim = Sim::new(seed, SimConfig { shards: 1, ..SimConfig::default() });
        sim.run(|| async {
            let (storage, partition) = open().await;
            let kept = appended(&partition, &batch(0, 2));
            assert_eq!(partition.settled(kept, Acks::All).await, Settlement::Kept);
            let cut = appended(&partition, &batch(2, 3));
            let to = partition.replica().log().index_of(cut.base);
            let waiting = partition.clone();
            let waiter = rt::spawn(rt::Group::Kafka, async move { waiting.settled(cut, Acks::All).await });
            partition.replica().truncate_suffix(to).await.unwrap();
            assert_eq!(waiter.await, Settlement::Truncated);
            // The receipt of what stayed still counts.
            assert_eq!(partition.settled(kept, Acks::All).await, Settlement::Kept);
            let refused = partition.append(&batch(5, 1), Origin::Client, 0);
            assert!(matches!(refused, AppendOutcome::Refused(Refusal::OutOfOrderSequence { expected: 2, got: 5 })));
            let again = appended(&partition, &batch(2, 1));
            assert_eq!(again.base, Offset(2));
            assert_eq!(partition.settled(again, Acks::All).await, Settlement::Kept);
            assert_eq!(values(&partition).await, ["record 0", "record 1", "record 2"]);
            partition.close();
            storage.settled().await;
        })
        .finished();
        sim.crash();
        sim.run(|| async {
            let (_storage, partition) = open().await;
            assert_eq!(values(&partition).await, ["record 0", "record 1", "record 2"]);
            let duplicate = partition.append(&batch(2, 1), Origin::Client, 0);
            assert!(matches!(duplicate, AppendOutcome::Duplicate(found) if found.receipt.base == Offset(2)));
            appended(&partition, &batch(3, 1));
        })
        .finished();
    }
}

/// Whoever asks for what another has asked for already is answered no earlier than he: the power may fail right then.
#[test]
fn deleted_records_stay_deleted_whoever_asked_first() {
    for seed in 0..30 {
        let mut sim = Sim::new(seed, SimConfig { shards: 1, ..SimConfig::default() });
        sim.run(|| async {
            let (_storage, partition) = open().await;
            let receipt = appended(&partition, &batch(0, 5));
            assert_eq!(partition.settled(receipt, Acks::All).await, Settlement::Kept);
            let _first = partition.delete_records(Offset(3)).unwrap();
            assert_eq!(partition.log_start(), Offset(3));
            let second = partition.delete_records(Offset(2)).unwrap();
            assert_eq!(partition.records_deleted(second).await.unwrap(), Offset(3));
        })
        .finished();
        sim.crash();
        sim.run(|| async {
            let (_storage, partition) = open().await;
            assert!(partition.log_start() >= Offset(2), "starts at {}", partition.log_start());
            let again = partition.delete_records(Offset(1)).unwrap();
            assert_eq!(partition.records_deleted(again).await.unwrap(), Offset(3), "what is durable is not waited for");
        })
        .finished();
    }
}

/// A commit is told once to those who wait for it: not when its entries are written, nor for what changes nothing.
#[test]
fn who_waits_is_woken_once_for_each_commit() {
    let mut sim = Sim::new(1, SimConfig { shards: 1, ..SimConfig::default() });
    sim.run(|| async {
        let (storage, partition) = open().await;
        let replica = partition.replica().clone();
        let rung = Rc::new(std::cell::Cell::new(0));
        let counted = rung.clone();
        let counter = rt::spawn(rt::Group::Kafka, async move {
            loop {
                replica.moved().notified().await;
                counted.set(counted.get() + 1);
            }
        });
        rt::yield_now().await;
        for number in 0..10 {
            let receipt = appended(&partition, &batch(number, 1));
            assert_eq!(partition.settled(receipt, Acks::Leader).await, Settlement::Kept);
            assert_eq!(partition.settled(receipt, Acks::All).await, Settlement::Kept);
        }
        storage.settled().await;
        assert_eq!(rung.get(), 10);
        let receipt = appended(&partition, &batch(10, 1));
        let waiting = partition.clone();
        let waiter = rt::spawn(rt::Group::Kafka, async move { waiting.settled(receipt, Acks::Leader).await });
        rt::yield_now().await;
        partition.replica().close();
        assert_eq!(waiter.await, Settlement::Unknown, "it was not written yet, and nobody tells any more");
        counter.cancel().await;
    })
    .finished();
}
