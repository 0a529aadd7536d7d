//! Requests that name many partitions, on several shards.

use ailurus_model::Term;
use ailurus_rt::Lane;
use ailurus_wire::delete_records::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use ailurus_wire::delete_topics::DeleteTopicsRequest;
use ailurus_wire::describe_producers::{DescribeProducersRequest, TopicRequest};
use ailurus_wire::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use ailurus_wire::metadata::{MetadataRequest, MetadataRequestTopic};
use ailurus_wire::{ErrorCode, TopicId};

use super::{Broker, on_shards, on_shards_with};

const MANY: i32 = 40;

/// Flushes of the journals of all shards so far.
async fn flushes(broker: Broker) -> u64 {
    let flushes = |shard: &std::rc::Rc<ailurus_cluster::Cluster>| shard.storage().stats().journal.flushes;
    broker.cluster.map(Lane::Kafka, flushes).await.into_iter().sum()
}

fn delete(offsets: impl IntoIterator<Item = (i32, i64)>, timeout_ms: i32) -> DeleteRecordsRequest {
    let partition = |(partition_index, offset)| DeleteRecordsPartition { partition_index, offset };
    let partitions = offsets.into_iter().map(partition).collect();
    DeleteRecordsRequest { topics: vec![DeleteRecordsTopic { name: "t".into(), partitions }], timeout_ms }
}

/// The log starts of the answer, or the errors.
async fn deleted(broker: Broker, request: &DeleteRecordsRequest) -> Vec<Result<i64, ErrorCode>> {
    let answer = broker.call(2, request).await;
    let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    let result = |error: ErrorCode, start| if error.is_error() { Err(error) } else { Ok(start) };
    partitions.map(|partition| result(partition.error_code, partition.low_watermark)).collect()
}

#[test]
fn records_of_many_partitions_are_deleted_with_few_flushes() {
    on_shards(2, |broker| async move {
        broker.create("t", MANY, &[]).await;
        for partition in 0..MANY {
            broker.produce("t", partition, &[(None, b"a"), (None, b"b")]).await;
        }
        let before = flushes(broker).await;
        let answers = deleted(broker, &delete((0..MANY).map(|partition| (partition, 1)), 0)).await;
        assert_eq!(answers, [Ok(1); MANY as usize]);
        let took = flushes(broker).await - before;
        assert!(took <= 10, "{took} flushes");

        // Answers have the order of the request, whatever the owners.
        let offsets = [(3, 2), (0, 3), (MANY, 0), (2, -1), (1, -2), (0, 0)];
        let wrong = Err(ErrorCode::OffsetOutOfRange);
        let unknown = Err(ErrorCode::UnknownTopicOrPartition);
        assert_eq!(deleted(broker, &delete(offsets, 5000)).await, [Ok(2), wrong, unknown, Ok(2), wrong, Ok(1)]);
    });
}

fn offsets(topics: &[(&str, &[i32])], timestamp: i64) -> ListOffsetsRequest {
    let partition = |partition_index: &i32| ListOffsetsPartition {
        partition_index: *partition_index,
        current_leader_epoch: -1,
        timestamp,
    };
    let topic = |(name, partitions): &(&str, &[i32])| ListOffsetsTopic {
        name: (*name).into(),
        partitions: partitions.iter().map(partition).collect(),
    };
    ListOffsetsRequest { replica_id: -1, topics: topics.iter().map(topic).collect(), ..Default::default() }
}

/// (partition, error, offset, epoch) of the answer, in its order.
async fn listed(broker: Broker, request: &ListOffsetsRequest) -> Vec<(i32, ErrorCode, i64, i32)> {
    let answer = broker.call(7, request).await;
    let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    partitions.map(|found| (found.partition_index, found.error_code, found.offset, found.leader_epoch)).collect()
}

#[test]
fn offsets_of_many_partitions_come_in_the_order_of_the_request() {
    on_shards(3, |broker| async move {
        broker.create("t", 4, &[]).await;
        for partition in 0..4 {
            for _ in 0..=partition {
                broker.produce("t", partition, &[(None, b"a")]).await;
            }
        }
        let epoch = broker.at_owner("t", 0, |partition| partition.leader_epoch()).await;
        assert_eq!(epoch, Term(1));
        let none = ErrorCode::None;
        let latest = listed(broker, &offsets(&[("t", &[3, 1]), ("t", &[0, 2])], -1)).await;
        assert_eq!(latest, [(3, none, 4, 1), (1, none, 2, 1), (0, none, 1, 1), (2, none, 3, 1)]);
        let by_time = listed(broker, &offsets(&[("t", &[2, 7, 1])], 0)).await;
        assert_eq!(by_time, [(2, none, 0, 1), (7, ErrorCode::UnknownTopicOrPartition, -1, -1), (1, none, 0, 1)]);
        // Named twice is refused, also in two entries for the topic; the others are answered.
        let twice = ErrorCode::InvalidRequest;
        let repeated = listed(broker, &offsets(&[("t", &[0, 1]), ("t", &[1, 2])], -2)).await;
        assert_eq!(repeated, [(0, none, 0, 1), (1, twice, -1, -1), (1, twice, -1, -1), (2, none, 0, 1)]);
    });
}

#[test]
fn producers_of_many_partitions_come_in_the_order_of_the_request() {
    on_shards(2, |broker| async move {
        broker.create("t", 3, &[]).await;
        let topics = vec![TopicRequest { name: "t".into(), partition_indexes: vec![2, 5, 0, 2] }];
        let answer = broker.call(0, &DescribeProducersRequest { topics }).await;
        let partitions = answer.topics[0].partitions.iter();
        let told: Vec<_> = partitions.map(|found| (found.partition_index, found.error_code)).collect();
        let unknown = ErrorCode::UnknownTopicOrPartition;
        assert_eq!(told, [(2, ErrorCode::None), (5, unknown), (0, ErrorCode::None)]);
    });
}

#[test]
fn what_has_no_name_is_answered_with_none() {
    on_shards(1, |broker| async move {
        let topic = MetadataRequestTopic { topic_id: TopicId(7), name: None };
        let answer = broker.call(12, &MetadataRequest { topics: Some(vec![topic]), ..Default::default() }).await;
        assert_eq!((answer.topics[0].error_code, &answer.topics[0].name), (ErrorCode::UnknownTopicId, &None));
    });
}

#[test]
fn a_version_is_refused_with_an_error_that_it_knows() {
    on_shards_with(1, &[("delete.topic.enable", "false")], |broker| async move {
        broker.create("t", 1, &[]).await;
        for (version, error) in [(2, ErrorCode::InvalidRequest), (3, ErrorCode::TopicDeletionDisabled)] {
            let request = DeleteTopicsRequest { topic_names: vec!["t".into()], ..Default::default() };
            assert_eq!(broker.call(version, &request).await.responses[0].error_code, error);
        }
    });
}
