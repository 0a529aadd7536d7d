//! `write.caching`: what is answered from memory, and from when on it is or is not.

use std::rc::Rc;
use std::time::Duration;

use ailurus_cluster::{Cluster, node};
use ailurus_record::BatchBuilder;
use ailurus_rt::sim::{DiskFaults, SimConfig};
use ailurus_rt::{self as rt, Lane};
use ailurus_storage::StorageConfig;
use ailurus_wire::ErrorCode;
use ailurus_wire::offset_commit::{OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use ailurus_wire::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};

use super::{Broker, for_seeds};

/// What an operation of the disk takes, more or less.
const LATENCY: Duration = Duration::from_millis(50);

fn on_slow_disk<F: Future<Output = ()>>(
    settings: &'static [(&str, &str)],
    test: impl Fn(Broker) -> F + Copy + 'static,
) {
    let disk = DiskFaults { latency: LATENCY, ..DiskFaults::default() };
    for_seeds(SimConfig { shards: 2, disk, ..SimConfig::default() }, settings, test);
}

/// Appends one small record to partition 0; how long the answer took.
async fn produce(broker: Broker, topic: &str, acks: i16) -> Duration {
    produce_value(broker, topic, acks, b"value").await
}

/// Appends one record to partition 0; how long the answer took.
async fn produce_value(broker: Broker, topic: &str, acks: i16, value: &[u8]) -> Duration {
    let mut batch = BatchBuilder::new();
    batch.push(rt::unix_ms(), None, Some(value), &[]);
    let partition_data = vec![PartitionProduceData { index: 0, records: Some(batch.build()) }];
    let topic_data = vec![TopicProduceData { name: topic.into(), partition_data, ..Default::default() }];
    let request = ProduceRequest { acks, timeout_ms: 60_000, topic_data, ..Default::default() };
    let asked = rt::now();
    let response = broker.call(9, &request).await;
    assert_eq!(response.responses[0].partition_responses[0].error_code, ErrorCode::None);
    asked.elapsed()
}

async fn flushes(broker: Broker) -> u64 {
    let flushes = |local: &Rc<Cluster>| local.storage().stats().journal.flushes;
    broker.cluster.map(Lane::Kafka, flushes).await.into_iter().sum()
}

#[test]
fn it_is_altered_while_the_broker_runs_and_counts_at_once() {
    on_slow_disk(&[("log.flush.interval.ms", "3600000")], |broker| async move {
        broker.create("t", 1, &[]).await;
        assert!(produce(broker, "t", -1).await >= LATENCY, "flushed first");
        for (caching, acks) in [("true", -1), ("true", 1), ("false", -1), ("true", -1), ("false", 1)] {
            broker.alter("t", "write.caching", caching).await;
            let before = flushes(broker).await;
            let took = produce(broker, "t", acks).await;
            assert_eq!(took < LATENCY, caching == "true", "write.caching={caching} acks={acks}: {took:?}");
            if caching == "true" {
                for _ in 0..20 {
                    assert!(produce(broker, "t", acks).await < LATENCY);
                }
                // Only what was under way or waits for a free commit.
                assert!(flushes(broker).await - before <= 1, "no flush for a request");
                let readable = broker.at_owner("t", 0, |partition| partition.high_watermark()).await;
                assert_eq!(readable, broker.at_owner("t", 0, |partition| partition.replica().next_offset()).await);
            }
        }
    });
}

/// Whether all that partition 0 was given is flushed.
async fn is_durable(broker: Broker, topic: &str) -> bool {
    let durable = |partition: &ailurus_partition::Partition| {
        let frontiers = partition.replica().log().frontiers();
        frontiers.durable == frontiers.appended
    };
    broker.at_owner(topic, 0, durable).await
}

