//! From produce to recovery on the simulated machine: idempotent producers write through the cluster to partitions on
//! several shards, the power fails at a random step, the node comes back with another number of shards, and what was
//! acknowledged must be there once, in order, at its offset, with its content. Of a topic with write caching the end may be
//! gone, up to a bound, and nothing else: see [`caching`].

#![allow(clippy::unwrap_used, reason = "a test")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ailurus_cluster::command::Command;
use ailurus_cluster::plan::NewTopic;
use ailurus_cluster::{Cluster, ClusterOptions, node};
use ailurus_model::{Acks, Offset, PartitionId, TopicIdPartition};
use ailurus_partition::append::Origin;
use ailurus_partition::{AppendOutcome, Partition};
use ailurus_record::{BatchBuilder, Limits, records, verify};
use ailurus_replica::Settlement;
use ailurus_rt::sim::{Dice, Outcome, Sim, SimConfig, seeds};
use ailurus_rt::{self as rt, Lane, Sharded};
use ailurus_settings::{BrokerSettings, Layer};
use ailurus_storage::StorageConfig;
use bytes::Bytes;

#[path = "crash/caching.rs"]
mod caching;

const PARTITIONS: i32 = 5;
const PRODUCERS: i64 = 4;
const LIVES: u64 = 4;
/// About as many steps as a life takes that does not crash.
const STEPS: u64 = 6_000;

/// What the outside world knows: it survives every crash.
#[derive(Default)]
struct World {
    /// Acknowledged: per partition, offset of the first record, producer, first sequence, how many records.
    acked: BTreeMap<i32, Vec<(i64, i64, i32, i32)>>,
    /// What each producer has sent to each partition and not heard of: it is sent again, the same.
    pending: BTreeMap<(i64, i32), (i32, i32)>,
    /// The sequence that each producer gives out next, per partition.
    next: BTreeMap<(i64, i32), i32>,
}

type Shared = Rc<RefCell<World>>;

fn value(producer: i64, sequence: i32) -> Vec<u8> {
    // Sizes from a few bytes to more than a chunk of a tail, so that everything is torn somewhere.
    let length = 10 + (producer as usize * 7919 + sequence as usize * 104_729) % 700;
    let mut value = format!("{producer}:{sequence}:").into_bytes();
    value.resize(length.max(value.len()), b'x');
    value
}

fn batch(producer: i64, first: i32, count: i32) -> Bytes {
    let mut builder = BatchBuilder::new().producer(producer, 0, first);
    for sequence in first..first + count {
        builder.push(i64::from(sequence), Some(b"k"), Some(&value(producer, sequence)), &[]);
    }
    builder.build()
}

async fn boot(honest: bool) -> Sharded<Cluster> {
    rt::fs::create_dir_all("/data".as_ref()).await.unwrap();
    let mut settings = BrokerSettings::default();
    settings.set(Layer::Flags, "log.segment.bytes", "20000").unwrap();
    let storage = StorageConfig { honest_flush: honest, ..StorageConfig::tiny("/data") };
    let cluster = node::start(ClusterOptions { settings: Arc::new(settings), storage }).await.unwrap();
    let local = cluster.local();
    if local.state().topic("t").is_none() {
        let topic = NewTopic { name: "t".into(), partitions: Some(PARTITIONS), ..NewTopic::default() };
        local.submit(Command::CreateTopics(vec![topic])).await.unwrap();
    }
    assert!(local.until_led("t", Duration::from_secs(60)).await, "every partition is led again");
    cluster
}

fn target(cluster: &Cluster, topic: &str, partition: i32) -> TopicIdPartition {
    cluster.state().topic(topic).unwrap().partition(PartitionId(partition))
}

/// Runs `ask` at the owner of the partition.
async fn at_owner<R: Send + 'static, F: Future<Output = R> + 'static>(
    cluster: Sharded<Cluster>,
    topic: &str,
    partition: i32,
    ask: impl FnOnce(Rc<Partition>) -> F + Send + 'static,
) -> R {
    let local = cluster.local();
    let target = target(&local, topic, partition);
    let owner = local.shard_of(target).unwrap();
    let ask = move |owner: Rc<Cluster>| async move { ask(owner.partition(target).unwrap()).await };
    cluster.on_async(owner, Lane::Kafka, ask).await
}

/// Sends one batch; the offset of its first record, or nothing if it was not acknowledged.
async fn produce(cluster: Sharded<Cluster>, topic: &str, partition: i32, bytes: Bytes) -> Option<i64> {
    at_owner(cluster, topic, partition, move |partition| async move {
        let batch = verify(bytes, &Limits::PRODUCE).unwrap();
        match partition.append(&batch, Origin::Client, rt::unix_ms()) {
            AppendOutcome::Appended(appended) | AppendOutcome::Duplicate(appended) => {
                let settled = partition.settled(appended.receipt, Acks::All).await;
                (settled == Settlement::Kept).then_some(appended.receipt.base.0)
            }
            AppendOutcome::Refused(refusal) => panic!("refused: {refusal:?}"),
        }
    })
    .await
}

