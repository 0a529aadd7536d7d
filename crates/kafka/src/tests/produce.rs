//! Produce on a disk that is slow: its time, and what waits for room.

use std::time::Duration;

use ailurus_record::BatchBuilder;
use ailurus_rt::sim::{DiskFaults, SimConfig};
use ailurus_rt::{self as rt};
use ailurus_wire::ErrorCode;
use ailurus_wire::produce::{PartitionProduceData, PartitionProduceResponse, ProduceRequest, TopicProduceData};

use super::{Broker, on_machine};

/// Long enough for all that was appended to be in segments.
const AFTERWARDS: Duration = Duration::from_secs(60);

/// More than the tails of a shard may hold: nothing more is appended there before some of it is in a segment.
const MUCH: usize = 50_000;

fn on_slow_disk<F: Future<Output = ()>>(test: impl Fn(Broker) -> F + Copy + 'static) {
    let disk = DiskFaults { latency: Duration::from_millis(200), ..DiskFaults::default() };
    on_machine(SimConfig { shards: 2, disk, ..SimConfig::default() }, test);
}

/// One record of so many bytes for a partition of topic `t`.
fn record(index: i32, bytes: usize, acks: i16, timeout_ms: i32) -> ProduceRequest {
    let mut batch = BatchBuilder::new();
    batch.push(rt::unix_ms(), None, Some(&vec![7; bytes]), &[]);
    let partition_data = vec![PartitionProduceData { index, records: Some(batch.build()) }];
    let topic_data = vec![TopicProduceData { name: "t".into(), partition_data, ..Default::default() }];
    ProduceRequest { acks, timeout_ms, topic_data, ..Default::default() }
}

async fn answer(broker: Broker, request: &ProduceRequest) -> PartitionProduceResponse {
    broker.call(9, request).await.responses.remove(0).partition_responses.remove(0)
}

/// A topic with one partition on each of two shards; the one that the other shard owns.
async fn elsewhere(broker: Broker) -> i32 {
    broker.create("t", 2, &[]).await;
    let local = broker.cluster.local();
    let away = |partition: &i32| local.shard_of(broker.target("t", *partition)) != Some(rt::this_shard());
    (0..2).find(away).unwrap()
}

/// Fills the tails of the partition's shard. Ends when the batch is durable.
async fn fill(broker: Broker, partition: i32) -> rt::Task<()> {
    let filled = rt::spawn(rt::Group::Kafka, async move {
        assert_eq!(answer(broker, &record(partition, MUCH, -1, 60_000)).await.error_code, ErrorCode::None);
    });
    while broker.at_owner("t", partition, |partition| partition.replica().next_offset().0).await == 0 {
        rt::sleep(Duration::from_millis(1)).await;
    }
    filled
}

#[test]
fn only_acks_all_has_a_time() {
    on_slow_disk(|broker| async move {
        let partition = elsewhere(broker).await;
        let written = answer(broker, &record(partition, 10, 1, 0)).await;
        assert_eq!((written.error_code, written.base_offset), (ErrorCode::None, 0));
        assert_eq!(answer(broker, &record(partition, 10, -1, 0)).await.error_code, ErrorCode::RequestTimedOut);
        // As in Kafka it may be kept all the same, and here it is.
        rt::sleep(AFTERWARDS).await;
        assert_eq!(broker.at_owner("t", partition, |partition| partition.high_watermark().0).await, 2);
    });
}

#[test]
fn what_finds_no_room_in_time_is_not_appended() {
    on_slow_disk(|broker| async move {
        let partition = elsewhere(broker).await;
        let filled = fill(broker, partition).await;
        assert_eq!(answer(broker, &record(partition, 10, -1, 1)).await.error_code, ErrorCode::RequestTimedOut);
        filled.await;
        rt::sleep(AFTERWARDS).await;
        assert_eq!(broker.at_owner("t", partition, |partition| partition.high_watermark().0).await, 1);
    });
}

#[test]
fn memory_is_taken_as_long_as_a_batch_waits_for_room() {
    on_slow_disk(|broker| async move {
        let partition = elsewhere(broker).await;
        let filled = fill(broker, partition).await;
        let memory = broker.shards.local().admission().for_frame(1000).clone();
        let (all, permit) = (memory.free(), memory.acquire(1000).await);
        let request = record(partition, 10, 1, 0);
        let asked = rt::spawn(rt::Group::Kafka, async move { broker.ask(9, &request, Some(permit)).await });
        rt::sleep(Duration::from_millis(1)).await;
        // The client is gone. Its batch is not.
        assert!(asked.cancel().await.is_none());
        assert_eq!(memory.free(), all - 1000);
        filled.await;
        rt::sleep(AFTERWARDS).await;
        assert_eq!(broker.at_owner("t", partition, |partition| partition.high_watermark().0).await, 2);
        assert_eq!(memory.free(), all);
    });
}