/// What a crash may take is bounded whatever was asked for, so acks=1 waits for the flush there, and not for the write alone.
#[test]
fn beyond_the_bound_acks_1_waits_for_the_flush() {
    on_slow_disk(&[("log.flush.interval.ms", "3600000")], |broker| async move {
        let bound = usize::try_from(StorageConfig::tiny("/data").write_caching_bytes_max).unwrap();
        broker.create("cached", 1, &[("write.caching", "true")]).await;
        broker.create("plain", 1, &[]).await;
        for _ in 0..3 {
            assert!(produce(broker, "cached", 1).await < LATENCY);
            assert!(!is_durable(broker, "cached").await, "within the bound it is answered from memory");
            produce_value(broker, "cached", 1, &vec![7; bound]).await;
            assert!(is_durable(broker, "cached").await, "beyond it what was answered is flushed");
            produce_value(broker, "plain", 1, &vec![7; bound]).await;
            assert!(!is_durable(broker, "plain").await, "without write.caching acks=1 asks for the write alone");
            // The flush that is under way.
            rt::sleep(LATENCY * 10).await;
        }
    });
}

#[test]
fn flush_ms_is_a_setting_of_the_topic() {
    on_slow_disk(&[], |broker| async move {
        broker.create("t", 1, &[("write.caching", "true"), ("flush.ms", "5000")]).await;
        for (flush_ms, later) in [(None, 5000), (Some("700"), 700)] {
            if let Some(flush_ms) = flush_ms {
                broker.alter("t", "flush.ms", flush_ms).await;
            }
            // What is drained meanwhile takes the journal's next commit along, and then there is nothing left.
            rt::sleep(Duration::from_secs(10)).await;
            produce(broker, "t", -1).await;
            rt::sleep(Duration::from_millis(later - 100)).await;
            assert!(!is_durable(broker, "t").await);
            // The write, the flush, and perhaps another file of the journal.
            rt::sleep(Duration::from_millis(100) + LATENCY * 10).await;
            assert!(is_durable(broker, "t").await);
        }
    });
}

/// What the first signal asks for, since a second one may cut the stop short.
#[test]
fn what_is_cached_on_any_shard_is_flushed_when_asked_for() {
    on_slow_disk(&[("write.caching", "true"), ("log.flush.interval.ms", "3600000")], |broker| async move {
        let owner = |topic: &str| broker.cluster.local().shard_of(broker.target(topic, 0));
        for topic in ["t", "u"] {
            broker.create(topic, 1, &[]).await;
        }
        assert_ne!(owner("t"), owner("u"));
        rt::sleep(Duration::from_secs(10)).await;
        for topic in ["t", "u"] {
            produce(broker, topic, -1).await;
        }
        rt::sleep(LATENCY * 10).await;
        for topic in ["t", "u"] {
            assert!(!is_durable(broker, topic).await, "{topic} is not due for an hour");
        }
        node::hasten(broker.cluster);
        rt::sleep(LATENCY * 10).await;
        for topic in ["t", "u"] {
            assert!(is_durable(broker, topic).await, "{topic}");
        }
        node::stop(broker.cluster).await;
    });
}

/// Whatever the broker's default, and the settings of their own topic.
#[test]
fn offsets_of_groups_are_flushed_before_they_are_acknowledged() {
    on_slow_disk(&[("write.caching", "true")], |broker| async move {
        let offsets = broker.cluster.local().offsets_topic();
        let configs: Vec<_> = offsets.configs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        broker.create(&offsets.name, 1, &configs).await;
        broker.alter(&offsets.name, "write.caching", "true").await;
        broker.create("t", 1, &[]).await;
        assert!(produce(broker, "t", -1).await < LATENCY, "the broker's default holds for a topic");
        let partition = OffsetCommitRequestPartition { partition_index: 0, committed_offset: 1, ..Default::default() };
        let topics =
            vec![OffsetCommitRequestTopic { name: "t".into(), partitions: vec![partition], ..Default::default() }];
        let request = OffsetCommitRequest {
            group_id: "g".into(),
            generation_id_or_member_epoch: -1,
            topics,
            ..Default::default()
        };
        // The coordinator loads first.
        loop {
            let asked = rt::now();
            let response = broker.call(8, &request).await;
            match response.topics[0].partitions[0].error_code {
                ErrorCode::None => {
                    assert!(asked.elapsed() >= LATENCY, "it was flushed");
                    break;
                }
                ErrorCode::CoordinatorLoadInProgress | ErrorCode::NotCoordinator => rt::sleep(LATENCY).await,
                other => panic!("{other:?}"),
            }
        }
    });
}
