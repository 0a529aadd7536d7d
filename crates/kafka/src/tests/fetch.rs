//! Fetches that wait.

use std::time::Duration;

use ailurus_rt::{self as rt, Instant};
use ailurus_wire::ErrorCode;
use ailurus_wire::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};

use super::{Broker, on_shards};

/// Long enough that nobody waits so long by chance.
const WAIT: Duration = Duration::from_secs(30);

/// What is wanted: (partition, offset) of topic `t`, at least `min_bytes` of it.
fn fetch(wanted: &[(i32, i64)], min_bytes: i32) -> FetchRequest {
    let partition = |(partition, fetch_offset): &(i32, i64)| FetchPartition {
        partition: *partition,
        fetch_offset: *fetch_offset,
        current_leader_epoch: -1,
        last_fetched_epoch: -1,
        partition_max_bytes: 1 << 20,
        ..Default::default()
    };
    let partitions = wanted.iter().map(partition).collect();
    let topics = vec![FetchTopic { topic: "t".into(), partitions, ..Default::default() }];
    let max_wait_ms = WAIT.as_millis() as i32;
    FetchRequest { max_wait_ms, min_bytes, max_bytes: 1 << 20, topics, session_epoch: -1, ..Default::default() }
}

/// The same with at most so much of each partition, but for a first batch.
fn limited(partition_max_bytes: i32, mut request: FetchRequest) -> FetchRequest {
    let partitions = request.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
    partitions.for_each(|partition| partition.partition_max_bytes = partition_max_bytes);
    request
}

/// Bytes of records per partition of the answer, in its order.
fn bytes(response: &FetchResponse) -> Vec<usize> {
    let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
    partitions
        .map(|partition| {
            assert_eq!(partition.error_code, ErrorCode::None);
            partition.records.as_ref().map_or(0, |records| records.len())
        })
        .collect()
}

/// A record appended after `delay`, by somebody else.
fn produce_after(broker: Broker, delay: Duration, partition: i32) -> rt::Task<()> {
    rt::spawn(rt::Group::Kafka, async move {
        rt::sleep(delay).await;
        broker.produce("t", partition, &[(Some(b"later"), b"value")]).await;
    })
}

fn since(start: Instant) -> Duration {
    rt::now() - start
}