async fn producer(cluster: Sharded<Cluster>, world: Shared, id: i64, batches: u32) {
    for _ in 0..batches {
        let partition = rt::random_below(PARTITIONS as u64) as i32;
        let key = (id, partition);
        let (first, count) = {
            let mut world = world.borrow_mut();
            let next = *world.next.entry(key).or_default();
            *world.pending.entry(key).or_insert((next, 1 + rt::random_below(3) as i32))
        };
        let Some(base) = produce(cluster, "t", partition, batch(id, first, count)).await else { return };
        let mut world = world.borrow_mut();
        world.pending.remove(&key);
        world.next.insert(key, first + count);
        world.acked.entry(partition).or_default().push((base, id, first, count));
    }
}

/// All records of a partition: offset and value.
async fn read_all(cluster: Sharded<Cluster>, topic: &str, partition: i32) -> Vec<(i64, Bytes)> {
    at_owner(cluster, topic, partition, |partition| async move {
        let mut found = Vec::new();
        let mut next = partition.log_start();
        while next < partition.high_watermark() {
            let read = partition.read(next, 3000, true).await.unwrap();
            for batch in read.batches {
                for record in records(&batch, &Limits::STORED).unwrap() {
                    let record = record.unwrap();
                    next = record.offset.next();
                    found.push((record.offset.0, Bytes::copy_from_slice(&record.value.unwrap())));
                }
            }
        }
        assert_eq!(next, partition.high_watermark());
        found
    })
    .await
}

/// Holds what is there against what the world knows.
async fn check(cluster: Sharded<Cluster>, world: &Shared) {
    for partition in 0..PARTITIONS {
        let found = read_all(cluster, "t", partition).await;
        let gapless = found.iter().enumerate().all(|(place, (offset, _))| *offset == place as i64);
        assert!(gapless, "partition {partition}: offsets have a gap");
        let mut next: BTreeMap<i64, i32> = BTreeMap::new();
        for (offset, bytes) in &found {
            let text = String::from_utf8_lossy(bytes);
            let mut parts = text.split(':');
            let id: i64 = parts.next().unwrap().parse().unwrap();
            let sequence: i32 = parts.next().unwrap().parse().unwrap();
            let expected = next.entry(id).or_default();
            assert_eq!(sequence, *expected, "partition {partition} at {offset}: lost or doubled");
            assert_eq!(bytes[..], value(id, sequence)[..], "partition {partition} at {offset}: other content");
            *expected += 1;
        }
        let acked = world.borrow().acked.get(&partition).cloned().unwrap_or_default();
        for (base, id, first, count) in &acked {
            for step in 0..*count {
                let (_, bytes) = found.get((base + i64::from(step)) as usize).unwrap_or_else(|| {
                    panic!("partition {partition}: acknowledged offset {base} is gone, {} are there", found.len())
                });
                assert_eq!(bytes[..], value(*id, first + step)[..], "partition {partition} at {base}");
            }
        }
        assert!(at_owner(cluster, "t", partition, |p| async move { p.log_start() }).await == Offset::ZERO);
    }
}

async fn life(world: Shared, honest: bool) {
    let cluster = boot(honest).await;
    check(cluster, &world).await;
    let producers = (0..PRODUCERS).map(|id| rt::spawn(rt::Group::Kafka, producer(cluster, world.clone(), id, 40)));
    for producer in producers.collect::<Vec<_>>() {
        producer.await;
    }
    check(cluster, &world).await;
    node::stop(cluster).await;
}

fn lives(seed: u64, honest: bool) {
    let world = Shared::default();
    let mut dice = Dice::new(seed);
    let mut sim = Sim::new(seed, SimConfig { shards: 1 + dice.below(4) as u16, ..SimConfig::default() });
    for number in 0..LIVES {
        if number + 1 < LIVES {
            sim.crash_after(200 + dice.below(STEPS));
        }
        let in_life = world.clone();
        match sim.run(move || life(in_life, honest)) {
            Outcome::Finished(()) | Outcome::Crashed => {}
            other => panic!("life {number} ended otherwise: {other:?}"),
        }
        sim.set_shards(1 + dice.below(4) as u16);
    }
    let acked: usize = world.borrow().acked.values().map(Vec::len).sum();
    assert!(acked >= 4 * 40, "the last life ran to its end");
}

#[test]
fn what_was_acknowledged_survives_every_crash() {
    for seed in seeds(30) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| lives(seed, true))) {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

/// The test above sees what it is for.
#[test]
fn a_build_without_the_flush_is_noticed() {
    let noticed = (0..16).filter(|seed| catch_unwind(AssertUnwindSafe(|| lives(*seed, false))).is_err()).count();
    assert!(noticed > 8, "only {noticed} of 16 seeds noticed that nothing is flushed");
}
