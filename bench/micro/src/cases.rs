//! The cases above storage: requests, calls between shards, and the proof of a batch.
//!
//! Each looks at what it was answered: an error would be the quickest answer of all.

use std::hint::black_box;

use ailurus_model::ShardId;
use ailurus_record::{Limits, verify};
use ailurus_rt::{self as rt, Lane, Sharded};
use ailurus_wire::ErrorCode;
use ailurus_wire::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use ailurus_wire::metadata::MetadataRequest;
use ailurus_wire::produce::{PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData};
use bytes::Bytes;

use crate::broker::{Broker, batch, decoded, frame, on_machine, settle};
use crate::{count_begins, count_ends};

/// The versions that librdkafka and Kafka's own clients ask for today, as far as the broker serves them.
const PRODUCE: i16 = 9;
const FETCH: i16 = 12;
const METADATA: i16 = 12;

/// The topic of the cases that need one.
const TOPIC: &str = "topic";
const RECORDS_PER_BATCH: i64 = 16;

/// Asks one after the other, the first few uncounted; gives the last answer.
async fn ask_all(broker: Broker, uncounted: usize, frames: Vec<Bytes>) -> Vec<Bytes> {
    let mut last = Vec::new();
    for (number, frame) in frames.into_iter().enumerate() {
        if number == uncounted {
            count_begins();
        }
        last = broker.answer(frame).await;
    }
    count_ends();
    last
}

/// A batch for each partition of the topic.
fn produce_request(partitions: i32) -> ProduceRequest {
    let data = |index| PartitionProduceData { index, records: Some(batch()) };
    let partition_data = (0..partitions).map(data).collect();
    let topic_data = vec![TopicProduceData { name: TOPIC.into(), partition_data, ..Default::default() }];
    ProduceRequest { acks: -1, timeout_ms: 30_000, topic_data, ..Default::default() }
}

fn check_produced(response: &ProduceResponse) {
    let mut partitions = response.responses.iter().flat_map(|topic| &topic.partition_responses);
    assert!(partitions.all(|partition| partition.error_code == ErrorCode::None), "{response:?}");
}

/// Batches into so many partitions per request.
pub(crate) fn produce(partitions: i32, shards: u16) -> u64 {
    on_machine(shards, move || async move {
        let broker = Broker::start().await;
        broker.create(&[TOPIC.to_owned()], partitions).await;
        settle().await;
        // Together below what one journal file holds.
        let (uncounted, counted) = if partitions == 1 { (20, 200) } else { (2, 8) };
        // Frames of their own, as from sockets: nothing can see that they are the same.
        let frames = (0..uncounted + counted).map(|_| frame(PRODUCE, &produce_request(partitions))).collect();
        let last = ask_all(broker, uncounted, frames).await;
        check_produced(&decoded::<ProduceRequest>(PRODUCE, last));
        let requests = (uncounted + counted) as i64;
        assert_eq!(broker.high_watermark(TOPIC, partitions - 1).await, requests * RECORDS_PER_BATCH);
        counted as u64
    })
}

/// What is wanted of so many partitions, from their start.
fn fetch_request(partitions: i32, from: i64) -> FetchRequest {
    let partition = |partition| FetchPartition {
        partition,
        fetch_offset: from,
        current_leader_epoch: -1,
        last_fetched_epoch: -1,
        partition_max_bytes: 1 << 20,
        ..Default::default()
    };
    let partitions = (0..partitions).map(partition).collect();
    let topics = vec![FetchTopic { topic: TOPIC.into(), partitions, ..Default::default() }];
    FetchRequest { max_wait_ms: 500, min_bytes: 1, max_bytes: 50 << 20, topics, ..Default::default() }
}

/// Bytes of records in an answer without errors.
fn fetched(response: &FetchResponse) -> usize {
    assert_eq!(response.error_code, ErrorCode::None);
    let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
    partitions
        .map(|partition| {
            assert_eq!(partition.error_code, ErrorCode::None);
            partition.records.as_ref().map_or(0, |records| records.len())
        })
        .sum()
}