/// Compaction removed the last records: the high watermark stays where it is, and nothing can be read before it. A
/// consumer there waits like one at the end, or it would ask without pause.
#[test]
fn whoever_reads_where_compaction_left_nothing_waits_for_what_comes() {
    on_shards(2, |broker| async move {
        let compact = [("min.cleanable.dirty.ratio", "0"), ("segment.ms", "1"), ("retention.ms", "-1")];
        broker.create("t", 1, &compact).await;
        for _ in 0..10 {
            // Compaction drops records without keys; a topic that is compacted already would refuse them.
            broker.produce("t", 0, &[(None, &[7; 500])]).await;
        }
        let at_once = FetchRequest { max_wait_ms: 0, ..fetch(&[(0, 0)], 1) };
        assert_ne!(bytes(&broker.call(12, &at_once).await), [0]);
        broker.alter("t", "cleanup.policy", "compact").await;
        while bytes(&broker.call(12, &at_once).await) != [0] {
            rt::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(broker.at_owner("t", 0, |partition| partition.high_watermark().0).await, 10);

        let start = rt::now();
        assert_eq!(bytes(&broker.call(12, &fetch(&[(0, 3)], 1)).await), [0]);
        assert!(since(start) >= WAIT, "answered after {:?}", since(start));
        // Nor does a limit below the least that is wanted make him ask again at once.
        let start = rt::now();
        assert_eq!(bytes(&broker.call(12, &limited(1, fetch(&[(0, 3)], 2))).await), [0]);
        assert!(since(start) >= WAIT, "answered after {:?}", since(start));

        let (start, producer) = (rt::now(), produce_after(broker, WAIT / 2, 0));
        assert_ne!(bytes(&broker.call(12, &fetch(&[(0, 3)], 1)).await), [0]);
        assert!((WAIT / 2..WAIT).contains(&since(start)), "answered after {:?}", since(start));
        producer.await;
    });
}

/// A topic of two partitions, which two shards own.
async fn on_two_owners(broker: Broker) {
    broker.create("t", 2, &[]).await;
    let owner = |partition| broker.cluster.local().shard_of(broker.target("t", partition));
    assert_ne!(owner(0), owner(1));
}

#[test]
fn the_first_owner_that_has_something_ends_the_wait_of_the_others() {
    on_shards(2, |broker| async move {
        on_two_owners(broker).await;
        for (partition, ends) in [(0, [(0, 0), (1, 0)]), (1, [(0, 1), (1, 0)])] {
            let (start, producer) = (rt::now(), produce_after(broker, WAIT / 2, partition));
            let got = bytes(&broker.call(12, &fetch(&ends, 1)).await);
            assert!((WAIT / 2..WAIT).contains(&since(start)), "answered after {:?}", since(start));
            assert_ne!(got[partition as usize], 0);
            producer.await;
        }
        // A third who waits at both in vain is told so in time.
        let start = rt::now();
        assert_eq!(bytes(&broker.call(12, &fetch(&[(0, 1), (1, 1)], 1)).await), [0, 0]);
        assert!((WAIT..WAIT * 2).contains(&since(start)), "answered after {:?}", since(start));
    });
}

#[test]
fn what_all_owners_have_counts_towards_the_least_that_is_wanted() {
    on_shards(2, |broker| async move {
        on_two_owners(broker).await;
        let start = rt::now();
        let producer = rt::spawn(rt::Group::Kafka, async move {
            for partition in [0, 1] {
                rt::sleep(WAIT / 4).await;
                broker.produce("t", partition, &[(None, &[7; 600])]).await;
            }
        });
        // Half of it would be there after the first, were it not that all together are to have it.
        let got = bytes(&broker.call(12, &fetch(&[(0, 0), (1, 0)], 1000)).await);
        assert!((WAIT / 2..WAIT).contains(&since(start)), "answered after {:?}", since(start));
        assert!(got.iter().all(|bytes| *bytes >= 600), "{got:?}");
        producer.await;
    });
}

#[test]
fn owners_that_read_side_by_side_keep_to_the_limit_together() {
    on_shards(2, |broker| async move {
        on_two_owners(broker).await;
        for partition in [0, 0, 0, 1, 1, 1] {
            broker.produce("t", partition, &[(None, &[7; 700])]).await;
        }
        let limited = async |max_bytes| {
            let request = FetchRequest { max_bytes, ..fetch(&[(1, 0), (0, 0)], 1) };
            bytes(&broker.call(12, &request).await)
        };
        let batch = limited(1).await[0];
        assert!(batch >= 700);
        let batches = async |max_bytes: usize| {
            limited(max_bytes as i32).await.into_iter().map(|bytes| bytes as f64 / batch as f64).collect::<Vec<_>>()
        };
        assert_eq!(batches(1).await, [1.0, 0.0], "one batch comes, however large; the first that is asked for");
        assert_eq!(batches(batch + 1).await, [1.0, 0.0]);
        assert_eq!(batches(2 * batch).await, [1.0, 1.0]);
        assert_eq!(batches(5 * batch).await, [2.0, 2.0], "each owner within its share");
        assert_eq!(batches(6 * batch).await, [3.0, 3.0]);
    });
}

#[test]
fn a_first_batch_above_the_limit_of_its_partition_counts_whole() {
    on_shards(2, |broker| async move {
        on_two_owners(broker).await;
        let least = |wanted: &[(i32, i64)]| limited(100, fetch(wanted, 1000));
        broker.produce("t", 0, &[(None, &[7; 600])]).await;
        let start = rt::now();
        assert!(bytes(&broker.call(12, &least(&[(0, 0)])).await)[0] >= 600, "one batch comes, however large");
        assert!(since(start) >= WAIT, "answered after {:?}, with less than was wanted", since(start));

        broker.produce("t", 0, &[(None, &[7; 1200])]).await;
        let start = rt::now();
        for wanted in [&[(0, 1)][..], &[(0, 1), (1, 0)], &[(1, 0), (0, 1)]] {
            let got: usize = bytes(&broker.call(12, &least(wanted)).await).iter().sum();
            assert!(got >= 1200, "{got} bytes of {wanted:?}");
        }
        assert!(since(start) < WAIT, "answered after {:?}", since(start));
    });
}

/// What a look takes for a large first batch are small ones here. Whoever reads them gets on with every answer, and waits
/// for none while there is as much as he wants.
#[test]
fn small_batches_under_a_small_limit_are_never_answered_with_nothing() {
    on_shards(2, |broker| async move {
        broker.create("t", 1, &[]).await;
        for _ in 0..20 {
            broker.produce("t", 0, &[(None, &[7; 100])]).await;
        }
        let at_once = FetchRequest { max_wait_ms: 0, ..fetch(&[(0, 0)], 1) };
        let batch = bytes(&broker.call(12, &at_once).await)[0] / 20;
        for offset in 0..20 {
            let start = rt::now();
            let request = limited(batch as i32 + 1, fetch(&[(0, offset)], 5 * batch as i32));
            assert_eq!(bytes(&broker.call(12, &request).await), [batch], "at {offset}");
            let enough = offset <= 15;
            assert!(!enough || since(start) < WAIT, "at {offset} answered after {:?}", since(start));
        }
    });
}