/// A batch from each of so many partitions per request.
pub(crate) fn fetch(partitions: i32, shards: u16) -> u64 {
    on_machine(shards, move || async move {
        let broker = Broker::start().await;
        broker.create(&[TOPIC.to_owned()], partitions).await;
        settle().await;
        check_produced(&broker.call(PRODUCE, &produce_request(partitions)).await);
        let (uncounted, counted) = if partitions == 1 { (20, 500) } else { (5, 50) };
        let request = FetchRequest { session_epoch: -1, ..fetch_request(partitions, 0) };
        let frames = (0..uncounted + counted).map(|_| frame(FETCH, &request)).collect();
        let last = ask_all(broker, uncounted, frames).await;
        assert_eq!(fetched(&decoded::<FetchRequest>(FETCH, last)), partitions as usize * batch().len());
        counted as u64
    })
}

/// A consumer that waits at the end of many partitions.
pub(crate) fn fetch_idle() -> u64 {
    const PARTITIONS: i32 = 1000;
    on_machine(2, || async {
        let broker = Broker::start().await;
        broker.create(&[TOPIC.to_owned()], PARTITIONS).await;
        settle().await;
        let first = FetchRequest { max_wait_ms: 0, session_epoch: 0, ..fetch_request(PARTITIONS, 0) };
        let opened = broker.call(FETCH, &first).await;
        assert!(opened.session_id != 0 && fetched(&opened) == 0, "there is a session, and nothing to read");
        let next = |session_epoch| FetchRequest {
            session_id: opened.session_id,
            session_epoch,
            topics: Vec::new(),
            ..fetch_request(0, 0)
        };
        let (uncounted, counted) = (2, 20);
        let frames = (1..=uncounted + counted).map(|epoch| frame(FETCH, &next(epoch))).collect();
        let start = rt::now();
        let last = ask_all(broker, uncounted as usize, frames).await;
        let response = decoded::<FetchRequest>(FETCH, last);
        assert!(response.responses.is_empty() && fetched(&response) == 0, "nothing is new");
        let waited = rt::now() - start;
        assert!(waited.as_millis() >= 500 * (uncounted + counted) as u128, "it waited {waited:?}");
        counted as u64
    })
}

/// All topics of a broker that has a thousand.
pub(crate) fn metadata() -> u64 {
    const TOPICS: usize = 1000;
    on_machine(1, || async {
        let broker = Broker::start().await;
        let names: Vec<String> = (0..TOPICS).map(|number| format!("topic-{number}")).collect();
        broker.create(&names, 1).await;
        settle().await;
        let (uncounted, counted) = (2, 10);
        let request = MetadataRequest { topics: None, ..Default::default() };
        let frames = (0..uncounted + counted).map(|_| frame(METADATA, &request)).collect();
        let last = ask_all(broker, uncounted, frames).await;
        let topics = decoded::<MetadataRequest>(METADATA, last).topics;
        assert!(topics.len() == TOPICS && topics.iter().all(|topic| topic.error_code == ErrorCode::None));
        counted as u64
    })
}

/// Calls that do nothing at the other shard, so many under way.
pub(crate) fn crossing(under_way: u64) -> u64 {
    const COUNTED: u64 = 2560;
    on_machine(2, move || async move {
        let other = Sharded::start(|_| ()).await;
        settle().await;
        let round = async || {
            let calls: Vec<_> =
                (0..under_way).map(|n| other.on(ShardId(1), Lane::Kafka, move |_| black_box(n))).collect();
            for (n, call) in (0..under_way).zip(calls) {
                assert_eq!(call.await, n);
            }
        };
        for _ in 0..10 {
            round().await;
        }
        count_begins();
        for _ in 0..COUNTED / under_way {
            round().await;
        }
        count_ends();
        COUNTED
    })
}

/// What is proven of a batch before any of it is kept: header, CRC, records.
pub(crate) fn validation() -> u64 {
    const COUNTED: u64 = 500;
    on_machine(1, || async {
        let batch = batch();
        let prove = || verify(black_box(batch.clone()), &Limits::PRODUCE).expect("it is right");
        prove();
        count_begins();
        for _ in 0..COUNTED {
            black_box(prove());
        }
        count_ends();
        COUNTED
    })
}
